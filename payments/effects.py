"""What must follow a decision, outside our database: each kind once per subject, whoever caused it, however often."""

from __future__ import annotations

from enum import StrEnum

from payments.order import OrderStatus


class EffectKind(StrEnum):
    """Also the first half of an effect's idempotency key, and the name operators see."""

    MAIL_PAYMENT_CONFIRMED = "mail.payment_confirmed"
    ANALYTICS_PAYMENT_COMPLETED = "analytics.payment_completed"
    NOTIFY_PAYMENT_COMPLETED = "notify.payment.completed"
    GATEWAY_CAPTURE_PAYMENT = "gateway.capture_payment"


#: What follows an order's move into a status. Unique per (kind, order) in the table, so a return to paid repeats none.
FOLLOWS: dict[OrderStatus, tuple[EffectKind, ...]] = {
    OrderStatus.PAID: (
        EffectKind.MAIL_PAYMENT_CONFIRMED,
        EffectKind.ANALYTICS_PAYMENT_COMPLETED,
        EffectKind.NOTIFY_PAYMENT_COMPLETED,
    ),
}


def idempotency_key(kind: EffectKind, subject_id: str) -> str:
    """The same for every attempt at the same effect, so that its receiver can drop a repeat."""
    return f"{kind}:{subject_id}"
