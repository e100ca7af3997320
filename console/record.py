"""The record as the desk reaches it: in bounded time, with each way in which it can be away said in a sentence."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import structlog

from console.options import refuse, setting
from db.pool import UNAVAILABLE, Pool, open_pool

T = TypeVar("T")

#: One for the work, one for what the work asks beside it.
CONNECTIONS = 2

#: A retry of thousands of letters is one statement; longer than this is a server in trouble.
STATEMENT_SECONDS = 60.0
CLOSE_SECONDS = 2.0


#: No connection can be had: nobody is there, or the address is wrong.
NO_CONNECTION: tuple[type[BaseException], ...] = (*UNAVAILABLE, asyncpg.PostgresError, ValueError)


class Away(Exception):
    """The record does not answer as it should. The message is for the person at the desk, without the address."""


def at_the_record(data_dir: Path, work: Callable[[Pool], Awaitable[T]]) -> T:
    """Do this with the record of the environment, or of the development stack, and give what came of it."""
    url = setting("DATABASE_URL", data_dir)
    try:
        return asyncio.run(with_record(url, work))
    except Away as error:
        raise refuse(str(error)) from error


async def with_record(url: str, work: Callable[[Pool], Awaitable[T]]) -> T:
    """Raises ``Away``, and whatever the work raises of its own."""
    speak_on_stderr()
    pool = await _open(url)
    try:
        return await work(pool)
    except asyncpg.SyntaxOrAccessError as error:
        raise _misfit(error) from error
    except UNAVAILABLE as error:
        raise _away(error) from error
    finally:
        await _close(pool)


async def _open(url: str) -> Pool:
    """With one connection made, so that what is wrong with the address shows here."""
    try:
        return await open_pool(url, name="desk", min_size=1, max_size=CONNECTIONS, command_seconds=STATEMENT_SECONDS)
    except NO_CONNECTION as error:
        raise _away(error) from error


async def _close(pool: Pool) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except TimeoutError:
        pool.terminate()  # A server that is frozen says no good-bye.


def _away(error: BaseException) -> Away:
    """Nothing of the address is quoted: a part of it is a password."""
    return Away(f"The database does not answer as it should ({type(error).__name__}).")


def _misfit(error: asyncpg.SyntaxOrAccessError) -> Away:
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return Away("The database role lacks a right: see docs/deployment.md#roles.")
    return Away("The database is not migrated to this version: run counterfoil migrate first.")


def speak_on_stderr() -> None:
    """What the house logs meanwhile is not a command's output."""
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
