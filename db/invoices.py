"""Invoices of subscriptions: one row each, which only advances. What an advance is, the rules say."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from uuid import UUID

import asyncpg

from db.pool import Tx
from payments.failure import Failure, FailureCode
from payments.invoice import Advice, Invoice, InvoiceReason, InvoiceStatus, TakenBack
from payments.money import Money

#: Those that are columns of the same name and kind.
PLAIN = tuple(
    field.name
    for field in fields(Invoice)
    if field.name not in {"status", "reason", "due", "paid", "failure", "advice", "taken_back"}
)


async def of_subscription(tx: Tx, subscription_id: UUID) -> dict[UUID, Invoice]:
    """All of them, oldest first. The caller holds the subscription's lock."""
    rows = await tx.fetch(
        """
        SELECT i.*, p.gateway_payment_id AS paid_by,
               (SELECT max(late.gateway_payment_id) FROM payments late
                 WHERE late.invoice_id = i.id AND late.standing = 'held') AS held_by
          FROM invoices i LEFT JOIN payments p ON p.invoice_id = i.id AND p.standing = 'accepted'
         WHERE i.subscription_id = $1 ORDER BY i.created_at, i.id
        """,
        subscription_id,
    )
    return {row["id"]: _as_invoice(row) for row in rows}


def _as_invoice(row: asyncpg.Record) -> Invoice:
    return Invoice(
        status=InvoiceStatus(row["status"]),
        reason=InvoiceReason(row["reason"]),
        due=Money(row["amount"], row["currency"]),
        paid=Money(row["amount_paid"], row["currency"]),
        failure=Failure(FailureCode(row["failure_code"]), row["failure_gateway_reason"])
        if row["failure_code"]
        else None,
        advice=Advice(row["advice"]) if row["advice"] else None,
        taken_back=TakenBack(row["taken_back"]) if row["taken_back"] else None,
        **{name: row[name] for name in PLAIN},
    )


async def write(tx: Tx, subscription_id: UUID, gateway: str, invoice: Invoice, *, at: datetime) -> UUID:
    """The invoice as it is now; ``at`` is business time."""
    written: UUID | None = await tx.fetchval(
        """
        INSERT INTO invoices (subscription_id, gateway, gateway_invoice_id, number, status, reason, amount, amount_paid,
                              currency, period_start, period_end, hosted_url, attempts, next_attempt_at, failing_since,
                              failure_code, failure_gateway_reason, advice, paid_at, price_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        ON CONFLICT (gateway, gateway_invoice_id) DO UPDATE
            SET number = excluded.number, status = excluded.status, reason = excluded.reason, amount = excluded.amount,
                amount_paid = excluded.amount_paid, currency = excluded.currency, period_start = excluded.period_start,
                period_end = excluded.period_end, hosted_url = excluded.hosted_url, attempts = excluded.attempts,
                next_attempt_at = excluded.next_attempt_at, failing_since = excluded.failing_since,
                failure_code = excluded.failure_code, failure_gateway_reason = excluded.failure_gateway_reason,
                advice = excluded.advice, paid_at = excluded.paid_at, price_id = excluded.price_id, updated_at = now()
            WHERE invoices.subscription_id = excluded.subscription_id
        RETURNING id
        """,
        subscription_id,
        gateway,
        invoice.gateway_invoice_id,
        invoice.number,
        invoice.status.value,
        invoice.reason.value,
        invoice.due.minor,
        invoice.paid.minor,
        invoice.due.currency,
        invoice.period_start,
        invoice.period_end,
        invoice.hosted_url,
        invoice.attempts,
        invoice.next_attempt_at,
        invoice.failing_since,
        invoice.failure.code.value if invoice.failure else None,
        invoice.failure.gateway_reason if invoice.failure else None,
        invoice.advice.value if invoice.advice else None,
        invoice.paid_at,
        invoice.price_id,
        at,
    )
    if written is None:
        raise RuntimeError(f"invoice {invoice.gateway_invoice_id} belongs to another subscription")
    return written


async def note_taken_back(tx: Tx, invoice_id: UUID, taken_back: TakenBack | None) -> bool:
    """What became of its money, as far as the policy acts on it; whether that is news."""
    noted = await tx.execute(
        "UPDATE invoices SET taken_back = $2, updated_at = now() WHERE id = $1 AND taken_back IS DISTINCT FROM $2",
        invoice_id,
        taken_back.value if taken_back else None,
    )
    return noted == "UPDATE 1"


async def without_payment(tx: Tx, subscription_id: UUID) -> list[str]:
    """The gateway's ids of those whose money was taken, and of whose payment nobody has told us."""
    rows = await tx.fetch(
        """
        SELECT gateway_invoice_id FROM invoices i
         WHERE subscription_id = $1 AND status = 'paid' AND amount_paid > 0
           AND NOT EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id)
         ORDER BY created_at, id
        """,
        subscription_id,
    )
    return [row["gateway_invoice_id"] for row in rows]
