"""Differences that a person must look at: opened once, with both sides' figures. What has passed, the clock closes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from db.pool import Tx

#: In place of a person's name: it was seen to have passed.
THE_CLOCK = "the clock"


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
    subscription_id: UUID | None = None,
    amount_at_risk: int = 0,
    currency: str | None = None,
) -> None:
    """Open it unless this very difference, by its fingerprint, stands already, open or closed. Of which payment it is,
    may be told later."""
    await tx.execute(
        """
        INSERT INTO discrepancies (kind, gateway, order_id, payment_id, amount_at_risk, currency, evidence,
                                   proposed_action, fingerprint, subscription_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
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
        subscription_id,
    )
    if payment_id is not None:
        await tx.execute(
            "UPDATE discrepancies SET payment_id = $2 WHERE fingerprint = $1 AND payment_id IS NULL",
            fingerprint,
            payment_id,
        )


async def reopen(tx: Tx, fingerprint: str) -> bool:
    """It is back, after the clock had closed it; whether it was so. What a person has closed stays closed."""
    opened = await tx.execute(
        """
        UPDATE discrepancies SET state = 'open', closed_at = NULL, closed_by = NULL, created_at = now()
         WHERE fingerprint = $1 AND closed_by = $2
        """,
        fingerprint,
        THE_CLOCK,
    )
    return opened == "UPDATE 1"


async def cure_about_payment(tx: Tx, payment_id: UUID, kinds: Collection[str]) -> None:
    """All of its money went back: nobody has to decide about it any more."""
    await tx.execute(
        """
        UPDATE discrepancies SET state = 'resolved', closed_at = now(), closed_by = $3
         WHERE payment_id = $1 AND kind = ANY ($2::text[]) AND state = 'open'
        """,
        payment_id,
        list(kinds),
        THE_CLOCK,
    )


async def reopen_about_payment(tx: Tx, payment_id: UUID, kinds: Collection[str]) -> None:
    """Its money came back to us. What a person has closed stays closed."""
    await tx.execute(
        """
        UPDATE discrepancies SET state = 'open', closed_at = NULL, closed_by = NULL, created_at = now()
         WHERE payment_id = $1 AND kind = ANY ($2::text[]) AND closed_by = $3
        """,
        payment_id,
        list(kinds),
        THE_CLOCK,
    )


async def opened_at(tx: Tx, fingerprint: str) -> datetime | None:
    """Since when it is open; None while it is not."""
    opened: datetime | None = await tx.fetchval(
        "SELECT created_at FROM discrepancies WHERE fingerprint = $1 AND state = 'open'", fingerprint
    )
    return opened


async def cure(tx: Tx, fingerprint: str) -> bool:
    """It is no more, and nobody had to do anything about it; whether it had been open."""
    cured = await tx.execute(
        """
        UPDATE discrepancies SET state = 'resolved', closed_at = now(), closed_by = $2
         WHERE fingerprint = $1 AND state = 'open'
        """,
        fingerprint,
        THE_CLOCK,
    )
    return cured == "UPDATE 1"
