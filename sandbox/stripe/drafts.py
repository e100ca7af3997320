"""Invoices before they are final: what stands on them and what that comes to; until then a seller may add to them."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import events, invoice_lines, invoice_shapes, records
from sandbox.stripe.calls import Cause
from sandbox.stripe.invoice_shapes import subscription_of
from sandbox.world import World

FINALISES = "stripe.invoice.finalises"

#: Stripe leaves a renewal's invoice open to changes for about so long (docs.stripe.com/billing/invoices/overview).
DRAFT_SECONDS = 3600


def draft(
    world: World,
    subscription: Json,
    reason: str,
    lines: list[Json],
    cause: Cause,
    *,
    period: tuple[int, int] | None = None,
) -> Json:
    """An invoice of a subscription, with these lines and with whatever was waiting for one.

    Its own period looks back: at a renewal to the one that has just ended, else to this very moment.
    """
    now = world.clock.now()
    start, end = period or (now, now)
    said = {
        "billing_reason": reason,
        "currency": subscription["currency"],
        "parent": invoice_shapes.parent(subscription),
        "period_end": end,
        "period_start": start,
    }
    return write(world, said, records.find(world, "customer", subscription["customer"]), lines, cause)


def sketch(world: World, subscription: Json, reason: str, lines: list[Json], *, period: tuple[int, int]) -> Json:
    """An invoice as it would be, which is written nowhere."""
    customer = records.find(world, "customer", subscription["customer"])
    said = {
        "billing_reason": reason,
        "currency": subscription["currency"],
        "next_payment_attempt": period[1] + DRAFT_SECONDS,
        "parent": invoice_shapes.parent(subscription),
        "period_end": period[1],
        "period_start": period[0],
    }
    invoice = add_up(invoice_shapes.invoice(said, customer, period[1]), customer, lines)
    return {**invoice, "id": f"upcoming_{invoice['id']}"}


def write(
    world: World, said: Json, customer: Json, lines: list[Json], cause: Cause, *, takes_waiting: bool = True
) -> Json:
    """A draft, whosever it is."""
    invoice = invoice_shapes.invoice(said, customer, world.clock.now())
    items = invoice_lines.waiting(world, customer["id"], subscription_of(invoice)) if takes_waiting else []
    for item in items:
        records.keep(world, {**item, "invoice": invoice["id"]})
    invoice = add_up(invoice, customer, invoice_lines.item_lines(items) + lines)
    records.keep(world, invoice)
    events.record(world, "invoice.created", invoice, cause)
    return invoice


def add_up(invoice: Json, customer: Json, lines: list[Json]) -> Json:
    """The invoice with these lines: what it comes to, and what of it is due once the customer's balance is counted."""
    total = sum(line["amount"] for line in lines)
    due = max(0, total + customer["balance"])
    return {
        **invoice,
        "lines": invoice_shapes.lines(invoice["id"], lines),
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
        "starting_balance": customer["balance"],
        "amount_due": due,
        "amount_remaining": due,
    }


def leave_open_to_changes(world: World, invoice: Json, *, seconds: int = DRAFT_SECONDS) -> Json:
    """It is finalised later, so that the seller may still add to it."""
    at = world.clock.now() + seconds
    invoice |= {"automatically_finalizes_at": at, "next_payment_attempt": at}
    records.keep(world, invoice)
    world.agenda.enter(at, FINALISES, invoice["id"])
    return invoice
