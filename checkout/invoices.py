"""GET /invoices: what a user's subscriptions have billed them for, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout import paging
from checkout.callers import Callers
from checkout.record import Record
from db import own_invoices
from db.own_invoices import OwnInvoice
from payments.failure import REMEDIES, FailureCode
from payments.invoice import InvoiceStatus

#: In these, somebody can still pay.
UNPAID = frozenset({InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE})


@dataclass(frozen=True, slots=True)
class Invoices:
    record: Record
    callers: Callers

    async def list_invoices(self, request: Request) -> Response:
        caller = await self.callers.identify(request)
        limit, after = paging.size(request), paging.after(request)
        async with self.record.transaction() as tx:
            found = await own_invoices.page_of_user(tx, caller.user_id, after=after, limit=limit + 1)
        page, cursor = paging.cut(found, limit)
        return JSONResponse({"data": [describe(invoice) for invoice in page], "nextCursor": cursor})


def describe(invoice: OwnInvoice) -> dict[str, Any]:
    """The gateway's page of it is where it can be paid, and its receipt once it is."""
    told: dict[str, Any] = {
        "invoiceId": str(invoice.id),
        "subscriptionId": str(invoice.subscription_id),
        "planId": invoice.plan_id,
        "planName": invoice.plan_name,
        "gateway": invoice.gateway,
        "number": invoice.number,
        "status": invoice.status,
        "reason": invoice.reason,
        "amount": invoice.amount,
        "amountPaid": invoice.amount_paid,
        "currency": invoice.currency,
        "periodStart": invoice.period_start.isoformat() if invoice.period_start else None,
        "periodEnd": invoice.period_end.isoformat() if invoice.period_end else None,
        "createdAt": invoice.created_at.isoformat(),
    }
    if invoice.status == InvoiceStatus.PAID:
        told["paidAt"] = invoice.paid_at.isoformat() if invoice.paid_at else None
    if invoice.hosted_url and invoice.status == InvoiceStatus.PAID:
        told["receiptUrl"] = invoice.hosted_url
    if invoice.hosted_url and invoice.status in UNPAID and not invoice.is_over:
        told["payUrl"] = invoice.hosted_url
    if invoice.status in UNPAID and invoice.failure_code is not None:
        told["failure"] = _failure(invoice.failure_code)
    return told


def _failure(code: str) -> dict[str, str]:
    known = FailureCode(code)
    remedy = REMEDIES[known]
    return {"code": known.value, "message": remedy.message, "action": remedy.action.value}
