"""Razorpay's words in ours: one line for each event type. Sales are read here; subscriptions, invoices and money that
goes back in modules of their own.

Where an entity and the event's type contradict each other, the entity is believed and nothing is granted or closed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateways.gateway import Json, TranslationError, Unhandled
from gateways.razorpay import disputes, invoices, payouts, refunds, subscriptions
from gateways.razorpay.entities import Entities, read_entities, read_references, read_time
from gateways.razorpay.failures import read_failure
from gateways.reading import as_money, as_text
from gateways.translating import Unreadable, confirm, needed, observe
from payments.events import (
    CheckoutEnded,
    Event,
    Observed,
    OrderEvent,
    PaymentAuthorised,
    PaymentFailed,
    PaymentSucceeded,
    References,
    SubscriptionTold,
)
from payments.money import Money


def translate(event: Json) -> Observed | Unhandled:
    """The fact in our words. Raises nothing but ``TranslationError``."""
    event_type = as_text(event.get("event")) or ""
    read = _FACTS.get(event_type)
    if read is None:
        return Unhandled("unhandled_type")
    told = read_entities(event)
    if told.are_missing:
        raise TranslationError(f"{event_type}: payload holds none of its entities")
    if refusal := _refuse(event_type, told):
        return refusal
    return observe("razorpay", event_type, _names(event_type, told), partial(read, told), read_time(event))


def _refuse(event_type: str, told: Entities) -> Unhandled | None:
    if event_type.startswith("invoice."):
        return invoices.refuse(told)
    if event_type.startswith("refund."):
        return refunds.refuse(told)
    is_told_elsewhere = event_type in _OF_A_SALE and told.is_payment_of_invoice
    return Unhandled("told_by_its_invoice") if is_told_elsewhere else None


def _names(event_type: str, told: Entities) -> References:
    """Of a charge or an invoice that is only a reason to look, the payment is left out: a name that is learnt before
    the payment is recorded would make second money of the payment's own event."""
    is_a_charge_told_whole = event_type == "subscription.charged" and subscriptions.tells_whole(told)
    if event_type not in _OF_AN_INVOICE or is_a_charge_told_whole:
        return read_references(told)
    return read_references(Entities(subscription=told.subscription, invoice=told.invoice))


def _captured(told: Entities) -> OrderEvent:
    """``payment.captured``, ``order.paid`` and ``payment_link.paid`` are one fact, told by up to three events."""
    confirm(told.link, "status", "paid")
    confirm(told.order, "status", "paid")
    # A payment that was refunded since was captured all the same; its refunds are events of their own.
    confirm(told.payment, "status", "captured", "refunded")
    confirm(told.payment, "captured", True, "1")
    if not {"status", "captured"} & told.payment.keys():
        raise Unreadable("payment.status is missing")
    return PaymentSucceeded(_payment_id(told), _amount(told), _fee(told.payment))


def _authorised(told: Entities) -> OrderEvent:
    """Told as authorised even if it was captured meanwhile: the weaker claim, the stronger has an event of its own."""
    confirm(told.payment, "status", "authorized", "captured", "refunded")
    return PaymentAuthorised(_payment_id(told), _amount(told))


def _failed(told: Entities) -> OrderEvent | SubscriptionTold:
    """One attempt; Razorpay may still authorise it, for up to three days. At an invoice, it does not say which attempt
    at which cycle: a reason to look."""
    if told.is_payment_of_invoice:
        return SubscriptionTold(told_at=None)
    confirm(told.payment, "status", "failed")
    amount = as_money(told.payment.get("amount"), told.payment.get("currency"))
    return PaymentFailed(_payment_id(told), amount, read_failure(told.payment))


def _ended(told: Entities) -> OrderEvent:
    confirm(told.link, "status", "expired", "cancelled")
    return CheckoutEnded(needed(as_text(told.link.get("id")), "payment_link.id"))


def _payment_id(told: Entities) -> str:
    return needed(as_text(told.payment.get("id")), "payment.id")


def _amount(told: Entities) -> Money:
    """The payment's own figure: not the order's, which is what we asked for, nor ``base_amount``, in rupees."""
    return needed(as_money(told.payment.get("amount"), told.payment.get("currency")), "payment.amount with currency")


def _fee(payment: Json) -> Money | None:
    """Kept in the currency of the account: of a payment in another, whose ``base_amount`` is another figure, we could
    not say in which. 0 is told of payments too whose fee is not known yet."""
    is_foreign = payment.get("base_amount", payment.get("amount")) != payment.get("amount")
    fee = None if is_foreign else as_money(payment.get("fee"), payment.get("currency"))
    return fee if fee and fee.minor else None


_FACTS: dict[str, Callable[[Entities], Event]] = {
    "payment.authorized": _authorised,
    "payment.captured": _captured,
    "payment.failed": _failed,
    "order.paid": _captured,
    "payment_link.paid": _captured,
    "payment_link.expired": _ended,
    "payment_link.cancelled": _ended,
    "subscription.authenticated": subscriptions.subscription_told,
    "subscription.activated": subscriptions.subscription_told,
    "subscription.charged": subscriptions.subscription_charged,
    "subscription.updated": subscriptions.subscription_told,
    "subscription.pending": subscriptions.subscription_failing,
    "subscription.halted": subscriptions.subscription_failing,
    "subscription.paused": subscriptions.subscription_told,
    "subscription.resumed": subscriptions.subscription_told,
    "subscription.cancelled": subscriptions.subscription_over,
    "subscription.completed": subscriptions.subscription_over,
    "invoice.paid": invoices.invoice_settled,
    "invoice.expired": invoices.invoice_settled,
    "refund.created": refunds.refund_told,
    "refund.processed": refunds.refund_told,
    "refund.failed": refunds.refund_told,
    "refund.speed_changed": refunds.refund_told,
    "payment.dispute.created": disputes.dispute_told,
    "payment.dispute.under_review": disputes.dispute_told,
    "payment.dispute.action_required": disputes.dispute_told,
    "payment.dispute.won": disputes.dispute_told,
    "payment.dispute.lost": disputes.dispute_told,
    "payment.dispute.closed": disputes.dispute_told,
    "settlement.processed": payouts.settlement_told,
}

#: What a sale is told by; of a payment for an invoice, the events of the invoice or of its subscription tell more.
_OF_A_SALE = frozenset({"payment.authorized", "payment.captured", "order.paid"})

#: What names the payment of an invoice.
_OF_AN_INVOICE = frozenset({"subscription.charged", "invoice.paid", "invoice.expired"})

#: Every type that says something of an order, a subscription, or money.
EVENT_TYPES = frozenset(_FACTS)
