"""Reading JSON from outside: what is sound comes through exactly, what is not is None, and nothing raises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.reading import NotAnEvent, as_id, as_money, as_object, as_text, as_time, parse, texts
from payments.money import Money

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"true",
        b'{"id": "evt_1"',
        b'{"id": "evt_1"} and more',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        '{"id": "evt_1"}'.encode("utf-16"),
        b'{"amount": NaN}',
        b'{"amount": -Infinity}',
        b'{"amount": ' + b"9" * 1_000_000 + b"}",
        b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"data": ' * 100_000 + b"1" + b"}" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_f7_what_is_no_json_object_is_no_event(body: bytes) -> None:
    with pytest.raises(NotAnEvent):
        parse(body)


@pytest.mark.parametrize(
    "body", [b'{"name": "a\\u0000b"}', b'{"name": "\\ud800"}', b' {"id": "evt_1", "id": "evt_2"} ']
)
def test_f13_poison_inside_sound_json_is_an_event(body: bytes) -> None:
    assert isinstance(parse(body), dict)


@given(body=st.binary(max_size=300))
@settings(deadline=None)
def test_f7_any_bytes_are_an_event_or_none(body: bytes) -> None:
    try:
        event: object = parse(body)
    except NotAnEvent:
        return

    assert isinstance(event, dict)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("evt_1", "evt_1"),
        ("x" * 255, "x" * 255),
        ("x" * 256, None),
        ("", None),
        ("a\0b", None),
        ("\ud800", None),
        (7, None),
        (None, None),
        (["evt_1"], None),
    ],
)
def test_a_text_is_short_and_fits_postgres(value: object, text: str | None) -> None:
    assert as_text(value) == text


def test_texts_are_those_that_are_each_once_in_order() -> None:
    assert texts("b", None, "a", "", "b", 7) == ("b", "a")


@pytest.mark.parametrize(("value", "found"), [("pi_1", "pi_1"), ({"id": "pi_1"}, "pi_1"), ({}, None), (None, None)])
def test_an_id_is_read_from_the_object_too(value: object, found: str | None) -> None:
    assert as_id(value) == found


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1_760_000_000, datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        ("2025-10-09T08:53:20Z", datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        ("2025-10-09T10:53:20.000+02:00", datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)),
        ("2025-10-09T08:53:20", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        (True, None),
        (0, None),
        (-1, None),
        (2**33, None),
        (10**400, None),
        (1.5, None),
        (None, None),
    ],
)
def test_a_time_is_seconds_or_iso_8601_with_its_offset(value: object, time: datetime | None) -> None:
    assert as_time(value) == time


@pytest.mark.parametrize(
    ("minor", "currency", "money"),
    [
        (4900, "usd", Money(4900, "usd")),
        (0, "INR", Money(0, "inr")),
        (True, "usd", None),
        (49.0, "usd", None),
        ("4900", "usd", None),
        (-1, "usd", None),
        (2**63, "usd", None),
        (4900, None, None),
        (4900, "us", None),
        (4900, "ÜSD", None),
    ],
)
def test_money_is_a_whole_amount_and_a_currency(minor: object, currency: object, money: Money | None) -> None:
    assert as_money(minor, currency) == money


@given(value=ANYTHING, other=ANYTHING)
@settings(deadline=None)
def test_no_look_at_anything_raises(value: Any, other: Any) -> None:
    for look in (as_text, as_id, as_time, as_object, texts):
        look(value)
    as_money(value, other)
