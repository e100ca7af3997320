"""What becomes of hints in Redis: how many wait for a worker, and how many a worker has taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from workers.hints import AWAY
from workers.queues import NAMESPACE, QUEUES

SOCKET_SECONDS = 2.0

#: Redis is away, something else stands under our keys, or the address is none.
UNKNOWN: tuple[type[BaseException], ...] = (*AWAY, ValueError)


@dataclass(frozen=True, slots=True)
class HintCount:
    """Hints of one queue. ``taken`` are those that a worker holds, in work or waiting in its hands."""

    waiting: int
    taken: int


async def count_hints(url: str) -> dict[str, HintCount] | None:
    """By queue; None where Redis does not say."""
    try:
        async with _connected(url) as redis:
            workers: Any = await redis.zrange(f"{NAMESPACE}:__heartbeats__", 0, -1)
            return {queue: await _count(redis, queue, workers) for queue in QUEUES}
    except UNKNOWN:
        return None


async def _count(redis: Redis, queue: str, workers: Sequence[bytes]) -> HintCount:
    async with redis.pipeline(transaction=False) as pipeline:
        pipeline.llen(f"{NAMESPACE}:{queue}")
        for worker in workers:
            pipeline.scard(f"{NAMESPACE}:__acks__.{worker.decode('utf-8', 'replace')}.{queue}")
        waiting, *taken = await pipeline.execute()
    return HintCount(waiting, sum(taken))


def _connected(url: str) -> Redis:
    return Redis.from_url(
        url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS, retry=Retry(NoBackoff(), 0)
    )
