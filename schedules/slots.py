"""Which slot is due: pure, from the record alone. Slots are the multiples of a job's period since 1970, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db.job_runs import Past, UnderWay
from schedules.job import CatchUp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Under ``all``, after a long night: the newest of what was missed. What is older is let go, and its row says so.
MOST_CAUGHT_UP = 100

#: A run that has ended so many clocks is not given another.
MOST_CLAIMS = 3


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is due, or somebody is at it, until then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Fire:
    """This slot is due, and makes up for so many others."""

    slot: datetime
    makes_up_for: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """So many slots, up to this one, are let go; look again."""

    slot: datetime
    slots: int


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Who ran this slot is dead: run it in their stead."""

    slot: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Who ran this slot is dead, and nobody runs it in their stead; look again."""

    slot: datetime
    claims: int


Step = Wait | Fire | Skip | TakeOver | GiveUp


def slot_of(moment: datetime, every: timedelta) -> datetime:
    """The newest slot that has come by then."""
    return EPOCH + (moment - EPOCH) // every * every


def decide(every: timedelta, catch_up: CatchUp, past: Past) -> Step:
    """The next step for a job whose turn we hold."""
    newest = slot_of(past.now, every)
    if past.under_way is not None:
        return _about(past.under_way, past.now, newest, every, catch_up)
    if past.newest_slot is None:
        return Fire(newest)
    missed = (newest - slot_of(past.newest_slot, every)) // every
    if missed <= 0:
        return Wait(newest + every)
    return _catch_up(newest, missed, every, catch_up)


def _about(run: UnderWay, now: datetime, newest: datetime, every: timedelta, catch_up: CatchUp) -> Step:
    if run.lease_until > now:
        return Wait(min(newest + every, run.lease_until))
    is_moot = {CatchUp.SKIP: True, CatchUp.LATEST: newest > run.slot, CatchUp.ALL: False}[catch_up]
    if is_moot or run.asked_by is not None or run.claims >= MOST_CLAIMS:
        return GiveUp(run.slot, run.claims)
    return TakeOver(run.slot)


def _catch_up(newest: datetime, missed: int, every: timedelta, catch_up: CatchUp) -> Step:
    """``missed`` counts the newest slot too."""
    match catch_up:
        case CatchUp.SKIP if missed > 1:
            return Skip(newest - every, missed - 1)
        case CatchUp.SKIP:
            return Fire(newest)
        case CatchUp.LATEST:
            return Fire(newest, makes_up_for=missed - 1)
        case CatchUp.ALL if missed > MOST_CAUGHT_UP:
            return Skip(newest - MOST_CAUGHT_UP * every, missed - MOST_CAUGHT_UP)
        case CatchUp.ALL:
            return Fire(newest - (missed - 1) * every)
