"""Every order of a payment's whole life, by the rules alone: what it, its refunds and its dispute make of its order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from payments.dispute import DisputeStatus
from payments.disputing import Dispute, merge
from payments.events import DisputeTold, PaymentNamed, PaymentSucceeded, RefundTold
from payments.money import Money
from payments.order import Move, Order, OrderStatus, Settled, decide, settle
from payments.payment import Payment, PaymentStatus, Standing
from payments.refund import RefundStatus
from payments.refunding import Advance, Begin, Refund, follow

TEN = Money(1000, "usd")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NAMED = PaymentNamed("pi_1")

Fact = PaymentSucceeded | RefundTold | DisputeTold


def refund(name: str, minor: int, status: RefundStatus) -> RefundTold:
    return RefundTold(name, NAMED, Money(minor, "usd"), status)


def dispute(status: DisputeStatus, second: int, took: int = 0, gave: int = 0) -> DisputeTold:
    at = NOON + timedelta(seconds=second)
    withdrawn, reinstated = Money(took, "usd"), Money(gave, "usd")
    return DisputeTold("dp_1", NAMED, TEN, status, status.value, at, withdrawn=withdrawn, reinstated=reinstated)


PAID = PaymentSucceeded("pi_1", TEN)
PARTS = (
    refund("re_1", 200, RefundStatus.SUCCEEDED),
    refund("re_2", 300, RefundStatus.SUCCEEDED),
    refund("re_2", 300, RefundStatus.FAILED),
)
WHOLE = (
    refund("re_1", 400, RefundStatus.SUCCEEDED),
    refund("re_2", 600, RefundStatus.PENDING),
    refund("re_2", 600, RefundStatus.SUCCEEDED),
)
OPENED = dispute(DisputeStatus.NEEDS_RESPONSE, 0)
WITHDRAWN = dispute(DisputeStatus.NEEDS_RESPONSE, 0, took=1000)
WON = dispute(DisputeStatus.WON, 9, took=1000, gave=1000)
LOST = dispute(DisputeStatus.LOST, 9, took=1000)

LIVES: dict[str, tuple[tuple[Fact, ...], OrderStatus, int]] = {
    "refunded in part, and won": ((PAID, *PARTS, OPENED, WITHDRAWN, WON), OrderStatus.PAID, 200),
    "refunded in part, and lost": ((PAID, *PARTS, OPENED, WITHDRAWN, LOST), OrderStatus.DISPUTED, 200),
    "refunded, and won": ((PAID, *WHOLE, OPENED, WITHDRAWN, WON), OrderStatus.REFUNDED, 1000),
    "refunded, and lost": ((PAID, *WHOLE, OPENED, WITHDRAWN, LOST), OrderStatus.DISPUTED, 1000),
}


@pytest.mark.parametrize(("life", "status", "refunded"), LIVES.values(), ids=LIVES)
def test_all_5040_orders_of_a_life_end_the_same(life: tuple[Fact, ...], status: OrderStatus, refunded: int) -> None:
    ends = {lived(order) for order in itertools.permutations(life)}

    assert ends == {Settled(status, Money(refunded, "usd"))}


@pytest.mark.parametrize(("life", "status", "refunded"), LIVES.values(), ids=LIVES)
def test_nor_does_it_matter_that_all_is_told_twice(life: tuple[Fact, ...], status: OrderStatus, refunded: int) -> None:
    ends = {lived((*order, *order[::-1])) for order in itertools.permutations(life)}

    assert ends == {Settled(status, Money(refunded, "usd"))}


def lived(facts: tuple[Fact, ...]) -> Settled:
    """The order after all of these. What comes before the payment waits for it, as the queue has it wait."""
    order, refunds, known = Order("order-1", OrderStatus.PENDING, TEN), dict[str, Refund](), None
    first = facts.index(PAID)
    for fact in (PAID, *facts[:first], *facts[first + 1 :]):
        match fact:
            case PaymentSucceeded():
                if isinstance(decide(order, fact), Move):
                    taken = Payment("pi_1", TEN, PaymentStatus.SUCCEEDED, Standing.ACCEPTED)
                    order = Order("order-1", OrderStatus.PAID, TEN, (taken,))
            case RefundTold():
                outcome = follow(fact, TEN, tuple(refunds.values()))
                if isinstance(outcome, Begin | Advance):
                    name = fact.gateway_refund_id
                    refunds[name] = Refund(name, fact.amount, outcome.status, name)
            case DisputeTold():
                known = merge(known, fact, "usd")
        order = Order("order-1", settle(order).status, TEN, (standing(order, refunds, known),))
    return settle(order)


def standing(order: Order, refunds: dict[str, Refund], known: Dispute | None) -> Payment:
    gone = sum(each.amount.minor for each in refunds.values() if each.status is RefundStatus.SUCCEEDED)
    (payment,) = order.payments
    return Payment(
        payment.gateway_payment_id,
        payment.amount,
        payment.status,
        payment.standing,
        refunded=gone,
        is_disputed=known is not None and known.holds,
    )
