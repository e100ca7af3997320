"""The broker of a worker process. Redis holds hints only: whatever it loses is still owed in Postgres."""

from __future__ import annotations

import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, Middleware, ShutdownNotifications
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from workers.queues import NAMESPACE


def make_broker(redis_url: str, *further: Middleware) -> RedisBroker:
    """A broker with an explicit client and an explicit list of middleware, in the order in which it boots.

    No Retries: attempts are counted in Postgres, where they survive Redis. No AgeLimit: a hint has no age. No
    TimeLimit: it cannot stop async work; actors carry their own ``asyncio.timeout``.
    """
    client = redis.Redis.from_url(
        redis_url,
        socket_timeout=5,
        socket_connect_timeout=2,
        health_check_interval=30,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3),
    )
    return RedisBroker(  # type: ignore[no-untyped-call]  # Dramatiq does not type it
        client=client,
        namespace=NAMESPACE,
        middleware=[AsyncIO(), ShutdownNotifications(), CurrentMessage(), *further],
        maintenance_chance=50_000,
    )
