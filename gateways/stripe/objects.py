"""Stripe's objects, as its API gives them, in our words: the same translation as that of the events about them.

An object does not say what has just happened to it, only how it is; so the event that brought it there is told again.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateways.client import GatewayPayment, Session, SessionState
from gateways.gateway import Json, TranslationError, Unhandled
from gateways.reading import as_object, as_text, as_time
from gateways.stripe.events import translate_snapshot
from gateways.translating import Unreadable, needed
from payments.events import Observed

#: What the session has to be asked with, for its payment to be told too.
EXPAND_SESSION = ["payment_intent"]

#: An intent in one of these will take no money through the session that it was completed with.
_GIVEN_UP = frozenset({"requires_payment_method", "canceled"})

#: A customer may try again after a decline, so that an intent that asks for a method may have failed before.
_INTENT_EVENTS = {
    "succeeded": "payment_intent.succeeded",
    "processing": "payment_intent.processing",
    "canceled": "payment_intent.canceled",
    "requires_payment_method": "payment_intent.payment_failed",
}


def read_state(session: Json) -> SessionState:
    """Raises ``Unreadable`` and ``TranslationError``."""
    told = [translate_snapshot(_event(event_type, about)) for event_type, about in _story(session)]
    observed = tuple(each for each in told if isinstance(each, Observed))
    return SessionState(read_session(session), session.get("status") == "open", observed)


def read_session(session: Json) -> Session:
    """Raises ``Unreadable``."""
    return Session(
        id=needed(as_text(session.get("id")), "id"),
        # A URL is longer than our other texts, and is passed on, not stored as a name.
        url=session["url"] if isinstance(session.get("url"), str) else None,
        expires_at=needed(as_time(session.get("expires_at")), "expires_at"),
    )


def read_payment(intent: Json) -> GatewayPayment:
    """Raises ``Unreadable`` where it is not even a payment."""
    return GatewayPayment(
        id=needed(as_text(intent.get("id")), "id"),
        created_at=needed(as_time(intent.get("created")), "created"),
        observed=_read_progress(intent),
    )


def _read_progress(intent: Json) -> Observed | Unhandled | None:
    status = as_text(intent.get("status")) or ""
    if status not in _INTENT_EVENTS or (status == "requires_payment_method" and not _has_failed(intent)):
        return None
    try:
        return translate_snapshot(_event(_INTENT_EVENTS[status], intent))
    except TranslationError:
        return Unhandled("unreadable")


def _story(session: Json) -> Iterator[tuple[str, Json]]:
    """The events that led here, in their order: declined attempts where nothing better came of them, then the end."""
    intent = as_object(session.get("payment_intent"))
    match as_text(session.get("status")):
        case "complete" if session.get("payment_status") == "unpaid" and as_text(intent.get("status")) in _GIVEN_UP:
            yield "checkout.session.async_payment_failed", session
        case "complete":
            yield "checkout.session.completed", session
        case "expired":
            if _has_failed(intent):
                yield "payment_intent.payment_failed", intent
            yield "checkout.session.expired", session
        case "open":
            if _has_failed(intent):
                yield "payment_intent.payment_failed", intent
        case _:
            raise Unreadable("status is missing or unknown")


def _has_failed(intent: Json) -> bool:
    return bool(as_object(intent.get("last_payment_error")))


def _event(event_type: str, about: Json) -> Json:
    return {"object": "event", "type": event_type, "data": {"object": about}}
