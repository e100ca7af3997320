"""Work what has been owed too long, straight from the record. Hints are the fast way, and this is the one that is left.

Whatever has become of a hint (Redis is away, full, or holds something else under our keys; the clock is down; a queue
is deep in hints for work that is long done), its row says that it is owed, and since when. Nobody has to find out why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import structlog

from db import effects, webhook_events
from db.pool import Pool, Tx
from workers.queues import REPLAY_WEBHOOK_EVENT, RESEND_EFFECT, SEND_EFFECT, WORK_WEBHOOK_EVENT, Route

log = structlog.get_logger(__name__)

#: A hint that works takes milliseconds, and the sweep repeats a lost one after 2 seconds: by now neither has helped.
LONG_SECONDS = 4.0

EVERY_SECONDS = 1.0

#: A small share of a worker's strength. Behind a backlog that is being worked this only picks from its old end.
AT_ONCE = 4
BATCH = 100

Work = Callable[[UUID], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Standby:
    """One worker process's own look into the record, for the routes that it works, the most urgent first."""

    pool: Pool
    work: dict[Route, Work]

    async def run(self) -> None:
        """Look every second until cancelled; whatever goes wrong in one round, the next round comes."""
        while True:
            try:
                await self.run_once()
            except Exception as error:  # noqa: BLE001 - the database is away, say; it will be back
                log.warning("standby.round_failed", error_class=type(error).__name__)
            await asyncio.sleep(EVERY_SECONDS)

    async def run_once(self) -> int:
        """Work what has been owed too long; returns how many rows were looked at."""
        async with self.pool.acquire() as connection:
            late = [(work, row) for route, work in self.work.items() for row in await _long_owed(connection, route)]
        hands = asyncio.Semaphore(AT_ONCE)

        async def take(work: Work, row: UUID) -> None:
            async with hands:
                await work(row)

        async with asyncio.TaskGroup() as group:
            for work, row in late:
                group.create_task(take(work, row))
        if late:
            log.info("standby.worked", count=len(late))
        return len(late)


async def _long_owed(tx: Tx, route: Route) -> list[UUID]:
    if route in (WORK_WEBHOOK_EVENT, REPLAY_WEBHOOK_EVENT):
        return await webhook_events.long_owed(tx, limit=BATCH, seconds=LONG_SECONDS, queue=route.queue)
    if route in (SEND_EFFECT, RESEND_EFFECT):
        return await effects.long_owed(tx, limit=BATCH, seconds=LONG_SECONDS, queue=route.queue)
    return []
