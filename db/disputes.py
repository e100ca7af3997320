"""Disputes: one row each, as all that was ever told of it says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from db.money_back import Taken
from db.pool import Tx
from payments.dispute import OVER, DisputeStatus
from payments.disputing import Dispute
from payments.money import Money


async def find(tx: Tx, gateway: str, gateway_dispute_id: str) -> tuple[UUID, UUID, Dispute] | None:
    """Its id, its payment's, and the dispute as we hold it. The caller holds the payment's lock."""
    row = await tx.fetchrow(
        "SELECT * FROM disputes WHERE gateway = $1 AND gateway_dispute_id = $2", gateway, gateway_dispute_id
    )
    return (row["id"], row["payment_id"], _as_dispute(row)) if row else None


async def known(tx: Tx, gateway: str, names: Sequence[str]) -> dict[str, Dispute]:
    """Those of these disputes that we hold, by the gateway's name."""
    rows = await tx.fetch(
        "SELECT * FROM disputes WHERE gateway = $1 AND gateway_dispute_id = ANY ($2::text[])", gateway, list(names)
    )
    return {row["gateway_dispute_id"]: _as_dispute(row) for row in rows}


def _as_dispute(row: asyncpg.Record) -> Dispute:
    return Dispute(
        gateway_dispute_id=row["gateway_dispute_id"],
        amount=Money(row["amount"], row["currency"]),
        status=DisputeStatus(row["status"]),
        gateway_status=row["gateway_status"],
        told_at=row["told_at"],
        reason=row["reason"],
        evidence_due_at=row["evidence_due_at"],
        withdrawn=row["withdrawn"],
        reinstated=row["reinstated"],
        kept=row["kept"],
    )


async def write(tx: Tx, taken: Taken, dispute: Dispute, *, at: datetime) -> UUID:
    """The dispute as it is now; ``at`` is business time."""
    dispute_id: UUID = await tx.fetchval(
        """
        INSERT INTO disputes (order_id, payment_id, gateway, gateway_dispute_id, amount, currency, status,
                              gateway_status, reason, withdrawn, reinstated, evidence_due_at, told_at, opened_at,
                              closed_at, kept)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, CASE WHEN $15 THEN $14::timestamptz END,
                $16)
        ON CONFLICT (gateway, gateway_dispute_id) DO UPDATE
            SET amount = excluded.amount, currency = excluded.currency, status = excluded.status,
                gateway_status = excluded.gateway_status, reason = excluded.reason, withdrawn = excluded.withdrawn,
                reinstated = excluded.reinstated, evidence_due_at = excluded.evidence_due_at,
                told_at = excluded.told_at, kept = excluded.kept, updated_at = now(),
                closed_at = CASE WHEN $15 THEN coalesce(disputes.closed_at, excluded.opened_at) END
        RETURNING id
        """,
        taken.order_id,
        taken.id,
        taken.gateway,
        dispute.gateway_dispute_id,
        dispute.amount.minor,
        dispute.amount.currency,
        dispute.status.value,
        dispute.gateway_status,
        dispute.reason,
        dispute.withdrawn,
        dispute.reinstated,
        dispute.evidence_due_at,
        dispute.told_at,
        at,
        dispute.status in OVER,
        dispute.kept,
    )
    return dispute_id
