"""What must follow a move, outside our database: owed with it, claimed by lease, settled once, found when late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.pool import Tx

#: The first words of kinds, the most urgent first: money before words.
CHANNELS = ("gateway", "notify", "mail", "analytics")

#: The hint that follows the commit is nearly always faster; the sweep reminds after this long.
FIRST_HINT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect in our hands until its lease ends. ``attempts`` counts this one, and names the claim.

    ``detail`` is the state as it was when the move was written. ``address`` is read at claiming, so that no row
    freezes a personal address; None where the user has none, or was erased.
    """

    id: UUID
    kind: str
    order_id: UUID | None
    idempotency_key: str
    detail: Mapping[str, Any] = field(repr=False)
    address: str | None = field(repr=False)
    attempts: int
    created_at: datetime


async def add(
    tx: Tx, *, kind: str, order_id: UUID | None, idempotency_key: str, detail: Mapping[str, Any]
) -> UUID | None:
    """Owe this effect, in the transaction of the move that it follows; None where it is owed, or sent, already."""
    row = await tx.fetchrow(
        """
        INSERT INTO effects (kind, order_id, idempotency_key, detail, next_hint_at)
        VALUES ($1, $2, $3, $4, now() + $5::interval)
        ON CONFLICT (idempotency_key) DO NOTHING
        RETURNING id
        """,
        kind,
        order_id,
        idempotency_key,
        dict(detail),
        timedelta(seconds=FIRST_HINT_SECONDS),
    )
    return row["id"] if row else None


async def due_kind(tx: Tx, effect: UUID) -> str | None:
    """What kind of effect this is, if it is owed now: asked before claiming, to see whether its channel has room."""
    kind: str | None = await tx.fetchval(
        "SELECT kind FROM effects WHERE id = $1 AND status = 'pending' AND next_attempt_at <= now()", effect
    )
    return kind


async def claim(tx: Tx, effect: UUID, *, lease_seconds: float) -> Effect | None:
    """Take a pending, due effect until the lease ends, or None: settled, not due, or in another worker's hands.

    Counted before it is tried: a crash comes back after the lease, and one that kills its worker every time runs out
    of attempts all the same.
    """
    row = await tx.fetchrow(
        """
        UPDATE effects e
           SET attempts = attempts + 1,
               next_attempt_at = now() + $2::interval, next_hint_at = now() + $2::interval
         WHERE id = (SELECT id FROM effects
                      WHERE id = $1 AND status = 'pending' AND next_attempt_at <= now()
                        FOR UPDATE SKIP LOCKED)
        RETURNING id, kind, order_id, idempotency_key, detail, attempts, created_at,
                  (SELECT email FROM users WHERE users.id = e.detail ->> 'userId') AS address
        """,
        effect,
        timedelta(seconds=lease_seconds),
    )
    return Effect(**row) if row else None


async def mark_sent(tx: Tx, effect: UUID, *, note: str | None) -> None:
    """Nothing more is owed. ``note`` says why nothing went out, where nothing did; it stands in ``last_error``.

    Whoever sent it may say so, even after losing the lease: it is true, and spares the receiver another repeat.
    """
    await tx.execute(
        """
        UPDATE effects SET status = 'sent', sent_at = now(), next_attempt_at = NULL, last_error = $2
         WHERE id = $1 AND status = 'pending'
        """,
        effect,
        note,
    )


async def postpone(tx: Tx, effect: UUID, *, attempt: int, delay_seconds: float, error: str) -> None:
    """Owed again after a delay; said by the newest claim only, since an older one no longer knows."""
    await tx.execute(
        """
        UPDATE effects
           SET next_attempt_at = now() + $3::interval, next_hint_at = now() + $3::interval, last_error = $4
         WHERE id = $1 AND status = 'pending' AND attempts = $2
        """,
        effect,
        attempt,
        timedelta(seconds=delay_seconds),
        error,
    )


async def bury(tx: Tx, effect: UUID, *, attempt: int, error: str) -> None:
    """Dead: nobody tries again until a person says so. Said by the newest claim only."""
    await tx.execute(
        """
        UPDATE effects SET status = 'dead', next_attempt_at = NULL, last_error = $3
         WHERE id = $1 AND status = 'pending' AND attempts = $2
        """,
        effect,
        attempt,
        error,
    )


async def overdue(tx: Tx, *, limit: int, again_seconds: float) -> list[UUID]:
    """Effects that are owed and whose last hint has come to nothing; each is left alone for ``again_seconds``."""
    rows = await tx.fetch(
        """
        UPDATE effects SET next_hint_at = now() + $2::interval
         WHERE id IN (
            SELECT id FROM effects
             WHERE status = 'pending' AND next_hint_at <= now() AND next_attempt_at <= now()
             ORDER BY next_hint_at LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        limit,
        timedelta(seconds=again_seconds),
    )
    return [row["id"] for row in rows]


async def long_owed(tx: Tx, *, limit: int, seconds: float) -> list[UUID]:
    """Effects that have been owed for so long that no hint can have reached a worker; of each channel the longest owed,
    so that what one receiver holds up does not stand before what is for another."""
    rows = await tx.fetch(
        """
        SELECT waiting.id FROM unnest($3::text[]) AS channel CROSS JOIN LATERAL (
            SELECT id FROM effects
             WHERE status = 'pending' AND next_attempt_at <= now() - $2::interval AND kind LIKE channel || '.%'
             ORDER BY next_attempt_at LIMIT $1) AS waiting
        """,
        limit,
        timedelta(seconds=seconds),
        list(CHANNELS),
    )
    return [row["id"] for row in rows]
