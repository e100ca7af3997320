"""What becomes of an event that does not say what its type promises: ignored, or in front of a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from gateways.gateway import Json, TranslationError, Unhandled
from payments.events import DisputeTold, Event, Observed, References, SubscriptionTold

Value = TypeVar("Value")

#: Addresses are longer than our other texts; what is longer than this is none that a mail could carry.
ADDRESS_LIMIT = 2000

#: More billing attempts than any gateway makes.
ATTEMPTS_MAX = 1_000


class Unreadable(Exception):
    """A field that the fact needs is missing, or contradicts the event's type. Names the field and holds no payload."""


def needed(value: Value | None, field: str) -> Value:
    """The value, which the fact cannot be told without."""
    if value is None:
        raise Unreadable(f"{field} is missing or cannot be read")
    return value


def confirm(told: Json, name: str, *allowed: object) -> None:
    """The object says what the event's type says, or is silent on it. A contradiction grants and closes nothing."""
    if name in told and told[name] not in allowed:
        raise Unreadable(f"{name} contradicts the event's type")


def read_or_leave(read: Callable[[Json], Value], listed: Json) -> Value | Unhandled:
    """One of many in a list: what cannot be read of it must not keep the others from us."""
    try:
        return read(listed)
    except (Unreadable, TranslationError):
        return Unhandled("unreadable")


def observe(
    gateway: str, event_type: str, references: References, read: Callable[[], Event], at: datetime | None = None
) -> Observed | Unhandled:
    """The fact that ``read`` finds, told ``at`` the gateway's second. Where it finds none, only what could be our own
    money may disturb a person.

    Raises ``TranslationError`` for an event that may name an order of ours (F22); samples and other applications'
    events that lack the same fields are ``unreadable``, and bear the names by which money of ours is still known.
    """
    try:
        return Observed(gateway, references, _dated(read(), at))
    except Unreadable as lack:
        if could_be_ours(references):
            raise TranslationError(f"{event_type}: {lack}") from None
        return Unhandled("unreadable", references.objects)


def _dated(event: Event, at: datetime | None) -> Event:
    """A telling that says nothing by itself is a reason to look, and stays without a time."""
    match event:
        case DisputeTold():
            return replace(event, told_at=at)
        case SubscriptionTold() if event != SubscriptionTold(told_at=None):
            return replace(event, told_at=at)
        case _:
            return event


def could_be_ours(references: References) -> bool:
    """Whether the event carries the mark that we put on what we make, or an id of the shape that our orders have."""
    return references.instance is not None or any(_is_uuid(text) for text in references.order_ids)


def _is_uuid(text: str) -> bool:
    """As we write ours: ``UUID`` alone takes braces, prefixes and bare hex too."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def as_address(value: object) -> str | None:
    """The address of a page, if it is one that a browser opens and a row can hold."""
    if not isinstance(value, str) or not value.startswith(("https://", "http://")) or len(value) > ADDRESS_LIMIT:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def as_attempts(value: object) -> int:
    """How often a bill was tried; 0 where that is not told."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), ATTEMPTS_MAX)


def gather(names: References, told: Iterable[Observed | Unhandled]) -> tuple[Observed, ...]:
    """The facts of objects that were read together, each with the names too of what they were found under: an invoice
    of our subscription is ours, whether it bears our marks or not.

    Raises ``TranslationError`` where one of them cannot be read that could be ours.
    """
    observed = []
    for each in told:
        if isinstance(each, Observed):
            observed.append(replace(each, references=_joined(names, each.references)))
        elif each.reason == "unreadable" and could_be_ours(names):
            raise TranslationError("an object that was read with others lacks a field, or contradicts itself")
    return tuple(observed)


def _joined(names: References, own: References) -> References:
    return replace(
        own,
        order_ids=tuple(dict.fromkeys((*names.order_ids, *own.order_ids))),
        objects=tuple(dict.fromkeys((*names.objects, *own.objects))),
        instance=names.instance or own.instance,
    )
