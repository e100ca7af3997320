"""Razorpay's invoices of subscriptions in our words. Their webhooks are a reason to look: they do not say whether an
invoice was the first, a renewal's or a change's, which the subscription and its invoices, read together, show."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gateways.gateway import Json, Unhandled
from gateways.razorpay.entities import Entities, read_references
from gateways.razorpay.failures import read_failure
from gateways.razorpay.subscriptions import next_attempt_at, read_trial_end
from gateways.reading import as_money, as_text, as_time
from gateways.translating import as_address, as_attempts, could_be_ours, needed
from payments.events import SubscriptionTold
from payments.failure import Failure, FailureCode
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money

#: Razorpay's statuses in our words (razorpay.com/docs/api/payments/subscriptions/fetch-invoices, ``status``).
WORDS: dict[str, InvoiceStatus] = {
    "draft": InvoiceStatus.DRAFT,
    "issued": InvoiceStatus.OPEN,
    "partially_paid": InvoiceStatus.OPEN,
    "paid": InvoiceStatus.PAID,
    "expired": InvoiceStatus.UNCOLLECTIBLE,
    "cancelled": InvoiceStatus.VOID,
    "deleted": InvoiceStatus.VOID,
}

#: Of an attempt whose payment was not looked at.
UNEXPLAINED = Failure(FailureCode.UNKNOWN)

LONG_AGO = datetime.fromtimestamp(0, UTC)


def refuse(told: Entities) -> Unhandled | None:
    """An invoice that is not of a subscription is another's, whatever is written on it or on its payment. One that has
    a billing period, and bears our marks, is in a shape that is new to us."""
    if told.invoice.get("subscription_id") is not None:
        return None
    is_ours = told.invoice.get("billing_start") is not None and could_be_ours(read_references(told))
    return None if is_ours else Unhandled("not_of_a_subscription")


def invoice_settled(told: Entities) -> SubscriptionTold:
    """Paid, or expired. ``subscription.charged`` tells the former in full; if it is lost, this is what heals it."""
    needed(as_text(told.invoice.get("subscription_id")), "invoice.subscription_id")
    return SubscriptionTold(told_at=None)


def read_sighting(
    invoice: Json, subscription: Json, payments: Sequence[Json] = (), others: Sequence[Json] = ()
) -> InvoiceSighting:
    """An invoice as it is read with its subscription, and with the attempts at it and the other invoices where they
    were read too.

    Raises ``Unreadable``.
    """
    status = needed(WORDS.get(as_text(invoice.get("status")) or ""), "invoice.status")
    due = needed(as_money(invoice.get("amount"), invoice.get("currency")), "invoice.amount with currency")
    paid = _paid(invoice, due, status)
    is_owed = status is InvoiceStatus.OPEN and _is_of_this_cycle(invoice, subscription)
    attempts = as_attempts(subscription.get("auth_attempts")) if is_owed else 0
    payment_id = as_text(invoice.get("payment_id"))
    return InvoiceSighting(
        gateway_invoice_id=needed(as_text(invoice.get("id")), "invoice.id"),
        status=status,
        reason=_reason(invoice, subscription, others),
        due=due,
        paid=paid,
        period_start=as_time(invoice.get("billing_start")),
        period_end=as_time(invoice.get("billing_end")),
        number=as_text(invoice.get("invoice_number")),
        hosted_url=as_address(invoice.get("short_url")),
        attempts=attempts,
        next_attempt_at=next_attempt_at(subscription) if is_owed else None,
        failure=_failure(invoice, payments) if attempts else None,
        payment=InvoicePayment(payment_id, paid) if payment_id and status is InvoiceStatus.PAID else None,
        taken_at=as_time(invoice.get("paid_at")) if status is InvoiceStatus.PAID else None,
        price_id=as_text(subscription.get("plan_id")) if _begins_in_this_cycle(invoice, subscription) else None,
    )


def _paid(invoice: Json, due: Money, status: InvoiceStatus) -> Money:
    """Old invoices do not say how much of them is paid, but that they are."""
    if invoice.get("amount_paid") is None:
        return due if status is InvoiceStatus.PAID else Money(0, due.currency)
    return needed(as_money(invoice["amount_paid"], invoice.get("currency")), "invoice.amount_paid with currency")


def _reason(invoice: Json, subscription: Json, others: Sequence[Json]) -> InvoiceReason:
    """Cycles follow each other from the start on; what is billed from within one, the running one or another that has
    been invoiced, is a change of plan."""
    begins, starts_at = as_time(invoice.get("billing_start")), as_time(subscription.get("start_at"))
    if begins is None:
        return InvoiceReason.OTHER if starts_at else InvoiceReason.FIRST
    if begins == starts_at:
        return InvoiceReason.RENEWAL if read_trial_end(subscription) else InvoiceReason.FIRST
    cycles = [(subscription.get("current_start"), subscription.get("current_end"))]
    cycles += [(other.get("billing_start"), other.get("billing_end")) for other in others]
    is_within = any(_is_within(begins, as_time(start), as_time(end)) for start, end in cycles)
    return InvoiceReason.CHANGE if is_within else InvoiceReason.RENEWAL


def _is_within(begins: datetime, start: datetime | None, end: datetime | None) -> bool:
    return start is not None and end is not None and start < begins < end


def _begins_in_this_cycle(invoice: Json, subscription: Json) -> bool:
    """Only of what is billed now the subscription knows the plan."""
    begins, start, end = (
        as_time(each)
        for each in (invoice.get("billing_start"), subscription.get("current_start"), subscription.get("current_end"))
    )
    return begins is not None and start is not None and end is not None and start <= begins < end


def _is_of_this_cycle(invoice: Json, subscription: Json) -> bool:
    """Attempts are counted for the running cycle alone."""
    begins = as_time(invoice.get("billing_start"))
    return begins is not None and begins == as_time(subscription.get("current_start"))


def _failure(invoice: Json, payments: Sequence[Json]) -> Failure:
    """Why the newest attempt at it failed."""
    own = [each for each in payments if each.get("invoice_id") == invoice.get("id") and each.get("status") == "failed"]
    newest = max(own, key=lambda each: as_time(each.get("created_at")) or LONG_AGO, default=None)
    return UNEXPLAINED if newest is None else read_failure(newest)
