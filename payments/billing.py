"""What one telling of an invoice comes to: the invoice as it is now, the money that it names, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from payments.difference import Difference, Raised
from payments.invoice import (
    Invoice,
    InvoicePayment,
    InvoiceReason,
    InvoiceSighting,
    InvoiceStatus,
    advance,
    contradicts,
)
from payments.money import Money
from payments.payment import Standing
from payments.terms import Terms


class Taken(NamedTuple):
    """Money of an invoice, to be recorded as a payment."""

    payment: InvoicePayment
    standing: Standing
    gateway_invoice_id: str


@dataclass(frozen=True, slots=True)
class Booked:
    """``invoice`` is None where the telling contradicts itself, or what we hold: then it changes nothing."""

    invoice: Invoice | None
    taken: Taken | None = None
    raised: tuple[Raised, ...] = ()


def book(known: Invoice | None, told: InvoiceSighting, terms: Terms, price: Money | None, at: datetime) -> Booked:
    """``at`` is when we hear it. ``price`` is what a renewal should cost; None where nobody can say."""
    if contradicts(known, told):
        ours = (known or told).due
        return Booked(None, raised=(Raised(Difference.CURRENCY_MISMATCH, told.gateway_invoice_id, ours, told.paid),))
    invoice = advance(known, told, at)
    taken = _taken(invoice, told, terms)
    if taken is not None and taken.standing is Standing.ACCEPTED:
        invoice = replace(invoice, paid_by=taken.payment.gateway_payment_id)
    return Booked(invoice, taken, tuple(_differences(known, invoice, told, taken, terms, price)))


def _taken(invoice: Invoice, told: InvoiceSighting, terms: Terms) -> Taken | None:
    """The money that it names, unless we have accepted or held it before."""
    payment = told.payment
    if payment is None or told.status is not InvoiceStatus.PAID:
        return None
    if payment.gateway_payment_id in {invoice.paid_by, invoice.held_by}:
        return None
    if not terms.accepts(invoice):
        return Taken(payment, Standing.MISMATCHED, invoice.gateway_invoice_id)
    standing = Standing.ACCEPTED if invoice.paid_by is None else Standing.SURPLUS
    return Taken(payment, standing, invoice.gateway_invoice_id)


def _differences(
    known: Invoice | None,
    invoice: Invoice,
    told: InvoiceSighting,
    taken: Taken | None,
    terms: Terms,
    price: Money | None,
) -> Iterator[Raised]:
    name = invoice.gateway_invoice_id
    if taken is not None and taken.standing is Standing.SURPLUS:
        yield Raised(Difference.DUPLICATE_PAYMENT, taken.payment.gateway_payment_id, invoice.due, taken.payment.paid)
    if told.status is not InvoiceStatus.PAID or invoice == known:
        return
    if not terms.accepts(invoice):
        is_other = terms.currency not in {None, invoice.due.currency}
        kind = Difference.CURRENCY_MISMATCH if is_other else Difference.AMOUNT_MISMATCH
        yield Raised(kind, name, terms.first_due or price, invoice.paid)
    elif _is_at_another_price(invoice, told, price):
        yield Raised(Difference.INVOICE_AMOUNT_DIFFERS, name, price, invoice.paid)


def _is_at_another_price(invoice: Invoice, told: InvoiceSighting, price: Money | None) -> bool:
    if invoice.reason is not InvoiceReason.RENEWAL or price is None or told.has_proration:
        return False
    # Paid outside of the gateway, it says what it asked for, and that nothing was taken (F83).
    return price != (invoice.paid if invoice.paid.minor else invoice.due)
