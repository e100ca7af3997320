"""What jobs work with: opened once by the process that runs them, and handed to each run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from db.pool import Pool, open_pool
from gateways.client import Client
from workers.apply import Book
from workers.hints import Hints

#: For the work itself. The clock's own connections are apart (``schedules.clock``), so that a busy job cannot keep
#: another from being claimed.
CONNECTIONS = 8

CLOSE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class MeansValues:
    """What the process is started with."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    #: Each gateway's own settings, from which its client is made.
    gateways: Mapping[str, object] = field(repr=False)
    book: Book


@dataclass(frozen=True, slots=True)
class Means:
    """Postgres and Redis may be away when this is opened, and come and go while it is used."""

    pool: Pool
    hints: Hints
    clients: Mapping[str, Client]
    book: Book
    redis_url: str = field(repr=False)


@asynccontextmanager
async def open_bounded(database_url: str, *, max_size: int) -> AsyncIterator[Pool]:
    """A pool whose end does not wait for a server that is frozen."""
    pool = await open_pool(database_url, name="schedules", max_size=max_size)
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def open_means(values: MeansValues) -> AsyncIterator[Means]:
    """Enter it in the loop that uses it."""
    from gateways.clients import build_clients  # here, since who only reads the timetable needs no SDK

    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(open_bounded(values.database_url, max_size=CONNECTIONS))
        hints = await opened.enter_async_context(Hints(values.redis_url))
        clients = build_clients(values.gateways)
        for client in clients.values():
            opened.push_async_callback(client.aclose)
        yield Means(pool, hints, clients, values.book, values.redis_url)
