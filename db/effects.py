"""What must follow a move, outside our database: owed with it, claimed by lease, settled once, found when late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.pool import Tx
from db.work_attempts import Life, Trouble

#: The first words of kinds, the most urgent first: money before words.
CHANNELS = ("gateway", "notify", "mail", "analytics")

#: The hint that follows the commit is nearly always faster; the sweep reminds after this long.
FIRST_HINT_SECONDS = 2.0

#: Where an effect is sent from unless somebody puts it elsewhere.
HOME_QUEUE = "effects"


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect in our hands until its lease ends. ``attempts`` counts this one, and names the claim.

    ``detail`` is the state as it was when the move was written. ``address`` is read at claiming, so that no row
    freezes a personal address; None where the user has none, or was erased. ``begun`` counts the claims since the last
    one whose end was written, this one included; ``crashes`` the processes that it has ended while alone in them.
    """

    id: UUID
    kind: str
    order_id: UUID | None
    idempotency_key: str
    detail: Mapping[str, Any] = field(repr=False)
    address: str | None = field(repr=False)
    attempts: int
    created_at: datetime
    claimed_at: datetime
    epoch: int = 0
    begun: int = 1
    crashes: int = 0


async def add(
    tx: Tx,
    *,
    kind: str,
    idempotency_key: str,
    detail: Mapping[str, Any],
    order_id: UUID | None = None,
    subscription_id: UUID | None = None,
) -> UUID | None:
    """Owe this effect, in the transaction of the move that it follows; None where it is owed, or sent, already."""
    row = await tx.fetchrow(
        """
        INSERT INTO effects (kind, order_id, subscription_id, idempotency_key, detail, next_hint_at)
        VALUES ($1, $2, $3, $4, $5, now() + $6::interval)
        ON CONFLICT (idempotency_key) DO NOTHING
        RETURNING id
        """,
        kind,
        order_id,
        subscription_id,
        idempotency_key,
        dict(detail),
        timedelta(seconds=FIRST_HINT_SECONDS),
    )
    return row["id"] if row else None


async def revive(tx: Tx, idempotency_key: str) -> UUID | None:
    """A dead one is owed again, in a new life, where what it follows was worked again; None where it is not dead."""
    revived: UUID | None = await tx.fetchval(
        """
        UPDATE effects SET status = 'pending', next_attempt_at = now(), next_hint_at = now() + $2::interval
         WHERE idempotency_key = $1 AND status = 'dead'
        RETURNING id
        """,
        idempotency_key,
        timedelta(seconds=FIRST_HINT_SECONDS),
    )
    return revived


async def due_kind(tx: Tx, effect: UUID) -> str | None:
    """What kind of effect this is, if it is owed now: asked before claiming, to see whether its channel has room."""
    kind: str | None = await tx.fetchval(
        """
        SELECT kind FROM effects
         WHERE id = $1 AND status = 'pending' AND next_attempt_at <= now() AND NOT is_paused(queue)
        """,
        effect,
    )
    return kind


async def claim(tx: Tx, effect: UUID, *, lease_seconds: float) -> Effect | None:
    """Take a pending, due effect until the lease ends, or None: settled, not due, paused, or in another's hands.

    Counted before it is tried: a crash comes back after the lease, and one that kills its worker every time runs out
    of attempts all the same.
    """
    row = await tx.fetchrow(
        """
        UPDATE effects e
           SET attempts = attempts + 1, begun = begun + 1,
               next_attempt_at = now() + $2::interval, next_hint_at = now() + $2::interval
         WHERE id = (SELECT id FROM effects
                      WHERE id = $1 AND status = 'pending' AND next_attempt_at <= now() AND NOT is_paused(queue)
                        FOR UPDATE SKIP LOCKED)
        RETURNING id, kind, order_id, idempotency_key, detail, attempts, created_at, epoch, begun, crashes,
                  now() AS claimed_at, (SELECT email FROM users WHERE users.id = e.detail ->> 'userId') AS address
        """,
        effect,
        timedelta(seconds=lease_seconds),
    )
    return Effect(**row) if row else None


async def claim_alone(tx: Tx, effect: UUID, *, lease_seconds: float) -> Effect | None:
    """Take over, in a process of its own, the claim of the process that started this one; None: nothing is owed.

    Counted as a crash before it is tried, and taken back when it ends: see ``webhook_events.count_crash``.
    """
    row = await tx.fetchrow(
        """
        UPDATE effects e
           SET crashes = crashes + 1,
               next_attempt_at = now() + $2::interval, next_hint_at = now() + $2::interval
         WHERE id = $1 AND status = 'pending'
        RETURNING id, kind, order_id, idempotency_key, detail, attempts, created_at, epoch, begun, crashes,
                  now() AS claimed_at, (SELECT email FROM users WHERE users.id = e.detail ->> 'userId') AS address
        """,
        effect,
        timedelta(seconds=lease_seconds),
    )
    return Effect(**row) if row else None


async def renew(tx: Tx, effect: Effect, *, lease_seconds: float) -> bool:
    """Begin the lease of this claim anew, or False: it ended meanwhile, and somebody else has taken the effect."""
    renewed = await tx.execute(
        """
        UPDATE effects SET next_attempt_at = now() + $4::interval, next_hint_at = now() + $4::interval
         WHERE id = $1 AND status = 'pending' AND attempts = $2 AND epoch = $3
        """,
        effect.id,
        effect.attempts,
        effect.epoch,
        timedelta(seconds=lease_seconds),
    )
    return renewed == "UPDATE 1"


async def take_back_crash(tx: Tx, effect: Effect) -> None:
    """The attempt alone came to an end, whichever."""
    await tx.execute(
        "UPDATE effects SET crashes = greatest(crashes - 1, 0) WHERE id = $1 AND epoch = $2", effect.id, effect.epoch
    )


async def look(tx: Tx, effect: UUID) -> Life | None:
    """How it stands now, under lock until the transaction ends."""
    row = await tx.fetchrow("SELECT status, epoch, crashes FROM effects WHERE id = $1 FOR UPDATE", effect)
    return Life(**row) if row else None


async def mark_sent(tx: Tx, effect: UUID, *, note: str | None) -> None:
    """Nothing more is owed. ``note`` says why nothing went out, where nothing did; it stands in ``last_error``.

    Whoever sent it may say so, even after losing the lease: it is true, and spares the receiver another repeat.
    """
    await tx.execute(
        """
        UPDATE effects SET status = 'sent', sent_at = now(), next_attempt_at = NULL, begun = 0, last_error = $2
         WHERE id = $1 AND status = 'pending'
        """,
        effect,
        note,
    )


async def postpone(tx: Tx, effect: Effect, *, delay_seconds: float, error: str) -> bool:
    """Owed again after a delay; said by the newest claim only, since an older one no longer knows."""
    postponed = await tx.execute(
        """
        UPDATE effects
           SET next_attempt_at = now() + $4::interval, next_hint_at = now() + $4::interval, begun = 0, last_error = $5
         WHERE id = $1 AND status = 'pending' AND attempts = $2 AND epoch = $3
        """,
        effect.id,
        effect.attempts,
        effect.epoch,
        timedelta(seconds=delay_seconds),
        error,
    )
    return postponed == "UPDATE 1"


async def bury(tx: Tx, effect: Effect, trouble: Trouble) -> bool:
    """Dead, with its letter: nobody tries again until a person says so. Said by the newest claim only."""
    buried = await tx.execute(
        """
        WITH buried AS (
            UPDATE effects SET status = 'dead', next_attempt_at = NULL, begun = 0, last_error = coalesce($8, $6)
             WHERE id = $1 AND status = 'pending' AND attempts = $2 AND epoch = $3
            RETURNING id, epoch, queue, kind, order_id, attempts, detail ->> 'gateway' AS gateway
        )
        INSERT INTO dead_letters (source, source_id, epoch, queue, what, gateway, order_id, class, error_class, error,
                                  fingerprint, attempts)
        SELECT 'effect', id::text, epoch, queue, kind, gateway, order_id, $4, $5, $6, $7, attempts FROM buried
        """,
        effect.id,
        effect.attempts,
        effect.epoch,
        trouble.trouble_class.value,
        trouble.error_class,
        trouble.error,
        trouble.fingerprint,
        trouble.traceback,
    )
    return buried == "INSERT 0 1"


async def hold(tx: Tx, owed: Sequence[UUID]) -> dict[UUID, str]:
    """Those of them that are in nobody else's hands, each with its status, under lock until the transaction ends."""
    rows = await tx.fetch(
        "SELECT id, status FROM effects WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED", list(owed)
    )
    return {row["id"]: row["status"] for row in rows}


async def resend(tx: Tx, dead: Sequence[UUID], waits: Sequence[float], *, queue: str) -> None:
    """Owed again, each after its wait in seconds, in a new life and in this queue. A sent effect is never sent anew."""
    await tx.execute(
        """
        UPDATE effects e
           SET status = 'pending', queue = $3, next_attempt_at = now() + r.wait * interval '1 s',
               next_hint_at = now() + r.wait * interval '1 s'
          FROM unnest($1::uuid[], $2::float8[]) AS r (id, wait)
         WHERE e.id = r.id AND e.status = 'dead'
        """,
        list(dead),
        list(waits),
        queue,
    )


async def overdue(tx: Tx, *, limit: int, again_seconds: float, queue: str = HOME_QUEUE) -> list[UUID]:
    """Effects that are owed and whose last hint has come to nothing; each is left alone for ``again_seconds``."""
    rows = await tx.fetch(
        """
        UPDATE effects SET next_hint_at = now() + $2::interval
         WHERE id IN (
            SELECT id FROM effects
             WHERE queue = $3 AND NOT is_paused($3)
               AND status = 'pending' AND next_hint_at <= now() AND next_attempt_at <= now()
             ORDER BY next_hint_at LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        limit,
        timedelta(seconds=again_seconds),
        queue,
    )
    return [row["id"] for row in rows]


async def long_owed(tx: Tx, *, limit: int, seconds: float, queue: str = HOME_QUEUE) -> list[UUID]:
    """Effects that have been owed for so long that no hint can have reached a worker; of each channel the longest owed,
    so that what one receiver holds up does not stand before what is for another."""
    rows = await tx.fetch(
        """
        SELECT waiting.id FROM unnest($3::text[]) AS channel CROSS JOIN LATERAL (
            SELECT id FROM effects
             WHERE queue = $4 AND NOT is_paused($4)
               AND status = 'pending' AND next_attempt_at <= now() - $2::interval AND kind LIKE channel || '.%'
             ORDER BY next_attempt_at LIMIT $1) AS waiting
        """,
        limit,
        timedelta(seconds=seconds),
        list(CHANNELS),
        queue,
    )
    return [row["id"] for row in rows]
