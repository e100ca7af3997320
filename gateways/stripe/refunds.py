"""Stripe's refunds in our words, and what a charge says of all of its refunds together.

One refund is told by several events (``refund.created``, ``.updated``, ``.failed``, and ``charge.refund.updated`` for
some methods of payment), each with the whole refund: its own status is believed, whatever the event is called.
``charge.refunded`` repeats with every partial refund, and since 2022-11-15 does not list them: it is a sum to check by.
"""

from __future__ import annotations

from gateways.gateway import Json, Unhandled
from gateways.reading import as_id, as_money, as_object, as_text, texts
from gateways.translating import confirm, needed
from payments.events import PaymentNamed, References, RefundsTotalled, RefundTold
from payments.money import Money
from payments.refund import RefundReason, RefundStatus

#: Stripe's statuses in our words (docs.stripe.com/api/refunds/object, ``status``).
WORDS: dict[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,  # the customer has to name a bank account first
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.CANCELLED,
}

#: Our reasons in Stripe's words; of any other it is told nothing.
REASONS: dict[RefundReason, str] = {
    RefundReason.REQUESTED_BY_CUSTOMER: "requested_by_customer",
    RefundReason.DUPLICATE: "duplicate",
    RefundReason.FRAUDULENT: "fraudulent",
}
_OUR_REASONS = {word: reason for reason, word in REASONS.items()}

#: The name of our own row, which a refund of ours bears in its metadata.
OUR_REFUND = "refund_id"


def refuse_refund(refund: Json) -> Unhandled | None:
    """An authorisation that nobody captured in time ends as a refund of what was never taken."""
    return Unhandled("never_captured") if refund.get("reason") == "expired_uncaptured_charge" else None


def refuse_charge(charge: Json) -> Unhandled | None:
    """The same, of a charge; what a cancelled one means, its payment intent tells."""
    return Unhandled("never_captured") if charge.get("captured") is False else None


def read_references(told: Json) -> References:
    """Of a charge or of a refund, which names its charge."""
    metadata = as_object(told.get("metadata"))
    payment = name_payment(told)
    return References(
        order_ids=texts(metadata.get("order_id")),
        objects=texts(payment.gateway_payment_id, payment.charge_id),
        instance=as_text(metadata.get("counterfoil")),
    )


def name_payment(told: Json) -> PaymentNamed:
    """Whose money a charge, a refund, a dispute or a warning speaks of, as far as it says so."""
    charge = told.get("id") if told.get("object") == "charge" else told.get("charge")
    return PaymentNamed(as_id(told.get("payment_intent")), as_id(charge))


def the_payment(told: Json) -> PaymentNamed:
    """Raises ``Unreadable`` where it names none."""
    named = name_payment(told)
    needed(named.gateway_payment_id or named.charge_id, "charge")
    return named


def refund_told(refund: Json) -> RefundTold:
    confirm(refund, "object", "refund")
    metadata = as_object(refund.get("metadata"))
    return RefundTold(
        gateway_refund_id=needed(as_text(refund.get("id")), "id"),
        payment=the_payment(refund),
        amount=needed(as_money(refund.get("amount"), refund.get("currency")), "amount with currency"),
        status=needed(WORDS.get(as_text(refund.get("status")) or ""), "status"),
        reason=_OUR_REASONS.get(as_text(refund.get("reason")) or "", RefundReason.OTHER),
        refund_id=as_text(metadata.get(OUR_REFUND)),
        failure=as_text(refund.get("failure_reason")),
    )


def charge_refunded(charge: Json) -> RefundsTotalled:
    confirm(charge, "object", "charge")
    return RefundsTotalled(the_payment(charge), _refunded(charge))


def _refunded(charge: Json) -> Money:
    """What a partial capture left over counts as refunded with Stripe, and was never taken."""
    told = (
        as_money(charge.get(name), charge.get("currency")) for name in ("amount_refunded", "amount", "amount_captured")
    )
    refunded, amount, captured = told
    refunded = needed(refunded, "amount_refunded with currency")
    left_over = amount.minor - captured.minor if amount and captured else 0
    return Money(max(0, refunded.minor - max(0, left_over)), refunded.currency)
