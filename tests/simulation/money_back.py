"""What really went back: the stand-in gateways' own refunds, disputes, warnings and payouts.

The words are translated here once more, by hand, so that a mistake in our translation is not made twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.stack import Stack

Json = dict[str, Any]

#: Gateway, and the gateway's id.
Name = tuple[str, str]

REFUND_AT_STRIPE = {
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "cancelled",
}
REFUND_AT_RAZORPAY = {"pending": "pending", "processed": "succeeded", "failed": "failed"}

DISPUTE_AT_STRIPE = {
    "warning_needs_response": "inquiry",
    "warning_under_review": "inquiry",
    "warning_closed": "closed",
    "needs_response": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "lost": "lost",
}
DISPUTE_AT_RAZORPAY = {
    "open": "needs_response",
    "under_review": "under_review",
    "won": "won",
    "lost": "lost",
    "closed": "closed",
}

#: In these phases of Razorpay's the bank only asks.
QUESTIONS = frozenset({"retrieval", "fraud"})

#: What moves a customer's money; fees and payouts are the gateway's business with us.
OF_CUSTOMERS = frozenset({"charge", "refund", "refund_failure", "adjustment"})

DECIDED_FOR_US = frozenset({"won", "closed"})


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A refund at its gateway. ``ours``: the row of ours that it says it was made for."""

    gateway: str
    name: str
    payment: str
    amount: int
    currency: str
    status: str
    ours: str | None = None


@dataclass(frozen=True, slots=True)
class Contested:
    """A dispute at its gateway. ``gone``: so much of its money is with the bank now."""

    gateway: str
    name: str
    payment: str
    amount: int
    currency: str
    status: str
    gone: int = 0

    @property
    def holds(self) -> bool:
        return self.status == "lost" or (self.gone > 0 and self.status not in DECIDED_FOR_US)


@dataclass(frozen=True, slots=True)
class PaidOut:
    """What has left for our bank."""

    gateway: str
    name: str
    amount: int
    currency: str
    status: str


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """All of it. ``warned``: payments that a bank takes for fraud. ``balance``: Stripe's own sum of what customers'
    money did, by currency."""

    refunds: tuple[GivenBack, ...] = ()
    disputes: tuple[Contested, ...] = ()
    warned: frozenset[Name] = frozenset()
    payouts: tuple[PaidOut, ...] = ()
    balance: Counter[str] = field(default_factory=Counter)

    def refunded(self, payment: Name) -> int:
        return sum(each.amount for each in self._of(payment) if each.status == "succeeded")

    def refunding(self, payment: Name) -> int:
        return sum(each.amount for each in self._of(payment) if each.status == "pending")

    def contested(self, payment: Name) -> int:
        return sum(each.gone for each in self.disputes if (each.gateway, each.payment) == payment)

    def is_held(self, payment: Name) -> bool:
        return any(each.holds for each in self.disputes if (each.gateway, each.payment) == payment)

    def is_gone(self, payment: Name, amount: int) -> bool:
        """Nothing is bought with it any more."""
        return self.is_held(payment) or self.refunded(payment) == amount > 0

    def _of(self, payment: Name) -> Iterator[GivenBack]:
        return (each for each in self.refunds if (each.gateway, each.payment) == payment)


async def read_money_back(stack: Stack) -> MoneyBack:
    """By the sandbox's own front door."""
    intents = {each["latest_charge"]: each["id"] for each in await stack.objects("stripe", "payment_intent")}
    captured = {each["id"] for each in await stack.objects("razorpay", "payment") if each["captured"]}
    warnings = await stack.objects("stripe", "radar.early_fraud_warning")
    return MoneyBack(
        refunds=(
            *_refunds_at_stripe(await stack.objects("stripe", "refund"), intents),
            *_refunds_at_razorpay(await stack.objects("razorpay", "refund"), captured),
        ),
        disputes=(
            *_disputes_at_stripe(await stack.objects("stripe", "dispute"), intents),
            *_disputes_at_razorpay(await stack.objects("razorpay", "dispute")),
        ),
        warned=frozenset(("stripe", intents[each["charge"]]) for each in warnings),
        payouts=(
            *(_payout_at_stripe(each) for each in await stack.objects("stripe", "payout")),
            *(_payout_at_razorpay(each) for each in await stack.objects("razorpay", "settlement")),
        ),
        balance=_sum_up(await stack.objects("stripe", "balance_transaction")),
    )


def _sum_up(transactions: Iterable[Json]) -> Counter[str]:
    summed: Counter[str] = Counter()
    for each in transactions:
        if each["type"] in OF_CUSTOMERS:
            summed[each["currency"]] += each["amount"]
    return summed


# --- Stripe ---


def _refunds_at_stripe(refunds: Iterable[Json], intents: dict[str, str]) -> Iterator[GivenBack]:
    for each in refunds:
        yield GivenBack(
            gateway="stripe",
            name=each["id"],
            payment=intents[each["charge"]],
            amount=each["amount"],
            currency=each["currency"],
            status=REFUND_AT_STRIPE[each["status"]],
            ours=each["metadata"].get("refund_id"),
        )


def _disputes_at_stripe(disputes: Iterable[Json], intents: dict[str, str]) -> Iterator[Contested]:
    for each in disputes:
        yield Contested(
            gateway="stripe",
            name=each["id"],
            payment=intents[each["charge"]],
            amount=each["amount"],
            currency=each["currency"],
            status=DISPUTE_AT_STRIPE[each["status"]],
            gone=-sum(moved["amount"] for moved in each["balance_transactions"]),
        )


def _payout_at_stripe(payout: Json) -> PaidOut:
    return PaidOut("stripe", payout["id"], payout["amount"], payout["currency"], payout["status"])


# --- Razorpay ---


def _refunds_at_razorpay(refunds: Iterable[Json], captured: set[str]) -> Iterator[GivenBack]:
    """What nobody took, and goes back to the bank by itself, is no refund of ours."""
    for each in refunds:
        if each["payment_id"] in captured:
            yield GivenBack(
                gateway="razorpay",
                name=each["id"],
                payment=each["payment_id"],
                amount=each["amount"],
                currency=each["currency"].lower(),
                status=REFUND_AT_RAZORPAY[each["status"]],
                ours=dict(each["notes"]).get("refund_id"),
            )


def _disputes_at_razorpay(disputes: Iterable[Json]) -> Iterator[Contested]:
    for each in disputes:
        is_asked = each["phase"] in QUESTIONS and each["status"] in {"open", "under_review"}
        yield Contested(
            gateway="razorpay",
            name=each["id"],
            payment=each["payment_id"],
            amount=each["amount"],
            currency=each["currency"].lower(),
            status="inquiry" if is_asked else DISPUTE_AT_RAZORPAY[each["status"]],
            gone=each["amount_deducted"],
        )


def _payout_at_razorpay(settlement: Json) -> PaidOut:
    status = "paid" if settlement["status"] == "processed" else settlement["status"]
    return PaidOut("razorpay", settlement["id"], settlement["amount"], "inr", status)
