"""What becomes of an event that does not say what its type promises: ignored, or in front of a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from gateways.gateway import Json, TranslationError, Unhandled
from payments.events import Observed, OrderEvent, References

Value = TypeVar("Value")


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


def observe(
    gateway: str, event_type: str, references: References, read: Callable[[], OrderEvent]
) -> Observed | Unhandled:
    """The fact that ``read`` finds. Where it finds none, only what could be our own money may disturb a person.

    Raises ``TranslationError`` for an event that may name an order of ours (F22); samples and other applications'
    events that lack the same fields are ``unreadable``.
    """
    try:
        return Observed(gateway, references, read())
    except Unreadable as lack:
        if could_be_ours(references):
            raise TranslationError(f"{event_type}: {lack}") from None
        return Unhandled("unreadable")


def could_be_ours(references: References) -> bool:
    """Whether the event carries the mark that we put on what we make, or an id of the shape that our orders have."""
    return references.instance is not None or any(_is_uuid(text) for text in references.order_ids)


def _is_uuid(text: str) -> bool:
    """As we write ours: ``UUID`` alone takes braces, prefixes and bare hex too."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False
