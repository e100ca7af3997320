"""What a run measured: how much was paid, what broke how often, and how long the slowest event then took."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from db.pool import UNAVAILABLE
from tests.simulation.books import Worked, count_owed
from tests.simulation.chaos import Struck
from tests.simulation.stack import Stack

#: How long the slowest event may take, from receipt to done, after each blow.
BOUNDS = {
    "a FLUSHALL": 10.0,
    "a worker's kill -9": 15.0,
    "a Redis restart": 15.0,
    "a Postgres restart": 30.0,
}

#: An event that came so long after a blow has nothing to do with it.
AFTERMATH_SECONDS = 30.0

SAMPLE_SECONDS = 0.5


@dataclass(slots=True)
class Meter:
    """Looks at the stack now and then: what is owed, and which process has used how much of the machine."""

    stack: Stack
    owed: int = 0
    owed_most: int = 0
    cpu_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _last: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            with suppress(*UNAVAILABLE):
                self.owed = await count_owed(self.stack.pool)
                self.owed_most = max(self.owed, self.owed_most)
            if round(time.monotonic() / SAMPLE_SECONDS) % 6 == 0:
                self._sample()

    def _sample(self) -> None:
        for name in self.stack.names:
            with suppress(psutil.Error):
                root = psutil.Process(self.stack.pid(name))
                self._add(name, [root, *root.children(recursive=True)])
        self._add("the simulation itself", [psutil.Process()])

    def _add(self, name: str, processes: Sequence[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.Error):
                used = process.cpu_times()
                total = used.user + used.system
                self.cpu_seconds[name] += total - self._last.get(process.pid, 0.0)
                self._last[process.pid] = total


@dataclass(frozen=True, slots=True)
class Slowest:
    """The slowest event after one kind of blow, among so many events after so many blows."""

    kind: str
    blows: int
    events: int
    seconds: float
    event: Worked | None
    back_seconds: float  # how long what was struck was away, at most

    @property
    def bound(self) -> float | None:
        return BOUNDS.get(self.kind)

    @property
    def is_in_bounds(self) -> bool:
        return self.bound is None or self.seconds <= self.bound


def slowest_after(struck: Sequence[Struck], worked: Sequence[Worked]) -> list[Slowest]:
    """An event belongs to the first blow that struck while it waited, else to the last one before it came."""
    blows = sorted(struck, key=lambda blow: blow.at)
    moments = [blow.at for blow in blows]
    found: dict[str, list[Worked]] = defaultdict(list)
    for event in worked:
        first = bisect_left(moments, event.created_at)
        if first < len(moments) and moments[first] < event.processed_at:
            found[blows[first].kind].append(event)
            continue
        last = bisect_right(moments, event.created_at) - 1
        if last >= 0 and (event.created_at - moments[last]).total_seconds() <= AFTERMATH_SECONDS:
            found[blows[last].kind].append(event)
    return [
        _slowest(kind, [blow for blow in blows if blow.kind == kind], found[kind])
        for kind in (*BOUNDS, *sorted({blow.kind for blow in blows} - BOUNDS.keys()))
    ]


def _slowest(kind: str, blows: Sequence[Struck], events: Sequence[Worked]) -> Slowest:
    event = max(events, key=lambda event: event.seconds, default=None)
    back = max((blow.seconds for blow in blows), default=0.0)
    return Slowest(kind, len(blows), len(events), event.seconds if event else 0.0, event, back)


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """How long a part of the run took."""

    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began
