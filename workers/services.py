"""What a worker process holds open: one pool, one batcher of hints and one set of senders, on Dramatiq's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import Middleware

from db.pool import Pool, open_pool
from workers.delivery.senders import DeliverySettings, Senders, build
from workers.hints import Hints
from workers.webhook_events import Desk

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: A close that takes longer is given up: what it would have finished is owed by a row.
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WorkerValues:
    """What a worker process is started with."""

    database_url: str
    redis_url: str
    threads: int
    desk: Desk
    delivery: DeliverySettings


class Services(Middleware):
    """Opened before a worker boots and closed after it stopped; both on the loop that the actors run on."""

    pool: Pool
    hints: Hints
    senders: Senders

    def __init__(self, values: WorkerValues) -> None:
        self.values = values
        self.desk = values.desk

    def before_worker_boot(self, broker: Any, worker: Any) -> None:  # noqa: ARG002 - Dramatiq's signature
        _on_loop(self._open())

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:  # noqa: ARG002 - Dramatiq's signature
        self.close()

    def close(self) -> None:
        """Close what is open, in bounded time, and never raise: the process is ending."""
        try:
            _on_loop(asyncio.wait_for(self._close(), CLOSE_SECONDS))
        except Exception as error:  # noqa: BLE001 - nothing more can be done, and nothing is lost
            log.warning("worker.close_failed", error_class=type(error).__name__)

    async def _open(self) -> None:
        # No connection is made here: a worker starts while Postgres or Redis is away, and works when they are back.
        self.pool = await open_pool(self.values.database_url, name="worker", max_size=self.values.threads + 2)
        self.hints = await Hints(self.values.redis_url).__aenter__()
        self.senders = build(self.values.delivery)

    async def _close(self) -> None:
        await self.hints.__aexit__(None, None, None)
        await self.senders.aclose()
        await self.pool.close()


def _on_loop(work: Awaitable[T]) -> T:
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("Dramatiq's AsyncIO middleware must come before ours")
    return thread.run_coroutine(work)
