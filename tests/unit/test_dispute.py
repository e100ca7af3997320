"""What a gateway's word of a dispute makes of it: one row, whichever of its news comes first."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from payments.dispute import RANK, DisputeStatus
from payments.disputing import Dispute, ask_at, dated, merge, speaks_of_other_money
from payments.events import DisputeTold, Observed, PaymentCancelled, PaymentNamed, References
from payments.money import Money

INQUIRY, NEEDS_RESPONSE, UNDER_REVIEW = (
    DisputeStatus.INQUIRY,
    DisputeStatus.NEEDS_RESPONSE,
    DisputeStatus.UNDER_REVIEW,
)
WON, LOST, CLOSED = DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED

TEN = Money(1000, "usd")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def telling(
    status: DisputeStatus,
    second: int | None = 0,
    took: int | None = None,
    gave: int | None = None,
    kept: int | None = None,
) -> DisputeTold:
    return DisputeTold(
        "dp_1",
        PaymentNamed("pi_1"),
        TEN,
        status,
        gateway_status=status.value,
        told_at=None if second is None else NOON + timedelta(seconds=second),
        withdrawn=None if took is None else Money(took, "usd"),
        reinstated=None if gave is None else Money(gave, "usd"),
        kept=None if kept is None else Money(kept, "usd"),
    )


def read(status: DisputeStatus, second: int, took: int | None = None) -> DisputeTold:
    return dated(telling(status, None, took), NOON + timedelta(seconds=second, milliseconds=600))


def after(*news: DisputeTold) -> Dispute:
    dispute: Dispute | None = None
    for told in news:
        dispute = merge(dispute, told, "usd")
    assert dispute is not None
    return dispute


HOLDS = [
    (after(telling(INQUIRY)), False),
    (after(telling(NEEDS_RESPONSE)), False),
    (after(telling(NEEDS_RESPONSE, took=1000)), True),
    (after(telling(UNDER_REVIEW, took=1000, gave=1000)), False),
    (after(telling(UNDER_REVIEW, took=1000, gave=400)), True),
    (after(telling(WON, took=1000)), False),
    (after(telling(CLOSED)), False),
    (after(telling(CLOSED, took=1000)), True),
    (after(telling(CLOSED, took=1000, gave=1000)), False),
    (after(telling(LOST)), True),
    (after(telling(LOST, took=1000)), True),
    (after(telling(LOST, took=1000, gave=400)), True),
    (after(telling(LOST, took=1000, gave=1000)), False),
]


@pytest.mark.parametrize(("dispute", "holds"), HOLDS, ids=str)
def test_whether_it_holds_the_money(dispute: Dispute, holds: bool) -> None:
    assert dispute.holds is holds


def test_f100_an_inquiry_holds_nothing_however_it_ends() -> None:
    assert not after(telling(INQUIRY), telling(CLOSED, 9)).holds


#: As Stripe tells a life of it. The money's own events share their seconds with others.
LIVES = {
    "won": (
        telling(NEEDS_RESPONSE, 0),
        telling(NEEDS_RESPONSE, 0, took=1000),
        telling(UNDER_REVIEW, 5),
        telling(WON, 9),
        telling(WON, 9, gave=1000),
    ),
    "lost": (
        telling(NEEDS_RESPONSE, 0),
        telling(NEEDS_RESPONSE, 1, took=1000),
        telling(UNDER_REVIEW, 5),
        telling(LOST, 9),
    ),
    "appealed": (
        telling(NEEDS_RESPONSE, 0, took=1000),
        telling(LOST, 3),
        telling(NEEDS_RESPONSE, 6),
        telling(WON, 9, gave=1000),
    ),
    "all in one second": (telling(NEEDS_RESPONSE, 0, took=1000), telling(UNDER_REVIEW, 0), telling(LOST, 0)),
    "reinstated in two parts": (
        telling(NEEDS_RESPONSE, 0, took=1000),
        telling(UNDER_REVIEW, 3, gave=400),
        telling(CLOSED, 9, gave=1000),
    ),
    "lost after it was won, kept by its status": (
        telling(NEEDS_RESPONSE, 0, kept=0),
        telling(UNDER_REVIEW, 3, took=1000, kept=1000),
        telling(WON, 6, kept=0),
        telling(LOST, 9, took=1000, kept=1000),
    ),
    "won in the end, kept by its status": (
        telling(UNDER_REVIEW, 3, took=1000, kept=1000),
        telling(LOST, 6, took=1000, kept=1000),
        telling(WON, 9, kept=0),
    ),
    "read between its events": (
        telling(NEEDS_RESPONSE, 0, took=1000),
        telling(UNDER_REVIEW, 3),
        read(NEEDS_RESPONSE, 5),
        telling(UNDER_REVIEW, 7),
        read(LOST, 9),
    ),
    "two of one second that differ in their day": (
        telling(NEEDS_RESPONSE, 0),
        replace(telling(NEEDS_RESPONSE, 0), evidence_due_at=NOON),
        replace(telling(NEEDS_RESPONSE, 0), amount=Money(400, "usd"), reason="fraudulent"),
    ),
}


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_f38_f102_every_order_of_the_same_news_ends_in_the_same_dispute(life: tuple[DisputeTold, ...]) -> None:
    twice = {after(*order, *order[::-1]) for order in itertools.permutations(life)}

    assert {after(*order) for order in itertools.permutations(life)} == twice == {after(*life)}


def test_f38_what_closed_it_within_its_first_second_is_not_lost() -> None:
    opened, closed = telling(NEEDS_RESPONSE, 0), telling(LOST, 0)

    assert after(closed, opened).status is after(opened, closed).status is LOST


def test_f102_what_was_never_withdrawn_never_came_back_whatever_is_told_of_it() -> None:
    won = telling(WON, 9, gave=1000)

    assert after(won).returned == 0
    assert after(won, telling(NEEDS_RESPONSE, 0, took=400)).returned == 400
    assert after(telling(NEEDS_RESPONSE, 0, took=400), won).returned == 400


def test_f102_where_the_status_alone_tells_of_the_money_a_verdict_that_turns_takes_it_with_it() -> None:
    won = after(telling(UNDER_REVIEW, 0, took=1000, kept=1000), telling(WON, 6, kept=0))
    lost = merge(won, telling(LOST, 9, took=1000, kept=1000), "usd")

    assert (won.returned, won.holds) == (1000, False)
    assert (lost.returned, lost.holds) == (0, True)


def test_f102_of_what_was_withdrawn_a_lost_dispute_may_keep_a_part() -> None:
    lost = after(telling(UNDER_REVIEW, 0, took=1000, kept=1000), telling(LOST, 9, took=400, kept=400))

    assert (lost.withdrawn, lost.returned, lost.holds) == (1000, 600, True)


def test_a_read_is_the_truth_of_the_second_at_which_it_was_asked() -> None:
    asked_for_more = after(telling(UNDER_REVIEW, 5), read(NEEDS_RESPONSE, 9))
    lost_after_all = after(telling(WON, 5, took=1000, gave=1000), read(LOST, 9, took=2000))

    assert asked_for_more.status is NEEDS_RESPONSE
    assert (lost_after_all.status, lost_after_all.holds) == (LOST, True)
    assert after(read(WON, 9), telling(UNDER_REVIEW, 5)).status is WON
    assert after(read(UNDER_REVIEW, 9), telling(LOST, 10)).status is LOST


def test_what_is_told_in_the_second_of_a_read_is_ordered_by_rank() -> None:
    assert after(read(UNDER_REVIEW, 9), telling(LOST, 9)).status is LOST


def test_only_what_is_read_of_a_dispute_without_a_second_is_dated() -> None:
    payment = Observed("stripe", References(), PaymentCancelled("pi_1", TEN))
    told = Observed("stripe", References(), telling(WON, 5))

    assert ask_at(payment, NOON) == payment
    assert ask_at(told, NOON) == told
    assert ask_at(replace(told, event=telling(WON, None)), NOON).event == telling(WON, 0)


def test_a_telling_without_a_second_only_ever_advances() -> None:
    assert after(telling(UNDER_REVIEW, 5), telling(NEEDS_RESPONSE, None)).status is UNDER_REVIEW
    assert after(telling(UNDER_REVIEW, 5), telling(WON, None)).status is WON
    assert after(telling(WON, None), telling(NEEDS_RESPONSE, 5)).status is WON


def test_a_telling_without_a_second_keeps_that_of_the_last() -> None:
    won = after(telling(UNDER_REVIEW, 5), telling(WON, None))

    assert won.told_at == NOON + timedelta(seconds=5)
    assert after(telling(WON, None), telling(WON, 5)).told_at == NOON + timedelta(seconds=5)


def test_an_appeal_opens_it_again() -> None:
    assert after(telling(LOST, 0), telling(NEEDS_RESPONSE, 9)).status is NEEDS_RESPONSE


def test_nothing_new_changes_nothing() -> None:
    known = after(telling(NEEDS_RESPONSE, 0, took=1000))

    assert merge(known, telling(NEEDS_RESPONSE, 0), "usd") == known


def test_money_of_another_currency_is_never_added_up() -> None:
    told = replace(telling(NEEDS_RESPONSE), withdrawn=Money(900, "eur"))

    assert merge(None, told, "usd").withdrawn == 0
    assert speaks_of_other_money(told, "usd")


def test_every_status_has_its_rank() -> None:
    assert set(RANK) == set(DisputeStatus)
