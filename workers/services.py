"""What a worker process holds open: one pool, one batcher of hints and one set of senders, on Dramatiq's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import structlog
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import Middleware

from db.pool import Pool, open_pool
from gateways.client import Client
from gateways.clients import build_clients
from workers.captures import Captures
from workers.delivery.senders import DeliverySettings, Senders, build
from workers.hints import Hints
from workers.outbound import Outbound
from workers.queues import EFFECTS, QUEUES, SEND_EFFECT, WEBHOOKS
from workers.standby import Standby, Work
from workers.webhook_events import Desk, work_webhook_event

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: What is being sent may end within this; a close that takes longer is given up. Either way a row owes what is left.
DRAIN_SECONDS = 3.0
CLOSE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class WorkerValues:
    """What a worker process is started with."""

    database_url: str
    redis_url: str
    threads: int
    desk: Desk
    delivery: DeliverySettings
    #: Each gateway's own settings, from which its client is made.
    gateways: Mapping[str, object] = field(repr=False)
    queues: frozenset[str] = frozenset(QUEUES)


class Services(Middleware):
    """Opened before a worker boots and closed after it stopped; both on the loop that the actors run on."""

    pool: Pool
    hints: Hints
    clients: dict[str, Client]
    senders: Senders
    outbound: Outbound

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
        self.clients = build_clients(self.values.gateways)
        captures = Captures(self.pool, self.clients, self.desk.book)
        self.senders = build(self.values.delivery, further={"gateway": captures})
        self.outbound = Outbound(self.pool, self.senders)
        works: dict[str, Work] = {WEBHOOKS: self.work, EFFECTS: self.outbound.send}
        standby = Standby(self.pool, {queue: work for queue, work in works.items() if queue in self.values.queues})
        self._standing_by = asyncio.create_task(standby.run())

    async def work(self, event_id: UUID) -> None:
        """Work one event, and hint the effects that were committed with it."""
        result = await work_webhook_event(self.pool, self.desk, event_id)
        for effect in result.effects:
            self.hints.offer(SEND_EFFECT, effect)

    async def _close(self) -> None:
        self._standing_by.cancel()
        await asyncio.wait([self._standing_by])
        await self.outbound.drain(DRAIN_SECONDS)
        await self.hints.__aexit__(None, None, None)
        await self.senders.aclose()
        for client in self.clients.values():
            await client.aclose()
        await self.pool.close()


def _on_loop(work: Awaitable[T]) -> T:
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("Dramatiq's AsyncIO middleware must come before ours")
    return thread.run_coroutine(work)
