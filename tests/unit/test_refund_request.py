"""What may be asked back of a payment: never more than is left of it, and nothing that a bank holds."""

from __future__ import annotations

import pytest

from payments.money import Money
from payments.refund import (
    UNDER_WAY,
    Already,
    DisputeOpen,
    Earlier,
    Granted,
    NothingToRefund,
    OverRefund,
    Refundable,
    RefundStatus,
    Request,
    decide_request,
    is_still_wanted,
)
from tests.builders import TEN

REQUESTED, PENDING = RefundStatus.REQUESTED, RefundStatus.PENDING
SUCCEEDED, FAILED, CANCELLED = RefundStatus.SUCCEEDED, RefundStatus.FAILED, RefundStatus.CANCELLED


def dollars(minor: int) -> Money:
    return Money(minor, "usd")


def refund(minor: int, status: RefundStatus = SUCCEEDED, name: str = "r1", *, is_ours: bool = True) -> Earlier:
    return Earlier(name, dollars(minor), status, is_ours)


def taken(*earlier: Earlier, is_disputed: bool = False) -> Refundable:
    return Refundable(TEN, was_taken=True, is_disputed=is_disputed, earlier=earlier)


CASES: tuple[tuple[Refundable, int | None, Request], ...] = (
    (taken(), None, Granted(TEN)),
    (taken(), 1000, Granted(TEN)),
    (taken(), 1, Granted(dollars(1))),
    (taken(), 1001, OverRefund(TEN)),
    (taken(refund(400)), None, Granted(dollars(600))),
    (taken(refund(400)), 600, Granted(dollars(600))),
    (taken(refund(400)), 601, OverRefund(dollars(600))),
    (taken(refund(400, REQUESTED), refund(400, PENDING)), 201, OverRefund(dollars(200))),
    (taken(refund(1000, FAILED), refund(1000, CANCELLED)), None, Granted(TEN)),
    (taken(refund(1000)), 1, OverRefund(dollars(0))),
    (taken(refund(1000)), None, NothingToRefund()),
    (taken(is_disputed=True), None, DisputeOpen()),
    (taken(is_disputed=True), 1001, DisputeOpen()),
    (taken(refund(1000), is_disputed=True), None, DisputeOpen()),
    (Refundable(TEN, was_taken=False), None, NothingToRefund()),
    (Refundable(TEN, was_taken=False), 1, NothingToRefund()),
    (Refundable(dollars(0), was_taken=True), None, NothingToRefund()),
)


@pytest.mark.parametrize(("payment", "wanted", "outcome"), CASES)
def test_what_is_asked_under_a_name_is_decided_by_what_is_left(
    payment: Refundable, wanted: int | None, outcome: Request
) -> None:
    assert decide_request(payment, wanted) == outcome


REPEATS: tuple[tuple[Refundable, int | None, Request], ...] = (
    (taken(refund(1000)), None, Already("r1")),
    (taken(refund(1000, REQUESTED)), None, Already("r1")),
    (taken(refund(400), refund(600, PENDING, "r2")), None, Already("r2")),
    (taken(refund(1000), refund(1000, FAILED, "r2")), None, Already("r1")),
    (taken(refund(1000), is_disputed=True), None, Already("r1")),
    (taken(refund(1000, is_ours=False)), None, NothingToRefund()),
    (taken(refund(1000, FAILED)), None, Granted(TEN)),
    (taken(refund(400)), None, Granted(dollars(600))),
    (taken(), None, Granted(TEN)),
)


@pytest.mark.parametrize(("payment", "wanted", "outcome"), REPEATS)
def test_asked_for_all_without_a_name_it_is_the_refund_that_gives_all_back(
    payment: Refundable, wanted: int | None, outcome: Request
) -> None:
    assert decide_request(payment, wanted, may_repeat=True) == outcome


@pytest.mark.parametrize("status", RefundStatus)
def test_money_that_is_on_its_way_back_is_not_left(status: RefundStatus) -> None:
    left = taken(refund(1000, status)).remaining

    assert left == (dollars(0) if status is SUCCEEDED or status in UNDER_WAY else TEN)


@pytest.mark.parametrize(
    ("payment", "wanted"),
    [(taken(), True), (taken(is_disputed=True), False), (Refundable(TEN, was_taken=False), False)],
)
def test_at_the_moment_of_the_call_it_is_looked_at_once_more(payment: Refundable, wanted: bool) -> None:
    assert is_still_wanted(payment) is wanted
