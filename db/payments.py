"""Gateway payments: one row each, advanced and never rewritten."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from db.pool import Tx
from payments.failure import Failure
from payments.money import Money
from payments.payment import Payment, PaymentStatus, Sighting, Standing

_PAYMENT = """
    SELECT gateway_payment_id, amount, currency, status, standing, amount_refunded,
           EXISTS (SELECT FROM disputes d WHERE d.payment_id = payments.id AND holds_money(d)) AS is_disputed
      FROM payments
"""


async def of_order(tx: Tx, order_id: UUID) -> tuple[Payment, ...]:
    """All that is known of an order's payments, oldest first."""
    rows = await tx.fetch(_PAYMENT + "WHERE order_id = $1 ORDER BY created_at, id", order_id)
    return tuple(map(_as_payment, rows))


async def of_invoice(tx: Tx, invoice_id: UUID) -> tuple[Payment, ...]:
    rows = await tx.fetch(_PAYMENT + "WHERE invoice_id = $1 ORDER BY created_at, id", invoice_id)
    return tuple(map(_as_payment, rows))


def _as_payment(row: asyncpg.Record) -> Payment:
    return Payment(
        gateway_payment_id=row["gateway_payment_id"],
        amount=Money(row["amount"], row["currency"]),
        status=PaymentStatus(row["status"]),
        standing=Standing(row["standing"]) if row["standing"] else None,
        refunded=row["amount_refunded"],
        is_disputed=row["is_disputed"],
    )


async def find(tx: Tx, gateway: str, gateway_payment_id: str) -> UUID | None:
    """The row of a gateway payment, whoever's it is."""
    found: UUID | None = await tx.fetchval(
        "SELECT id FROM payments WHERE gateway = $1 AND gateway_payment_id = $2", gateway, gateway_payment_id
    )
    return found


async def find_taken(tx: Tx, gateway: str, gateway_payment_id: str) -> UUID | None:
    """The row of a gateway payment whose money was taken: it is never rewritten."""
    found: UUID | None = await tx.fetchval(
        "SELECT id FROM payments WHERE gateway = $1 AND gateway_payment_id = $2 AND status = 'succeeded'",
        gateway,
        gateway_payment_id,
    )
    return found


async def is_a_renewals(tx: Tx, gateway: str, gateway_payment_id: str) -> bool:
    """Whether its money is an invoice's alone: the order that began the subscription has no say in it."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT FROM payments
                        WHERE gateway = $1 AND gateway_payment_id = $2 AND order_id IS NULL AND invoice_id IS NOT NULL)
        """,
        gateway,
        gateway_payment_id,
    )
    return found


async def record(
    tx: Tx,
    gateway: str,
    order_id: UUID | None,
    seen: Sighting,
    *,
    status: PaymentStatus,
    standing: Standing | None,
    failure: Failure | None,
    invoice_id: UUID | None = None,
) -> UUID | None:
    """Write the payment as far as it has come; the amount of money that was taken replaces the one announced.

    ``order_id`` is None for a renewal's, and while nobody can say whose it is. Returns the row's id, or None where the
    same gateway payment already belongs to another order or invoice, or its money was taken otherwise: the caller
    raises that.
    """
    row = await tx.fetchrow(
        """
        INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status, standing,
                              failure_code, failure_gateway_reason, invoice_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (gateway, gateway_payment_id) DO UPDATE
            SET order_id = coalesce(payments.order_id, excluded.order_id),
                invoice_id = coalesce(payments.invoice_id, excluded.invoice_id),
                amount = CASE WHEN payments.status = 'succeeded' THEN payments.amount ELSE excluded.amount END,
                currency = CASE WHEN payments.status = 'succeeded' THEN payments.currency ELSE excluded.currency END,
                status = excluded.status, standing = excluded.standing,
                failure_code = coalesce(excluded.failure_code, payments.failure_code),
                failure_gateway_reason = coalesce(excluded.failure_gateway_reason, payments.failure_gateway_reason),
                updated_at = now()
            WHERE (payments.order_id IS NULL OR payments.order_id = coalesce(excluded.order_id, payments.order_id))
              AND (payments.invoice_id IS NULL
                   OR payments.invoice_id = coalesce(excluded.invoice_id, payments.invoice_id))
              AND (payments.status <> 'succeeded' OR payments.standing = excluded.standing
                   OR (payments.order_id IS NULL AND payments.invoice_id IS NULL))
        RETURNING id
        """,
        gateway,
        seen.gateway_payment_id,
        order_id,
        seen.amount.minor,
        seen.amount.currency,
        status.value,
        standing.value if standing else None,
        failure.code.value if failure else None,
        failure.gateway_reason if failure else None,
        invoice_id,
    )
    return row["id"] if row else None


async def hold(tx: Tx, payment: UUID, invoice_id: UUID) -> None:
    """An invoice's money that was accepted, and is found to have come too late: it waits for a person."""
    await tx.execute(
        """
        UPDATE payments SET standing = 'held', updated_at = now()
         WHERE id = $1 AND invoice_id = $2 AND order_id IS NULL AND standing = 'accepted'
        """,
        payment,
        invoice_id,
    )


async def tie_to_invoice(tx: Tx, payment: UUID, invoice_id: UUID) -> None:
    """The payment was known before anybody said that it was an invoice's. What belongs to one stays there."""
    await tx.execute(
        "UPDATE payments SET invoice_id = $2, updated_at = now() WHERE id = $1 AND invoice_id IS NULL",
        payment,
        invoice_id,
    )
