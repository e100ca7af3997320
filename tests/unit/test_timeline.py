"""A timeline: what stands before what, how pages of it meet, and what its lines say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.secrecy import mask
from payments.telling import SENTENCES, amount_of, decimals_of, say
from payments.timeline import Entry, Kind, Mark, NoMark, assemble

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def entry(kind: Kind = Kind.MOVE, n: int = 1, at: datetime = NOON, **detail: Any) -> Entry:
    """``was`` is what the line calls ``from``, which is no name of Python's."""
    was = {"from": detail.pop("was")} if "was" in detail else {}
    return Entry(at, at, kind, UUID(int=n), "order", "o-1", was | detail)


def test_of_one_moment_the_cause_stands_before_what_it_caused() -> None:
    story = [entry(Kind.DELIVERY), entry(Kind.PAYMENT), entry(Kind.MOVE), entry(Kind.ACCESS), entry(Kind.EFFECT)]

    for shuffled in permutations(story):
        assert [each.kind for each in assemble(shuffled, limit=9).entries] == [each.kind for each in story]


def test_a_page_says_where_the_next_begins_and_the_last_says_nothing() -> None:
    lines = [entry(n=n, at=NOON + timedelta(seconds=n)) for n in range(3)]

    first, last = assemble(lines, limit=2), assemble(lines[2:], limit=2)

    assert (first.entries, first.next) == (tuple(lines[:2]), lines[1].mark)
    assert (last.entries, last.next) == ((lines[2],), None)


@given(
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds it
    st.sampled_from(Kind),
    st.uuids(),
)
def test_a_mark_is_read_as_it_was_written(at: datetime, kind: Kind, name: UUID) -> None:
    mark = Mark(at, kind.rank, name)

    assert Mark.read(str(mark)) == mark


@pytest.mark.parametrize(
    "text", ["", "1-2", "t1r2n3", "x" * 40, f"t-1r2n{'0' * 32}", f"t1r2n{'0' * 33}", f"t\u0661r2n{'0' * 32}"]
)
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(NoMark):
        Mark.read(text)


def test_every_mark_is_of_a_moment_that_a_calendar_has() -> None:
    assert Mark.read(f"t{'f' * 13}r1n{'0' * 32}").recorded_at.year == 2112


def test_no_mark_looks_like_a_card() -> None:
    for n in range(1000):
        mark = str(Mark(NOON + timedelta(microseconds=n), 7, UUID(int=n)))
        assert mask(mark) == mark


@pytest.mark.parametrize(
    ("minor", "currency", "gateway", "written"),
    [
        (1900, "usd", "stripe", "19.00 USD"),
        (-1905, "usd", "stripe", "-19.05 USD"),
        (-5, "usd", "stripe", "-0.05 USD"),
        (1500, "jpy", "stripe", "1500 JPY"),
        (1500, "isk", "stripe", "15.00 ISK"),
        (1500, "isk", "razorpay", "1500 ISK"),
        (-12340, "kwd", "stripe", "-12.340 KWD"),
        (9007199254740993, "usd", None, "90071992547409.93 USD"),
    ],
)
def test_an_amount_is_written_in_the_gateways_own_decimals(
    minor: int, currency: str, gateway: str | None, written: str
) -> None:
    assert amount_of(minor, currency, gateway) == written
    assert f"{decimals_of(minor, currency, gateway)} {currency.upper()}" == written


def test_every_kind_of_line_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Kind)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            entry(Kind.ATTEMPT, number=1, gateway="stripe", status="unknown", idempotencyKey="k", calls=3, error="lost"),
            "page 1 asked of stripe: unknown, our key k, sent 3 times, lost",
        ),
        (
            entry(Kind.CALL, gateway="stripe", operation="create_refund", outcome="answered", requestId="req_1",
                  milliseconds=212),
            "stripe create_refund answered, request req_1, 212 ms",
        ),
        (
            entry(Kind.DELIVERY, gateway="stripe", type="refund.failed", event="evt_1", status="done",
                  reason="refund_failed", deliveries=11, signedWith="ab12"),
            "stripe refund.failed received: worked refund_failed, evt_1, 11 times, signed with ab12",
        ),
        (
            entry(Kind.DELIVERY, gateway="stripe", type="x", event="evt_1", status="dead", error="unknown_shape",
                  source="backfill"),
            "stripe x fetched from its list: dead unknown_shape, evt_1",
        ),
        (
            entry(Kind.MOVE, was="pending", to="paid", cause="api", causeId="anna"),
            "order pending -> paid, by api anna",
        ),
        (
            entry(Kind.MOVE, to="active", told={"plan": "pro"}, cause="webhook_event", causeId="1", causeEvent="evt_1"),
            "order active, changed plan, by evt_1",
        ),
        (
            entry(Kind.ACCESS, active=False, reason="disputed", until="2026-11-22T12:00:00+00:00"),
            "no access: disputed, until 2026-11-22 12:00:00",
        ),
        (
            entry(Kind.EFFECT, what="mail.x", status="sent", attempts=2, sentAt="2026-11-22T12:00:00.5+00:00"),
            "mail.x: sent, 2026-11-22 12:00:00, 2 attempts",
        ),
        (
            entry(Kind.ASKED, what="cancel", by="anna", gateway="stripe", status="done", idempotencyKey="k", calls=1),
            "cancel asked by anna of stripe: done, our key k",
        ),
        (
            entry(Kind.DEAD_LETTER, what="mail.x", state="discarded", closedBy="ada", errorClass="NeverAgain",
                  error="no such address", closedReason="gone"),
            "mail.x died, discarded by ada, NeverAgain: no such address, why gone",
        ),
    ],
)  # fmt: skip
def test_a_line_says_what_happened_in_one_sentence(line: Entry, sentence: str) -> None:
    assert say(line) == sentence
