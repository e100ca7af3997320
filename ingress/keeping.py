"""Keep what arrives. Requests that come together share one commit: the commit is the price of a delivery.

The life of a delivery here:
1. It waits in memory. Too many wait already: refused at once.
2. A writer takes all that wait, up to ``BATCH_ROWS``, and inserts them in one transaction. The others wait meanwhile,
   so batches grow by themselves when the database is slow, and a lone delivery waits for nobody.
3. The transaction has committed: each request learns whether its row was new. What was not new is looked at alone.
4. The transaction failed for what one row holds: each row gets a transaction of its own, so that none hurts another.
5. The request may be gone by then, by its client's doing or after ``KEEP_SECONDS``. The commit goes on regardless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

import asyncpg
import structlog

from db import webhook_events
from db.pool import UNAVAILABLE, Pool, open_pool
from db.webhook_events import Arrival
from gateways.gateway import Gateway, Json
from ingress.metrics import Metrics
from ingress.repeats import Kept, recognise

log = structlog.get_logger(__name__)

#: Razorpay gives up on an answer after 5 seconds.
KEEP_SECONDS = 4.0
STATEMENT_SECONDS = 3.0
CONNECT_SECONDS = 2.0
READY_SECONDS = 1.0
CLOSE_SECONDS = 5.0

#: What may wait for a commit: less than a second of work.
BACKLOG_ROWS = 1000

#: Past 100 rows a commit's price is well shared. Bodies are a few kB, but each may have 1 MiB.
BATCH_ROWS = 100
BATCH_BYTES = 8 * 1024 * 1024

#: Two, so that one batch gathers while another commits, and few enough that they have something to gather.
WRITERS = 2

#: Repeats come in storms after an outage; they must leave connections to what is new.
REPEATERS = 4

#: All that a database can say instead of "committed".
FAILED: tuple[type[BaseException], ...] = (*UNAVAILABLE, asyncpg.PostgresError)


class Unavailable(Exception):
    """Nothing is promised: answer 503, and the gateway comes again."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    is_new: asyncio.Future[bool]

    def settle(self, kept: frozenset[UUID] | Exception) -> None:
        """Tell the request, unless it is gone."""
        if self.is_new.done():
            return
        if isinstance(kept, Exception):
            self.is_new.set_exception(kept)
        else:
            self.is_new.set_result(self.arrival.id in kept)


class Keeping:
    """Enter it in the loop that uses it. The database may be away then, and come back later."""

    def __init__(self, database_url: str, metrics: Metrics) -> None:
        self._url = database_url
        self._metrics = metrics
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(BACKLOG_ROWS)
        self._repeating = asyncio.Semaphore(REPEATERS)

    async def __aenter__(self) -> Self:
        self._pool: Pool = await open_pool(
            self._url, name="ingress", max_size=WRITERS + REPEATERS + 1, command_seconds=STATEMENT_SECONDS
        )
        self._writers = [asyncio.create_task(self._write_for_ever(), name=f"writer-{n}") for n in range(WRITERS)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), CLOSE_SECONDS)
        for writer in self._writers:
            writer.cancel()
        await asyncio.wait(self._writers)
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def keep(self, gateway: Gateway, arrival: Arrival, event: Json) -> Kept:
        """Returns once what it says is committed. Raises ``Unavailable`` where nothing can be promised."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                return await self._keep(gateway, arrival, event)
        except FAILED as error:
            raise Unavailable(type(error).__name__) from error

    async def is_ready(self) -> bool:
        """Whether the database answers now: an empty transaction is a round trip without a statement."""
        try:
            async with asyncio.timeout(READY_SECONDS), self._pool.acquire() as connection, connection.transaction():
                return True
        except FAILED:
            return False

    async def _keep(self, gateway: Gateway, arrival: Arrival, event: Json) -> Kept:
        if await self._is_new(arrival):
            return Kept(arrival.id, duplicate=False, owed=True)
        async with self._repeating, self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
            for _ in range(3):
                async with connection.transaction():
                    kept = await recognise(connection, gateway, arrival, event)
                if kept is not None:
                    return kept
        raise Unavailable("the rows that it met kept changing")

    async def _is_new(self, arrival: Arrival) -> bool:
        waiting = _Waiting(arrival, asyncio.get_running_loop().create_future())
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            raise Unavailable("too many deliveries wait for their commit") from None
        return await waiting.is_new

    async def _write_for_ever(self) -> None:
        while True:
            batch = await self._gather()
            try:
                await self._write(batch)
            finally:
                for waiting in batch:
                    waiting.settle(Unavailable("the process is stopping"))
                    self._waiting.task_done()

    async def _gather(self) -> list[_Waiting]:
        batch = [await self._waiting.get()]
        size = len(batch[0].arrival.raw)
        while len(batch) < BATCH_ROWS and size < BATCH_BYTES and not self._waiting.empty():
            batch.append(self._waiting.get_nowait())
            size += len(batch[-1].arrival.raw)
        return batch

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            new = await self._commit([waiting.arrival for waiting in batch])
        except UNAVAILABLE as error:
            log.warning("deliveries.not_kept", count=len(batch), error_class=type(error).__name__)
            for waiting in batch:
                waiting.settle(Unavailable(type(error).__name__))
        except Exception as error:  # noqa: BLE001 - a writer that died would end all keeping of this process
            if len(batch) > 1:
                for waiting in batch:
                    await self._write([waiting])
                return
            # The class alone, and no traceback: asyncpg quotes the value that it could not encode.
            log.error("delivery.refused_by_database", error_class=type(error).__name__)  # noqa: TRY400
            batch[0].settle(Unavailable(type(error).__name__))
        else:
            for waiting in batch:
                waiting.settle(new)

    async def _commit(self, arrivals: Sequence[Arrival]) -> frozenset[UUID]:
        async with self._pool.acquire(timeout=CONNECT_SECONDS) as connection:
            async with connection.transaction():
                new = await webhook_events.keep(connection, arrivals)
            self._metrics.rows_per_commit.observe(len(arrivals))
            return frozenset(new)
