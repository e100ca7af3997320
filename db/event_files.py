"""One kept event as a person studies it: its bytes, what it moved, and who has had it worked again by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from db.operator_actions import OperatorAction
from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Moved:
    """One line of history whose cause is the event."""

    subject: str
    subject_id: str
    from_status: str | None
    to_status: str
    at: datetime
    detail: Mapping[str, Any]


async def payload(tx: Tx, event: UUID) -> bytes | None:
    """The bytes as they came; None once they were pruned."""
    raw: bytes | None = await tx.fetchval("SELECT payload_raw FROM webhook_events WHERE id = $1", event)
    return raw


async def moved_by(tx: Tx, event: UUID, *, limit: int = 100) -> list[Moved]:
    """What it has moved, the oldest first."""
    rows = await tx.fetch(
        """
        SELECT subject, subject_id, from_status, to_status, at, detail FROM history
         WHERE cause = 'webhook_event' AND cause_id = $1 ORDER BY id LIMIT $2
        """,
        str(event),
        limit,
    )
    return [Moved(**row) for row in rows]


async def acts_on(tx: Tx, event: UUID, *, limit: int = 50) -> list[OperatorAction]:
    """What operators did with this very event, the oldest first; of very many the newest."""
    rows = await tx.fetch(
        """
        SELECT * FROM (
            SELECT id, at, actor, via, action, target, reason, before, after, batch_id FROM operator_actions
             WHERE action LIKE 'events.%' AND (target ->> 'event' = $1 OR before ? $1)
             ORDER BY at DESC, id LIMIT $2
        ) AS newest ORDER BY at, id
        """,
        str(event),
        limit,
    )
    return [OperatorAction(**row) for row in rows]
