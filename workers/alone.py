"""Work one row in a process of its own, because it may be what ended the processes that worked it before.

The life of a row that ends processes:
1. It is hinted again, so each further attempt is marked on the row before it begins, and unmarked by its end.
2. Two marks without an end: it runs alone, under a lease, so that no innocent neighbour dies with it.
3. Each attempt alone is counted as a crash before it begins, and taken back when it ends in a way that can be written.
4. Three crashes: it is dead, for a person. From the first crash on it runs alone, whatever else happens to it.

Who is killed beside such a row comes back, and in the end runs alone too: it ends like anybody, and nothing is counted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from db.pool import UNAVAILABLE
from db.work_attempts import Source

T = TypeVar("T")

#: Attempts that ended without a word before a row runs alone. One is any worker's bad day.
SILENT_ATTEMPTS = 2

#: Ends of its own process before a row is dead.
MOST_CRASHES = 3

#: A process starts in a second or two, and its work has limits of 30.
LIMIT_SECONDS = 45.0

#: Longer than the process may live: a row that comes back earlier would meet itself.
LEASE_SECONDS = 90.0

#: Beside a worker at once, since each takes as much memory as a small worker.
AT_ONCE = 2

#: How such a process ends when it has come to an end, and not merely ended. No shell, signal or Python says this.
LAST_WORD = 86


@dataclass(frozen=True, slots=True)
class Ending:
    """How the process ended. ``told`` is for a person."""

    said_its_last_word: bool
    told: str


@dataclass(frozen=True, slots=True)
class Alone:
    """How to start such a process: the row's kind and its id follow the command. Hold ``room`` while it runs."""

    command: tuple[str, ...] = (sys.executable, "-m", "workers", "--alone")
    limit_seconds: float = LIMIT_SECONDS
    room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE), repr=False)

    async def run(self, source: Source, row: UUID) -> Ending:
        """Run it to its end, or to the limit. It inherits our environment, and with it the settings.

        Where we are cancelled meanwhile it goes on: it says on the row how it went, and needs nobody to listen.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command, source, str(row), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
        try:
            async with asyncio.timeout(self.limit_seconds):
                code = await process.wait()
        except TimeoutError:
            # With its group: what it has started itself must not outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return Ending(said_its_last_word=False, told=f"no end within {self.limit_seconds:g} s")
        return Ending(code == LAST_WORD, f"signal {-code}" if code < 0 else f"exit code {code}")


#: What a worker process uses, for all its rows together.
ALONE = Alone()


async def when_back(write: Callable[[], Awaitable[T]], *, tries: int = 30) -> T:
    """Write it once the database is there: a crash that was none must not stay counted because nobody could say so."""
    for _ in range(tries - 1):
        with suppress(*UNAVAILABLE):
            return await write()
        await asyncio.sleep(1.0)
    return await write()
