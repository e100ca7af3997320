"""Subscriptions at Razorpay's stand-in, as Razorpay's own SDK sees them: what it makes, what it refuses, what it hides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import razorpay
from razorpay.errors import BadRequestError

from sandbox.razorpay import cycles
from tests.sandboxes import ASKS, DECLINED, NO_FUNDS, PAYS, RAZORPAY_KEY, Sandbox

SAMPLES = Path(__file__).parents[3] / "shared/fixtures/razorpay/events"
OBJECTS = SAMPLES.parent / "objects"
HOUR, DAY = 3600, 24 * 3600
PRICE = 49900
UPI = {"method": "upi", "vpa": "success@razorpay"}

FIRST_PAYMENT = [
    "payment.authorized",
    "subscription.authenticated",
    "payment.captured",
    "order.paid",
    "invoice.paid",
    "subscription.activated",
    "subscription.charged",
]


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[razorpay.Client]:
    with sandbox.razorpay() as connected:
        yield connected


def _plan(client: razorpay.Client, **changes: Any) -> str:
    item = {"name": "Pro", "amount": PRICE, "currency": "INR", **changes.pop("item", {})}
    return str(client.plan.create({"period": "monthly", "interval": 1, "item": item, **changes})["id"])


def _subscription(client: razorpay.Client, **changes: Any) -> dict[str, Any]:
    """What a shop sends; a change to None takes the field away."""
    order = {"total_count": 12, **changes}
    order.setdefault("plan_id", _plan(client))
    return dict(client.subscription.create({name: value for name, value in order.items() if value is not None}))


def _trial(sandbox: Sandbox, client: razorpay.Client, **changes: Any) -> dict[str, Any]:
    return _subscription(client, start_at=sandbox.now() + 14 * DAY, **changes)


def _paid(sandbox: Sandbox, subscription: dict[str, Any], card: str = PAYS) -> str:
    """The subscription's id, once the customer has paid on its page."""
    assert sandbox.pay(subscription["id"], card)["outcome"] == "paid"
    return str(subscription["id"])


def _pay_by_upi(sandbox: Sandbox, subscription: dict[str, Any]) -> str:
    assert sandbox.control("pay", {"session": subscription["id"], **UPI})["outcome"] == "paid"
    return str(subscription["id"])


def _events(sandbox: Sandbox) -> list[str]:
    return [event["event"] for event in sandbox.objects("razorpay", "event")]


def _told(sandbox: Sandbox, kind: str) -> dict[str, Any]:
    """The payload of the last event of a type."""
    found = [event for event in sandbox.objects("razorpay", "event") if event["event"] == kind]
    return {name: part["entity"] for name, part in found[-1]["payload"].items()}


# Plans.


def test_a_plan_is_made_and_found_again(client: razorpay.Client) -> None:
    item = {"name": "Pro", "amount": PRICE, "currency": "INR", "description": "All of it"}

    made = client.plan.create({"period": "yearly", "interval": 1, "item": item, "notes": {"plan": "pro"}})

    assert made["id"].startswith("plan_")
    assert (made["period"], made["interval"], made["item"]["amount"]) == ("yearly", 1, PRICE)
    assert made["notes"] == {"plan": "pro"}
    assert client.plan.fetch(made["id"]) == made
    assert client.plan.all()["items"] == [made]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"period": "hourly"}, "Not a valid period: hourly"),
        ({"period": "daily", "interval": 6}, "at least 7"),
        ({"interval": None}, "The interval field is required."),
        ({"item": {"amount": 99}}, "The amount must be at least 100"),
        ({"item": {"currency": "inr"}}, "currency: wrong input field"),
        ({"offer_id": "offer_1"}, "extra fields sent."),
    ],
)
def test_a_plan_that_cannot_be_is_refused(client: razorpay.Client, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        _plan(client, **changes)


# Making subscriptions.


def test_a_subscription_is_made_with_its_page_and_its_first_invoice(client: razorpay.Client) -> None:
    made = _subscription(client, quantity=3, notes={"order_id": "order-1"}, customer_notify=False)

    invoices = client.invoice.all({"subscription_id": made["id"]})

    assert made["id"].startswith("sub_")
    assert len(made["id"]) == len("sub_") + 14
    assert (made["status"], made["paid_count"], made["remaining_count"]) == ("created", 0, 12)
    assert (made["start_at"], made["charge_at"], made["end_at"], made["customer_id"]) == (None, None, None, None)
    assert (made["notes"], made["customer_notify"]) == ({"order_id": "order-1"}, False)
    assert client.subscription.fetch(made["id"]) == made
    assert [(each["amount"], each["status"]) for each in invoices["items"]] == [(3 * PRICE, "issued")]
    assert client.invoice.fetch(invoices["items"][0]["id"]) == invoices["items"][0]
    assert httpx.get(made["short_url"], trust_env=False).status_code == 200


def test_one_that_starts_later_has_its_dates_and_no_invoice(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _trial(sandbox, client)

    assert made["charge_at"] == made["start_at"]
    assert made["end_at"] > made["start_at"] + 330 * DAY
    assert client.invoice.all({"subscription_id": made["id"]})["items"] == []


def test_the_same_call_twice_makes_two(client: razorpay.Client) -> None:
    plan = _plan(client)

    first, second = _subscription(client, plan_id=plan), _subscription(client, plan_id=plan)

    assert [each["id"] for each in client.subscription.all({"plan_id": plan})["items"]] == [second["id"], first["id"]]


def test_subscriptions_are_listed_by_plan_and_by_the_second_in_which_they_were_made(client: razorpay.Client) -> None:
    made, other = _subscription(client), _subscription(client)
    at = made["created_at"]

    def ids(**query: Any) -> list[str]:
        return [each["id"] for each in client.subscription.all(query)["items"]]

    assert ids(plan_id=made["plan_id"]) == [made["id"]]
    assert made["id"] in ids(**{"from": at, "to": at})
    assert made["id"] not in ids(**{"from": other["created_at"] + 1})
    assert ids(count=1, skip=1) == [made["id"]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plan_id": "plan_00000000000000"}, "The id provided does not exist"),
        ({"total_count": None}, "The total count field is required."),
        ({"total_count": 1201}, r"Exceeds the maximum total_count \(1200\) allowed for the given period and interval"),
        ({"quantity": 0}, "The quantity must be at least 1."),
        ({"start_at": 1}, "start_at cannot be lesser than the current time."),
        ({"expire_by": 1}, "Link expire by cannot be lesser than the current time."),
        ({"offer_id": "offer_1"}, "The sandbox does not simulate offers."),
        ({"customer_id": "cust_00000000000000"}, "The id provided does not exist"),
        ({"customer_notify": "perhaps"}, "The customer notify field must be true or false."),
        ({"addons": [{"item": {"name": "Set-up", "amount": 100, "currency": "USD"}}]}, "currency of an add-on"),
        ({"addons": "one"}, "addons: must be a list of objects."),
        ({"unknown": 1}, "extra fields sent."),
    ],
)
def test_a_subscription_that_cannot_be_is_refused(client: razorpay.Client, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequestError, match=said):
        _subscription(client, **changes)


def test_a_customer_that_exists_already_will_do(client: razorpay.Client) -> None:
    known = client.customer.create({"email": "a@b.test", "fail_existing": "0"})

    again = client.customer.create({"email": "a@b.test", "fail_existing": "0"})
    made = _subscription(client, customer_id=known["id"])

    assert again["id"] == known["id"]
    assert made["customer_id"] == known["id"]


# The first payment.


def test_the_first_payment_starts_it_and_says_so_seven_times(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client, notes={"order_id": "order-1"})

    answer = sandbox.pay(made["id"])

    now = client.subscription.fetch(made["id"])
    assert answer["outcome"] == "paid"
    assert (now["status"], now["paid_count"], now["remaining_count"]) == ("active", 1, 11)
    assert now["start_at"] == now["current_start"]
    assert now["charge_at"] == now["current_end"] > now["current_start"]
    assert now["payment_method"] == "card"
    assert _events(sandbox) == FIRST_PAYMENT
    assert _told(sandbox, "subscription.activated")["payment"]["id"] == answer["payment"]


def test_its_money_names_its_invoice_and_order_and_its_notes_go_nowhere(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _subscription(client, notes={"order_id": "order-1"})

    answer = sandbox.pay(made["id"])

    payment = client.payment.fetch(answer["payment"])
    invoice = client.invoice.fetch(payment["invoice_id"])
    order = client.order.fetch(payment["order_id"])
    assert (payment["status"], payment["amount"], payment["notes"]) == ("captured", PRICE, [])
    assert payment["customer_id"] == client.subscription.fetch(made["id"])["customer_id"]
    assert payment["token_id"].startswith("token_")
    assert (order["status"], order["receipt"], order["notes"]) == ("paid", None, [])
    assert (invoice["status"], invoice["payment_id"], invoice["order_id"]) == ("paid", payment["id"], order["id"])
    assert (invoice["subscription_id"], invoice["amount_due"], invoice["notes"]) == (made["id"], 0, [])
    assert invoice["billing_end"] == client.subscription.fetch(made["id"])["current_end"]


def test_the_events_of_a_subscription_are_written_as_razorpay_writes_them(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    _paid(sandbox, _subscription(client))

    authenticated, charged = (_told(sandbox, f"subscription.{what}") for what in ("authenticated", "charged"))
    invoiced, captured = _told(sandbox, "invoice.paid"), _told(sandbox, "payment.captured")

    assert set(authenticated) == {"subscription"}
    assert authenticated["subscription"]["status"] == "authenticated"
    assert set(charged) == {"subscription", "payment"}
    assert charged["subscription"]["short_url"] is None
    assert (charged["payment"]["captured"], captured["payment"]["captured"]) == ("1", True)
    assert set(invoiced) == {"payment", "order", "invoice"}
    assert "line_items" not in invoiced["invoice"]


def test_a_card_that_is_declined_leaves_it_created(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client)

    declined = sandbox.pay(made["id"], NO_FUNDS)

    assert declined["outcome"] == "declined"
    assert client.subscription.fetch(made["id"])["status"] == "created"
    assert client.payment.fetch(declined["payment"])["error_reason"] == "insufficient_funds"
    assert _events(sandbox) == ["payment.failed"]
    assert sandbox.pay(made["id"])["outcome"] == "paid"


def test_3d_secure_starts_it_when_it_is_passed_and_not_before(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client)

    left = sandbox.pay(made["id"], ASKS, authenticate=False)
    failed = sandbox.pay(made["id"], ASKS, authenticate="fail")
    before = client.subscription.fetch(made["id"])["status"]
    passed = sandbox.pay(made["id"], ASKS)

    assert (left["outcome"], failed["outcome"], passed["outcome"]) == ("requires_action", "declined", "paid")
    assert before == "created"
    assert client.subscription.fetch(made["id"])["status"] == "active"


def test_upi_gives_a_mandate_too(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client)

    _pay_by_upi(sandbox, made)

    assert client.subscription.fetch(made["id"])["payment_method"] == "upi"
    assert _told(sandbox, "subscription.charged")["payment"]["vpa"] == "success@razorpay"


def test_a_trial_takes_a_token_that_goes_back_at_once_and_is_nobodys_sale(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _trial(sandbox, client, notes={"order_id": "order-1"})

    answer = sandbox.pay(made["id"])

    token, now = client.payment.fetch(answer["payment"]), client.subscription.fetch(made["id"])
    assert (now["status"], now["paid_count"], now["current_start"]) == ("authenticated", 0, None)
    assert now["charge_at"] == now["start_at"]
    assert (token["amount"], token["status"], token["amount_refunded"]) == (500, "refunded", 500)
    assert (token["order_id"], token["invoice_id"], token["notes"], token["captured"]) == (None, None, [], False)
    assert client.invoice.all({"subscription_id": made["id"]})["count"] == 0
    assert _events(sandbox) == ["payment.authorized", "subscription.authenticated", "refund.processed"]
    assert _told(sandbox, "payment.authorized")["payment"]["status"] == "authorized"


def test_a_card_that_fails_later_begins_a_trial_and_nothing_else(sandbox: Sandbox, client: razorpay.Client) -> None:
    at_once, later = _subscription(client), _trial(sandbox, client)

    outcomes = [sandbox.pay(each["id"], "4000000000000341")["outcome"] for each in (at_once, later)]

    sandbox.control("clock", {"advance": 14 * DAY + HOUR})
    assert outcomes == ["declined", "paid"]
    assert client.subscription.fetch(later["id"])["status"] == "pending"


def test_a_token_cannot_be_captured(sandbox: Sandbox, client: razorpay.Client) -> None:
    answer = sandbox.pay(_trial(sandbox, client)["id"])

    with pytest.raises(BadRequestError, match="Only payments which have been authorized"):
        client.payment.capture(answer["payment"], 500, {"currency": "INR"})


@pytest.mark.parametrize(("currency", "token"), [("INR", 500), ("JPY", 5), ("KWD", 5000)])
def test_a_token_is_five_units_of_the_currency(
    sandbox: Sandbox, client: razorpay.Client, currency: str, token: int
) -> None:
    plan = _plan(client, item={"currency": currency})

    answer = sandbox.pay(_trial(sandbox, client, plan_id=plan)["id"])

    assert client.payment.fetch(answer["payment"])["amount"] == token


def test_what_is_asked_for_upfront_is_part_of_the_first_payment(sandbox: Sandbox, client: razorpay.Client) -> None:
    addons = [{"item": {"name": "Set-up", "amount": 10000, "currency": "INR"}}]
    at_once, later = _subscription(client, addons=addons), _trial(sandbox, client, addons=addons)

    first, upfront = (client.payment.fetch(sandbox.pay(each["id"])["payment"]) for each in (at_once, later))

    assert (first["amount"], upfront["amount"]) == (PRICE + 10000, 10000)
    assert upfront["status"] == "captured"
    assert [line["type"] for line in client.invoice.fetch(first["invoice_id"])["line_items"]] == ["plan", "addon"]
    assert client.subscription.fetch(later["id"])["status"] == "authenticated"
    assert client.subscription.fetch(later["id"])["paid_count"] == 0


def test_a_customer_is_made_with_the_first_payment_from_what_is_known(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _subscription(client, notify_info={"notify_email": "a@b.test"})

    _paid(sandbox, made)

    customer = client.customer.fetch(client.subscription.fetch(made["id"])["customer_id"])
    assert customer["email"] == "a@b.test"


def test_a_subscription_of_one_cycle_is_complete_when_it_is_paid(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client, total_count=1))

    now = client.subscription.fetch(made)

    assert (now["status"], now["remaining_count"], now["charge_at"]) == ("completed", 0, None)
    assert now["current_end"] > now["ended_at"]
    assert _events(sandbox) == [*FIRST_PAYMENT, "subscription.completed"]


def test_there_is_nothing_to_pay_while_it_is_active(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))

    refused = sandbox.refused("pay", {"session": made, "card": PAYS})

    assert refused == (409, "not_payable", "This subscription is active: there is nothing to pay.")


def test_its_order_is_paid_through_it_alone(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client)
    order = client.invoice.all({"subscription_id": made["id"]})["items"][0]["order_id"]

    status, code, said = sandbox.refused("pay", {"session": order, "card": PAYS})

    assert (status, code) == (409, "not_payable")
    assert made["id"] in said


def test_f77_what_is_authorised_after_the_cancellation_is_not_captured(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _subscription(client)
    late = sandbox.pay(made["id"], late=HOUR)
    client.subscription.cancel(made["id"])

    sandbox.control("clock", {"advance": 2 * HOUR})

    payment = client.payment.fetch(late["payment"])
    assert late["outcome"] == "declined"
    assert (payment["status"], payment["captured"]) == ("authorized", False)
    assert client.subscription.fetch(made["id"])["status"] == "cancelled"
    with pytest.raises(BadRequestError, match="captured by themselves"):
        client.payment.capture(payment["id"], PRICE, {"currency": "INR"})


def test_a_first_payment_that_is_authorised_late_starts_it(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client)
    sandbox.pay(made["id"], late=HOUR)

    sandbox.control("clock", {"advance": 2 * HOUR})

    assert client.subscription.fetch(made["id"])["status"] == "active"
    assert _events(sandbox) == ["payment.failed", *FIRST_PAYMENT]


# Cancelling, pausing, resuming.


def test_cancelling_at_once_ends_it(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))

    ended = client.subscription.cancel(made, {"cancel_at_cycle_end": 0})

    assert (ended["status"], ended["charge_at"]) == ("cancelled", None)
    assert ended["ended_at"] >= ended["created_at"]
    assert ended["current_end"] is not None
    assert _events(sandbox)[-1] == "subscription.cancelled"
    with pytest.raises(BadRequestError, match="Subscription is not cancellable in cancelled status"):
        client.subscription.cancel(made)


def test_cancelling_at_the_cycles_end_is_not_to_be_seen(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))
    before, events = client.subscription.fetch(made), _events(sandbox)

    answered = client.subscription.cancel(made, {"cancel_at_cycle_end": True})
    again = client.subscription.cancel(made, {"cancel_at_cycle_end": 1})

    assert answered == again == before == client.subscription.fetch(made)
    assert _events(sandbox) == events


@pytest.mark.parametrize("is_paid", [False, True])
def test_before_the_first_cycle_there_is_no_end_of_one_to_cancel_at(
    sandbox: Sandbox, client: razorpay.Client, is_paid: bool
) -> None:
    made = _trial(sandbox, client)
    if is_paid:
        _paid(sandbox, made)

    with pytest.raises(BadRequestError, match="cannot be cancelled since no billing cycle is going on"):
        client.subscription.cancel(made["id"], {"cancel_at_cycle_end": True})

    assert client.subscription.cancel(made["id"])["status"] == "cancelled"


def test_f79_pausing_keeps_the_cycle_and_stops_the_charges(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))
    before = client.subscription.fetch(made)

    paused = client.subscription.pause(made, {"pause_at": "now"})
    resumed = client.subscription.resume(made, {"resume_at": "now"})

    assert (paused["status"], paused["charge_at"], paused["pause_initiated_by"]) == ("paused", None, "self")
    assert paused["current_end"] == before["current_end"]
    assert (resumed["status"], resumed["charge_at"]) == ("active", before["charge_at"])
    assert _events(sandbox)[-2:] == ["subscription.paused", "subscription.resumed"]


def test_f79_pausing_before_the_start_cancels(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _trial(sandbox, client))

    assert client.subscription.pause(made, {"pause_at": "now"})["status"] == "cancelled"


def test_what_is_not_active_is_not_paused_and_what_is_not_paused_is_not_resumed(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    created, active = _subscription(client), _paid(sandbox, _subscription(client))

    with pytest.raises(BadRequestError, match="can't be paused as subscription is in created state"):
        client.subscription.pause(created["id"], {"pause_at": "now"})
    with pytest.raises(BadRequestError, match="can't be resumed as subscription is in active state"):
        client.subscription.resume(active, {"resume_at": "now"})
    with pytest.raises(BadRequestError, match="The pause_at must be now"):
        client.subscription.pause(active, {"pause_at": "cycle_end"})


# Changing the terms.


def test_an_upgrade_now_charges_the_difference_and_keeps_the_dates(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))
    better, before = _plan(client, item={"name": "Team", "amount": 3 * PRICE}), client.subscription.fetch(made)
    sandbox.control("clock", {"advance": 15 * DAY})

    after = client.subscription.edit(made, {"plan_id": better, "schedule_change_at": "now"})

    payment = _told(sandbox, "subscription.charged")["payment"]
    assert (after["plan_id"], after["status"], after["paid_count"]) == (better, "active", 1)
    assert (after["current_end"], after["end_at"]) == (before["current_end"], before["end_at"])
    assert payment["amount"] == 2 * PRICE * 15 // 30
    assert client.invoice.fetch(payment["invoice_id"])["billing_end"] == before["current_end"]
    assert _events(sandbox)[-2:] == ["subscription.charged", "subscription.updated"]


def test_another_rhythm_now_counts_from_now(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))
    yearly = _plan(client, period="yearly", item={"amount": 10 * PRICE})

    after = client.subscription.edit(made, {"plan_id": yearly, "remaining_count": 4})

    assert _told(sandbox, "subscription.charged")["payment"]["amount"] == 9 * PRICE
    assert after["current_end"] - after["current_start"] > 364 * DAY
    assert (after["total_count"], after["remaining_count"]) == (5, 4)


def test_less_is_changed_to_at_the_cycles_end_and_can_be_taken_back(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client, quantity=2))
    before = client.subscription.fetch(made)

    scheduled = client.subscription.edit(made, {"quantity": 1, "schedule_change_at": "cycle_end"})
    pending = client.subscription.pending_update(made)
    taken_back = client.subscription.cancel_scheduled_changes(made)

    assert (scheduled["quantity"], scheduled["has_scheduled_changes"]) == (2, True)
    assert scheduled["change_scheduled_at"] == before["current_end"]
    assert (pending["quantity"], pending["has_scheduled_changes"]) == (1, True)
    assert taken_back == before
    for refused in (client.subscription.pending_update, client.subscription.cancel_scheduled_changes):
        with pytest.raises(BadRequestError, match="No Pending update for this subscription"):
            refused(made)


def test_before_the_start_terms_change_without_a_charge(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _trial(sandbox, client))
    later = sandbox.now() + 30 * DAY

    after = client.subscription.edit(made, {"quantity": 2, "start_at": later})

    assert (after["quantity"], after["start_at"], after["charge_at"], after["status"]) == (
        2,
        later,
        later,
        "authenticated",
    )
    assert _events(sandbox)[-1] == "subscription.updated"


def test_a_difference_that_the_card_does_not_pay_changes_nothing(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _paid(sandbox, _subscription(client))
    before = client.subscription.fetch(made)
    sandbox.control("subscription", {"subscription": made, "card": DECLINED})

    with pytest.raises(BadRequestError, match="Payment failed"):
        client.subscription.edit(made, {"quantity": 2})

    assert client.subscription.fetch(made) == before


def test_what_razorpay_does_not_change_is_refused_in_its_words(sandbox: Sandbox, client: razorpay.Client) -> None:
    created, upi = _subscription(client), _pay_by_upi(sandbox, _subscription(client))
    card = _paid(sandbox, _subscription(client))
    trial = _paid(sandbox, _trial(sandbox, client))

    for subscription, changes, said in (
        (created["id"], {"quantity": 2}, "not in Authenticated or Active state"),
        (upi, {"quantity": 2}, "subscriptions cannot be updated when payment mode is UPI"),
        (trial, {"quantity": 2, "schedule_change_at": "cycle_end"}, "no billing cycle is going on"),
        (card, {"quantity": 2, "schedule_change_at": "later"}, "must be now or cycle_end"),
        (card, {"start_at": sandbox.now() + DAY}, "start_at can be changed before the start alone"),
        (card, {"plan_id": _plan(client, item={"amount": PRICE - 100})}, "does not refund the difference"),
        (card, {"plan_id": _plan(client, item={"amount": PRICE + 49})}, "The difference must be at least 50"),
        (card, {"plan_id": _plan(client, item={"currency": "USD"})}, "The currency of the new plan"),
    ):
        with pytest.raises(BadRequestError, match=said):
            client.subscription.edit(subscription, changes)


def test_cards_of_the_country_allow_no_change_where_the_setting_says_so(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    made = _paid(sandbox, _subscription(client))
    sandbox.control("settings", {"razorpayDomesticCards": True})

    with pytest.raises(BadRequestError, match="Can't update subscription immediately when card mandate is applicable"):
        client.subscription.edit(made, {"quantity": 2})
    with pytest.raises(BadRequestError, match="Only offers can be updated"):
        client.subscription.edit(made, {"quantity": 2, "schedule_change_at": "cycle_end"})


# Orders to the sandbox, faults, seeds.


def test_a_mandate_is_arranged_only_where_there_is_one(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = _subscription(client)

    unpaid = sandbox.refused("subscription", {"subscription": made["id"], "nextPayment": "fail"})
    unknown = sandbox.refused("subscription", {"subscription": "sub_nobody", "card": PAYS})
    wrong = sandbox.refused("subscription", {"subscription": made["id"], "nextPayment": "perhaps"})
    _paid(sandbox, made)
    arranged = sandbox.control("subscription", {"subscription": made["id"], "card": DECLINED, "nextPayment": "fail"})

    assert (unpaid[:2], unknown[:2]) == ((409, "not_payable"), (404, "unknown_subscription"))
    assert wrong[:2] == (400, "invalid_nextPayment")
    assert arranged == {"subscription": made["id"], "last4": "0002", "nextPayment": "fail"}


def test_what_stands_behind_a_subscription_is_in_no_listing(sandbox: Sandbox, client: razorpay.Client) -> None:
    _paid(sandbox, _subscription(client))

    listed = sandbox.ask("objects", gateway="razorpay")["data"]

    assert {each["entity"] for each in listed} == {
        *("plan", "subscription", "invoice", "customer", "order", "payment", "event"),
    }


def test_a_payment_that_takes_less_is_told_as_less_everywhere(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.control("faults", {"amountMismatch": 1})

    sandbox.pay(_subscription(client)["id"])

    told = _told(sandbox, "invoice.paid")
    assert {told["payment"]["amount"], told["order"]["amount_paid"], told["invoice"]["amount_paid"]} == {PRICE - 1}
    assert (told["order"]["amount_due"], told["invoice"]["amount_due"]) == (1, 1)


def test_a_call_that_is_cut_off_has_made_its_subscription(sandbox: Sandbox, client: razorpay.Client) -> None:
    plan = _plan(client)
    sandbox.control("faults", {"cutAfterCommit": 1})

    with pytest.raises(httpx.HTTPError):
        httpx.post(
            f"{sandbox.url}/razorpay/v1/subscriptions",
            auth=RAZORPAY_KEY,
            json={"plan_id": plan, "total_count": 12},
            trust_env=False,
        )

    sandbox.control("faults", {})
    assert client.subscription.all({"plan_id": plan})["count"] == 1


def test_the_desk_lists_subscriptions_and_leaves_out_their_orders(sandbox: Sandbox, client: razorpay.Client) -> None:
    created, active = _subscription(client), _paid(sandbox, _subscription(client))

    board = httpx.get(f"{sandbox.url}/desk/board", trust_env=False).json()

    payables = {each["id"]: (each["status"], each["is_open"]) for each in board["payables"]}
    assert payables == {created["id"]: ("open", True), active: ("active", False)}


# The calendar.


def _days(period: str, interval: int, first: datetime, count: int) -> list[str]:
    plan = {"period": period, "interval": interval}
    begins = [cycles.begin_of(cycle, int(first.timestamp()), plan) for cycle in range(count)]
    return [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in begins]


@pytest.mark.parametrize(
    ("period", "interval", "begins"),
    [
        # The first as it comes, at half past ten; then at midnight in India, which is half past six the evening before.
        ("monthly", 1, ["2027-01-31 10:30", "2027-02-27 18:30", "2027-03-30 18:30", "2027-04-29 18:30"]),
        ("quarterly", 1, ["2027-01-31 10:30", "2027-04-29 18:30", "2027-07-30 18:30", "2027-10-30 18:30"]),
        ("yearly", 1, ["2027-01-31 10:30", "2028-01-30 18:30", "2029-01-30 18:30", "2030-01-30 18:30"]),
        ("weekly", 2, ["2027-01-31 10:30", "2027-02-13 18:30", "2027-02-27 18:30", "2027-03-13 18:30"]),
        ("daily", 10, ["2027-01-31 10:30", "2027-02-09 18:30", "2027-02-19 18:30", "2027-03-01 18:30"]),
    ],
)
def test_cycles_begin_at_midnight_in_india_on_the_day_of_the_first(
    period: str, interval: int, begins: list[str]
) -> None:
    assert _days(period, interval, datetime(2027, 1, 31, 10, 30, tzinfo=UTC), 4) == begins


def test_the_day_is_indias_and_not_that_of_greenwich() -> None:
    evening = datetime(2027, 1, 30, 20, 0, tzinfo=UTC)

    assert _days("monthly", 1, evening, 3) == ["2027-01-30 20:00", "2027-02-27 18:30", "2027-03-30 18:30"]


# Shapes.


@pytest.mark.skipif(not SAMPLES.exists(), reason="Razorpay's sample events are not beside this checkout")
@pytest.mark.parametrize(
    "what",
    ["authenticated__subscription", "activated__subscription+payment", "paused__subscription"],
)
def test_every_field_of_razorpays_own_samples_is_there(sandbox: Sandbox, client: razorpay.Client, what: str) -> None:
    theirs = json.loads((SAMPLES / f"subscription.{what}.json").read_text())
    made = _paid(sandbox, _subscription(client))
    client.subscription.pause(made)

    ours = _told(sandbox, theirs["event"])

    undocumented = {"type"}
    samples = {name: part["entity"] for name, part in theirs["payload"].items() if name in {"subscription", "payment"}}
    assert set(samples) <= set(ours)
    missing = {name: set(entity) - set(ours[name]) - undocumented for name, entity in samples.items()}
    assert {name for name, fields in missing.items() if fields} == set()


@pytest.mark.skipif(not SAMPLES.exists(), reason="Razorpay's sample events are not beside this checkout")
@pytest.mark.parametrize(
    ("kind", "sample"), [("plan", "plan_collection"), ("invoice", "invoice_collection_with_one_invoice")]
)
def test_every_field_of_the_sdks_own_samples_is_there(
    sandbox: Sandbox, client: razorpay.Client, kind: str, sample: str
) -> None:
    theirs = json.loads((OBJECTS / f"{sample}__razorpay-python.json").read_text())["items"][0]

    _subscription(client)

    (ours,) = sandbox.objects("razorpay", kind)
    assert set(theirs) - set(ours) == set()
