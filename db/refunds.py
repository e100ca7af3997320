"""Refunds: one row each, asked for here or begun at the gateway; written before it is asked of anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg

from db.pool import Tx
from payments.money import Money
from payments.refund import Earlier, Refundable, RefundReason, RefundStatus


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as its row tells it. ``idempotency_key`` is None where it began at the gateway. ``sent_by`` and
    ``sent_for``: the instance and the order that its first call named."""

    id: UUID
    order_id: UUID | None
    payment_id: UUID
    gateway: str
    gateway_payment_id: str
    gateway_refund_id: str | None
    amount: int
    currency: str
    status: RefundStatus
    reason_code: RefundReason
    asked_by: str
    note: str | None = field(repr=False)
    idempotency_key: str | None
    failure_reason: str | None
    created_at: datetime
    sent_at: datetime | None
    settled_at: datetime | None
    sent_by: str | None = None
    sent_for: UUID | None = None

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


_REFUND = """
    SELECT r.id, r.order_id, r.payment_id, r.gateway, p.gateway_payment_id, r.gateway_refund_id, r.amount, r.currency,
           r.status, r.reason_code, r.asked_by, r.note, r.idempotency_key, r.failure_reason, r.created_at, r.sent_at,
           r.settled_at, r.sent_by, r.sent_for
      FROM refunds r JOIN payments p ON p.id = r.payment_id
"""


# --- asking ---


@dataclass(frozen=True, slots=True)
class Held:
    """A payment under lock, with what may still go back of it. ``order_id`` is None where no order has it: a renewal's,
    or money that nobody could match."""

    payment_id: UUID
    order_id: UUID | None
    gateway: str
    gateway_payment_id: str
    money: Refundable


async def find_payments(tx: Tx, name: str, own: UUID | None) -> list[UUID]:
    """The payments that this names, by our id or by the gateway's; two gateways could give the same."""
    rows = await tx.fetch(
        "SELECT id FROM payments WHERE id = $1 OR gateway_payment_id = $2 ORDER BY id LIMIT 2", own, name
    )
    return [row["id"] for row in rows]


async def is_an_order(tx: Tx, order_id: UUID) -> bool:
    found: bool = await tx.fetchval("SELECT EXISTS (SELECT FROM orders WHERE id = $1)", order_id)
    return found


async def lock_order(tx: Tx, order_id: UUID) -> UUID | None:
    """Lock it, and give the payment that paid it; of a subscription's order, its first invoice's."""
    await tx.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order_id)
    accepted: UUID | None = await tx.fetchval(
        "SELECT id FROM payments WHERE order_id = $1 AND standing = 'accepted'", order_id
    )
    return accepted


async def find_others_left(tx: Tx, order_id: UUID) -> tuple[str, ...]:
    """Money of the order that did not pay it, and of which something is left, by the gateway's names of its payments:
    paid twice, or not accepted."""
    rows = await tx.fetch(
        """
        SELECT gateway_payment_id FROM payments
         WHERE order_id = $1 AND status = 'succeeded' AND standing <> 'accepted'
           AND amount > amount_refunded + amount_refunding
         ORDER BY created_at, id LIMIT 5
        """,
        order_id,
    )
    return tuple(row["gateway_payment_id"] for row in rows)


async def lock_payment(tx: Tx, payment_id: UUID) -> Held:
    """Its order first, or the one that began its subscription, as everybody takes them; then the payment itself.

    Locked first and read afterwards: a statement that waited for a lock would still see the past around it.
    """
    await tx.execute(
        """
        SELECT FROM orders WHERE id = (
            SELECT coalesce(p.order_id, s.order_id)
              FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id
              LEFT JOIN subscriptions s ON s.id = i.subscription_id
             WHERE p.id = $1)
           FOR UPDATE
        """,
        payment_id,
    )
    await tx.execute("SELECT FROM payments WHERE id = $1 FOR UPDATE", payment_id)
    row = await tx.fetchrow(
        """
        SELECT order_id, gateway, gateway_payment_id, amount, currency, status = 'succeeded' AS was_taken,
               EXISTS (SELECT FROM disputes d WHERE d.payment_id = p.id AND holds_money(d)) AS is_disputed
          FROM payments p WHERE id = $1
        """,
        payment_id,
    )
    if row is None:
        raise LookupError(f"payment {payment_id} is gone")
    money = Refundable(
        amount=Money(row["amount"], row["currency"]),
        was_taken=row["was_taken"],
        is_disputed=row["is_disputed"],
        earlier=await _earlier(tx, payment_id),
    )
    return Held(payment_id, row["order_id"], row["gateway"], row["gateway_payment_id"], money)


async def _earlier(tx: Tx, payment_id: UUID) -> tuple[Earlier, ...]:
    rows = await tx.fetch(
        """
        SELECT id, amount, currency, status, idempotency_key IS NOT NULL AS is_ours
          FROM refunds WHERE payment_id = $1 ORDER BY created_at, id
        """,
        payment_id,
    )
    return tuple(
        Earlier(str(row["id"]), Money(row["amount"], row["currency"]), RefundStatus(row["status"]), row["is_ours"])
        for row in rows
    )


async def place(
    tx: Tx,
    *,
    refund_id: UUID,
    held: Held,
    amount: Money,
    reason: RefundReason,
    asked_by: str,
    asked_key: str | None,
    note: str | None,
    idempotency_key: str,
    at: datetime,
) -> bool:
    """Write down what will be asked of the gateway, before it is. Whether it is written: not, where the same caller has
    given its name to another wish. ``at`` is business time."""
    placed = await tx.execute(
        """
        INSERT INTO refunds (id, order_id, payment_id, gateway, amount, currency, status, reason_code, asked_by,
                             asked_key, note, idempotency_key, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'requested', $7, $8, $9, $10, $11, $12)
        ON CONFLICT (asked_by, asked_key) DO NOTHING
        """,
        refund_id,
        held.order_id,
        held.payment_id,
        held.gateway,
        amount.minor,
        amount.currency,
        reason.value,
        asked_by,
        asked_key,
        note,
        idempotency_key,
        at,
    )
    return placed == "INSERT 0 1"


async def find(tx: Tx, refund_id: UUID) -> Refund | None:
    return _as_refund(await tx.fetchrow(_REFUND + "WHERE r.id = $1", refund_id))


async def find_asked(tx: Tx, asked_by: str, asked_key: str) -> Refund | None:
    """What the same caller asked for under the same name, however long ago."""
    return _as_refund(await tx.fetchrow(_REFUND + "WHERE r.asked_by = $1 AND r.asked_key = $2", asked_by, asked_key))


def _as_refund(row: asyncpg.Record | None) -> Refund | None:
    if row is None:
        return None
    return Refund(**{**row, "status": RefundStatus(row["status"]), "reason_code": RefundReason(row["reason_code"])})


async def newest(
    tx: Tx, *, order_id: UUID | None, status: RefundStatus | None, since: datetime | None, limit: int
) -> list[Refund]:
    """Those that fit everything that is said, the newest first; of an order's subscription the renewals' too."""
    rows = await tx.fetch(
        _REFUND
        + """
        WHERE ($1::uuid IS NULL OR r.order_id = $1 OR EXISTS (
                   SELECT FROM invoices i JOIN subscriptions s ON s.id = i.subscription_id
                    WHERE i.id = p.invoice_id AND s.order_id = $1))
          AND ($2::text IS NULL OR r.status = $2) AND ($3::timestamptz IS NULL OR r.created_at >= $3)
        ORDER BY r.created_at DESC, r.id DESC LIMIT $4
        """,
        order_id,
        status.value if status else None,
        since,
        limit,
    )
    return [found for row in rows if (found := _as_refund(row)) is not None]


async def mark_sent(tx: Tx, refund_id: UUID, *, by: str, at: datetime) -> None:
    """Committed before the call: from now on only the gateway can say whether there is a refund. ``by``: this instance,
    as the call names it, and every repeat."""
    moved = await tx.execute(
        """
        UPDATE refunds SET status = 'sent', sent_at = $2, sent_by = $3, sent_for = order_id, updated_at = now()
         WHERE id = $1 AND status = 'requested'
        """,
        refund_id,
        at,
        by,
    )
    if moved != "UPDATE 1":
        raise RuntimeError(f"refund {refund_id} was not requested although its payment was locked")
