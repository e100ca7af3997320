"""An invoice only ever advances, and its failure belongs to its newest attempt."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from payments.failure import Failure, FailureCode
from payments.invoice import RANK, Advice, Invoice, InvoiceReason, InvoiceSighting, InvoiceStatus, advance, contradicts
from payments.money import Money
from payments.terms import Terms
from tests.subscribed import DAY, DECLINED, MONTH, NOON, NOTHING, TEN, invoice

DRAFT, OPEN, PAID = InvoiceStatus.DRAFT, InvoiceStatus.OPEN, InvoiceStatus.PAID
VOID, UNCOLLECTIBLE = InvoiceStatus.VOID, InvoiceStatus.UNCOLLECTIBLE
EXPIRED_CARD = Failure(FailureCode.EXPIRED_CARD, "expired_card")
NAMELESS = Failure(FailureCode.UNKNOWN)
LATER = NOON + DAY


def recorded(*tellings: tuple[InvoiceSighting, datetime]) -> Invoice:
    known = None
    for told, at in tellings:
        known = advance(known, told, at)
    assert known is not None
    return known


def attempt(number: int, failure: Failure | None = DECLINED, **more: Any) -> InvoiceSighting:
    return invoice("in_1", OPEN, month=1, attempts=number, failure=failure, **more)


@pytest.mark.parametrize("told", list(itertools.permutations(InvoiceStatus, 3)))
def test_any_order_of_tellings_ends_as_far_as_the_furthest(told: tuple[InvoiceStatus, ...]) -> None:
    found = recorded(*((invoice(status=status), NOON) for status in told))

    assert RANK[found.status] == max(RANK[status] for status in told)


def test_a_drafts_amount_is_not_final() -> None:
    draft, finished = invoice(status=DRAFT, due=Money(2000, "usd")), invoice(status=OPEN)

    for order in itertools.permutations([(draft, NOON), (finished, LATER)]):
        assert recorded(*order).due == TEN


def test_what_one_telling_does_not_say_another_has_said() -> None:
    bare = invoice(status=OPEN, period_start=None, period_end=None)
    full = invoice(status=DRAFT, number="NO-1", hosted_url="https://example.test/in_1")

    for order in itertools.permutations([(bare, NOON), (full, LATER)]):
        found = recorded(*order)
        assert (found.number, found.hosted_url) == ("NO-1", "https://example.test/in_1")
        assert (found.period_start, found.period_end) == (NOON, NOON + MONTH)


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ({InvoiceReason.OTHER, InvoiceReason.RENEWAL}, InvoiceReason.RENEWAL),
        ({InvoiceReason.OTHER, InvoiceReason.FIRST}, InvoiceReason.FIRST),
        ({InvoiceReason.OTHER, InvoiceReason.CHANGE}, InvoiceReason.CHANGE),
    ],
)
def test_the_reason_is_what_the_telling_that_knows_it_says(told: set[InvoiceReason], known: InvoiceReason) -> None:
    for order in itertools.permutations(told):
        assert recorded(*((invoice(reason=reason), NOON) for reason in order)).reason is known


def test_f37_and_f82_the_failure_is_the_newest_attempts_however_often_and_in_whatever_order_it_is_told() -> None:
    first, second = attempt(1, next_attempt_at=LATER), attempt(2, EXPIRED_CARD, advice=Advice.DO_NOT_TRY_AGAIN)

    for order in itertools.permutations([(first, NOON), (second, LATER), (second, LATER), (first, NOON)]):
        found = recorded(*order)
        assert (found.attempts, found.failure, found.advice) == (2, EXPIRED_CARD, Advice.DO_NOT_TRY_AGAIN)
        assert (found.next_attempt_at, found.failing_since) == (None, NOON)


def test_a_reason_that_is_known_holds_against_one_that_is_not() -> None:
    for order in itertools.permutations([(attempt(1, NAMELESS), NOON), (attempt(1), NOON), (attempt(1, None), NOON)]):
        assert recorded(*order).failure == DECLINED


def test_an_attempt_that_nobody_calls_failed_is_on_its_way() -> None:
    assert not recorded((attempt(1, None), NOON)).is_failing


def test_f31_what_is_paid_fails_no_more_and_has_been_paid_since_it_was_told_first() -> None:
    paid_late = invoice(month=1, attempts=2)

    for order in itertools.permutations(
        [(attempt(1, next_attempt_at=LATER), NOON), (paid_late, LATER), (paid_late, LATER + DAY)]
    ):
        found = recorded(*order)
        assert (found.status, found.paid_at, found.is_failing) == (PAID, LATER, False)
        assert (found.failure, found.next_attempt_at) == (None, None)


def test_what_is_given_up_may_still_be_paid_and_fails_until_then() -> None:
    given_up = recorded((attempt(4, next_attempt_at=LATER), NOON), (invoice(status=UNCOLLECTIBLE, month=1), LATER))

    assert (given_up.is_failing, given_up.next_attempt_at) == (True, None)
    assert not advance(given_up, invoice(month=1), LATER).is_failing


def test_what_is_void_owes_nothing() -> None:
    assert not recorded((attempt(1), NOON), (invoice(status=VOID, month=1), LATER)).is_failing


@pytest.mark.parametrize(
    ("known", "told", "does"),
    [
        (None, invoice(), False),
        (None, invoice(paid=Money(1000, "eur")), True),
        (Money(1000, "eur"), invoice(), True),
        (TEN, invoice(), False),
    ],
)
def test_an_invoice_has_one_currency(known: Money | None, told: InvoiceSighting, does: bool) -> None:
    held = Invoice("in_1", OPEN, InvoiceReason.FIRST, known, known) if known else None

    assert contradicts(held, told) is does


# --- what they come to ---

TERMS = Terms(first_due=TEN, has_trial=False, currency="usd")
TRIAL = Terms(first_due=NOTHING, has_trial=True, currency="usd")


def renewed(month: int, at: datetime = NOON, **more: Any) -> Invoice:
    return recorded((invoice(f"in_{month}", month=month, **more), at))


def test_access_is_paid_to_the_end_of_the_latest_period_that_is_accepted() -> None:
    found = (renewed(0), renewed(2), renewed(1), renewed(5, due=Money(1000, "eur")), renewed(6, period_end=None))

    assert TERMS.paid_until(found) == NOON + 3 * MONTH
    assert TERMS.paid_until(()) is None


def test_a_trials_invoice_over_nothing_pays_for_no_period_and_a_free_plans_does() -> None:
    over_nothing = renewed(0, due=NOTHING)

    assert TRIAL.paid_until([over_nothing]) is None
    assert replace(TRIAL, has_trial=False).paid_until([over_nothing]) == NOON + MONTH


def test_without_an_order_the_first_invoice_is_accepted_as_it_is() -> None:
    assert Terms(None, has_trial=False, currency=None).accepts(renewed(0, due=Money(1, "eur")))


def failing(month: int, at: datetime, **more: Any) -> Invoice:
    return recorded((invoice(f"in_{month}", OPEN, month=month, attempts=1, failure=DECLINED, **more), at))


def test_the_failing_renewal_is_the_newest_that_nothing_later_has_paid_for() -> None:
    old, new = failing(1, NOON), failing(3, NOON + 2 * MONTH)

    assert TERMS.failing_renewal((old, new)) == new
    assert TERMS.failing_renewal((old, renewed(2), new)) == new
    assert TERMS.failing_renewal((old, renewed(2))) is None
    assert TERMS.failing_renewal((old, renewed(0))) == old


def test_where_periods_are_not_known_a_later_renewal_that_is_paid_overtakes_a_failing_one() -> None:
    blind = failing(1, NOON, period_end=None)

    assert TERMS.failing_renewal((blind, renewed(2, LATER, period_end=None))) is None
    assert TERMS.failing_renewal((blind, renewed(2, NOON - DAY, period_end=None))) == blind
    assert TERMS.failing_renewal((blind, renewed(2, LATER, reason=InvoiceReason.CHANGE))) == blind
