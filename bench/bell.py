"""An idle worker that is rung, against Dramatiq's own that polls: how soon each begins with a hint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.comparison import Comparison, compare
from db.ids import new_id
from workers.__main__ import IDLE_MILLISECONDS
from workers.broker import make_broker
from workers.hints import Hints
from workers.queues import BULK, NAMESPACE, Route

HINTS = 10
ROUTE = Route(BULK, "note_when_begun")

#: What we polled at before; Dramatiq's own default is a second.
POLL_MILLISECONDS = 150

#: Between two hints: so long that a worker has nothing to do, and whoever polls does it as seldom as it will.
IDLE_SECONDS = 0.6


async def measure(redis_url: str) -> Comparison:
    async def rung() -> float:
        broker = make_broker(redis_url)
        broker.bell.listen()
        try:
            return await _rate(redis_url, broker, IDLE_MILLISECONDS)
        finally:
            broker.bell.close()

    async def polled() -> float:
        broker = RedisBroker(url=redis_url, namespace=NAMESPACE, middleware=[])  # type: ignore[no-untyped-call]
        return await _rate(redis_url, broker, POLL_MILLISECONDS)

    poll = f"{POLL_MILLISECONDS} ms poll"
    return await compare("An idle worker that is rung", "beginnings", rung, poll, polled)


async def _rate(redis_url: str, broker: RedisBroker, timeout_milliseconds: int) -> float:
    """Hints begun in a second of waiting for them."""
    waited = 0.0
    async with Hints(redis_url) as hints:
        with _working(broker, timeout_milliseconds) as begun:
            for _ in range(HINTS):
                await asyncio.sleep(IDLE_SECONDS)
                offered = time.perf_counter()
                hints.offer(ROUTE, new_id())
                waited += await begun.get() - offered
    return HINTS / waited


@contextmanager
def _working(broker: RedisBroker, timeout_milliseconds: int) -> Iterator[asyncio.Queue[float]]:
    """A worker that tells when it began with each hint."""
    loop, begun = asyncio.get_running_loop(), asyncio.Queue[float]()

    def note(_: str) -> None:
        loop.call_soon_threadsafe(begun.put_nowait, time.perf_counter())

    dramatiq.actor(actor_name=ROUTE.actor, queue_name=ROUTE.queue, broker=broker)(note)
    worker = dramatiq.Worker(broker, queues={BULK}, worker_timeout=timeout_milliseconds)
    worker.start()
    yield begun
    worker.stop()
    broker.close()
