"""After the fire: faults off, time skipped past every expiry, recovery run, until nothing is owed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from db.pool import UNAVAILABLE
from tests.simulation.books import Row, age_requests, count_held, count_owed, list_owed
from tests.simulation.chaos import skip
from tests.simulation.customers import HOUR, Street
from tests.simulation.stack import Stack

#: Past pages' ends, late authorisations, and debits; recovery's pauses, the longest of 6 hours; and the three days
#: after which a promise that nobody took lapses.
SKIPS = tuple(hours * HOUR for hours in (1, 1, 3, 7, 7, 24, 24, 24))

#: What is owed when the faults end may have failed often, and waits for its next attempt; and a look that died holds its
#: attempt for some minutes.
QUIET_SECONDS = 400.0


async def until_quiet(stack: Stack, *, seconds: float = QUIET_SECONDS) -> bool:
    """Until nothing is owed, and the leases of the dead have run out; False if that did not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(*UNAVAILABLE):
            if await count_owed(stack.pool) == await count_held(stack.pool) == 0:
                return True
        await asyncio.sleep(0.2)
    return False


async def settle(stack: Stack, street: Street, run_job: Callable[[str], Awaitable[str]]) -> list[Row]:
    """Let everything come to its end; returns what did not."""
    await asyncio.gather(*(_until_serving(stack, name) for name in stack.names))
    if not await until_quiet(stack):
        return await list_owed(stack.pool)
    for seconds in SKIPS:
        await skip(stack, street, seconds)
        await age_requests(stack.pool)
        await until_quiet(stack)
        for job in ("backfill_events", "recover_orphans", "dunning"):
            while await run_job(job) == "busy":
                await asyncio.sleep(0.5)
        if not await until_quiet(stack):
            break
    return await list_owed(stack.pool)


async def _until_serving(stack: Stack, name: str) -> None:
    async with asyncio.timeout(60):
        while not await stack.serves(name):
            await asyncio.sleep(0.1)
