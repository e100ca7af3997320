"""What really happened: the stand-in gateways' own objects, and what they have delivered."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.billing import Billing, read_billing
from tests.simulation.money_back import MoneyBack, read_money_back
from tests.simulation.stack import Stack


@dataclass(frozen=True, slots=True)
class Taken:
    """Money that a gateway has taken from a customer for us."""

    gateway: str
    payment_id: str
    order_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Page:
    """A hosted page that a gateway has made for an order. ``was_used``: something came of it."""

    gateway: str
    session_id: str
    order_id: str
    was_used: bool = True


@dataclass(frozen=True, slots=True)
class Truth:
    """Their side."""

    taken: tuple[Taken, ...]
    pages: tuple[Page, ...]
    billing: Billing
    money_back: MoneyBack = field(default_factory=MoneyBack)


@dataclass(frozen=True, slots=True)
class Mail:
    """What the gateways' post office has written down: gateway and event id of all that it sent, and of what was
    answered with a 2xx; and which faults befell how many deliveries."""

    sent: set[tuple[str, str]]
    taken: set[tuple[str, str]]
    faults: Counter[str] = field(default_factory=Counter)
    attempts: int = 0


async def read_truth(stack: Stack) -> Truth:
    """By the sandbox's own front door."""
    intents = await stack.objects("stripe", "payment_intent")
    payments = await stack.objects("razorpay", "payment")
    sessions = await stack.objects("stripe", "checkout.session")
    links = await stack.objects("razorpay", "payment_link")
    billing = await read_billing(stack)
    orders = billing.orders
    return Truth(
        taken=(*_taken_at_stripe(intents, orders), *_taken_at_razorpay(payments, orders)),
        pages=(
            *(Page("stripe", each["id"], each["client_reference_id"]) for each in sessions),
            *(Page("razorpay", each["id"], each["notes"]["order_id"]) for each in links),
            *(
                Page(each.gateway, each.name, each.order_id, each.has_begun)
                for each in billing.subscriptions
                if each.gateway == "razorpay"
            ),
        ),
        billing=billing,
        money_back=await read_money_back(stack),
    )


#: Of the payments of invoices: the order that began their subscription, by gateway and payment.
Orders = Mapping[tuple[str, str], str]


def _taken_at_stripe(intents: Iterable[dict[str, Any]], orders: Orders) -> Iterable[Taken]:
    for intent in intents:
        if intent["status"] == "succeeded":
            order_id = orders.get(("stripe", intent["id"])) or intent["metadata"]["order_id"]
            yield Taken("stripe", intent["id"], order_id, intent["amount_received"], intent["currency"])


def _taken_at_razorpay(payments: Iterable[dict[str, Any]], orders: Orders) -> Iterable[Taken]:
    for payment in payments:
        if payment["captured"]:
            order_id = orders.get(("razorpay", payment["id"])) or payment["notes"]["order_id"]
            yield Taken("razorpay", payment["id"], order_id, payment["amount"], payment["currency"].lower())


def read_mail(data_dir: Path) -> Mail:
    """From the sandbox's own file, once it has stopped: by its front door this would be half a gigabyte."""
    mail = Mail(set(), set())
    attempts = 0
    with closing(sqlite3.connect(data_dir / "sandbox" / "sandbox.sqlite3")) as file:
        for gateway, event_id, state, tried in file.execute(
            "SELECT gateway, event_id, state, attempts FROM deliveries"
        ):
            mail.sent.add((gateway, event_id))
            if state == "delivered":
                mail.taken.add((gateway, event_id))
            mail.faults["drop"] += state == "withheld"
            for attempt in json.loads(tried):
                attempts += 1
                mail.faults.update(attempt.get("faults", ()))
    return Mail(mail.sent, mail.taken, mail.faults, attempts)
