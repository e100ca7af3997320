"""One invoice of a subscription: what it asks for, how far its money has come, and how often that was tried."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from payments.failure import Failure, FailureCode
from payments.money import Money


class InvoiceStatus(StrEnum):
    DRAFT = "draft"  # the gateway still adds to it -> open | void
    OPEN = "open"  # it wants to be paid, and may have been tried -> paid | void | uncollectible
    UNCOLLECTIBLE = "uncollectible"  # given up by the gateway; may still be paid
    VOID = "void"  # taken back: nothing is owed
    PAID = "paid"  # the end of it, with money or without (an invoice over 0)


class TakenBack(StrEnum):
    """Why money that was accepted pays for nothing any more."""

    REFUNDED = "refunded"
    DISPUTED = "disputed"


#: How far each status has come. An invoice only ever advances: gateways repeat themselves, out of order.
RANK: dict[InvoiceStatus, int] = {
    InvoiceStatus.DRAFT: 0,
    InvoiceStatus.OPEN: 1,
    InvoiceStatus.UNCOLLECTIBLE: 2,
    InvoiceStatus.VOID: 3,
    InvoiceStatus.PAID: 4,
}


class InvoiceReason(StrEnum):
    """Why there is an invoice. Only a renewal's failure is dunned: a first payment has its own hosted page."""

    FIRST = "first"
    RENEWAL = "renewal"
    CHANGE = "change"  # a change of plan, with its proration
    OTHER = "other"


#: Two tellings may know the reason differently well: the one that says more holds.
CERTAINTY: dict[InvoiceReason, int] = {
    InvoiceReason.OTHER: 0,
    InvoiceReason.CHANGE: 1,
    InvoiceReason.RENEWAL: 2,
    InvoiceReason.FIRST: 3,
}


class Advice(StrEnum):
    """What the gateway says of trying again (docs.stripe.com/declines/advice-codes, one to one)."""

    TRY_AGAIN_LATER = "try_again_later"
    CONFIRM_CARD_DATA = "confirm_card_data"
    DO_NOT_TRY_AGAIN = "do_not_try_again"


@dataclass(frozen=True, slots=True)
class InvoicePayment:
    """A payment of an invoice that took its money."""

    gateway_payment_id: str
    paid: Money


@dataclass(frozen=True, slots=True)
class InvoiceSighting:
    """What one telling says of an invoice; what it does not say is None.

    ``period_start`` and ``period_end`` are those of its non-proration subscription lines: an invoice's own look one
    period back (docs.stripe.com/api/invoices/object). ``attempts`` counts billing attempts, not events. ``failure`` is
    set wherever the newest attempt has failed, with the code ``unknown`` where nobody says why: an attempt alone is
    none, since a bank debit takes days. ``payment`` is None where nothing had to be paid, or the telling does not name
    it. ``has_proration``: some of it is for a change of plan, so that its amount is nobody's price. ``taken_at`` is the
    gateway's second of its payment, ``price_id`` its price or plan that was billed.
    """

    gateway_invoice_id: str
    status: InvoiceStatus
    reason: InvoiceReason
    due: Money
    paid: Money
    period_start: datetime | None = None
    period_end: datetime | None = None
    number: str | None = None
    hosted_url: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    failure: Failure | None = None
    advice: Advice | None = None
    payment: InvoicePayment | None = None
    has_proration: bool = False
    taken_at: datetime | None = None
    price_id: str | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice as recorded. ``failing_since`` is when we first heard of a failed attempt, ``paid_at`` of its payment;
    business time. A step that cannot be taken back counts from what we knew: an outage of ours costs nobody a day.

    ``paid_by`` is the gateway's id of the payment that was accepted for it, once that is recorded; ``held_by`` is that
    of one that came after the subscription's end, and waits for a person: whether it was accepted until then is no part
    of what an invoice is. ``taken_back``: its money is gone, and by policy it gives its period no more. ``price_id`` is
    what it was billed by when it was told first: the subscription may have gone over to another since.
    """

    gateway_invoice_id: str
    status: InvoiceStatus
    reason: InvoiceReason
    due: Money
    paid: Money
    period_start: datetime | None = None
    period_end: datetime | None = None
    number: str | None = None
    hosted_url: str | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None
    failure: Failure | None = None
    advice: Advice | None = None
    failing_since: datetime | None = None
    paid_at: datetime | None = None
    paid_by: str | None = None
    taken_back: TakenBack | None = None
    price_id: str | None = None
    held_by: str | None = field(default=None, compare=False)

    @property
    def is_failing(self) -> bool:
        """An attempt failed, and it may still be paid."""
        return self.failing_since is not None

    @property
    def wants_new_card(self) -> bool:
        """Trying again with the same card is of no use."""
        return self.advice in {Advice.DO_NOT_TRY_AGAIN, Advice.CONFIRM_CARD_DATA} or (
            self.failure is not None and self.failure.code is FailureCode.EXPIRED_CARD
        )


def contradicts(known: Invoice | None, told: InvoiceSighting) -> bool:
    """An invoice has one currency, in which it is paid."""
    figures = [told.due, told.paid, *([known.due] if known else []), *([told.payment.paid] if told.payment else [])]
    return len({figure.currency for figure in figures}) > 1


def advance(known: Invoice | None, told: InvoiceSighting, at: datetime) -> Invoice:
    """The invoice after this telling; ``at`` is when we hear it. The caller has asked ``contradicts``.

    Every field is the greater of two in a fixed order, so that any order of tellings comes to the same.
    """
    was = known or Invoice(told.gateway_invoice_id, told.status, told.reason, told.due, told.paid)
    merged = replace(
        was,
        status=max(was.status, told.status, key=RANK.__getitem__),
        reason=max(was.reason, told.reason, key=CERTAINTY.__getitem__),
        due=_figure(was.status, was.due, told.status, told.due),
        paid=_figure(was.status, was.paid, told.status, told.paid),
        period_start=_latest(was.period_start, told.period_start),
        period_end=_latest(was.period_end, told.period_end),
        number=told.number or was.number,
        hosted_url=told.hosted_url or was.hosted_url,
        price_id=was.price_id or told.price_id,
    )
    return _settled(_note_attempt(merged, told, at), told, at)


def _figure(known_in: InvoiceStatus, known: Money, told_in: InvoiceStatus, told: Money) -> Money:
    """The amount as the furthest status tells it: a draft's is not final."""
    return max((RANK[known_in], known), (RANK[told_in], told), key=lambda said: (said[0], said[1].minor))[1]


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, (one, other)), default=None)


def _note_attempt(was: Invoice, told: InvoiceSighting, at: datetime) -> Invoice:
    """The failure belongs to the newest attempt; attempts are counted by the gateway, never by its events."""
    failing_since = _earliest(was.failing_since, at if _tells_of_a_failed_attempt(told) else None)
    if told.attempts < was.attempts:
        return replace(was, failing_since=failing_since)
    if told.attempts > was.attempts:
        was = replace(was, attempts=told.attempts, failure=None, advice=None, next_attempt_at=None)
    failure, advice = max((was.failure, was.advice), (told.failure, told.advice), key=_said)
    return replace(
        was,
        failure=failure,
        advice=advice,
        next_attempt_at=_latest(was.next_attempt_at, told.next_attempt_at),
        failing_since=failing_since,
    )


def _tells_of_a_failed_attempt(told: InvoiceSighting) -> bool:
    """A draft can fail too, to be finished: no card was tried, and nobody owes anything yet."""
    return told.failure is not None and told.status in {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}


def _said(why: tuple[Failure | None, Advice | None]) -> tuple[str, str, str]:
    """Who says more: a failure whose code nobody knows is less than one that has a code."""
    failure, advice = why
    if failure is None:
        return "", "", advice or ""
    known = "" if failure.code is FailureCode.UNKNOWN else failure.code.value
    return f"1{known}", failure.gateway_reason, advice or ""


def _settled(invoice: Invoice, told: InvoiceSighting, at: datetime) -> Invoice:
    """What is paid or void fails no more, so that a failure told after it changes nothing (F31)."""
    if invoice.status in {InvoiceStatus.PAID, InvoiceStatus.VOID}:
        invoice = replace(invoice, failure=None, advice=None, failing_since=None)
    if invoice.status not in {InvoiceStatus.DRAFT, InvoiceStatus.OPEN}:
        invoice = replace(invoice, next_attempt_at=None)
    if told.status is InvoiceStatus.PAID:
        invoice = replace(invoice, paid_at=_earliest(invoice.paid_at, at))
    return invoice
