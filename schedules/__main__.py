"""The clock's process: keeps the timetable until it is told to stop. Any number of copies may run, on any hosts."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

import logs
import settings
from db.pool import answers
from schedules.clock import CONNECTIONS, Clock
from schedules.figures import RecordFigures
from schedules.means import MeansValues, open_bounded, open_means
from schedules.metrics import Metrics
from schedules.redis_watch import RedisWatch
from schedules.timetable import TIMETABLE
from web.watching import Address, Watched, watched_at
from workers.apply import Book
from workers.clock import business_clock
from workers.watchdog import Watchdog


def values_from(environment: settings.Settings) -> MeansValues:
    """What the clock needs of the settings, as plain values."""
    return MeansValues(
        database_url=environment.database_url.get_secret_value(),
        redis_url=environment.redis_url.get_secret_value(),
        gateways=environment.gateways,
        book=Book(
            environment.instance_id,
            environment.late_success,
            business_clock(environment.development_clock),
            dunning=environment.dunning,
        ),
    )


async def run(values: MeansValues, address: Address | None = None, *, production: bool = False) -> None:
    """Keep the timetable until SIGTERM or Ctrl-C."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    watchdog, redis = Watchdog(loop), RedisWatch(values.redis_url)
    async with (
        open_bounded(values.database_url, max_size=CONNECTIONS) as pool,
        open_means(values) as means,
        AsyncExitStack() as beside,
    ):
        figures = RecordFigures(means.pool)
        metrics = Metrics(means.hints, figures, redis, lag_seconds=lambda: watchdog.lag_seconds)
        looking = asyncio.create_task(redis.watch_for_ever(), name="redis watch")
        beside.callback(looking.cancel)
        watched = Watched(metrics.registry, lambda: True, lambda: answers(means.pool), figures.gather)
        await beside.enter_async_context(watched_at(address, watched, production=production))
        watchdog.start()
        beside.callback(watchdog.stop)
        print("ready", flush=True)  # noqa: T201 - who started us waits for this line
        await Clock(pool, means).run([metrics.counted(job) for job in TIMETABLE], stopping)


def main() -> int:
    try:
        environment = settings.load()
    except settings.SettingsError as error:
        print(f"schedules: {error}", file=sys.stderr)  # noqa: T201 - the sentence that the start owes its caller
        return 2
    logs.configure(production=environment.is_production)
    # Only where it is set: two clocks beside each other cannot both have its default.
    address = Address(environment.host, environment.port) if "port" in environment.model_fields_set else None
    asyncio.run(run(values_from(environment), address, production=environment.is_production))
    return 0


if __name__ == "__main__":
    sys.exit(main())
