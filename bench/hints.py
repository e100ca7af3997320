"""Batched hints against ``actor.send`` in threads, which is what keeps Dramatiq's own way off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import repeat

import dramatiq

from bench.comparison import Comparison, compare
from db.ids import new_id
from workers.broker import make_broker
from workers.hints import Hints
from workers.queues import BULK, Route

MESSAGES = 5000
AT_ONCE = 64


async def measure(redis_url: str) -> Comparison:
    broker = make_broker(redis_url)
    dramatiq.set_broker(broker)
    actor = dramatiq.actor(queue_name=BULK, broker=broker)(_work_nothing)
    route = Route(BULK, actor.actor_name)

    async with Hints(redis_url) as hints:

        async def offer() -> float:
            begun = time.perf_counter()
            for _ in repeat(None, MESSAGES):
                hints.offer(route, new_id())
            await hints.flush()
            return MESSAGES / (time.perf_counter() - begun)

        async def send_in_threads() -> float:
            waiting = iter(range(MESSAGES))
            begun = time.perf_counter()
            await asyncio.gather(*(_send(waiting, actor) for _ in repeat(None, AT_ONCE)))
            return MESSAGES / (time.perf_counter() - begun)

        compared = await compare("Batched hints", "messages", offer, "actor.send in threads", send_in_threads)
        assert hints.dropped == 0
    broker.flush(BULK)
    broker.close()
    return compared


async def _send(waiting: Iterator[int], actor: dramatiq.Actor[[str], None]) -> None:
    for _ in waiting:
        await asyncio.to_thread(actor.send, str(new_id()))


def _work_nothing(row: str) -> None:
    """Never run: nobody works this queue meanwhile."""
