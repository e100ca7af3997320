"""Raise what only a person can decide about an order's money, with both sides' figures: each difference once."""

from __future__ import annotations

from uuid import UUID

from db import discrepancies, payments
from db.orders import Locked
from db.pool import Tx
from payments.events import Event, Observed, OrderEvent, SubscriptionTold
from payments.order import Held, Mismatch, Surplus
from payments.payment import PaymentStatus, Sighting, Standing, invoiced, payment_told, sighted
from workers.booking import book_payment
from workers.subscription_effects import Line


async def raise_money(
    tx: Tx,
    held: Locked,
    gateway: str,
    event: OrderEvent,
    outcome: Surplus | Mismatch | Held,
    payment_row: UUID | None,
) -> None:
    kind, proposed = _raised_as(outcome)
    expected = outcome.expected if isinstance(outcome, Mismatch) else held.order.expected
    seen = sighted(event)
    payment_id = seen.gateway_payment_id if seen else None
    # A first invoice is told by its page, by itself and when it is read, and not each of these names its payment.
    about = "first" if held.order.begins_subscription and isinstance(outcome, Mismatch) else payment_id
    await discrepancies.open_discrepancy(
        tx,
        kind=kind,
        gateway=gateway,
        order_id=held.id,
        payment_id=payment_row,
        amount_at_risk=outcome.paid.minor,
        currency=outcome.paid.currency,
        evidence={
            "ours": {"status": held.order.status.value, "amount": expected.minor, "currency": expected.currency},
            "theirs": {"payment": payment_id, "amount": outcome.paid.minor, "currency": outcome.paid.currency},
        },
        proposed_action=proposed,
        fingerprint=f"{kind}:{held.id}:{gateway}:{about}:{outcome.paid}",
    )


def _raised_as(outcome: Surplus | Mismatch | Held) -> tuple[str, str]:
    """The discrepancy's kind, and the action that we propose to the person who looks at it."""
    match outcome:
        case Surplus():
            return "duplicate_payment", "refund_payment"
        case Held():
            return "late_success", "accept_or_refund"
        case Mismatch(expected=expected, paid=paid) if expected.currency != paid.currency:
            return "currency_mismatch", "accept_or_refund"
        case Mismatch():
            return "amount_mismatch", "accept_or_refund"


async def raise_contradiction(tx: Tx, observed: Observed, found: set[UUID], line: Line) -> None:
    """The money is recorded without an order: it was taken, and only a person can say for what."""
    seen = payment_told(observed.event)
    taken = seen.amount if seen else invoiced(observed.event)
    payment_row = await _record_without_order(tx, seen, line) if seen else None
    named = sorted(str(order_id) for order_id in found)
    told = f"{seen.gateway_payment_id}:{seen.status}:{seen.amount}" if seen else _unnamed(observed.event)
    await discrepancies.open_discrepancy(
        tx,
        kind="reference_conflict",
        gateway=observed.gateway,
        payment_id=payment_row,
        amount_at_risk=taken.minor if taken else 0,
        currency=taken.currency if taken else None,
        evidence={"orders": named, "objects": list(observed.references.objects), "told": told},
        proposed_action="match_by_hand",
        fingerprint=f"reference_conflict:{observed.gateway}:{','.join(named)}:{told}",
    )


def _unnamed(event: Event) -> str:
    """What was told without a payment: each invoice's money is raised by itself."""
    if isinstance(event, SubscriptionTold) and event.invoice and (taken := invoiced(event)):
        return f"{event.invoice.gateway_invoice_id}:{event.invoice.status}:{taken}"
    return type(event).__name__


async def _record_without_order(tx: Tx, seen: Sighting, line: Line) -> UUID | None:
    if (known := await payments.find(tx, line.gateway, seen.gateway_payment_id)) is not None:
        return known
    standing = Standing.MISMATCHED if seen.status is PaymentStatus.SUCCEEDED else None
    row = await payments.record(tx, line.gateway, None, seen, status=seen.status, standing=standing, failure=None)
    if row is not None and seen.status is PaymentStatus.SUCCEEDED:
        await book_payment(tx, line, row, None, seen.amount)
    return row
