"""A clock's process with a small timetable: ``python -m tests.small_clock DATABASE_URL``.

Its one job writes down each fire: which slot, under which claim, by whom.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta

from db.pool import open_pool
from schedules.clock import Clock
from schedules.job import CatchUp, Job, Report, Run
from schedules.means import Means
from tests.timekeeping import means_with
from workers.whoami import this_process

#: A busy machine may take seconds to start a process: far from the hundred slots that are caught up at most.
EVERY = timedelta(milliseconds=250)
LEASE = timedelta(seconds=3)

TABLE = "CREATE TABLE fires (slot timestamptz, claims integer, who text)"


async def _fire(means: Means, run: Run) -> Report:
    await means.pool.execute("INSERT INTO fires VALUES ($1, $2, $3)", run.slot, run.claims, this_process())
    return Report()


TIMETABLE = (Job("tick", EVERY, CatchUp.ALL, timedelta(seconds=10), "Write down each fire.", _fire),)


async def main(database_url: str) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    pool = await open_pool(database_url, name="small clock", max_size=3)
    print("ready", flush=True)  # noqa: T201 - who started us waits for this line
    await Clock(pool, means_with(pool), lease=LEASE).run(TIMETABLE, stopping)
    await pool.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
