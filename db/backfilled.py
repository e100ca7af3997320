"""Events that we fetched ourselves from a gateway's list: evidence by its API's word, until the signed bytes come."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from db.pool import Tx
from db.webhook_events import Arrival


async def mark(tx: Tx, events: Collection[UUID]) -> None:
    """Say that no webhook has brought these, in the transaction that keeps them."""
    await tx.execute("UPDATE webhook_events SET source = 'backfill' WHERE id = ANY ($1::uuid[])", list(events))


async def replace(tx: Tx, event: UUID, signed: Arrival) -> bool:
    """Put the signed bytes in the place of our copy; False where the row holds no copy of ours."""
    replaced = await tx.execute(
        """
        UPDATE webhook_events
           SET source = 'webhook', payload = jsonb_or_null($2), payload_raw = $2, payload_hash = $3,
               signature_headers = $4, secret_id = $5, api_version = $6
         WHERE id = $1 AND source = 'backfill'
        """,
        event,
        signed.raw,
        signed.payload_hash,
        signed.signature_headers,
        signed.secret_id,
        signed.api_version,
    )
    return replaced == "UPDATE 1"
