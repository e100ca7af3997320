"""One clock for both gateways: real time plus an offset that only grows, and the agenda of what happens by itself.

Moving the clock stops at every moment at which something falls due and lets it happen there, so that what a long
advance does is what real waiting would have done, in the same order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from sandbox.store import Store

Act = Callable[[str], None]

#: How long the clock sleeps at most when it has nothing to do; a wake-up cuts it short.
IDLE_SECONDS = 60.0

#: Before any moment that anything falls due at.
BEFORE_ALL = -1.0

log = logging.getLogger(__name__)


class Clock:
    """What time it is. Held still while an advance passes through the moments on its way.

    ``file`` always says, in seconds, how far this clock is ahead: for processes beside us that go by the same time.
    """

    def __init__(self, store: Store, file: Path) -> None:
        self._store = store
        self._file = file
        self._offset = float(store.setting("clock_offset") or 0)
        self._held: float | None = None
        self._publish()

    def exact(self) -> float:
        """Seconds since 1970, with their fraction."""
        return self._held if self._held is not None else time.time() + self._offset

    def now(self) -> int:
        """Whole seconds since 1970, as the gateways stamp their objects."""
        return int(self.exact())

    @property
    def offset(self) -> float:
        """How far this clock is ahead of real time."""
        return self._offset

    def hold(self, moment: float) -> None:
        """Stands still at ``moment``; never goes back, not even after a kill on the way."""
        self._held = max(moment, self.exact())
        self._keep(self._held)

    def release(self, moment: float) -> None:
        """Runs on from ``moment``, for good."""
        self._held = None
        self._keep(moment)

    def _keep(self, moment: float) -> None:
        self._offset = max(self._offset, moment - time.time())
        self._store.set_setting("clock_offset", self._offset)
        self._publish()

    def _publish(self) -> None:
        """Replaced whole, so that nobody reads half a number."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{self._offset!r}\n", encoding="ascii")
        new.replace(self._file)


class Agenda:
    """What will happen by itself, and when. Entries are rows: a restart forgets none."""

    def __init__(self, store: Store, clock: Clock, wake: Callable[[], None]) -> None:
        self._store, self._clock, self._wake = store, clock, wake
        self._acts: dict[str, Act] = {}

    def on(self, what: str, act: Act) -> None:
        """Says what is done when an entry of this kind falls due."""
        self._acts[what] = act

    def enter(self, at: float, what: str, subject: str) -> None:
        """Once per kind and subject; a later entry takes the place of the earlier."""
        self._store.run("INSERT OR REPLACE INTO agenda (at, what, subject) VALUES (?, ?, ?)", at, what, subject)
        self._wake()

    def strike(self, what: str, subject: str) -> None:
        self._store.run("DELETE FROM agenda WHERE what = ? AND subject = ?", what, subject)

    def next_at(self, after: float = BEFORE_ALL) -> float | None:
        """When the first entry falls due, of those that do after a moment."""
        first: float | None = self._store.run("SELECT min(at) AS at FROM agenda WHERE at > ?", after)[0]["at"]
        return first

    def first(self) -> dict[str, object] | None:
        """What happens next by itself, if the clock gets there."""
        rows = self._store.run("SELECT at, what, subject FROM agenda ORDER BY at, seq LIMIT 1")
        return dict(rows[0]) if rows else None

    def do_due(self) -> int:
        """Does what has fallen due, each in a transaction of its own with the end of its entry; says how many."""
        sql = "SELECT seq, what, subject FROM agenda WHERE at <= ? ORDER BY at, seq"
        due = self._store.run(sql, self._clock.exact())
        for entry in due:
            try:
                with self._store.transaction():
                    self._store.run("DELETE FROM agenda WHERE seq = ?", entry["seq"])
                    self._acts[entry["what"]](entry["subject"])
            except Exception:
                # A fault of ours must not stop the clock for everything else.
                log.exception("agenda: %s of %s failed", entry["what"], entry["subject"])
                self._store.run("DELETE FROM agenda WHERE seq = ?", entry["seq"])
        return len(due)


class Mail(Protocol):
    """The other thing that waits for its time: webhooks, and their retries."""

    def next_at(self, after: float = BEFORE_ALL) -> float | None:
        """When the next one is to be sent, of those that are after a moment."""

    def send_due(self) -> None:
        """Sets off whatever is to be sent by now."""

    async def settle(self) -> None:
        """Waits until all that is on its way has its answer."""


class Timekeeper:
    """Lets things happen at their time, as real time passes or as somebody moves the clock."""

    def __init__(self, clock: Clock, agenda: Agenda, mail: Mail, woken: asyncio.Event) -> None:
        self._clock, self._agenda, self._mail, self._woken = clock, agenda, mail, woken
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """For as long as the stand-ins serve."""
        while True:
            self._woken.clear()
            async with self._turn:
                self._agenda.do_due()
                self._mail.send_due()
            await self._sleep()

    async def advance(self, seconds: float) -> None:
        """Moves the clock; returns when all that fell due on the way has happened and its webhooks were answered.

        What a receiver sets off while the clock stands still waits for the next moment, or for the end: else one that
        answers each webhook with something new would hold the clock for ever.
        """
        async with self._turn:
            target, passed = self._clock.exact() + seconds, BEFORE_ALL
            try:
                while (moment := self._next(passed)) is not None and moment <= target:
                    self._clock.hold(moment)
                    passed = self._clock.exact()
                    while self._agenda.do_due():
                        pass  # what happens may set off something else at once
                    self._mail.send_due()
                    await self._mail.settle()
            finally:
                self._clock.release(target)
        self._woken.set()

    def _next(self, after: float = BEFORE_ALL) -> float | None:
        moments = [at for at in (self._agenda.next_at(after), self._mail.next_at(after)) if at is not None]
        return min(moments, default=None)

    async def _sleep(self) -> None:
        moment = self._next()
        seconds = IDLE_SECONDS if moment is None else min(IDLE_SECONDS, max(0.0, moment - self._clock.exact()))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return
