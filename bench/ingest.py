"""Shared commits against one commit for each request: the same rows, callers and connections, on a durable disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import repeat

from bench.comparison import Comparison, compare
from db import webhook_events
from db.pool import open_pool
from db.webhook_events import Arrival
from gateways.stripe import STRIPE
from ingress.keeping import REPEATERS, WRITERS, Keeping
from ingress.metrics import Metrics
from workers.hints import Hints

#: Deliveries in one round, how many are under way at once, and how large each is: a usual Stripe event.
DELIVERIES = 3000
AT_ONCE = 64
BODY_BYTES = 3000

CONNECTIONS = WRITERS + REPEATERS + 1


async def measure(database_url: str, redis_url: str) -> Comparison:
    async with AsyncExitStack() as stack:
        keeping = await stack.enter_async_context(Keeping(database_url, Metrics(Hints(redis_url))))
        pool = await stack.enter_async_context(await open_pool(database_url, name="bench", max_size=CONNECTIONS))

        async def share(arrival: Arrival) -> None:
            await keeping.keep(STRIPE, arrival, {})

        async def commit_alone(arrival: Arrival) -> None:
            async with pool.acquire() as connection, connection.transaction():
                await webhook_events.keep(connection, [arrival])

        return await compare(
            "Shared commits",
            "deliveries",
            lambda: _rate(share),
            "one commit for each request",
            lambda: _rate(commit_alone),
        )


async def _rate(keep: Callable[[Arrival], Awaitable[None]]) -> float:
    arrivals = [_arrival() for _ in range(DELIVERIES)]
    waiting = iter(arrivals)

    begun = time.perf_counter()
    await asyncio.gather(*(_deliver(waiting, keep) for _ in repeat(None, AT_ONCE)))
    return DELIVERIES / (time.perf_counter() - begun)


async def _deliver(waiting: Iterator[Arrival], keep: Callable[[Arrival], Awaitable[None]]) -> None:
    for arrival in waiting:
        await keep(arrival)


def _arrival() -> Arrival:
    body = b'{"id": "%s"}' % os.urandom(BODY_BYTES // 2).hex().encode()
    event_id = f"evt_{os.urandom(12).hex()}"
    return Arrival(
        gateway="stripe",
        account="",
        livemode=False,
        event_id=event_id,
        event_key=event_id,
        event_type="payment_intent.succeeded",
        api_version="2026-10-28.endive",
        raw=body,
        payload_hash=hashlib.sha256(body).hexdigest(),
        signature_headers={"stripe-signature": "t=1700000000,v1=" + "0" * 64},
        secret_id="bench",
        gateway_created_at=None,
    )
