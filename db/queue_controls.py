"""Queues that a person has paused. What is owed in one stays owed, and nobody takes it until it runs again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Paused:
    """A queue at rest. ``until`` None: until somebody resumes it."""

    queue: str
    paused_at: datetime
    until: datetime | None
    paused_by: str
    reason: str


async def pause(tx: Tx, queue: str, *, by: str, reason: str, for_: timedelta | None = None) -> Paused:
    """Let nobody take work from this queue, for so long or until it is resumed. A second pause replaces the first."""
    row = await tx.fetchrow(
        """
        INSERT INTO queue_controls (queue, until, paused_by, reason) VALUES ($1, now() + $2::interval, $3, $4)
        ON CONFLICT (queue) DO UPDATE
           SET paused_at = now(), until = excluded.until, paused_by = excluded.paused_by, reason = excluded.reason
        RETURNING queue, paused_at, until, paused_by, reason
        """,
        queue,
        for_,
        by,
        reason,
    )
    assert row is not None
    return Paused(**row)


async def resume(tx: Tx, queue: str) -> Paused | None:
    """Let it run again; what it was paused for, or None where it ran already."""
    row = await tx.fetchrow(
        """
        WITH resumed AS (DELETE FROM queue_controls WHERE queue = $1 RETURNING *)
        SELECT queue, paused_at, until, paused_by, reason FROM resumed WHERE until IS NULL OR until > now()
        """,
        queue,
    )
    return Paused(**row) if row else None


async def list_paused(tx: Tx) -> list[Paused]:
    """Every queue at rest, the longest first."""
    rows = await tx.fetch(
        """
        SELECT queue, paused_at, until, paused_by, reason FROM queue_controls
         WHERE until IS NULL OR until > now() ORDER BY paused_at, queue
        """
    )
    return [Paused(**row) for row in rows]
