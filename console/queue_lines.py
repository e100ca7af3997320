"""Every queue at a glance: what is owed in it, what its hints do in Redis, who works it, and whether it is at rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from console.hint_counts import HintCount, count_hints
from db import queue_controls, queues, workers
from db.pool import Pool
from db.queue_controls import Paused
from db.queues import Depth
from db.workers import Worker
from workers.queues import QUEUES

#: Workers speak every few seconds; who has been silent for so long is gone, or hangs.
ALIVE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Rest:
    """By whom and why a queue is paused, and until when; None: until somebody resumes it."""

    by: str
    reason: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One queue. ``owed`` and ``delayed`` are rows, ``hints`` and ``in_flight`` messages in Redis: None while it is
    away."""

    name: str
    owed: int
    delayed: int
    oldest_seconds: float
    dead: int
    hints: int | None
    in_flight: int | None
    workers: int
    paused: Rest | None


async def look(pool: Pool, redis_url: str | None) -> list[QueueLine]:
    """Every queue, in the order of urgency; Redis is asked where there is one to ask."""
    hints = await count_hints(redis_url) if redis_url else None
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        depths = await queues.depths(connection, QUEUES)
        paused = await queue_controls.list_paused(connection)
        alive = await workers.list_alive(connection, within_seconds=ALIVE_SECONDS)
    return lines(depths, hints, paused, alive)


def lines(
    depths: list[Depth], hints: dict[str, HintCount] | None, paused: list[Paused], alive: list[Worker]
) -> list[QueueLine]:
    """Put together what was found."""
    at_rest = {each.queue: Rest(each.paused_by, each.reason, each.paused_at, each.until) for each in paused}
    served = Counter(queue for worker in alive for queue in worker.queues)
    return [
        QueueLine(
            name=depth.queue,
            owed=depth.owed,
            delayed=depth.delayed,
            oldest_seconds=round(depth.oldest_owed_seconds, 1),
            dead=depth.dead,
            hints=hints[depth.queue].waiting if hints else None,
            in_flight=hints[depth.queue].taken if hints else None,
            workers=served[depth.queue],
            paused=at_rest.get(depth.queue),
        )
        for depth in depths
    ]
