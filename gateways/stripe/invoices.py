"""Stripe's invoices in our words, in every API shape: what is asked for, for which period, and how its money has come.

Where each field is kept, before and since 2025-03-31 (Basil):

subscription    ``subscription``, else ``parent.subscription_details.subscription``
our marks       ``subscription_details.metadata``, else ``parent.subscription_details.metadata``; the lines have copies
payment         ``payment_intent`` or ``charge``, else ``payments.data[].payment``, which webhooks leave out: there the
                payment of a paid invoice has no name, and ``invoice_payment.paid`` is a reason to look
lines           ``type`` and ``proration``, else ``parent.subscription_item_details``
price           ``price`` of a line, ``plan`` before 2020, else ``pricing.price_details.price``
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gateways.gateway import Json, Unhandled
from gateways.reading import as_id, as_money, as_object, as_text, as_time, texts
from gateways.stripe.failures import read_advice, read_failure
from gateways.translating import as_address, as_attempts, confirm, could_be_ours, needed
from payments.events import References, SubscriptionTold, UpcomingInvoice
from payments.failure import Failure, FailureCode
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money

#: Stripe's statuses in our words (docs.stripe.com/api/invoices/object, ``status``).
WORDS: dict[str, InvoiceStatus] = {
    "draft": InvoiceStatus.DRAFT,
    "open": InvoiceStatus.OPEN,
    "paid": InvoiceStatus.PAID,
    "void": InvoiceStatus.VOID,
    "uncollectible": InvoiceStatus.UNCOLLECTIBLE,
}

#: ``billing_reason``; every other is a person's doing, or a threshold's.
REASONS: dict[str, InvoiceReason] = {
    "subscription_create": InvoiceReason.FIRST,
    "subscription_cycle": InvoiceReason.RENEWAL,
    "subscription_update": InvoiceReason.CHANGE,
}

#: Of an attempt whose reason the event does not hold: only the payment's own events do, and a look at it.
UNEXPLAINED = Failure(FailureCode.UNKNOWN)

#: The customer has to confirm at their bank; nobody has refused anything.
UNCONFIRMED = Failure(FailureCode.AUTHENTICATION_REQUIRED, "authentication_required")


def refuse(invoice: Json) -> Unhandled | None:
    """An invoice that is not of a subscription is another's, whatever is written on it. One that says that a
    subscription made it, and bears our marks, is in a shape that is new to us."""
    if _subscription_id(invoice) is not None:
        return None
    is_a_subscriptions = (as_text(invoice.get("billing_reason")) or "").startswith("subscription")
    is_ours = is_a_subscriptions and could_be_ours(read_references(invoice))
    return None if is_ours else Unhandled("not_of_a_subscription")


def read_references(invoice: Json) -> References:
    marks = list(_marks(invoice))
    instances = texts(*(each.get("counterfoil") for each in marks))
    return References(
        order_ids=texts(*(each.get("order_id") for each in marks)),
        objects=texts(_subscription_id(invoice), invoice.get("id"), *_payment_ids(invoice)),
        instance=instances[0] if instances else None,
        subscription_id=_subscription_id(invoice),
    )


def invoice_told(invoice: Json) -> SubscriptionTold:
    """How it is now: one over 0 is paid as soon as it is made."""
    return SubscriptionTold(None, invoice=_sight(invoice, _told_failure(invoice)))


def invoice_paid(invoice: Json) -> SubscriptionTold:
    """By a payment, or out of band, or because nothing was due."""
    confirm(invoice, "status", "paid")
    confirm(invoice, "paid", True)
    return SubscriptionTold(None, invoice=_sight(invoice, None))


def invoice_failed(invoice: Json) -> SubscriptionTold:
    """An attempt was declined. Whether there will be another, ``next_payment_attempt`` says."""
    confirm(invoice, "status", "open", "uncollectible")
    confirm(invoice, "paid", False)
    return SubscriptionTold(None, invoice=_sight(invoice, _told_failure(invoice) or UNEXPLAINED, attempts_min=1))


def invoice_unconfirmed(invoice: Json) -> SubscriptionTold:
    confirm(invoice, "status", "open", "uncollectible")
    confirm(invoice, "paid", False)
    return SubscriptionTold(None, invoice=_sight(invoice, UNCONFIRMED, attempts_min=1))


def invoice_not_finalised(invoice: Json) -> SubscriptionTold:
    """Stripe cannot make it final, for a reason of the account's or of the customer's address: no card was tried."""
    confirm(invoice, "status", "draft")
    error = as_object(invoice.get("last_finalization_error"))
    reason = as_text(error.get("code")) or as_text(error.get("type")) or "finalization_failed"
    return SubscriptionTold(None, invoice=_sight(invoice, Failure(FailureCode.GATEWAY_ERROR, reason)))


def invoice_voided(invoice: Json) -> SubscriptionTold:
    confirm(invoice, "status", "void")
    return SubscriptionTold(None, invoice=_sight(invoice, None))


def invoice_given_up(invoice: Json) -> SubscriptionTold:
    confirm(invoice, "status", "uncollectible")
    return SubscriptionTold(None, invoice=_sight(invoice, _told_failure(invoice)))


def invoice_upcoming(invoice: Json) -> SubscriptionTold:
    """It has no id, as there is none yet (F16). Its own period ends where it will be made, in every repeat of this."""
    needed(_subscription_id(invoice), "subscription")
    at = as_time(invoice.get("period_end")) or as_time(invoice.get("next_payment_attempt"))
    return SubscriptionTold(None, upcoming=UpcomingInvoice(_amount(invoice, "amount_due"), at))


def payment_references(payment: Json) -> References:
    """An ``invoice_payment`` knows its invoice, and nothing of whose it is. Its payment is left out: a name that is
    learnt before the payment is recorded would make second money of the payment's own event."""
    return References(objects=texts(as_id(payment.get("invoice"))))


def invoice_payment_paid(payment: Json) -> SubscriptionTold:
    """A reason to look: the invoice, read again, says by what it was paid."""
    confirm(payment, "status", "paid")
    return SubscriptionTold(told_at=None)


def _sight(invoice: Json, failure: Failure | None, *, attempts_min: int = 0) -> InvoiceSighting:
    confirm(invoice, "object", "invoice")
    needed(_subscription_id(invoice), "subscription")
    status = needed(WORDS.get(as_text(invoice.get("status")) or ""), "status")
    due = _amount(invoice, "amount_due")
    paid = _amount(invoice, "amount_paid")
    start, end = _period(invoice)
    return InvoiceSighting(
        gateway_invoice_id=needed(as_text(invoice.get("id")), "id"),
        status=status,
        reason=REASONS.get(as_text(invoice.get("billing_reason")) or "", InvoiceReason.OTHER),
        due=due,
        paid=paid,
        period_start=start,
        period_end=end,
        number=as_text(invoice.get("number")),
        hosted_url=as_address(invoice.get("hosted_invoice_url")),
        attempts=max(attempts_min, as_attempts(invoice.get("attempt_count"))),
        next_attempt_at=_next_attempt_at(invoice, status),
        failure=failure,
        advice=read_advice(_error(invoice)) if failure else None,
        payment=_payment(invoice, paid) if status is InvoiceStatus.PAID else None,
        has_proration=any(_is_proration(line) for line in _lines(invoice)),
        taken_at=read_payment_time(invoice) if status is InvoiceStatus.PAID else None,
        price_id=_price_id(invoice),
    )


def read_payment_time(invoice: Json) -> datetime | None:
    return as_time(as_object(invoice.get("status_transitions")).get("paid_at"))


def _subscription_id(invoice: Json) -> str | None:
    details = as_object(as_object(invoice.get("parent")).get("subscription_details"))
    return as_id(invoice.get("subscription")) or as_id(details.get("subscription"))


def _marks(invoice: Json) -> Iterator[Json]:
    """Metadata that may be ours, the subscription's first: an invoice's own is what somebody wrote on it."""
    parent = as_object(as_object(invoice.get("parent")).get("subscription_details"))
    for holder in (parent, as_object(invoice.get("subscription_details")), invoice, *_lines(invoice)):
        yield as_object(holder.get("metadata"))


def _lines(invoice: Json) -> Iterator[Json]:
    data = as_object(invoice.get("lines")).get("data")
    yield from map(as_object, data if isinstance(data, list) else ())


def _period(invoice: Json) -> tuple[datetime | None, datetime | None]:
    """The latest period that a line of the subscription asks for. A proration's is what is left of one that was billed
    before, and the invoice's own looks one period back (docs.stripe.com/api/invoices/object)."""
    periods = [as_object(line.get("period")) for line in _lines(invoice) if _is_service(line)]
    told = [(end, as_time(each.get("start"))) for each in periods if (end := as_time(each.get("end")))]
    end, start = max(told, key=lambda each: each[0], default=(None, None))
    return start, end


def _price_id(invoice: Json) -> str | None:
    """Of what it bills; a change within a period is billed by what is added for the rest of it."""
    lines = [line for line in _lines(invoice) if _is_service(line)]
    lines += [line for line in _lines(invoice) if _is_proration(line) and not str(line.get("amount")).startswith("-")]
    return next(filter(None, map(_price_of, lines)), None)


def _price_of(line: Json) -> str | None:
    priced = as_object(as_object(line.get("pricing")).get("price_details"))
    return as_id(line.get("price")) or as_id(line.get("plan")) or as_id(priced.get("price"))


def _is_service(line: Json) -> bool:
    parent = as_object(line.get("parent"))
    is_subscriptions = line.get("type") == "subscription" or parent.get("type") == "subscription_item_details"
    return is_subscriptions and not _is_proration(line)


def _is_proration(line: Json) -> bool:
    parent = as_object(line.get("parent"))
    details = (as_object(parent.get(f"{of}_details")) for of in ("subscription_item", "invoice_item"))
    return any(holder.get("proration") is True for holder in (line, *details))


def _next_attempt_at(invoice: Json, status: InvoiceStatus) -> datetime | None:
    """A draft's is when it becomes final, which is no attempt at anything that has failed."""
    return as_time(invoice.get("next_payment_attempt")) if status is InvoiceStatus.OPEN else None


def _told_failure(invoice: Json) -> Failure | None:
    """Only where the payment is there whole, and the invoice still waits for its money."""
    is_waiting = invoice.get("status") in ("open", "uncollectible")
    error = _error(invoice)
    return read_failure(error) if is_waiting and error else None


def _error(invoice: Json) -> Json:
    """What the payment of the invoice says of its last attempt, if somebody asked Stripe to expand it."""
    intents = [invoice.get("payment_intent"), *(_paying(each).get("payment_intent") for each in _payments(invoice))]
    errors = [as_object(as_object(intent).get("last_payment_error")) for intent in intents]
    return next((error for error in errors if error), {})


def _payment(invoice: Json, paid: Money) -> InvoicePayment | None:
    """None where nothing was due, or what was paid was not paid through Stripe (a ``payment_record``)."""
    if not paid.minor:
        return None
    if named := as_id(invoice.get("payment_intent")) or as_id(invoice.get("charge")):
        return InvoicePayment(named, paid)
    for each in _payments(invoice):
        if each.get("status") == "paid" and (names := _paid_with(each)):
            return InvoicePayment(names[0], as_money(each.get("amount_paid"), each.get("currency")) or paid)
    return None


def _payments(invoice: Json) -> list[Json]:
    """The invoice's own payment first: there are others only where somebody attached them."""
    data = as_object(invoice.get("payments")).get("data")
    payments = [as_object(each) for each in data] if isinstance(data, list) else []
    return sorted(payments, key=lambda each: each.get("is_default") is not True)


def _payment_ids(invoice: Json) -> tuple[str, ...]:
    """Of one that is paid: the same event tells the payment itself."""
    if invoice.get("status") != "paid":
        return ()
    old = texts(as_id(invoice.get("payment_intent")), as_id(invoice.get("charge")))
    return (*old, *(name for each in _payments(invoice) for name in _paid_with(each)))


def _paid_with(payment: Json) -> tuple[str, ...]:
    paying = _paying(payment)
    return texts(as_id(paying.get("payment_intent")), as_id(paying.get("charge")))


def _paying(payment: Json) -> Json:
    return as_object(payment.get("payment"))


def _amount(invoice: Json, name: str) -> Money:
    return needed(as_money(invoice.get(name), invoice.get("currency")), f"{name} with currency")
