"""Razorpay's subscriptions in our words: one table of statuses, and what each of their events adds.

Razorpay does not say: that a subscription is set to end with its cycle; which invoice a ``pending`` or ``halted`` one
waits for, or for how much (only a look at its invoices tells); that one has expired.

Sources: razorpay.com/docs/webhooks/subscriptions and razorpay.com/docs/payments/subscriptions/states.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateways.gateway import Json
from gateways.razorpay.entities import Entities
from gateways.razorpay.failures import read_failure
from gateways.reading import as_money, as_text, as_time
from gateways.translating import as_attempts, confirm, needed
from payments.events import SubscriptionTold
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.snapshot import ENDED, Snapshot, SubscriptionStatus

#: Razorpay's statuses in our words (razorpay.com/docs/api/payments/subscriptions/entity, ``status``).
WORDS: dict[str, SubscriptionStatus] = {
    "created": SubscriptionStatus.INCOMPLETE,
    "authenticated": SubscriptionStatus.TRIALING,  # or incomplete, where its first charge is due at once
    "active": SubscriptionStatus.ACTIVE,
    "pending": SubscriptionStatus.PAST_DUE,
    "halted": SubscriptionStatus.UNPAID,
    "paused": SubscriptionStatus.PAUSED,
    "cancelled": SubscriptionStatus.CANCELLED,
    "completed": SubscriptionStatus.EXPIRED,
    "expired": SubscriptionStatus.EXPIRED,
}

#: A start that lies this far behind the making of the subscription was asked for, and what comes before it is a trial.
#: Without one, it starts when the customer pays, which is before ``expire_by`` where the page has an end.
TRIAL_MIN = timedelta(days=1)

#: A cycle is paid for in the moment in which it begins, if at the first attempt; this much is for the bank.
STARTS_WITHIN = timedelta(minutes=5)


def subscription_told(told: Entities) -> SubscriptionTold:
    """How it is now: authenticated, activated, updated, paused, resumed. The entity is believed, not the type: what is
    paused before it has begun is cancelled (F79)."""
    return SubscriptionTold(None, snapshot=read_snapshot(told.subscription))


def subscription_over(told: Entities) -> SubscriptionTold:
    confirm(told.subscription, "status", "cancelled", "completed")
    return SubscriptionTold(None, snapshot=read_snapshot(told.subscription))


def subscription_charged(told: Entities) -> SubscriptionTold:
    """Money for the cycle that runs. Where it does not say of which invoice, or for what, it is a reason to look:
    booked under any other name, the invoice would be there twice once it is read."""
    confirm(told.payment, "status", "captured", "refunded")
    confirm(told.payment, "captured", True, "1")
    snapshot, payment_id, paid = read_snapshot(told.subscription), _payment_id(told), _amount(told)
    invoice_id, reason = as_text(told.payment.get("invoice_id")), _reason(told)
    if invoice_id is None or reason is None:
        return SubscriptionTold(told_at=None)
    sighting = InvoiceSighting(
        gateway_invoice_id=invoice_id,
        status=InvoiceStatus.PAID,
        reason=reason,
        due=paid,
        paid=paid,
        period_start=snapshot.period_start,
        period_end=snapshot.period_end,
        payment=InvoicePayment(payment_id, paid),
        price_id=snapshot.price_id,
    )
    return SubscriptionTold(None, snapshot=snapshot, invoice=sighting)


def tells_whole(told: Entities) -> bool:
    """Whether a charge says which invoice it has paid, and for what."""
    return as_text(told.payment.get("invoice_id")) is not None and _reason(told) is not None


def subscription_failing(told: Entities) -> SubscriptionTold:
    """Each failed attempt repeats the event (F82). The attempt's own payment is rarely there."""
    snapshot = read_snapshot(told.subscription)
    return SubscriptionTold(None, snapshot=snapshot, invoice=_failing_invoice(told, snapshot))


def read_snapshot(subscription: Json) -> Snapshot:
    """Raises ``Unreadable``."""
    status = _status(subscription)
    end = as_time(subscription.get("current_end"))
    if status not in ENDED | {SubscriptionStatus.INCOMPLETE, SubscriptionStatus.TRIALING}:
        needed(end, "subscription.current_end")
    return Snapshot(
        gateway_subscription_id=needed(as_text(subscription.get("id")), "subscription.id"),
        status=status,
        customer_id=as_text(subscription.get("customer_id")),
        price_id=needed(as_text(subscription.get("plan_id")), "subscription.plan_id"),
        period_start=as_time(subscription.get("current_start")),
        period_end=end,
        trial_end=read_trial_end(subscription),
        ended_at=read_end(subscription),
        has_pending_change=subscription.get("has_scheduled_changes") is True,
        tells_end=False,
    )


def read_end(subscription: Json) -> datetime | None:
    """When it ended, or will; None while nobody has ended it."""
    has_ended = WORDS.get(as_text(subscription.get("status")) or "") in ENDED
    return _ended_at(subscription) if has_ended else None


def read_trial_end(subscription: Json) -> datetime | None:
    starts_at, created_at = as_time(subscription.get("start_at")), as_time(subscription.get("created_at"))
    pays_until = as_time(subscription.get("expire_by")) or (created_at and created_at + TRIAL_MIN)
    return starts_at if starts_at and pays_until and starts_at > pays_until else None


def next_attempt_at(subscription: Json) -> datetime | None:
    """A halted one is not charged again for what it owes."""
    return as_time(subscription.get("charge_at")) if subscription.get("status") == "pending" else None


def _status(subscription: Json) -> SubscriptionStatus:
    word = as_text(subscription.get("status")) or ""
    status = needed(WORDS.get(word), "subscription.status")
    is_due_at_once = word == "authenticated" and read_trial_end(subscription) is None
    return SubscriptionStatus.INCOMPLETE if is_due_at_once else status


def _ended_at(subscription: Json) -> datetime | None:
    """``completed`` is told when the last cycle begins, which is paid for to its end. ``expired`` has no time of its
    own: it came when the customer could no longer begin."""
    told = as_time(subscription.get("ended_at"))
    match subscription.get("status"):
        case "completed":
            return max(filter(None, (told, as_time(subscription.get("current_end")))), default=None)
        case "expired":
            return told or as_time(subscription.get("expire_by")) or as_time(subscription.get("start_at"))
        case _:
            return told


def _reason(told: Entities) -> InvoiceReason | None:
    """The first cycle is that which began when the subscription did. After a trial its money is a renewal; without one
    it came with the start, and what comes later in it is for a change of plan. What comes later in another cycle is
    that, or a renewal that was tried again: None, its invoice tells which, once it is read."""
    starts_at, cycle_at = (as_time(told.subscription.get(name)) for name in ("start_at", "current_start"))
    paid_at = as_time(told.payment.get("created_at"))
    is_later = paid_at is not None and cycle_at is not None and paid_at > cycle_at + STARTS_WITHIN
    if starts_at is None or starts_at != cycle_at or read_trial_end(told.subscription) is not None:
        return None if is_later else InvoiceReason.RENEWAL
    return InvoiceReason.CHANGE if is_later else InvoiceReason.FIRST


def _failing_invoice(told: Entities, snapshot: Snapshot) -> InvoiceSighting | None:
    invoice_id = as_text(told.payment.get("invoice_id"))
    if invoice_id is None or told.payment.get("status") != "failed":
        return None
    due = _amount(told)
    return InvoiceSighting(
        gateway_invoice_id=invoice_id,
        status=InvoiceStatus.OPEN,
        reason=InvoiceReason.RENEWAL,
        due=due,
        paid=Money(0, due.currency),
        period_start=snapshot.period_start,
        period_end=snapshot.period_end,
        attempts=max(1, as_attempts(told.subscription.get("auth_attempts"))),
        next_attempt_at=next_attempt_at(told.subscription),
        failure=read_failure(told.payment),
        price_id=snapshot.price_id,
    )


def _payment_id(told: Entities) -> str:
    return needed(as_text(told.payment.get("id")), "payment.id")


def _amount(told: Entities) -> Money:
    return needed(as_money(told.payment.get("amount"), told.payment.get("currency")), "payment.amount with currency")
