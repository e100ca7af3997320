"""Apply what is missing, in order, under a lock; forward only. Each file is one transaction."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from db import partitions

MIGRATIONS = Path(__file__).parent / "migrations"

#: Any number of releases may start at once; one migrates, the others wait and find nothing left to do.
LOCK = 7_326_003

#: Longer than any migration of ours takes; one that is frozen must not freeze every release behind it.
TURN_SECONDS = 60

#: A migration that cannot get its lock gives up, rather than queue every query behind itself on a busy table.
LOCK_TIMEOUT = "5s"


class MigrationError(Exception):
    """The database and the migration files disagree; nothing was changed. A person must look."""


async def migrate(url: str, *, turn_seconds: int = TURN_SECONDS) -> list[str]:
    """Bring the database to this version; returns the names of what was applied. Safe to call again, and at once."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await _wait_for_turn(connection, turn_seconds)
        applied = await _applied(connection)
        names = []
        for path in sorted(MIGRATIONS.glob("*.sql")):
            text = path.read_text(encoding="utf-8")
            if _is_applied(path.name, text, applied):
                continue
            await _apply(connection, path.name, text)
            names.append(path.name)
        async with connection.transaction():
            await partitions.prepare(connection, datetime.now(UTC))
        return names
    finally:
        await connection.close()


async def _wait_for_turn(connection: asyncpg.Connection[asyncpg.Record], seconds: int) -> None:
    try:
        await connection.execute(f"SET lock_timeout = '{seconds}s'")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    except asyncpg.LockNotAvailableError:
        raise MigrationError(
            f"another migration has held the lock for {seconds} seconds; see pg_locks for who it is, and try again"
        ) from None


async def _applied(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations ("
        "name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    return {
        row["name"]: row["checksum"] for row in await connection.fetch("SELECT name, checksum FROM schema_migrations")
    }


def _is_applied(name: str, text: str, applied: dict[str, str]) -> bool:
    if name not in applied:
        return False
    if applied[name] != _checksum(text):
        raise MigrationError(f"{name} was changed after it was applied; write a new migration instead")
    return True


async def _apply(connection: asyncpg.Connection[asyncpg.Record], name: str, text: str) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        await connection.execute(text)
        await connection.execute(
            "INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)", name, _checksum(text)
        )


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
