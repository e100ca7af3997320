"""The pool of connections, with limits on everything, and ``Tx``, the type that every db function takes."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    #: A connection, as opened or as pooled; whether it is in a transaction is its caller's decision.
    Tx = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    # asyncpg's classes are generic for the type checker alone.
    Pool = asyncpg.Pool
    Tx = asyncpg.Connection

#: What means "the database is away, full or too busy; ask again later", and never "this row is wrong".
UNAVAILABLE: tuple[type[BaseException], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that was told FATAL between two messages of one statement
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,
)

NO_ANSWER: tuple[type[BaseException], ...] = (*UNAVAILABLE, asyncpg.PostgresError)


async def _prepare(connection: Tx) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def open_pool(url: str, *, name: str, min_size: int = 0, max_size: int = 10, command_seconds: float = 10) -> Pool:
    """A pool for one event loop. With ``min_size=0`` it opens while the database is away, and heals by itself.

    ``name`` is what ``pg_stat_activity`` shows. Statements, waits for locks and idle transactions are cut off on the
    server too, since a client that died cannot cut off its own.
    """
    milliseconds = int(command_seconds * 1000)
    return await asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        timeout=3,
        command_timeout=command_seconds,
        max_inactive_connection_lifetime=60,
        init=_prepare,
        server_settings={
            "application_name": f"counterfoil {name}",
            "statement_timeout": str(milliseconds),
            "lock_timeout": str(milliseconds),
            "idle_in_transaction_session_timeout": str(2 * milliseconds),
            "timezone": "UTC",
        },
    )


async def answers(pool: Pool, *, seconds: float = 1.0) -> bool:
    """Whether the database answers now: an empty transaction is a round trip without a statement."""
    try:
        async with asyncio.timeout(seconds), pool.acquire() as connection, connection.transaction():
            return True
    except NO_ANSWER:
        return False
