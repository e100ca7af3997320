"""What a job is: when it is due, what becomes of the slots that it misses, and what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from schedules.means import Means


class CatchUp(StrEnum):
    """What becomes of slots that nobody fired: no clock ran, or the run before them took too long."""

    SKIP = "skip"  # they are let go: the slot of this moment serves as well
    LATEST = "latest"  # one run, of the newest, makes up for all of them
    ALL = "all"  # each is fired, the oldest first


class Outcome(StrEnum):
    """How a run ended, as its row says it."""

    DONE = "done"
    INCOMPLETE = "incomplete"  # cut short, and it says so: a gateway or Redis was away, or there was more than fits
    FAILED = "failed"  # an error, too slow, or its clock died
    SKIPPED = "skipped"  # nobody ran it, and nobody will


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has to tell: its figures, fit for a row, and whether it came to the end of its work."""

    counts: Mapping[str, int | str] = field(default_factory=dict)
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """One claim to one slot: ours until its lease ends."""

    job: str
    slot: datetime
    claims: int = 1

    @property
    def name(self) -> str:
        """The cause that stands beside what this run changes."""
        return f"{self.job} {self.slot.isoformat()}"


@dataclass(frozen=True, slots=True)
class Job:
    """One line of the timetable. ``limit``: a run that takes longer is ended, and has failed."""

    name: str
    every: timedelta
    catch_up: CatchUp
    limit: timedelta
    says: str
    run: Callable[[Means, Run], Awaitable[Report]]

    def __post_init__(self) -> None:
        if self.every <= timedelta(0) or self.every % timedelta(milliseconds=1):
            raise ValueError("slots are whole milliseconds apart: those between them are for runs by hand")
