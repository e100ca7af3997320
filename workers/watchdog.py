"""The watchdog over an event loop: one blocking call in it stops everything, so a process that is blocked is ended.

Its supervisor brings it back, and whatever it had in hand is owed by its row. Where the blocking call holds Python
itself (a hopeless regular expression, a loop in C), no thread of ours runs: then the kernel's alarm ends the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from contextlib import suppress

import structlog

log = structlog.get_logger(__name__)

#: How often the loop is asked for a sign of life, and how often in a row, a second apart, it may owe one.
EVERY_SECONDS = 1.0
MISSES = 10

#: The kernel's alarm, in seconds: later than our own end, which says why.
ALARM_SECONDS = MISSES + 10

#: The exit code of a blocked process; sysexits.h calls it an internal software error.
BLOCKED = 70

#: For saying why. The log itself may be what blocks.
LAST_WORDS_SECONDS = 2.0


class Watchdog:
    """Over one loop, from a thread of its own."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, misses: int = MISSES, alarm_seconds: int = ALARM_SECONDS
    ) -> None:
        self._loop = loop
        self._misses = misses
        self._alarm_seconds = alarm_seconds
        self._ended = threading.Event()
        self._unanswered_since: float | None = None
        self._last_lag_seconds = 0.0

    @property
    def lag_seconds(self) -> float:
        """How long the loop took to answer last, or has owed its answer."""
        since = self._unanswered_since
        return self._last_lag_seconds if since is None else time.monotonic() - since

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        signal.alarm(0)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            signal.alarm(self._alarm_seconds)
            asked_at = self._unanswered_since = time.monotonic()
            if not self._is_answered():
                self._end_process()
            self._last_lag_seconds, self._unanswered_since = time.monotonic() - asked_at, None
        signal.alarm(0)

    def _is_answered(self) -> bool:
        """Counted in waits, not by a clock: a process that was frozen for an hour has missed one."""
        answered = threading.Event()
        with suppress(RuntimeError):  # the loop is closed: we are about to be stopped
            self._loop.call_soon_threadsafe(answered.set)
            return any(answered.wait(1.0) or self._ended.is_set() for _ in range(self._misses))
        return True

    def _end_process(self) -> None:
        threading.Timer(LAST_WORDS_SECONDS, os._exit, (BLOCKED,)).start()
        log.critical("watchdog.loop_blocked", seconds=round(self.lag_seconds, 1), stacks=_stacks())
        sys.stdout.flush()
        os._exit(BLOCKED)


def _stacks() -> dict[str, list[str]]:
    """Where each thread is, innermost last: places alone, since a line's values are nobody's business."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = {}
    for ident, innermost in sys._current_frames().items():  # noqa: SLF001 - the documented way to see other threads
        frame, places = innermost, list[str]()
        while True:
            places.insert(0, f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            if frame.f_back is None:
                break
            frame = frame.f_back
        stacks[names.get(ident, str(ident))] = places
    return stacks
