"""What really happened to subscriptions: the stand-in gateways' own, their invoices, and what these took.

The words are translated here once more, by hand, so that a mistake in our translation is not made twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.simulation.stack import Stack

Json = dict[str, Any]

AT_STRIPE = {
    "incomplete": "incomplete",
    "incomplete_expired": "expired",
    "trialing": "trialing",
    "active": "active",
    "past_due": "past_due",
    "paused": "paused",
    "unpaid": "unpaid",
    "canceled": "cancelled",
}
AT_RAZORPAY = {
    "created": "incomplete",
    "authenticated": "trialing",
    "active": "active",
    "pending": "past_due",
    "halted": "unpaid",
    "paused": "paused",
    "cancelled": "cancelled",
    "completed": "expired",
    "expired": "expired",
}


@dataclass(frozen=True, slots=True)
class Billed:
    """An invoice of a subscription. ``payments`` are those that took its money."""

    gateway: str
    name: str
    subscription: str
    is_paid: bool
    is_first: bool
    is_renewal: bool
    due: int
    paid: int
    currency: str
    period_end: datetime | None
    payments: frozenset[str]


@dataclass(frozen=True, slots=True)
class Begun:
    """A subscription as its gateway holds it. ``has_begun``: a customer has used its page to the end."""

    gateway: str
    name: str
    order_id: str
    status: str
    has_begun: bool
    customer: str | None
    period_start: datetime | None
    period_end: datetime | None
    trial_end: datetime | None
    is_set_to_end: bool
    invoices: tuple[Billed, ...]

    @property
    def renewals_paid(self) -> frozenset[str]:
        return frozenset(each.name for each in self.invoices if each.is_paid and each.is_renewal)


@dataclass(frozen=True, slots=True)
class Billing:
    """All of it. ``now`` is the gateways' time."""

    now: datetime
    subscriptions: tuple[Begun, ...]
    #: When each customer of each user was made, by gateway and user, as far as they say whose they are; oldest first.
    customers: Mapping[tuple[str, str], list[int]]

    @property
    def orders(self) -> Mapping[tuple[str, str], str]:
        """By gateway and payment: the order that began what it paid."""
        return {
            (begun.gateway, payment): begun.order_id
            for begun in self.subscriptions
            for invoice in begun.invoices
            for payment in invoice.payments
        }


async def read_billing(stack: Stack) -> Billing:
    """By the sandbox's own front door."""
    stripes = [each for each in await stack.objects("stripe", "subscription") if "order_id" in each["metadata"]]
    razorpays = await stack.objects("razorpay", "subscription")
    invoices = [
        *_at_stripe(await stack.objects("stripe", "invoice"), await stack.objects("stripe", "invoice_payment")),
        *_at_razorpay(razorpays, await stack.objects("razorpay", "invoice")),
    ]
    of: dict[str, list[Billed]] = defaultdict(list)
    for invoice in invoices:
        of[invoice.subscription].append(invoice)
    customers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for customer in await stack.objects("stripe", "customer"):
        if "user_id" in customer["metadata"]:
            customers["stripe", customer["metadata"]["user_id"]].append(customer["created"])
    told = await stack.ask("clock")
    return Billing(
        now=datetime.fromtimestamp(told["now"], UTC),
        subscriptions=(
            *(_of_stripe(each, tuple(of[each["id"]])) for each in stripes),
            *(_of_razorpay(each, tuple(of[each["id"]])) for each in razorpays),
        ),
        customers=customers,
    )


# --- Stripe ---


def _of_stripe(held: Json, invoices: tuple[Billed, ...]) -> Begun:
    item = held["items"]["data"][0]
    return Begun(
        gateway="stripe",
        name=held["id"],
        order_id=held["metadata"]["order_id"],
        status=AT_STRIPE[held["status"]],
        has_begun=held["status"] not in {"incomplete", "incomplete_expired"},
        customer=held["customer"],
        period_start=_time(item["current_period_start"]),
        period_end=_time(item["current_period_end"]),
        trial_end=_time(held["trial_end"]),
        is_set_to_end=held["cancel_at"] is not None or held["cancel_at_period_end"],
        invoices=invoices,
    )


def _at_stripe(invoices: Iterable[Json], payments: Iterable[Json]) -> Iterator[Billed]:
    paid_by: dict[str, set[str]] = defaultdict(set)
    for each in payments:
        if each["status"] == "paid":
            paid_by[each["invoice"]].add(each["payment"]["payment_intent"])
    for invoice in invoices:
        ends = [line["period"]["end"] for line in invoice["lines"]["data"] if not _is_proration(line)]
        yield Billed(
            gateway="stripe",
            name=invoice["id"],
            subscription=invoice["parent"]["subscription_details"]["subscription"],
            is_paid=invoice["status"] == "paid",
            is_first=invoice["billing_reason"] == "subscription_create",
            is_renewal=invoice["billing_reason"] == "subscription_cycle",
            due=invoice["amount_due"],
            paid=invoice["amount_paid"],
            currency=invoice["currency"],
            period_end=_time(max(ends, default=None)),
            payments=frozenset(paid_by[invoice["id"]]) if invoice["amount_paid"] else frozenset(),
        )


def _is_proration(line: Json) -> bool:
    parent = line["parent"]
    details = parent["subscription_item_details"] or parent["invoice_item_details"] or {}
    return bool(details.get("proration"))


# --- Razorpay ---


def _of_razorpay(held: Json, invoices: tuple[Billed, ...]) -> Begun:
    return Begun(
        gateway="razorpay",
        name=held["id"],
        order_id=held["notes"]["order_id"],
        status=AT_RAZORPAY[held["status"]],
        has_begun=bool(held["payment_method"]),
        customer=None,
        period_start=_time(held["current_start"]),
        period_end=_time(held["current_end"]),
        # What starts after its page has ended was begun with a trial.
        trial_end=_time(held["start_at"]) if _has_trial(held) else None,
        is_set_to_end=False,
        invoices=invoices,
    )


def _has_trial(held: Json) -> bool:
    return held["start_at"] is not None and held["start_at"] > held["expire_by"]


def _at_razorpay(subscriptions: Iterable[Json], invoices: Iterable[Json]) -> Iterator[Billed]:
    """A cycle's invoice begins where a cycle does, at midnight in India or with the subscription; a change's does not."""
    by_name = {each["id"]: each for each in subscriptions}
    for invoice in invoices:
        held = by_name[invoice["subscription_id"]]
        begins = invoice["billing_start"]
        is_start = begins is None or begins == held["start_at"]
        is_first = is_start and not _has_trial(held)
        yield Billed(
            gateway="razorpay",
            name=invoice["id"],
            subscription=held["id"],
            is_paid=invoice["status"] == "paid",
            is_first=is_first,
            is_renewal=not is_first and (is_start or (begins + INDIA) % A_DAY == 0),
            due=invoice["amount"],
            paid=invoice["amount_paid"],
            currency=invoice["currency"].lower(),
            period_end=_time(invoice["billing_end"]),
            payments=frozenset({invoice["payment_id"]}) if invoice["payment_id"] else frozenset(),
        )


INDIA = (5 * 60 + 30) * 60
A_DAY = 24 * 60 * 60


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
