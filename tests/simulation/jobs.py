"""Periodic jobs, run now as a person would: in a slot of its own in the stack's own book of runs."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import structlog

import settings
from schedules.__main__ import values_from
from schedules.clock import CONNECTIONS, Busy, Clock
from schedules.means import open_bounded, open_means
from schedules.timetable import BY_NAME


@asynccontextmanager
async def a_clock(stack: Mapping[str, str]) -> AsyncIterator[Clock]:
    """One more clock of this stack, which keeps no timetable: it runs what it is told to."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    os.environ.update(stack)
    values = values_from(settings.load())
    async with open_bounded(values.database_url, max_size=CONNECTIONS) as pool, open_means(values) as means:
        yield Clock(pool, means)


async def run(clock: Clock, name: str) -> str:
    """How it ended, in a word."""
    ended = await clock.run_now(BY_NAME[name], by="simulation")
    return "busy" if isinstance(ended, Busy) else ended.outcome.value
