"""Refunds whose end has not been told, and disputes that are not over: what recovery asks the gateways about.

Ages are in business time. What is claimed here is put off at once, before it is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.orphans import FIRST_PAUSE, LONGEST_PAUSE, SILENT_FOR
from db.pool import Tx
from payments.refund import RefundStatus

#: A call, its answer and the webhook have their time; and nobody looks while the errand itself still does.
SENT_FOR = timedelta(minutes=10)

#: Most refunds are confirmed within seconds, those that wait for a bank within days.
PENDING_FOR = timedelta(hours=1)

#: A dispute takes weeks, and its stages days.
DISPUTED_FOR = timedelta(hours=1)
FIRST_PAUSE_OF_DISPUTE, LONGEST_PAUSE_OF_DISPUTE = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DueRefund:
    """A refund that is on its way, as it was claimed."""

    id: UUID
    order_id: UUID | None
    payment_id: UUID
    gateway: str
    gateway_payment_id: str
    status: RefundStatus


@dataclass(frozen=True, slots=True)
class DueDispute:
    """A dispute that is not over."""

    id: UUID
    order_id: UUID | None
    payment_id: UUID
    gateway: str
    gateway_dispute_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Discarded:
    """A person's act: nobody shall try any more to send this refund."""

    by: str
    reason: str


_DISCARDED = """
    SELECT l.closed_by AS by, l.closed_reason AS reason
      FROM effects e JOIN dead_letters l ON l.source = 'effect' AND l.source_id = e.id::text AND l.epoch = e.epoch
     WHERE e.idempotency_key = 'gateway.refund_payment:' || {refund} AND e.status = 'dead'
       AND l.state = 'discarded' AND l.created_at <= now() - {silent_for}::interval
"""


async def claim_refunds(tx: Tx, now: datetime, gateways: Sequence[str], *, limit: int) -> list[DueRefund]:
    """Take those that have waited longest for a look, and put each off until its next.

    Those that are ``requested`` only where a person has given them up: they were asked of nobody, and ask for no
    gateway's key.
    """
    rows = await tx.fetch(
        f"""
        WITH due AS (
            SELECT r.id FROM refunds r
              LEFT JOIN effects errand ON errand.idempotency_key = 'gateway.refund_payment:' || r.id
             WHERE r.status IN ('requested', 'sent', 'pending') AND r.next_look_at <= $1
               AND (r.gateway = ANY ($2::text[]) OR r.status = 'requested')
               AND CASE r.status
                   WHEN 'pending' THEN coalesce(r.sent_at, r.created_at) <= $1::timestamptz - $4::interval
                   WHEN 'sent' THEN coalesce(r.sent_at, r.created_at) <= $1::timestamptz - $3::interval
                        AND errand.status IS DISTINCT FROM 'pending'
                   ELSE EXISTS ({_DISCARDED.format(refund="r.id", silent_for="$8")}) END
             ORDER BY r.next_look_at, r.created_at LIMIT $7 FOR UPDATE OF r SKIP LOCKED
        )
        UPDATE refunds r
           SET looks = r.looks + 1,
               next_look_at = $1::timestamptz + least($5::interval * 2 ^ least(r.looks, 16), $6::interval)
          FROM due, payments p WHERE r.id = due.id AND p.id = r.payment_id
        RETURNING r.id, r.order_id, r.payment_id, r.gateway, p.gateway_payment_id, r.status
        """,  # noqa: S608 - a constant of ours
        now,
        list(gateways),
        SENT_FOR,
        PENDING_FOR,
        FIRST_PAUSE,
        LONGEST_PAUSE,
        limit,
        SILENT_FOR,
    )
    return [DueRefund(**{**row, "status": RefundStatus(row["status"])}) for row in rows]


async def claim_disputes(tx: Tx, now: datetime, gateways: Sequence[str], *, limit: int) -> list[DueDispute]:
    """The same of disputes that are not over."""
    rows = await tx.fetch(
        """
        WITH due AS (
            SELECT id FROM disputes
             WHERE status NOT IN ('won', 'lost', 'closed') AND next_look_at <= $1 AND gateway = ANY ($2::text[])
               AND opened_at <= $1::timestamptz - $3::interval
             ORDER BY next_look_at, opened_at LIMIT $6 FOR UPDATE SKIP LOCKED
        )
        UPDATE disputes d
           SET looks = d.looks + 1,
               next_look_at = $1::timestamptz + least($4::interval * 2 ^ least(d.looks, 16), $5::interval)
          FROM due WHERE d.id = due.id
        RETURNING d.id, d.order_id, d.payment_id, d.gateway, d.gateway_dispute_id, d.amount, d.currency
        """,
        now,
        list(gateways),
        DISPUTED_FOR,
        FIRST_PAUSE_OF_DISPUTE,
        LONGEST_PAUSE_OF_DISPUTE,
        limit,
    )
    return [DueDispute(**row) for row in rows]


async def discarded(tx: Tx, refund_id: UUID) -> Discarded | None:
    """Whether a person has given up the errand that sends this refund, and no worker can still be at it."""
    row = await tx.fetchrow(_DISCARDED.format(refund="$1::uuid", silent_for="$2"), refund_id, SILENT_FOR)
    return Discarded(**row) if row else None


async def unasked(tx: Tx, now: datetime, gateways: Sequence[str]) -> list[str]:
    """Where money is on its way back, or disputed, beside these gateways: the claims pass them over."""
    rows = await tx.fetch(
        """
        SELECT gateway FROM refunds
         WHERE status IN ('sent', 'pending') AND gateway <> ALL ($2::text[])
           AND coalesce(sent_at, created_at) <= $1::timestamptz - $3::interval
        UNION
        SELECT gateway FROM disputes
         WHERE status NOT IN ('won', 'lost', 'closed') AND gateway <> ALL ($2::text[])
           AND opened_at <= $1::timestamptz - $4::interval
        """,
        now,
        list(gateways),
        PENDING_FOR,
        DISPUTED_FOR,
    )
    return [row["gateway"] for row in rows]
