"""What it takes to get over a failure, and that two thousand failures are three causes."""

from __future__ import annotations

import string
from collections.abc import Callable

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.work_attempts import TroubleClass
from gateways.gateway import TranslationError
from workers.causes import (
    ERROR_LIMIT,
    TRACEBACK_LIMIT,
    classify,
    fingerprint,
    normalise,
    trouble_with_effect,
    trouble_with_event,
)
from workers.delivery.sender import NeverAgain, NotNow

WORDS = st.lists(st.sampled_from("the receiver refused amount card of connection payment lost".split()), min_size=1)

#: What differs between two failures of one cause.
VALUES = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.uuids().map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.datetimes().map(lambda moment: f"{moment:%H:%M:%S}"),
    st.text(string.ascii_letters + ".-+", min_size=1).map(lambda text: f"{text}@{text.strip('.')}.example"),
    st.ip_addresses(v=4).map(str),
    st.text(string.ascii_letters + string.digits, min_size=14, max_size=24).map(lambda text: f"pi_3{text}"),
    st.text(string.ascii_lowercase, min_size=6).map(lambda text: f"cs_test_A{text}"),
    st.text(string.ascii_letters + " /:@-", max_size=20).map(lambda text: f"'{text}'"),
    st.text(string.ascii_letters + " /:@-", max_size=20).map(lambda text: f'"{text}"'),
    st.text(string.ascii_lowercase, min_size=1).map(lambda text: f"https://{text}.example/{text}?q={text}"),
)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), TroubleClass.TRANSIENT),
        (TimeoutError(), TroubleClass.TRANSIENT),
        (asyncpg.DeadlockDetectedError("deadlock"), TroubleClass.TRANSIENT),
        (asyncpg.SerializationError("again"), TroubleClass.TRANSIENT),
        (asyncpg.UniqueViolationError("twice"), TroubleClass.TRANSIENT),
        (asyncpg.DiskFullError("full"), TroubleClass.TRANSIENT),
        (MemoryError(), TroubleClass.TRANSIENT),
        (NotNow("the receiver answered 503"), TroubleClass.TRANSIENT),
        (NotNow("the receiver answered 401", needs_person=True), TroubleClass.PERSON),
        (NeverAgain("the receiver answered 410"), TroubleClass.PERSON),
        (TranslationError("session.amount_total is missing"), TroubleClass.PERMANENT),
        (asyncpg.CheckViolationError("no"), TroubleClass.PERMANENT),
        (KeyError("amount"), TroubleClass.PERMANENT),
        (RecursionError(), TroubleClass.PERMANENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_every_error_has_its_class(error: Exception, expected: TroubleClass) -> None:
    assert classify(error) is expected


@settings(deadline=None)
@given(WORDS, WORDS, VALUES, VALUES)
def test_failures_that_differ_in_a_value_alone_have_one_cause(
    before: list[str], after: list[str], one: str, other: str
) -> None:
    told = [" ".join([*before, value, *after]) for value in (one, other)]

    assert normalise(told[0]) == normalise(told[1])
    assert fingerprint("effect", "mail", "NotNow", told[0]) == fingerprint("effect", "mail", "NotNow", told[1])


@given(WORDS, WORDS)
def test_failures_in_other_words_have_other_causes(one: list[str], other: list[str]) -> None:
    same = fingerprint("effect", "mail", "NotNow", " ".join(one)) == fingerprint(
        "effect", "mail", "NotNow", " ".join(other)
    )

    assert same == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("webhook_event", "a", "KeyError", "x"), ("effect", "a", "KeyError", "x")),
        (("webhook_event", "a", "KeyError", "x"), ("webhook_event", "b", "KeyError", "x")),
        (("webhook_event", "a", "KeyError", "x"), ("webhook_event", "a", "TypeError", "x")),
        (("webhook_event", "ab", "c", "x"), ("webhook_event", "a", "bc", "x")),
    ],
)
def test_what_failed_and_how_is_part_of_the_cause(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert fingerprint(*one) != fingerprint(*other)


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("session.amount_total is missing", "session.amount_total is missing"),
        ("the gateway doesn't know it, and won't", "the gateway doesn't know it, and won't"),
        ("Key (id)=(42) already exists", "key (id)=(?) already exists"),
        ("order 5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a is gone", "order ? is gone"),
        ("no such session: cs_test_a1B2c3D4e5", "no such session: ?"),
        ("a\n  b", "a b"),
    ],
)
def test_what_is_the_same_each_time_stays_to_be_read(message: str, kept: str) -> None:
    assert normalise(message) == kept


@given(st.text())
def test_any_text_has_a_short_fingerprint(message: str) -> None:
    assert len(fingerprint("message", "actor", "given_up", message)) == 16


def throw(error: Exception) -> None:
    raise error


def throw_elsewhere(error: Exception) -> None:
    raise error


def failed(error: Exception, throw: Callable[[Exception], None] = throw) -> Exception:
    """As it is caught: with where it arose."""
    with pytest.raises(type(error)) as caught:
        throw(error)
    return caught.value


def test_a_bug_of_an_event_is_told_with_its_traceback_and_its_place() -> None:
    trouble = trouble_with_event(failed(KeyError("amount")), "charge.refunded")

    assert (trouble.error_class, trouble.error) == ("KeyError", "'amount'")
    assert trouble.traceback is not None
    assert "in throw" in trouble.traceback


def test_the_same_bug_in_two_places_has_two_causes() -> None:
    bugs = [failed(KeyError("amount")), failed(KeyError("amount"), throw_elsewhere)]

    assert len({trouble_with_event(bug, "x").fingerprint for bug in bugs}) == 2


def test_an_error_that_cannot_even_speak_is_told_all_the_same() -> None:
    trouble = trouble_with_event(failed(asyncpg.DeadlockDetectedError()), "x")

    assert trouble.error == "DeadlockDetectedError in throw"


def test_a_bug_of_an_effect_keeps_its_place_and_none_of_its_words() -> None:
    trouble = trouble_with_effect(failed(KeyError("ada@example.org")), "mail.payment_confirmed")

    assert trouble.error == "KeyError in throw"
    assert "ada@example.org" not in f"{trouble.error} {trouble.traceback}"


@settings(deadline=None)
@given(st.text(min_size=1))
def test_what_is_kept_has_a_limit_and_fits_a_column_of_text(words: str) -> None:
    trouble = trouble_with_event(failed(ValueError(words * 2000)), "x")

    assert len(trouble.error) <= ERROR_LIMIT
    assert trouble.traceback is not None
    assert len(trouble.traceback) <= TRACEBACK_LIMIT
    assert "\0" not in trouble.error + trouble.traceback
    assert (trouble.error + trouble.traceback).encode()
