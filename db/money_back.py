"""One payment and all that goes back of it, under lock: what a gateway's word of a refund is written to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from db.pool import Tx
from payments.events import RefundTold
from payments.money import Money
from payments.payment import PaymentStatus, Standing
from payments.refund import RefundStatus
from payments.refunding import Refund


@dataclass(frozen=True, slots=True)
class Whose:
    """A payment, and the order whose lock comes before its own: the one it paid, or that began its subscription.

    None: nobody knows whose it is.
    """

    payment_id: UUID
    order_id: UUID | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A payment under lock. ``order_id`` is None where it is a renewal's, or nobody's. ``refunds`` are oldest first."""

    id: UUID
    gateway: str
    gateway_payment_id: str
    order_id: UUID | None
    invoice_id: UUID | None
    amount: Money
    status: PaymentStatus
    standing: Standing | None
    refunded: int
    refunds: tuple[Refund, ...]

    @property
    def is_wholly_refunded(self) -> bool:
        return self.refunded == self.amount.minor > 0


_WHOSE = """
    SELECT p.id AS payment_id, coalesce(p.order_id, s.order_id) AS order_id
      FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id
      LEFT JOIN subscriptions s ON s.id = i.subscription_id
"""


async def find_payment(tx: Tx, gateway: str, gateway_payment_id: str) -> Whose | None:
    row = await tx.fetchrow(_WHOSE + "WHERE p.gateway = $1 AND p.gateway_payment_id = $2", gateway, gateway_payment_id)
    return Whose(**row) if row else None


async def find_taken_of(tx: Tx, gateway: str, order_id: UUID) -> list[Whose]:
    """Every payment that has taken money for this order, or for the subscription that it began."""
    rows = await tx.fetch(
        _WHOSE  # noqa: S608 - our own statement
        + """
         WHERE p.gateway = $1 AND p.status = 'succeeded' AND p.id = ANY (ARRAY(
               SELECT id FROM payments WHERE order_id = $2
               UNION SELECT y.id FROM subscriptions b JOIN invoices x ON x.subscription_id = b.id
                       JOIN payments y ON y.invoice_id = x.id WHERE b.order_id = $2))
        """,
        gateway,
        order_id,
    )
    return [Whose(**row) for row in rows]


async def lock_payment(tx: Tx, payment_id: UUID) -> Taken:
    """The caller holds the lock of its order. Locked first and read afterwards: a statement that waited for the lock
    would still see the past around it."""
    await tx.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
    return await read(tx, payment_id)


async def read(tx: Tx, payment_id: UUID) -> Taken:
    row = await tx.fetchrow("SELECT * FROM payments WHERE id = $1", payment_id)
    if row is None:
        raise LookupError(f"payment {payment_id} is gone")
    return Taken(
        id=row["id"],
        gateway=row["gateway"],
        gateway_payment_id=row["gateway_payment_id"],
        order_id=row["order_id"],
        invoice_id=row["invoice_id"],
        amount=Money(row["amount"], row["currency"]),
        status=PaymentStatus(row["status"]),
        standing=Standing(row["standing"]) if row["standing"] else None,
        refunded=row["amount_refunded"],
        refunds=await _refunds(tx, payment_id),
    )


async def known(tx: Tx, gateway: str, names: Sequence[str]) -> dict[str, Refund]:
    """Those of these refunds that we know by the gateway's name, by that name."""
    rows = await tx.fetch(
        "SELECT id, amount, currency, status, gateway_refund_id FROM refunds "
        "WHERE gateway = $1 AND gateway_refund_id = ANY ($2::text[])",
        gateway,
        list(names),
    )
    return {row["gateway_refund_id"]: _as_refund(row) for row in rows}


async def _refunds(tx: Tx, payment_id: UUID) -> tuple[Refund, ...]:
    rows = await tx.fetch(
        """
        SELECT id, amount, currency, status, gateway_refund_id FROM refunds
         WHERE payment_id = $1 ORDER BY created_at, id
        """,
        payment_id,
    )
    return tuple(map(_as_refund, rows))


def _as_refund(row: asyncpg.Record) -> Refund:
    return Refund(
        str(row["id"]), Money(row["amount"], row["currency"]), RefundStatus(row["status"]), row["gateway_refund_id"]
    )


async def begin(tx: Tx, taken: Taken, told: RefundTold, *, at: datetime) -> UUID:
    """A refund that began at the gateway, in its dashboard say. ``at`` is business time."""
    refund_id: UUID = await tx.fetchval(
        """
        INSERT INTO refunds (order_id, payment_id, gateway, gateway_refund_id, amount, currency, status, reason_code,
                             asked_by, failure_reason, created_at, settled_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'gateway', $9, $10,
                CASE WHEN $7 IN ('succeeded', 'failed', 'cancelled') THEN $10::timestamptz END)
        RETURNING id
        """,
        taken.order_id,
        taken.id,
        taken.gateway,
        told.gateway_refund_id,
        told.amount.minor,
        told.amount.currency,
        told.status.value,
        told.reason.value,
        told.failure,
        at,
    )
    return refund_id


async def advance(
    tx: Tx,
    refund: Refund,
    to: RefundStatus,
    *,
    at: datetime,
    gateway_refund_id: str | None = None,
    failure: str | None = None,
) -> None:
    """As far as it has come, with the gateway's name for it. ``at`` is business time."""
    moved = await tx.execute(
        """
        UPDATE refunds
           SET status = $3, gateway_refund_id = coalesce(gateway_refund_id, $4),
               failure_reason = CASE WHEN $3 IN ('failed', 'cancelled') THEN coalesce($5, failure_reason) END,
               settled_at = CASE WHEN $3 = $2 THEN settled_at
                                 WHEN $3 IN ('succeeded', 'failed', 'cancelled') THEN $6::timestamptz END,
               updated_at = now()
         WHERE id = $1 AND status = $2
        """,
        UUID(refund.id),
        refund.status.value,
        to.value,
        gateway_refund_id,
        failure,
        at,
    )
    if moved != "UPDATE 1":
        raise RuntimeError(f"refund {refund.id} was not {refund.status} although its payment was locked")


async def find_unowned(tx: Tx, gateway: str, gateway_payment_id: str) -> UUID | None:
    """A payment that is recorded, and that no order has yet."""
    found: UUID | None = await tx.fetchval(
        "SELECT id FROM payments WHERE gateway = $1 AND gateway_payment_id = $2 AND order_id IS NULL",
        gateway,
        gateway_payment_id,
    )
    return found


async def follow_payment(tx: Tx, payment_id: UUID, order_id: UUID) -> None:
    """The payment has found its order: so have its refunds and its disputes. Its movements stay as they were booked."""
    await tx.execute(
        "UPDATE refunds SET order_id = $2, updated_at = now() WHERE payment_id = $1 AND order_id IS NULL",
        payment_id,
        order_id,
    )
    await tx.execute(
        "UPDATE disputes SET order_id = $2, updated_at = now() WHERE payment_id = $1 AND order_id IS NULL",
        payment_id,
        order_id,
    )


async def asked_by(tx: Tx, refund_id: UUID) -> str:
    who: str = await tx.fetchval("SELECT asked_by FROM refunds WHERE id = $1", refund_id)
    return who


async def newest_gateway_refund(tx: Tx, order_id: UUID) -> str | None:
    """The last that has gone back of this order's money, by the gateway's name."""
    name: str | None = await tx.fetchval(
        """
        SELECT gateway_refund_id FROM refunds WHERE order_id = $1 AND status = 'succeeded'
         ORDER BY settled_at DESC, created_at DESC, gateway_refund_id DESC LIMIT 1
        """,
        order_id,
    )
    return name
