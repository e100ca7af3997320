"""The checkout's way to the database: one pool, and "it is away" as the answer 503."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self

import asyncpg
import structlog

from db.pool import UNAVAILABLE, Pool, Tx, open_pool
from web.problems import unavailable

log = structlog.get_logger(__name__)

CONNECTIONS = 20
STATEMENT_SECONDS = 3.0
CONNECT_SECONDS = 2.0
READY_SECONDS = 1.0
CLOSE_SECONDS = 5.0

#: Away, full, or too busy. Not "this row is wrong", which is a fault of ours.
AWAY: tuple[type[BaseException], ...] = (
    *UNAVAILABLE,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.UndefinedTableError,  # not migrated yet
)

#: All that a database can say instead of "ready".
FAILED: tuple[type[BaseException], ...] = (*AWAY, asyncpg.PostgresError)


class Record:
    """Enter it in the loop that uses it. The database may be away then, and come back later."""

    pool: Pool

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    async def __aenter__(self) -> Self:
        self.pool = await open_pool(self._url, name="checkout", max_size=CONNECTIONS, command_seconds=STATEMENT_SECONDS)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await asyncio.wait_for(self.pool.close(), CLOSE_SECONDS)
        except TimeoutError:
            self.pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """Committed at its end, rolled back by whatever is raised. ``Problem`` 503 while the database is away."""
        with answering_when_away():
            async with self.pool.acquire(timeout=CONNECT_SECONDS) as connection, connection.transaction():
                yield connection

    async def is_ready(self) -> bool:
        """Whether the database answers now: an empty transaction is a round trip without a statement."""
        try:
            async with asyncio.timeout(READY_SECONDS), self.pool.acquire() as connection, connection.transaction():
                return True
        except FAILED:
            return False


@contextmanager
def answering_when_away() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        log.warning("database.away", error_class=type(error).__name__)
        raise unavailable() from error
