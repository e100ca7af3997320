"""What a worker process holds open: one pool, one batcher of hints and one set of senders, on Dramatiq's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread
from dramatiq.middleware import Middleware
from structlog.contextvars import bound_contextvars

from db.pool import UNAVAILABLE, Pool, answers, open_pool
from gateways.clients import build_clients
from web.watching import Address, Watched, watched_at
from workers.delivery.senders import DeliverySettings, build
from workers.errands import Errands
from workers.hints import Hints
from workers.metrics import Metrics
from workers.outbound import Outbound
from workers.presence import Presence
from workers.queues import QUEUES, REPLAY_WEBHOOK_EVENT, RESEND_EFFECT, SEND_EFFECT, WORK_WEBHOOK_EVENT, Route
from workers.standby import Standby, Work
from workers.watchdog import Watchdog
from workers.webhook_events import Desk, work_webhook_event

log = structlog.get_logger(__name__)

#: For one event, or one send to be begun, with all that may be waited for, a process of its own included. Each step has
#: its limit; this one is for connections that nobody gives back.
MOST_SECONDS = 180.0

#: What is being sent may end within this; a close that takes longer is given up. Either way a row owes what is left.
DRAIN_SECONDS = 3.0
CLOSE_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class WorkerValues:
    """What a worker process is started with."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    threads: int
    desk: Desk
    delivery: DeliverySettings
    #: Each gateway's own settings, from which its client is made.
    gateways: Mapping[str, object] = field(repr=False)
    queues: frozenset[str] = frozenset(QUEUES)
    watched_at: Address | None = None
    production: bool = False


class Services(Middleware):
    """Opened before a worker boots and closed after it stopped; both on the loop that the actors run on."""

    pool: Pool
    hints: Hints
    outbound: Outbound
    metrics: Metrics

    def __init__(self, values: WorkerValues, *, most_seconds: float = MOST_SECONDS) -> None:
        self.values = values
        self.desk = values.desk
        self._most_seconds = most_seconds
        self._working = 0
        self._is_stopping = False
        self.is_open = False
        self._threads: Callable[[], list[Any]] = list

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        broker.bell.listen()
        self._threads = lambda: [*worker.workers, *worker.consumers.values()]
        thread = _loop_thread()
        self._watchdog = Watchdog(thread.loop)
        thread.run_coroutine(self._open())
        self._watchdog.start()
        self.is_open = True

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:  # noqa: ARG002 - Dramatiq's signature
        """Nothing more is begun: neither from hints, which Dramatiq takes no more, nor from the record."""
        self.stop_beginning()
        broker.bell.close()

    def stop_beginning(self) -> None:
        self._is_stopping = True

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:  # noqa: ARG002 - Dramatiq's signature
        """Close what is open, in bounded time, and never raise: the process is ending."""
        try:
            _loop_thread().run_coroutine(self._close_in_time())
        except Exception as error:  # noqa: BLE001 - nothing more can be done, and nothing is lost
            log.warning("worker.close_failed", error_class=type(error).__name__)
        self._watchdog.stop()

    @property
    def in_hand(self) -> int:
        return self._working + self.outbound.under_way

    async def _open(self) -> None:
        # No connection is made here: a worker starts while Postgres or Redis is away, and works when they are back.
        values, opened = self.values, AsyncExitStack()
        self._opened, self._idle = opened, asyncio.Event()
        self._idle.set()
        self.pool = await opened.enter_async_context(
            await open_pool(values.database_url, name="worker", max_size=values.threads + 2)
        )
        self.hints = await opened.enter_async_context(Hints(values.redis_url))
        clients = build_clients(values.gateways)
        for client in clients.values():
            opened.push_async_callback(client.aclose)
        errands = Errands.of(self.pool, clients, self.desk.book)
        senders = await opened.enter_async_context(build(values.delivery, further={"gateway": errands}))

        self.metrics = Metrics(self.hints, in_hand=lambda: self.in_hand, lag_seconds=lambda: self._watchdog.lag_seconds)
        self.outbound = Outbound(self.pool, senders, self.desk.alone, self.metrics.count_effect)
        self._presence = Presence(self.pool, sorted(values.queues), values.threads, lambda: self.in_hand)
        self._beside = [
            asyncio.create_task(self._standby().run(), name="standby"),
            asyncio.create_task(self._presence.say_for_ever(), name="presence"),
        ]
        watched = Watched(self.metrics.registry, self._is_whole, lambda: answers(self.pool))
        await opened.enter_async_context(watched_at(values.watched_at, watched, production=values.production))

    def _standby(self) -> Standby:
        works: dict[Route, Work] = {
            WORK_WEBHOOK_EVENT: self._work_long_owed,
            SEND_EFFECT: self._send_long_owed,
            REPLAY_WEBHOOK_EVENT: self._work_long_owed,
            RESEND_EFFECT: self._send_long_owed,
        }
        return Standby(self.pool, {r: work for r, work in works.items() if r.queue in self.values.queues})

    async def work(self, event_id: UUID, *, careful: bool = False) -> None:
        """Work one event, and hint the effects that were committed with it."""
        self._working += 1
        self._idle.clear()
        try:
            with bound_contextvars(event_id=str(event_id)):
                async with asyncio.timeout(self._most_seconds):
                    result = await work_webhook_event(self.pool, self.desk, event_id, careful=careful)
        except TimeoutError:
            log.warning("worker.gave_up", event_id=str(event_id))  # its row is owed as before
            return
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()
        for effect in result.effects:
            self.hints.offer(SEND_EFFECT, effect)
        self.metrics.count_event(event_id, result.worked, result.trouble_class)

    async def send(self, effect_id: UUID) -> bool:
        """Begin to send one effect, if its channel has room."""
        try:
            with bound_contextvars(effect_id=str(effect_id)):
                async with asyncio.timeout(self._most_seconds):
                    return await self.outbound.send(effect_id)
        except UNAVAILABLE as error:
            log.warning("worker.not_begun", effect_id=str(effect_id), error_class=type(error).__name__)
            return False

    async def _work_long_owed(self, event_id: UUID) -> None:
        """No hint has helped; carefully, since it may be what its last worker died of."""
        if not self._is_stopping:
            self.metrics.standby.inc()
            await self.work(event_id, careful=True)

    async def _send_long_owed(self, effect_id: UUID) -> None:
        if not self._is_stopping and await self.send(effect_id):
            self.metrics.standby.inc()

    def _is_whole(self) -> bool:
        """Whether every thread of Dramatiq's lives; where one has ended, its supervisor should begin anew."""
        return all(thread.is_alive() for thread in self._threads())

    async def _close_in_time(self) -> None:
        closing = asyncio.create_task(self._close())
        _, late = await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        if late:  # A database that is frozen does not even let go.
            log.warning("worker.closed_by_force")
            self.pool.terminate()
        else:
            closing.result()

    async def _close(self) -> None:
        standby, presence = self._beside
        presence.cancel()
        await asyncio.gather(
            self.outbound.drain(DRAIN_SECONDS),
            asyncio.wait({asyncio.create_task(self._idle.wait())}, timeout=DRAIN_SECONDS),
        )
        standby.cancel()
        await asyncio.wait(self._beside)
        await self._presence.leave()
        await self._opened.aclose()


def _loop_thread() -> EventLoopThread:
    thread = get_event_loop_thread()
    if thread is None:
        raise RuntimeError("Dramatiq's AsyncIO middleware must come before ours")
    return thread
