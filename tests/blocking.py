"""A process whose event loop blocks, under its watchdog: ``python -m tests.blocking HOW``. It says ``ready`` first."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time

import logs
from workers.watchdog import ALARM_SECONDS, Watchdog

MISSES = 3

#: Where the watchdog cannot bark.
SOON_SECONDS = MISSES + 2


def sleep() -> None:
    time.sleep(600)


def compute() -> None:
    """Holds Python itself: no thread runs beside it, the watchdog's neither."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def freeze() -> None:
    """Is not blocked: it waits to be told, while somebody stops and continues the whole process."""


HOW = {"sleep": sleep, "compute": compute, "freeze": freeze}


async def main(how: str) -> None:
    alarm_seconds = SOON_SECONDS if how == "compute" else ALARM_SECONDS
    guard = Watchdog(asyncio.get_running_loop(), misses=MISSES, alarm_seconds=alarm_seconds)
    guard.start()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    # Seen alive at least once, so that the alarm is set.
    while not guard.lag_seconds:
        await asyncio.sleep(0.05)
    print("ready", flush=True)  # noqa: T201 - who started us waits for this line
    HOW[how]()
    await told.wait()
    guard.stop()


if __name__ == "__main__":
    logs.configure(production=True)
    asyncio.run(main(sys.argv[1]))
