"""A worker process with something in it that ends processes: run by tests, by its full command, never imported for more.

``worker`` works an event as any worker does at a hint, ``alone`` as ``python -m workers --alone`` does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from db.effects import Effect
from db.pool import open_pool
from gateways.gateway import Elsewhere, Json, Unhandled
from gateways.registry import GATEWAYS
from payments.events import Observed
from tests.builders import BOOK
from workers.delivery.sender import SENT, Settled
from workers.effects import send_alone
from workers.one_row import MEMORY_BYTES, end_with_last_word, limit_ourselves
from workers.webhook_events import Desk, work_alone, work_webhook_event

ROOT = Path(__file__).parents[1]

START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tests.poison import main; sys.exit(main(*sys.argv[1:]))"


def command(mode: str, database_url: str, harm: str) -> tuple[str, ...]:
    """What starts it; the row's kind and id follow. ``harm``: a name of ``HARMS``, and what it takes after a colon."""
    return (sys.executable, "-c", START, str(ROOT), mode, database_url, harm)


def hang(pid_file: str) -> None:
    """For ever, with a child that would do so too."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(pid_file).write_text(f"{os.getpid()} {child.pid}", encoding="ascii")
    time.sleep(600)


HARMS: dict[str, Callable[[str], object]] = {
    "none": lambda _: None,
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "leave": lambda _: os._exit(0),
    "hang": hang,
    "memory": lambda _: bytearray(2 * MEMORY_BYTES),
    "kill_postgres": lambda pid: os.kill(int(pid), signal.SIGQUIT),
}


def main(mode: str, database_url: str, harm: str, source: str, row: str) -> int:
    if harm == "before":
        return 1  # as a process whose modules cannot be imported
    limit_ourselves()
    return end_with_last_word(_work(mode, database_url, harm, source, UUID(row)))


async def _work(mode: str, database_url: str, harm: str, source: str, row: UUID) -> None:
    name, _, detail = harm.partition(":")

    def translate(event: Json) -> Observed | Unhandled | Elsewhere:
        if "innocent" not in str(event):
            HARMS[name](detail)
        return GATEWAYS["stripe"].translate(event)

    class Post:
        async def send(self, effect: Effect) -> Settled:
            HARMS[name](detail)
            return SENT

    desk = Desk({"stripe": replace(GATEWAYS["stripe"], translate=translate)}, {}, BOOK)
    async with await open_pool(database_url, name="poison", max_size=2) as pool:
        if source == "effect":
            await send_alone(pool, Post(), row)
        elif mode == "alone":
            await work_alone(pool, desk, row)
        else:
            await work_webhook_event(pool, desk, row)


async def run(*words: str, source: str, row: UUID) -> int:
    """Start it and wait for its end."""
    process = await asyncio.create_subprocess_exec(*words, source, str(row))
    async with asyncio.timeout(60):
        return await process.wait()
