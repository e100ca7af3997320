"""Razorpay's words about one-time payments in ours: one line for each event type.

An event holds up to three entities of one sale: the payment link, the order that it made, and the payment. Which of
them are there is read from ``payload`` alone; ``contains`` does not always say the same.

Where an entity and the event's type contradict each other, the entity is believed and nothing is granted or closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateways.gateway import Json, TranslationError, Unhandled
from gateways.razorpay.failures import read_failure
from gateways.reading import as_money, as_object, as_text, texts
from gateways.translating import Unreadable, confirm, needed, observe
from payments.events import (
    CheckoutEnded,
    Observed,
    OrderEvent,
    PaymentAuthorised,
    PaymentFailed,
    PaymentSucceeded,
    References,
)
from payments.money import Money


@dataclass(frozen=True, slots=True)
class _Sale:
    """The entities of one event; one that is missing is empty."""

    link: Json
    order: Json
    payment: Json


def translate(event: Json) -> Observed | Unhandled:
    """The fact in our words. Raises nothing but ``TranslationError``."""
    event_type = as_text(event.get("event")) or ""
    read = _FACTS.get(event_type)
    if read is None:
        return Unhandled("unhandled_type")
    sale = _read_sale(event)
    if not (sale.link or sale.order or sale.payment):
        raise TranslationError(f"{event_type}: payload holds no payment_link, order or payment")
    if not _is_one_time(sale):
        return Unhandled("not_a_one_time_payment")
    return observe("razorpay", event_type, _references(sale), partial(read, sale))


def _read_sale(event: Json) -> _Sale:
    payload = as_object(event.get("payload"))
    link, order, payment = (
        as_object(as_object(payload.get(name)).get("entity")) for name in ("payment_link", "order", "payment")
    )
    return _Sale(link, order, payment)


def _is_one_time(sale: _Sale) -> bool:
    """Payments of subscriptions, invoices and mandates name an invoice. Subscriptions hand their notes down to them, so
    that our order id in the notes proves nothing here; a payment link does."""
    return bool(sale.link) or as_text(sale.payment.get("invoice_id")) is None


def _references(sale: _Sale) -> References:
    """A link hands its notes down to its order and payment, which is how ``payment.captured`` knows whose it is."""
    notes = [as_object(entity.get("notes")) for entity in (sale.link, sale.order, sale.payment)]
    marks = texts(*(note.get("counterfoil") for note in notes))
    link_id = as_text(sale.link.get("id"))
    return References(
        order_ids=texts(
            sale.link.get("reference_id"), sale.order.get("receipt"), *(note.get("order_id") for note in notes)
        ),
        objects=texts(
            link_id,
            sale.order.get("id"),
            sale.payment.get("order_id"),
            sale.link.get("order_id"),
            sale.payment.get("id"),
        ),
        instance=marks[0] if marks else None,
        session_id=link_id,
    )


def _captured(sale: _Sale) -> OrderEvent:
    """``payment.captured``, ``order.paid`` and ``payment_link.paid`` are one fact, told by up to three events."""
    confirm(sale.link, "status", "paid")
    confirm(sale.order, "status", "paid")
    # A payment that was refunded since was captured all the same; its refunds are events of their own.
    confirm(sale.payment, "status", "captured", "refunded")
    confirm(sale.payment, "captured", True, "1")
    if not {"status", "captured"} & sale.payment.keys():
        raise Unreadable("payment.status is missing")
    return PaymentSucceeded(_payment_id(sale), _amount(sale))


def _authorised(sale: _Sale) -> OrderEvent:
    """Told as authorised even if it was captured meanwhile: the weaker claim, the stronger has an event of its own."""
    confirm(sale.payment, "status", "authorized", "captured", "refunded")
    return PaymentAuthorised(_payment_id(sale), _amount(sale))


def _failed(sale: _Sale) -> OrderEvent:
    """One attempt; Razorpay may still authorise it, for up to three days."""
    confirm(sale.payment, "status", "failed")
    amount = as_money(sale.payment.get("amount"), sale.payment.get("currency"))
    return PaymentFailed(_payment_id(sale), amount, read_failure(sale.payment))


def _ended(sale: _Sale) -> OrderEvent:
    confirm(sale.link, "status", "expired", "cancelled")
    return CheckoutEnded(needed(as_text(sale.link.get("id")), "payment_link.id"))


def _payment_id(sale: _Sale) -> str:
    return needed(as_text(sale.payment.get("id")), "payment.id")


def _amount(sale: _Sale) -> Money:
    """The payment's own figure: not the order's, which is what we asked for, nor ``base_amount``, in rupees."""
    return needed(as_money(sale.payment.get("amount"), sale.payment.get("currency")), "payment.amount with currency")


_FACTS: dict[str, Callable[[_Sale], OrderEvent]] = {
    "payment.authorized": _authorised,
    "payment.captured": _captured,
    "payment.failed": _failed,
    "order.paid": _captured,
    "payment_link.paid": _captured,
    "payment_link.expired": _ended,
    "payment_link.cancelled": _ended,
}

#: Every type that says something of a one-time payment.
EVENT_TYPES = frozenset(_FACTS)
