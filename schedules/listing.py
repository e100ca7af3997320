"""The timetable as a person reads it: how each job ran last, when it is next due, and whether it has fallen silent.

A job is overdue when its last success is older than three of its periods (F145): no clock runs, or it fails every time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db import job_runs
from db.job_runs import History
from db.pool import Pool
from schedules.job import Job
from schedules.slots import slot_of
from schedules.timetable import TIMETABLE

#: Silence of so many periods is an alarm, and of less than so long is none: a restart takes a moment.
PERIODS = 3
SHORTEST_SILENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Line:
    """One job. ``last`` is None where it has never run; ``success_age`` where it has never come to its end."""

    name: str
    says: str
    schedule: str
    last: History | None
    success_age: timedelta | None
    next_slot: datetime
    is_overdue: bool


async def listing(pool: Pool, jobs: Sequence[Job] = TIMETABLE) -> list[Line]:
    """Every job of the timetable, in its order, by the server's time."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        now = await job_runs.now(connection)
        released_at = await job_runs.released_at(connection)
        histories = await job_runs.histories(connection, [job.name for job in jobs])
    return [_line(job, histories.get(job.name), released_at, now) for job in jobs]


def _line(job: Job, last: History | None, released_at: datetime, now: datetime) -> Line:
    # Who has never succeeded is as silent as if the first chance had been the last.
    begun_at = last.first_started_at if last else released_at
    success_at = last.last_success_at if last else None
    silence = now - (success_at or begun_at)
    return Line(
        name=job.name,
        says=job.says,
        schedule=in_words(job.every),
        last=last,
        success_age=now - success_at if success_at else None,
        next_slot=slot_of(now, job.every) + job.every,
        is_overdue=silence > max(PERIODS * job.every, SHORTEST_SILENCE),
    )


def in_words(every: timedelta) -> str:
    """``every second``, ``every 5 minutes``."""
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if not every % unit:
            return _counted(every // unit, name)
    return _counted(every / timedelta(seconds=1), "second")


def _counted(count: float, unit: str) -> str:
    return f"every {unit}" if count == 1 else f"every {count:g} {unit}s"
