"""All that the verdict is made of, looked up in bounded time; what is away says so and holds nothing else up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from console.queue_lines import ALIVE_SECONDS, QueueLine, look
from console.record import Away, with_record
from db import dead_letters, health, workers
from db.dead_letters import Group
from db.health import OpenDiscrepancies
from db.pool import Pool, Tx
from db.workers import Worker
from gateways.registry import GATEWAYS
from schedules.listing import Line, listing
from workers.redis_state import RedisState, redis_state

#: Who asks at night wants an answer now, whatever hangs.
SECONDS = 15.0

#: The causes that are shown; `dead list --group` shows them all.
CAUSES = 3

#: The newest event of a gateway is found at once, or there is none for days.
HEARING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PostgresState:
    """``problem`` says why it does not serve us; ``missing`` names migrations of this version that it lacks."""

    reachable: bool
    problem: str | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """When a gateway's newest webhook came; None where none has in two days."""

    gateway: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Health:
    """How everything stands. Without a record that answers, only Redis is known beside it."""

    at: datetime
    postgres: PostgresState
    redis: RedisState
    queues: Sequence[QueueLine] = ()
    workers: Sequence[Worker] = ()
    dead: int = 0
    causes: Sequence[Group] = ()
    discrepancies: Sequence[OpenDiscrepancies] = ()
    jobs: Sequence[Line] = ()
    gateways: Sequence[Heard] = ()


async def examine(database_url: str, redis_url: str) -> Health:
    """Look at everything; Redis meanwhile, so that two that hang cost no more than one."""
    asked = asyncio.create_task(_ask_redis(redis_url))

    async def within(pool: Pool) -> Health:
        async with asyncio.timeout(SECONDS):
            return await _look(pool, redis_url, await asked)

    try:
        return await with_record(database_url, within)
    except Away as error:
        return Health(datetime.now(UTC), PostgresState(reachable=False, problem=str(error)), await asked)


async def _ask_redis(url: str) -> RedisState:
    try:
        return await redis_state(url)
    except ValueError:  # The address is none.
        return RedisState(reachable=False, problem="away")


async def _look(pool: Pool, redis_url: str, redis: RedisState) -> Health:
    async with pool.acquire() as connection:
        missing = await health.missing_migrations(connection)
    if missing:
        # What this version asks may not be there: nothing else can be said.
        return Health(datetime.now(UTC), PostgresState(reachable=True, missing=missing), redis)
    queues, jobs = await look(pool, redis_url if redis.reachable else None), await listing(pool)
    async with pool.acquire() as connection:
        return Health(
            at=datetime.now(UTC),
            postgres=PostgresState(reachable=True),
            redis=redis,
            queues=queues,
            workers=await workers.list_alive(connection, within_seconds=ALIVE_SECONDS),
            dead=await dead_letters.count_open(connection),
            causes=await dead_letters.group(connection, limit=CAUSES),
            discrepancies=await health.open_discrepancies(connection),
            jobs=jobs,
            gateways=[Heard(gateway, await _last_heard(connection, gateway)) for gateway in GATEWAYS],
        )


async def _last_heard(tx: Tx, gateway: str) -> datetime | None:
    """A gateway that is never heard is looked for in vain through all that the others have said."""
    try:
        async with asyncio.timeout(HEARING_SECONDS):
            return await health.last_heard(tx, gateway)
    except TimeoutError:
        return None
