"""Razorpay's objects, as its API gives them, in our words: the same translation as that of the events about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateways.client import GatewayPayment, Session, SessionState
from gateways.gateway import Json, TranslationError, Unhandled
from gateways.razorpay.events import translate
from gateways.reading import as_object, as_text, as_time
from gateways.translating import Unreadable, needed
from payments.events import Observed, PaymentSucceeded

_OPEN = frozenset({"created", "partially_paid"})

_LINK_EVENTS = {"expired": "payment_link.expired", "cancelled": "payment_link.cancelled"}

#: A refunded payment was captured before; its refunds are facts of their own.
_PAYMENT_EVENTS = {
    "authorized": "payment.authorized",
    "captured": "payment.captured",
    "refunded": "payment.captured",
    "failed": "payment.failed",
}

#: How a payment says whose it is, besides its notes. The link's status is left out: it may lag behind its payment's.
_NAMES_OF_A_LINK = ("id", "reference_id", "order_id", "notes")


def read_session(link: Json) -> Session:
    """Raises ``Unreadable``."""
    url = link.get("short_url")
    return Session(
        id=needed(as_text(link.get("id")), "payment_link.id"),
        # Razorpay keeps the address of a page on which nobody can pay any more.
        url=url if isinstance(url, str) and as_text(link.get("status")) in _OPEN else None,
        expires_at=needed(as_time(link.get("expire_by")), "payment_link.expire_by"),
    )


def read_state(link: Json, payments: Sequence[Json]) -> SessionState:
    """``payments`` are all attempts at the link's order. Raises ``Unreadable`` and ``TranslationError``."""
    status = needed(as_text(link.get("status")), "payment_link.status")
    told = [translate(event) for event in _story(link, status, payments)]
    observed = tuple(each for each in told if isinstance(each, Observed))
    if status == "paid" and not any(isinstance(each.event, PaymentSucceeded) for each in observed):
        raise Unreadable("a paid link without its payment")
    return SessionState(read_session(link), status in _OPEN, observed)


def read_payment(payment: Json) -> GatewayPayment:
    """Raises ``Unreadable`` where it is not even a payment."""
    return GatewayPayment(
        id=needed(as_text(payment.get("id")), "payment.id"),
        created_at=needed(as_time(payment.get("created_at")), "payment.created_at"),
        observed=_read_progress(payment),
    )


def read_items(collection: Json, name: str = "items") -> list[Json]:
    """What a collection holds. Raises ``Unreadable``."""
    items = collection.get(name)
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Unreadable(f"{name} is not a list of objects")
    return items


def _story(link: Json, status: str, payments: Sequence[Json]) -> Iterator[Json]:
    """The events that led here, in their order."""
    names = {name: link[name] for name in _NAMES_OF_A_LINK if name in link}
    for payment in sorted(payments, key=_created_at):
        if (event := _event_of(payment)) is not None:
            yield _event(event, payment=payment, payment_link=names)
    if status in _LINK_EVENTS:
        yield _event(_LINK_EVENTS[status], payment_link=link)


def _created_at(payment: Json) -> int:
    created_at = payment.get("created_at")
    return created_at if isinstance(created_at, int) else 0


def _read_progress(payment: Json) -> Observed | Unhandled | None:
    if (event := _event_of(payment)) is None:
        return None
    try:
        return translate(_event(event, payment=payment))
    except TranslationError:
        return Unhandled("unreadable")


def _event_of(payment: Json) -> str | None:
    """None for an attempt without an end, and for an authorisation that nobody captured and that has gone back."""
    status = as_text(payment.get("status")) or ""
    if status == "refunded" and payment.get("captured") is False:
        return None
    return _PAYMENT_EVENTS.get(status)


def _event(event_type: str, **entities: Json) -> Json:
    return {"event": event_type, "payload": {name: {"entity": as_object(entity)} for name, entity in entities.items()}}
