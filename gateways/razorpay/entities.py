"""What one Razorpay event is about: up to three entities of one affair, read from ``payload`` alone, since ``contains``
does not always say the same."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime

from gateways.gateway import Json
from gateways.reading import as_object, as_text, as_time, texts
from payments.events import References

#: The name of our subscription, which Razorpay's bears in its notes beside our order's.
OUR_SUBSCRIPTION = "subscription_id"


@dataclass(frozen=True, slots=True)
class Entities:
    """One that is missing is empty."""

    link: Json = field(default_factory=dict)
    order: Json = field(default_factory=dict)
    payment: Json = field(default_factory=dict)
    subscription: Json = field(default_factory=dict)
    invoice: Json = field(default_factory=dict)
    refund: Json = field(default_factory=dict)
    dispute: Json = field(default_factory=dict)
    settlement: Json = field(default_factory=dict)

    @property
    def are_missing(self) -> bool:
        return not any(getattr(self, each.name) for each in fields(self))

    @property
    def is_payment_of_invoice(self) -> bool:
        """Payments of subscriptions, invoices and mandates name an invoice; one that only proves a card does not, and
        may bear our subscription's notes. A payment link makes an invoice of its own kind, and is a sale none the less.
        """
        notes = (as_object(entity.get("notes")) for entity in (self.payment, self.order))
        is_subscriptions = any(OUR_SUBSCRIPTION in each for each in notes)
        return not self.link and (as_text(self.payment.get("invoice_id")) is not None or is_subscriptions)


def read_entities(event: Json) -> Entities:
    payload = as_object(event.get("payload"))
    names = ("payment_link", "order", "payment", "subscription", "invoice", "refund", "dispute", "settlement")
    return Entities(*(as_object(as_object(payload.get(name)).get("entity")) for name in names))


def read_time(event: Json) -> datetime | None:
    """Some events bear their time in the payload, some nowhere."""
    return as_time(event.get("created_at")) or as_time(as_object(event.get("payload")).get("created_at"))


def read_references(told: Entities) -> References:
    """A link hands its notes down to its order and payment, which is how ``payment.captured`` knows whose it is. A
    subscription keeps its notes: of its invoices and payments, only the names tell. It is its own hosted page. Refunds
    and disputes name their payment, and come with it."""
    bearers = (told.link, told.order, told.payment, told.subscription, told.invoice, told.refund)
    notes = [as_object(entity.get("notes")) for entity in bearers]
    marks = texts(*(note.get("counterfoil") for note in notes))
    link_id, own_id = as_text(told.link.get("id")), as_text(told.subscription.get("id"))
    subscription_id = own_id or as_text(told.invoice.get("subscription_id"))
    return References(
        order_ids=texts(
            told.link.get("reference_id"), told.order.get("receipt"), *(note.get("order_id") for note in notes)
        ),
        objects=texts(
            link_id,
            subscription_id,
            told.invoice.get("id"),
            None if told.link else told.payment.get("invoice_id"),
            told.order.get("id"),
            told.payment.get("order_id"),
            told.link.get("order_id"),
            told.payment.get("id"),
            told.refund.get("payment_id"),
            told.dispute.get("payment_id"),
        ),
        instance=marks[0] if marks else None,
        session_id=link_id or own_id,
        subscription_id=subscription_id,
    )
