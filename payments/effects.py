"""What must follow a decision, outside our database: each kind once per subject, whoever caused it, however often."""

from __future__ import annotations

from enum import StrEnum

from payments.occurrence import Occurrence
from payments.order import OrderStatus


class EffectKind(StrEnum):
    """Also the first half of an effect's idempotency key, and the name operators see."""

    MAIL_PAYMENT_CONFIRMED = "mail.payment_confirmed"
    ANALYTICS_PAYMENT_COMPLETED = "analytics.payment_completed"
    NOTIFY_PAYMENT_COMPLETED = "notify.payment.completed"
    GATEWAY_CAPTURE_PAYMENT = "gateway.capture_payment"
    GATEWAY_REFUND_PAYMENT = "gateway.refund_payment"
    GATEWAY_MATCH_PAYOUT = "gateway.match_payout"

    MAIL_SUBSCRIPTION_STARTED = "mail.subscription_started"
    MAIL_SUBSCRIPTION_TRIAL_ENDING = "mail.subscription_trial_ending"
    MAIL_SUBSCRIPTION_UPCOMING_INVOICE = "mail.subscription_upcoming_invoice"
    MAIL_SUBSCRIPTION_RENEWED = "mail.subscription_renewed"
    MAIL_SUBSCRIPTION_RENEWAL_FAILED = "mail.subscription_renewal_failed"
    MAIL_SUBSCRIPTION_CARD_UPDATE_NEEDED = "mail.subscription_card_update_needed"
    MAIL_SUBSCRIPTION_PAYMENT_REMINDER = "mail.subscription_payment_reminder"
    MAIL_SUBSCRIPTION_PLAN_CHANGED = "mail.subscription_plan_changed"
    MAIL_SUBSCRIPTION_PAUSED = "mail.subscription_paused"
    MAIL_SUBSCRIPTION_RESUMED = "mail.subscription_resumed"
    MAIL_SUBSCRIPTION_CANCEL_SCHEDULED = "mail.subscription_cancel_scheduled"
    MAIL_SUBSCRIPTION_CANCELLED = "mail.subscription_cancelled"
    MAIL_ACCESS_SUSPENDED = "mail.access_suspended"
    MAIL_ACCESS_RESTORED = "mail.access_restored"

    NOTIFY_SUBSCRIPTION_STARTED = "notify.subscription.started"
    NOTIFY_SUBSCRIPTION_TRIAL_ENDING = "notify.subscription.trial_ending"
    NOTIFY_SUBSCRIPTION_UPCOMING_INVOICE = "notify.subscription.upcoming_invoice"
    NOTIFY_SUBSCRIPTION_RENEWED = "notify.subscription.renewed"
    NOTIFY_SUBSCRIPTION_RENEWAL_FAILED = "notify.subscription.renewal_failed"
    NOTIFY_SUBSCRIPTION_CARD_UPDATE_NEEDED = "notify.subscription.card_update_needed"
    NOTIFY_SUBSCRIPTION_PLAN_CHANGED = "notify.subscription.plan_changed"
    NOTIFY_SUBSCRIPTION_PAUSED = "notify.subscription.paused"
    NOTIFY_SUBSCRIPTION_RESUMED = "notify.subscription.resumed"
    NOTIFY_SUBSCRIPTION_CANCEL_SCHEDULED = "notify.subscription.cancel_scheduled"
    NOTIFY_SUBSCRIPTION_CANCELLED = "notify.subscription.cancelled"
    NOTIFY_ACCESS_SUSPENDED = "notify.access.suspended"
    NOTIFY_ACCESS_RESTORED = "notify.access.restored"

    GATEWAY_READ_SUBSCRIPTION = "gateway.read_subscription"
    GATEWAY_CANCEL_SUBSCRIPTION = "gateway.cancel_subscription"
    GATEWAY_FETCH_EVENT = "gateway.fetch_event"

    MAIL_REFUND_SUCCEEDED = "mail.refund_succeeded"
    NOTIFY_REFUND_SUCCEEDED = "notify.refund.succeeded"
    NOTIFY_REFUND_FAILED = "notify.refund.failed"
    NOTIFY_DISPUTE_OPENED = "notify.dispute.opened"
    NOTIFY_DISPUTE_CLOSED = "notify.dispute.closed"
    GATEWAY_READ_MONEY_BACK = "gateway.read_money_back"


#: What follows an order's move into a status. Unique per (kind, order) in the table, so a return to paid repeats none.
FOLLOWS: dict[OrderStatus, tuple[EffectKind, ...]] = {
    OrderStatus.PAID: (
        EffectKind.MAIL_PAYMENT_CONFIRMED,
        EffectKind.ANALYTICS_PAYMENT_COMPLETED,
        EffectKind.NOTIFY_PAYMENT_COMPLETED,
    ),
}

#: What follows each thing that happens to a subscription. Unique per (kind, subscription, what).
FOLLOWS_OCCURRENCE: dict[Occurrence, tuple[EffectKind, ...]] = {
    Occurrence.STARTED: (EffectKind.MAIL_SUBSCRIPTION_STARTED, EffectKind.NOTIFY_SUBSCRIPTION_STARTED),
    Occurrence.TRIAL_ENDING: (EffectKind.MAIL_SUBSCRIPTION_TRIAL_ENDING, EffectKind.NOTIFY_SUBSCRIPTION_TRIAL_ENDING),
    Occurrence.UPCOMING_INVOICE: (
        EffectKind.MAIL_SUBSCRIPTION_UPCOMING_INVOICE,
        EffectKind.NOTIFY_SUBSCRIPTION_UPCOMING_INVOICE,
    ),
    Occurrence.RENEWED: (EffectKind.MAIL_SUBSCRIPTION_RENEWED, EffectKind.NOTIFY_SUBSCRIPTION_RENEWED),
    Occurrence.RENEWAL_FAILED: (
        EffectKind.MAIL_SUBSCRIPTION_RENEWAL_FAILED,
        EffectKind.NOTIFY_SUBSCRIPTION_RENEWAL_FAILED,
    ),
    Occurrence.CARD_UPDATE_NEEDED: (
        EffectKind.MAIL_SUBSCRIPTION_CARD_UPDATE_NEEDED,
        EffectKind.NOTIFY_SUBSCRIPTION_CARD_UPDATE_NEEDED,
    ),
    # The application was told at the first failure; this is for the customer alone.
    Occurrence.PAYMENT_REMINDER: (EffectKind.MAIL_SUBSCRIPTION_PAYMENT_REMINDER,),
    Occurrence.GIVEN_UP: (EffectKind.GATEWAY_CANCEL_SUBSCRIPTION,),
    Occurrence.PLAN_CHANGED: (EffectKind.MAIL_SUBSCRIPTION_PLAN_CHANGED, EffectKind.NOTIFY_SUBSCRIPTION_PLAN_CHANGED),
    Occurrence.PAUSED: (EffectKind.MAIL_SUBSCRIPTION_PAUSED, EffectKind.NOTIFY_SUBSCRIPTION_PAUSED),
    Occurrence.RESUMED: (EffectKind.MAIL_SUBSCRIPTION_RESUMED, EffectKind.NOTIFY_SUBSCRIPTION_RESUMED),
    Occurrence.CANCEL_SCHEDULED: (
        EffectKind.MAIL_SUBSCRIPTION_CANCEL_SCHEDULED,
        EffectKind.NOTIFY_SUBSCRIPTION_CANCEL_SCHEDULED,
    ),
    Occurrence.CANCELLED: (EffectKind.MAIL_SUBSCRIPTION_CANCELLED, EffectKind.NOTIFY_SUBSCRIPTION_CANCELLED),
    Occurrence.ACCESS_SUSPENDED: (EffectKind.MAIL_ACCESS_SUSPENDED, EffectKind.NOTIFY_ACCESS_SUSPENDED),
    Occurrence.ACCESS_RESTORED: (EffectKind.MAIL_ACCESS_RESTORED, EffectKind.NOTIFY_ACCESS_RESTORED),
}


def idempotency_key(kind: EffectKind, subject_id: str, what: str = "") -> str:
    """The same for every attempt at the same effect, so that its receiver can drop a repeat. ``what`` tells apart what
    may happen to one subject several times."""
    return f"{kind}:{subject_id}:{what}" if what else f"{kind}:{subject_id}"
