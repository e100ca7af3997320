"""Dramatiq's own housekeeping in Redis, on the beat: what a dead worker had fetched goes back to its queue.

Dramatiq does it by chance, on a few of a worker's commands, so that an idle worker takes minutes. A fetch of nothing
whose chance is certain does it at once.
"""

from __future__ import annotations

import asyncio

import redis
from dramatiq.brokers.redis import MAINTENANCE_SCALE, RedisBroker
from dramatiq.common import dq_name

from schedules.job import Report
from workers.queues import NAMESPACE, QUEUES

#: The same for every clock: each has a heartbeat of its own in Redis otherwise, and leaves it there.
BROKER_ID = "clock"

#: What is dead in Redis waits there for the drain (``workers.dead_messages``), however long no clock runs.
DEAD_MESSAGE_TTL_MS = 365 * 24 * 3600 * 1000

SOCKET_SECONDS = 2.0


async def keep_house(redis_url: str) -> Report:
    """A Redis that is away, or holds something else under our keys, is no failure of the clock; the run says so."""
    try:
        queues = await asyncio.to_thread(_keep_house, redis_url)
    except (redis.RedisError, OSError) as error:
        return Report({"redis": type(error).__name__}, complete=False)
    return Report({"queues": queues})


def _keep_house(redis_url: str) -> int:
    client = redis.Redis.from_url(redis_url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS)
    with client:
        broker = RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq does not type it
            client=client,
            namespace=NAMESPACE,
            middleware=[],
            maintenance_chance=MAINTENANCE_SCALE,
            dead_message_ttl=DEAD_MESSAGE_TTL_MS,
        )
        broker.broker_id = BROKER_ID
        queues = [name for queue in QUEUES for name in (queue, dq_name(queue))]
        for queue in queues:
            broker.do_fetch(queue, 0)
    return len(queues)
