"""A payment only ever advances, and every event says of it what it knows."""

from __future__ import annotations

import itertools

import pytest

from payments.events import (
    CheckoutEnded,
    OrderEvent,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.failure import Failure, FailureCode
from payments.money import Money
from payments.payment import RANK, PaymentStatus, Sighting, advance, sighted

TEN = Money(1000, "usd")
WHY = Failure(FailureCode.CARD_DECLINED)


@pytest.mark.parametrize(
    ("event", "sighting"),
    [
        (PaymentSucceeded("pi_1", TEN), Sighting("pi_1", TEN, PaymentStatus.SUCCEEDED)),
        (PaymentSucceeded(None, TEN), None),
        (PaymentPending("pi_1", TEN), Sighting("pi_1", TEN, PaymentStatus.PENDING)),
        (PaymentPending(None, TEN), None),
        (PaymentAuthorised("pi_1", TEN), Sighting("pi_1", TEN, PaymentStatus.AUTHORISED)),
        (PaymentFailed("pi_1", TEN, WHY), Sighting("pi_1", TEN, PaymentStatus.FAILED)),
        (PaymentFailed("pi_1", None, WHY), None),
        (PaymentFailed(None, TEN, WHY), None),
        (PaymentCancelled("pi_1", TEN), Sighting("pi_1", TEN, PaymentStatus.CANCELLED)),
        (CheckoutEnded("cs_1"), None),
    ],
)
def test_what_an_event_says_of_a_payment(event: OrderEvent, sighting: Sighting | None) -> None:
    assert sighted(event) == sighting


def test_success_is_final_whatever_is_told_afterwards() -> None:
    assert all(advance(PaymentStatus.SUCCEEDED, told) is PaymentStatus.SUCCEEDED for told in PaymentStatus)


def test_f31_a_failed_payment_may_still_be_authorised_and_taken() -> None:
    assert advance(PaymentStatus.FAILED, PaymentStatus.AUTHORISED) is PaymentStatus.AUTHORISED
    assert advance(PaymentStatus.FAILED, PaymentStatus.SUCCEEDED) is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize("told", list(itertools.permutations(PaymentStatus, 3)))
def test_any_order_of_tellings_ends_as_far_as_the_furthest(told: tuple[PaymentStatus, ...]) -> None:
    status = told[0]
    for next_told in told[1:]:
        status = advance(status, next_told)

    assert RANK[status] == max(RANK[each] for each in told)
