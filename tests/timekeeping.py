"""Clocks for tests: jobs made in a line, and a database whose own clock a test may hold and move."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg

from db.pool import Pool, open_pool
from schedules.clock import LEASE, Clock
from schedules.job import CatchUp, Job, Report, Run
from schedules.means import Means
from tests.builders import BOOK
from tests.front_door import NO_REDIS
from workers.hints import Hints

HOUR = timedelta(hours=1)

Work = Callable[[Means, Run], Awaitable[Report]]


def means_with(pool: Pool, redis_url: str = NO_REDIS) -> Means:
    """What jobs get; no gateway, and hints that nobody needs."""
    return Means(pool, Hints(redis_url), {}, BOOK, redis_url)


def clock_on(pool: Pool, *, who: str = "test:1", lease: timedelta = LEASE) -> Clock:
    return Clock(pool, means_with(pool), who, lease)


def a_job(
    work: Work,
    *,
    name: str = "job",
    every: timedelta = HOUR,
    catch_up: CatchUp = CatchUp.LATEST,
    limit: timedelta = HOUR,
) -> Job:
    return Job(name, every, catch_up, limit, "A test's.", work)


@dataclass
class Diary:
    """A job that does nothing, and remembers for which slots."""

    slots: list[datetime] = field(default_factory=list)

    async def __call__(self, _: Means, run: Run) -> Report:
        self.slots.append(run.slot)
        return Report({"seen": len(self.slots)})


@dataclass
class Gate:
    """A job that says when it has begun, and ends when it is let go."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    broken_off: asyncio.Event = field(default_factory=asyncio.Event)
    runs: int = 0

    async def __call__(self, *_: object) -> Report:
        self.runs += 1
        self.begun.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.broken_off.set()
            raise
        return Report()


@dataclass(frozen=True, slots=True)
class HeldClock:
    """A database that believes it is the moment which the test says; it stays that moment."""

    pool: Pool

    async def set(self, moment: datetime) -> None:
        await self.pool.execute("UPDATE public.held_clock SET moment = $1", moment)


@asynccontextmanager
async def held_clock(url: str) -> AsyncIterator[HeldClock]:
    """Our function of the name stands before the server's own, in this database and for new connections."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        f"""
        CREATE TABLE public.held_clock (moment timestamptz NOT NULL);
        INSERT INTO public.held_clock VALUES ('2001-09-09 01:46:40Z');
        CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
            AS 'SELECT moment FROM public.held_clock';
        ALTER DATABASE {url.rpartition("/")[2]} SET search_path = public, pg_catalog;
        """
    )
    await connection.close()
    pool = await open_pool(url, name="test")
    try:
        yield HeldClock(pool)
    finally:
        await pool.close()


def at(hour: float) -> datetime:
    """Some day of the held clock's; none that the host has ever seen."""
    return datetime(2001, 9, 9, tzinfo=UTC) + hour * HOUR
