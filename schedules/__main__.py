"""The clock's process: sweeps every second until it is told to stop. Any number of copies may run."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

import logs
import settings
from db import partitions
from db.pool import Pool, open_pool
from schedules.sweep import sweep_once
from workers.hints import Hints

log = structlog.get_logger(__name__)

SWEEP_EVERY_SECONDS = 1.0
PREPARE_PARTITIONS_EVERY_SECONDS = 6 * 3600.0


async def run(database_url: str, redis_url: str) -> None:
    """Sweep until SIGTERM or Ctrl-C; whatever goes wrong in one round is logged, and the next round comes."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with (
        await open_pool(database_url, name="schedules", max_size=3) as pool,
        Hints(redis_url) as hints,
    ):
        print("ready", flush=True)  # noqa: T201 - who started us waits for this line
        async with asyncio.TaskGroup() as clock:
            clock.create_task(_every(SWEEP_EVERY_SECONDS, "sweep", lambda: sweep_once(pool, hints), stopping))
            clock.create_task(
                _every(
                    PREPARE_PARTITIONS_EVERY_SECONDS,
                    "partitions",
                    lambda: _prepare_partitions(pool),
                    stopping,
                )
            )


async def _prepare_partitions(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await partitions.prepare(connection, datetime.now(UTC))


async def _every(seconds: float, name: str, job: Callable[[], Awaitable[object]], stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - one bad round must not end the clock (F144)
            log.warning("schedules.round_failed", job=name, error_class=type(error).__name__)
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            continue


def main() -> int:
    try:
        values = settings.load()
    except settings.SettingsError as error:
        print(f"schedules: {error}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
        return 2
    logs.configure(production=values.is_production)
    asyncio.run(run(values.database_url.get_secret_value(), values.redis_url.get_secret_value()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
