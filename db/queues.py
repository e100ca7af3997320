"""How deep each queue is: what is owed in it now, what waits for its time, since when, and what died of it."""

from __future__ import annotations

from dataclasses import dataclass

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue. ``delayed`` waits for its time: a retry, a lease, a staggered replay. Ages are in seconds."""

    queue: str
    owed: int
    delayed: int
    oldest_owed_seconds: float
    dead: int
    paused: bool


async def depths(tx: Tx, queues: tuple[str, ...]) -> list[Depth]:
    """Every one of these queues, in their order, the empty ones too."""
    rows = await tx.fetch(
        """
        WITH work AS (
            SELECT queue, next_attempt_at FROM webhook_events WHERE status IN ('received', 'retry')
            UNION ALL SELECT queue, next_attempt_at FROM effects WHERE status = 'pending'
        ), depth AS (
            SELECT queue, count(*) FILTER (WHERE next_attempt_at <= now()) AS owed,
                   count(*) FILTER (WHERE next_attempt_at > now()) AS delayed,
                   extract(epoch FROM now() - min(next_attempt_at))::float8 AS age
              FROM work GROUP BY queue
        ), dead AS (
            SELECT queue, count(*) AS dead FROM dead_letters WHERE state = 'open' GROUP BY queue
        )
        SELECT name AS queue, coalesce(owed, 0) AS owed, coalesce(delayed, 0) AS delayed,
               greatest(coalesce(age, 0), 0) AS oldest_owed_seconds, coalesce(dead, 0) AS dead,
               is_paused(name) AS paused
          FROM unnest($1::text[]) WITH ORDINALITY AS q (name, place)
          LEFT JOIN depth ON depth.queue = name LEFT JOIN dead ON dead.queue = name
         ORDER BY place
        """,
        list(queues),
    )
    return [Depth(**row) for row in rows]
