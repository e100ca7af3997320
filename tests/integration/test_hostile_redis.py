"""A Redis that drops what it was given, or takes nothing any more: every event is answered 200, and worked once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import redis
from redis.exceptions import RedisError

from db.ids import new_id
from db.pool import Pool
from local.valkey import Valkey
from schedules.sweep import sweep_once
from tests.builders import place_order, session
from tests.front_door import front_door, raw
from tests.waiting import until
from tests.worker_process import worker
from workers.hints import Hints

ORDERS = 150


def make_hostile(server: Valkey, options: dict[str, str]) -> None:
    """Set up as a cache, and used as one: somebody else's values are in the way of ours."""
    with redis.Redis.from_url(server.url) as client, suppress(RedisError):
        for name, value in options.items():
            client.config_set(name, value)
        for _ in range(2000):
            client.set(f"cache:{new_id()}", b"x" * 2000)


@asynccontextmanager
async def sweeping(pool: Pool, redis_url: str) -> AsyncIterator[None]:
    """As the clock does it."""

    async def sweep() -> None:
        while True:
            await sweep_once(pool, hints)
            await asyncio.sleep(0.5)

    async with Hints(redis_url) as hints:
        task = asyncio.create_task(sweep())
        yield
        while not task.done():
            # Asked again: a cancellation that meets a statement's own time limit may be taken for that.
            task.cancel()
            await asyncio.wait({task}, timeout=1)


@pytest.mark.parametrize(
    "options",
    [
        {"maxmemory": "2mb", "maxmemory-policy": "allkeys-lru"},
        {"maxmemory": "2mb", "maxmemory-policy": "allkeys-random"},
        {"maxmemory": "2mb"},
        {"maxmemory": "1"},
    ],
    ids=["evicts the oldest", "evicts any", "gets full", "is full"],
)
async def test_f129_nothing_is_lost_and_nothing_doubled(
    pool: Pool, database_url: str, own_valkey: Valkey, tmp_path: Path, options: dict[str, str]
) -> None:
    orders = [await place_order(pool, plan=f"plan-{number}") for number in range(ORDERS)]

    async def all_paid() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == ORDERS)

    with worker(log=tmp_path / "log", DATABASE_URL=database_url, REDIS_URL=own_valkey.url):
        await asyncio.to_thread(make_hostile, own_valkey, options)
        async with sweeping(pool, own_valkey.url), front_door(database_url, own_valkey.url) as door:
            answers = [await door.stripe(raw(session(order))) for order in orders]
            await until(all_paid, seconds=100)

    assert {answer.status_code for answer in answers} == {200}
    assert await pool.fetchval("SELECT count(*) FROM history") == ORDERS
    assert await pool.fetchval("SELECT count(*) FROM effects") == 3 * ORDERS
