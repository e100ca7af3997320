"""Gateway payments: one row each, advanced and never rewritten."""

from __future__ import annotations

from uuid import UUID

from db.pool import Tx
from payments.failure import Failure
from payments.money import Money
from payments.payment import Payment, PaymentStatus, Sighting, Standing


async def of_order(tx: Tx, order_id: UUID) -> tuple[Payment, ...]:
    """All that is known of an order's payments, oldest first."""
    rows = await tx.fetch(
        """
        SELECT gateway_payment_id, amount, currency, status, standing
          FROM payments WHERE order_id = $1 ORDER BY created_at, id
        """,
        order_id,
    )
    return tuple(
        Payment(
            gateway_payment_id=row["gateway_payment_id"],
            amount=Money(row["amount"], row["currency"]),
            status=PaymentStatus(row["status"]),
            standing=Standing(row["standing"]) if row["standing"] else None,
        )
        for row in rows
    )


async def find(tx: Tx, gateway: str, gateway_payment_id: str) -> UUID | None:
    """The row of a gateway payment, whoever's it is."""
    found: UUID | None = await tx.fetchval(
        "SELECT id FROM payments WHERE gateway = $1 AND gateway_payment_id = $2", gateway, gateway_payment_id
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
) -> UUID | None:
    """Write the payment as far as it has come; the amount of money that was taken replaces the one announced.

    ``order_id`` is None while nobody can say whose it is. Returns the row's id, or None where the same gateway payment
    already belongs to another order: the caller raises that.
    """
    row = await tx.fetchrow(
        """
        INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status, standing,
                              failure_code, failure_gateway_reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (gateway, gateway_payment_id) DO UPDATE
            SET order_id = coalesce(payments.order_id, excluded.order_id),
                amount = CASE WHEN payments.status = 'succeeded' THEN payments.amount ELSE excluded.amount END,
                currency = CASE WHEN payments.status = 'succeeded' THEN payments.currency ELSE excluded.currency END,
                status = excluded.status, standing = excluded.standing,
                failure_code = coalesce(excluded.failure_code, payments.failure_code),
                failure_gateway_reason = coalesce(excluded.failure_gateway_reason, payments.failure_gateway_reason),
                updated_at = now()
            WHERE payments.order_id IS NULL OR payments.order_id = excluded.order_id
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
    )
    return row["id"] if row else None
