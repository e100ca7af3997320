"""Differences that a person must look at: opened once, with both sides' figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from db.pool import Tx


async def open_discrepancy(
    tx: Tx,
    *,
    kind: str,
    gateway: str,
    fingerprint: str,
    evidence: Mapping[str, Any],
    proposed_action: str,
    order_id: UUID | None = None,
    payment_id: UUID | None = None,
    amount_at_risk: int = 0,
    currency: str | None = None,
) -> None:
    """Open it unless this very difference, by its fingerprint, stands already, open or closed."""
    await tx.execute(
        """
        INSERT INTO discrepancies (kind, gateway, order_id, payment_id, amount_at_risk, currency, evidence,
                                   proposed_action, fingerprint)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (fingerprint) DO NOTHING
        """,
        kind,
        gateway,
        order_id,
        payment_id,
        amount_at_risk,
        currency,
        dict(evidence),
        proposed_action,
        fingerprint,
    )
