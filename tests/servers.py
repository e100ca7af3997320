"""Real servers for tests: one PostgreSQL with a migrated template, one Valkey, and helpers for their databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import asyncpg
import redis

from db.migrate import migrate
from local.postgres import DATABASE, Postgres
from local.valkey import Valkey
from tests.folders import passing

_NUMBERS = count(1)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A migrated server of its own, that forgets everything; its directory is reachable by root's ``nobody``."""
    with passing("counterfoil-test-") as folder:
        server = Postgres(folder / "postgres", durable=False, settings={"max_connections": "200"})
        try:
            server.start()
            asyncio.run(migrate(server.url))
            yield server
        finally:
            server.remove()


@contextmanager
def valkey() -> Iterator[Valkey]:
    """A server of its own, that forgets everything."""
    with passing("counterfoil-test-") as folder:
        server = Valkey(folder / "valkey", durable=False)
        try:
            yield server.start()
        finally:
            server.remove()


@contextmanager
def database(server: Postgres) -> Iterator[str]:
    """The URL of a fresh copy of the server's migrated database, which nobody else uses."""
    name = f"test_{next(_NUMBERS)}"
    asyncio.run(_execute(server, f"CREATE DATABASE {name} TEMPLATE {DATABASE} STRATEGY file_copy"))
    try:
        yield server.url_of(name)
    finally:
        asyncio.run(_execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(server: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url_of("postgres"), timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def empty(server: Valkey) -> None:
    """Forget every key of every database."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
