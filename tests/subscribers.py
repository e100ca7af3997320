"""Somebody who subscribes at Stripe's stand-in: by a checkout or by a call, and what is told of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from tests.sandboxes import PAYS, STRIPE_KEY, TRUSTS_NOBODY, Sandbox

Json = dict[str, Any]

HOUR, DAY = 3600, 24 * 3600
#: Attaches, and declines every charge.
FAILS_LATER = "4000000000000341"
#: Asks for 3-D Secure each time.
ALWAYS_ASKS = "4000002760003184"


def new_price(sandbox: Sandbox, amount: int = 900, interval: str = "month", count: int = 1, name: str = "Pro") -> str:
    """A recurring price of the catalogue, in dollars."""
    fields = {
        "currency": "usd",
        "unit_amount": str(amount),
        "recurring[interval]": interval,
        "recurring[interval_count]": str(count),
        "product_data[name]": name,
    }
    return str(sandbox.post_to_stripe("prices", **fields)["id"])


def new_customer(sandbox: Sandbox, method: str = "pm_card_visa") -> str:
    """Somebody whose invoices this method pays."""
    fields = {"payment_method": method, "invoice_settings[default_payment_method]": method, "email": "ada@b.test"}
    return str(sandbox.post_to_stripe("customers", **fields)["id"])


def open_checkout(sandbox: Sandbox, price: str, **fields: str) -> Json:
    order = {
        "mode": "subscription",
        "success_url": "https://shop.test/thanks",
        "line_items[0][price]": price,
        "line_items[0][quantity]": "1",
        **fields,
    }
    return sandbox.post_to_stripe("checkout/sessions", **order)


def check_out(sandbox: Sandbox, price: str | None = None, card: str = PAYS, *, trial: str = "", **fields: str) -> Json:
    """A subscription, as a customer makes it on the hosted page; ``trial`` is its days."""
    if trial:
        fields["subscription_data[trial_period_days]"] = trial
    session = open_checkout(sandbox, price or new_price(sandbox), **fields)
    assert sandbox.pay(session["id"], card)["outcome"] == "paid"
    return subscription_of(sandbox, session["id"])


def subscription_of(sandbox: Sandbox, session: str) -> Json:
    named = sandbox.get_from_stripe(f"checkout/sessions/{session}")["subscription"]
    return sandbox.get_from_stripe(f"subscriptions/{named}")


def subscribe(sandbox: Sandbox, customer: str, price: str, **fields: str) -> Json:
    """A subscription, as a call makes it."""
    return sandbox.post_to_stripe("subscriptions", customer=customer, **{"items[0][price]": price}, **fields)


def change(sandbox: Sandbox, subscription: Json, **fields: str) -> Json:
    return sandbox.post_to_stripe(f"subscriptions/{subscription['id']}", **fields)


def change_price(sandbox: Sandbox, subscription: Json, price: str, **fields: str) -> Json:
    """The first item gets another price."""
    item = subscription["items"]["data"][0]["id"]
    return change(sandbox, subscription, **{"items[0][id]": item, "items[0][price]": price}, **fields)


def look(sandbox: Sandbox, thing: Json) -> Json:
    """The thing as it is now."""
    paths = {"subscription": "subscriptions", "invoice": "invoices", "subscription_schedule": "subscription_schedules"}
    return sandbox.get_from_stripe(f"{paths[thing['object']]}/{thing['id']}")


def invoices_of(sandbox: Sandbox, subscription: Json) -> list[Json]:
    """Oldest first."""
    found = sandbox.get_from_stripe("invoices", subscription=subscription["id"], limit="100")["data"]
    return list(reversed(found))


def latest_invoice(sandbox: Sandbox, subscription: Json) -> Json:
    return sandbox.get_from_stripe(f"invoices/{look(sandbox, subscription)['latest_invoice']}")


def cancel(sandbox: Sandbox, subscription: Json, **query: str) -> Json:
    address = f"{sandbox.url}/stripe/v1/subscriptions/{subscription['id']}"
    answer = httpx.delete(
        address, auth=(STRIPE_KEY, ""), params=query, timeout=60, trust_env=False, verify=TRUSTS_NOBODY
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def period(subscription: Json) -> tuple[int, int]:
    first = subscription["items"]["data"][0]
    return first["current_period_start"], first["current_period_end"]


def advance(sandbox: Sandbox, *, days: float = 0, hours: float = 0) -> None:
    """At most a year at a time."""
    left = int(days * DAY + hours * HOUR)
    while left > 0:
        sandbox.control("clock", {"advance": min(left, 366 * DAY)})
        left -= 366 * DAY


def advance_to(sandbox: Sandbox, moment: int) -> None:
    sandbox.control("clock", {"advance": max(0, moment - sandbox.now())})


def told(sandbox: Sandbox, *beginnings: str) -> list[str]:
    """The types of all events that begin like this, oldest first."""
    types = [str(event["type"]) for event in sandbox.objects("stripe", "event")]
    return [kind for kind in types if kind.startswith(beginnings)]


def events(sandbox: Sandbox, kind: str) -> list[Json]:
    return [event for event in sandbox.objects("stripe", "event") if event["type"] == kind]


def day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def refusal(sandbox: Sandbox, path: str, **fields: str) -> tuple[int, Json]:
    """A call that is refused."""
    address = f"{sandbox.url}/stripe/v1/{path}"
    answer = httpx.post(address, auth=(STRIPE_KEY, ""), data=fields, timeout=60, trust_env=False, verify=TRUSTS_NOBODY)
    assert answer.status_code >= 400, answer.text
    return answer.status_code, dict(answer.json()["error"])
