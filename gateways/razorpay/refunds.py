"""Razorpay's refunds in our words. Each event comes with the whole refund and its payment; the refund's own status is
believed, whatever the event is called: most are processed when they are told as created."""

from __future__ import annotations

from gateways.gateway import Json, Unhandled
from gateways.razorpay.entities import Entities
from gateways.reading import as_money, as_object, as_text
from gateways.translating import Unreadable, needed
from payments.events import PaymentCancelled, PaymentNamed, RefundsTotalled, RefundTold
from payments.money import Money
from payments.refund import RefundReason, RefundStatus

#: Razorpay's statuses in our words (razorpay.com/docs/api/refunds/entity, ``status``).
WORDS: dict[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "processed": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
}

#: Razorpay knows no reasons, and our own row by nothing but these notes.
OUR_REFUND, OUR_REASON = "refund_id", "reason"


def refuse(told: Entities) -> Unhandled | None:
    """A payment that only proved a card goes back at once, captured or not, and was nobody's sale."""
    proved_a_card = told.is_payment_of_invoice and as_text(told.payment.get("invoice_id")) is None
    return Unhandled("told_by_its_invoice") if proved_a_card else None


def refund_told(told: Entities) -> RefundTold | PaymentCancelled:
    """What nobody captured goes back by itself, days after it was promised, and is told as a refund: nothing was ever
    taken (F72)."""
    if was_never_captured(told.payment):
        return PaymentCancelled(_payment_id(told), _amount(told.refund, "refund"))
    notes = as_object(told.refund.get("notes"))
    return RefundTold(
        gateway_refund_id=needed(as_text(told.refund.get("id")), "refund.id"),
        payment=PaymentNamed(_payment_id(told)),
        amount=_amount(told.refund, "refund"),
        status=needed(WORDS.get(as_text(told.refund.get("status")) or ""), "refund.status"),
        reason=_read_reason(notes.get(OUR_REASON)),
        refund_id=as_text(notes.get(OUR_REFUND)),
        refunded_in_all=as_money(told.payment.get("amount_refunded"), told.payment.get("currency")),
    )


def was_never_captured(payment: Json) -> bool:
    return payment.get("captured") in (False, "0")


def read_total(payment: Json) -> RefundsTotalled:
    """What a payment says of all its refunds together. Raises ``Unreadable``."""
    refunded = as_money(payment.get("amount_refunded"), payment.get("currency"))
    payment_id = needed(as_text(payment.get("id")), "payment.id")
    return RefundsTotalled(PaymentNamed(payment_id), needed(refunded, "payment.amount_refunded with currency"))


def _payment_id(told: Entities) -> str:
    """Where a refund and the payment beside it do not name the same one, nobody can say whose money it is."""
    own, beside = as_text(told.refund.get("payment_id")), as_text(told.payment.get("id"))
    if own is not None and beside is not None and own != beside:
        raise Unreadable("refund.payment_id contradicts payment.id")
    return needed(own or beside, "refund.payment_id")


def _amount(entity: Json, name: str) -> Money:
    return needed(as_money(entity.get("amount"), entity.get("currency")), f"{name}.amount with currency")


def _read_reason(word: object) -> RefundReason:
    return next((reason for reason in RefundReason if reason == word), RefundReason.OTHER)
