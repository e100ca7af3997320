"""Reading JSON from outside: every look is typed, and nothing that is missing or strange raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from gateways.gateway import Json
from payments.money import Money, MoneyError

#: Ids and types are short everywhere; what is longer is not one.
TEXT_LIMIT = 255

_SURROGATES = range(0xD800, 0xE000)


class NotAnEvent(ValueError):
    """The bytes are not a JSON object; the sender is told 400."""


def parse(body: bytes) -> dict[str, Any]:
    """The event as JSON. Raises ``NotAnEvent`` for anything else, however hostile: wrong encoding, ``null``, ``[]``,
    ``NaN``, ten thousand levels of nesting, a number of a million digits."""
    return _parse(body, dict)


def parse_request(body: bytes) -> dict[str, Any]:
    """As ``parse``, of what our own callers write: a member that is there twice is refused too, as one of the two would
    be read, and nobody knows which was meant."""
    return _parse(body, _each_once)


def _parse(body: bytes, collect: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> dict[str, Any]:
    try:
        event = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=collect)
    except NotAnEvent:
        raise
    except (ValueError, RecursionError) as error:
        raise NotAnEvent(f"the body is not JSON in UTF-8 ({type(error).__name__})") from None
    if not isinstance(event, dict):
        raise NotAnEvent("the body is not a JSON object")
    return event


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(collected := dict(members)) < len(members):
        raise NotAnEvent("a member is there twice")
    return collected


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def as_text(value: object) -> str | None:
    """The value if it is a text that Postgres can hold and an id could be; else None."""
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LIMIT:
        return None
    if "\0" in value or any(ord(character) in _SURROGATES for character in value):
        return None
    return value


def as_object(value: object) -> Json:
    """The value if it is an object, else an empty one: Razorpay writes empty ``notes`` as ``[]``."""
    return value if isinstance(value, Mapping) else {}


def as_id(value: object) -> str | None:
    """The id of an object that may be given as its id or, expanded, as itself."""
    return as_text(value.get("id")) if isinstance(value, Mapping) else as_text(value)


def texts(*values: object) -> tuple[str, ...]:
    """Those values that are texts, each once, in the order given."""
    return tuple(dict.fromkeys(text for value in values if (text := as_text(value)) is not None))


def as_time(value: object) -> datetime | None:
    """Seconds since 1970, or a time in ISO 8601 with its offset, as an aware time; None where it is neither."""
    seconds = _seconds(value)
    if seconds is None or not 0 < seconds < 2**33:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(value: object) -> float | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        return None
    try:
        written = datetime.fromisoformat(value)
    except ValueError:
        return None
    return written.timestamp() if written.tzinfo else None


def as_money(minor: object, currency: object) -> Money | None:
    """An amount and its currency, in either case of letters, or None where they cannot be money."""
    if isinstance(minor, bool) or not isinstance(minor, int) or not isinstance(currency, str):
        return None
    try:
        return Money(minor, currency.lower())
    except MoneyError:
        return None


def as_signed(minor: object, currency: object) -> tuple[int, str] | None:
    """The same where the amount may be below 0: a balance that is owed, or what a fee took away."""
    if isinstance(minor, bool) or not isinstance(minor, int):
        return None
    size = as_money(abs(minor), currency)
    return None if size is None else (minor, size.currency)
