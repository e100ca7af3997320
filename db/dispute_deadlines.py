"""Disputes whose bank waits for evidence: which are due, and which need nobody any more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Due:
    """A dispute that nobody has answered, and the day by which it must be."""

    id: UUID
    gateway: str
    gateway_dispute_id: str
    payment_id: UUID
    gateway_payment_id: str
    order_id: UUID | None
    amount: int
    currency: str
    reason: str | None
    evidence_due_at: datetime


@dataclass(frozen=True, slots=True)
class Nearest:
    """Seconds until the first deadline at one gateway; below 0 it has passed."""

    gateway: str
    seconds: float


def fingerprint_of(due: Due) -> str:
    """The dispute and its day: ``answered`` writes it alike."""
    return f"dispute_evidence_due:{due.id}:{int(due.evidence_due_at.timestamp())}"


async def due(tx: Tx, by: datetime, *, limit: int, after: UUID | None = None) -> list[Due]:
    """Those whose evidence must be given before then, business time; the next of them after one that was seen."""
    rows = await tx.fetch(
        """
        SELECT d.id, d.gateway, d.gateway_dispute_id, d.payment_id, p.gateway_payment_id, d.order_id, d.amount,
               d.currency, d.reason, d.evidence_due_at
          FROM disputes d JOIN payments p ON p.id = d.payment_id
         WHERE waits_for_evidence(d) AND d.evidence_due_at <= $1 AND ($2::uuid IS NULL OR d.id > $2)
         ORDER BY d.id LIMIT $3
        """,
        by,
        after,
        limit,
    )
    return [Due(**row) for row in rows]


async def answered(tx: Tx, by: datetime) -> list[str]:
    """Fingerprints of open alarms whose dispute needs no answer by then: it has one, is over, or has more time."""
    rows = await tx.fetch(
        """
        SELECT c.fingerprint FROM discrepancies c
         WHERE c.kind = 'dispute_evidence_due' AND c.state = 'open'
           AND NOT EXISTS (SELECT FROM disputes d
                            WHERE c.fingerprint = 'dispute_evidence_due:' || d.id || ':'
                                                  || floor(extract(epoch FROM d.evidence_due_at))::bigint
                              AND waits_for_evidence(d) AND d.evidence_due_at <= $1)
        """,
        by,
    )
    return [row["fingerprint"] for row in rows]


async def nearest(tx: Tx) -> list[Nearest]:
    """By the database's clock, which in production is that of business."""
    rows = await tx.fetch(
        """
        SELECT gateway, extract(epoch FROM min(evidence_due_at) - now())::float8 AS seconds
          FROM disputes d WHERE waits_for_evidence(d) AND evidence_due_at IS NOT NULL
         GROUP BY gateway ORDER BY gateway
        """
    )
    return [Nearest(**row) for row in rows]
