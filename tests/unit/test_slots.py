"""Which slot is due: each policy, over downtime, overlap and death; no clock but the one in the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.job_runs import Past, UnderWay
from schedules.job import CatchUp, Job, Report
from schedules.slots import (
    EPOCH,
    MOST_CAUGHT_UP,
    MOST_CLAIMS,
    Fire,
    GiveUp,
    Skip,
    Step,
    TakeOver,
    Wait,
    decide,
    slot_of,
)

SKIP, LATEST, ALL = CatchUp.SKIP, CatchUp.LATEST, CatchUp.ALL
HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return datetime(2026, 11, 22, tzinfo=UTC) + hour * HOUR


def run_of(slot: float, lease_until: float, claims: int = 1, asked_by: str | None = None) -> UnderWay:
    return UnderWay(at(slot), at(lease_until), claims, "host:1", asked_by)


def past(now: float, newest: float | None = None, under_way: UnderWay | None = None) -> Past:
    return Past(at(now), None if newest is None else at(newest), under_way)


@pytest.mark.parametrize(
    ("catch_up", "known", "step"),
    [
        # Never run: the slot of this moment, whatever the policy.
        (SKIP, past(9.5), Fire(at(9))),
        (LATEST, past(9.5), Fire(at(9))),
        (ALL, past(9.5), Fire(at(9))),
        # Fired already: the next one.
        (SKIP, past(9.5, 9), Wait(at(10))),
        (LATEST, past(9, 9), Wait(at(10))),
        # On time.
        (SKIP, past(10, 9), Fire(at(10))),
        (LATEST, past(10.9, 9), Fire(at(10))),
        (ALL, past(10, 9), Fire(at(10))),
        # Three were missed, and one is now.
        (SKIP, past(9.5, 5), Skip(at(8), 3)),
        (LATEST, past(9.5, 5), Fire(at(9), makes_up_for=3)),
        (ALL, past(9.5, 5), Fire(at(6))),
        # A period that was changed: what lies between the old slots and the new ones is no slot.
        (ALL, past(9.5, 8.25), Fire(at(9))),
        # A database whose clock was set back: what is in the future does not count, and this moment is none of it.
        (LATEST, past(9.5, 9.4), Wait(at(10))),
        # Under way elsewhere: the job does not overlap itself.
        (SKIP, past(9.5, 9, run_of(9, 9.6)), Wait(at(9.6))),
        (LATEST, past(10.1, 9, run_of(9, 12)), Wait(at(11))),
        (ALL, past(10.1, 9, run_of(9, 12)), Wait(at(11))),
        # Its clock died, and no newer slot is due.
        (SKIP, past(9.9, 9, run_of(9, 9.6)), GiveUp(at(9), 1)),
        (LATEST, past(9.9, 9, run_of(9, 9.6)), TakeOver(at(9))),
        (ALL, past(9.9, 9, run_of(9, 9.6)), TakeOver(at(9))),
        # Its clock died, and a newer slot makes up for it, except where each must run.
        (LATEST, past(10.1, 9, run_of(9, 9.6)), GiveUp(at(9), 1)),
        (ALL, past(10.1, 9, run_of(9, 9.6)), TakeOver(at(9))),
        # It has ended three clocks.
        (ALL, past(10.1, 9, run_of(9, 9.6, MOST_CLAIMS)), GiveUp(at(9), MOST_CLAIMS)),
        # A person ran it, and the process died: nobody repeats that.
        (ALL, past(9.9, 9, run_of(9.01, 9.6, asked_by="anna")), GiveUp(at(9.01), 1)),
    ],
)
def test_the_next_step_follows_from_the_record(catch_up: CatchUp, known: Past, step: Step) -> None:
    assert decide(HOUR, catch_up, known) == step


def test_f143_after_a_long_night_all_is_bounded_and_says_what_it_let_go() -> None:
    missed = MOST_CAUGHT_UP + 50

    assert decide(HOUR, ALL, past(missed, 0)) == Skip(at(50), 50)
    assert decide(HOUR, ALL, past(missed, 50)) == Fire(at(51))


@dataclass
class Diary:
    """A job's slots under one clock: fired and let go, as the record would hold them."""

    catch_up: CatchUp
    fired: list[datetime] = field(default_factory=list)
    made_up_for: int = 0
    let_go: int = 0
    newest: datetime | None = None

    def look(self, now: datetime) -> None:
        while not isinstance(step := decide(HOUR, self.catch_up, Past(now, self.newest, None)), Wait):
            match step:
                case Fire(slot=slot, makes_up_for=others):
                    self.fired.append(slot)
                    self.made_up_for += others
                    self.newest = slot
                case Skip(slot=slot, slots=slots):
                    self.let_go += slots
                    self.newest = slot
                case _:
                    raise AssertionError(step)


@given(
    looks=st.lists(st.floats(min_value=0, max_value=60), min_size=1, max_size=20).map(sorted),
    catch_up=st.sampled_from(CatchUp),
)
def test_f142_whenever_it_is_looked_at_every_slot_is_accounted_for_once(looks: list[float], catch_up: CatchUp) -> None:
    diary = Diary(catch_up)

    for hour in looks:
        diary.look(at(hour))

    passed = (slot_of(at(looks[-1]), HOUR) - slot_of(at(looks[0]), HOUR)) // HOUR + 1
    assert len(diary.fired) + diary.made_up_for + diary.let_go == passed
    assert diary.fired == sorted(set(diary.fired))
    assert diary.fired[-1] == slot_of(at(looks[-1]), HOUR)
    assert catch_up is not ALL or len(diary.fired) == passed


@given(moment=st.integers(min_value=0, max_value=10**16).map(lambda n: EPOCH + timedelta(microseconds=n)))
def test_a_slot_is_a_multiple_of_its_period_and_not_in_the_future(moment: datetime) -> None:
    slot = slot_of(moment, timedelta(minutes=15))

    assert slot <= moment < slot + timedelta(minutes=15)
    assert int(slot.timestamp()) % 900 == 0


@pytest.mark.parametrize("every", [timedelta(0), timedelta(microseconds=1500), timedelta(seconds=-1)])
def test_a_period_between_milliseconds_is_refused(every: timedelta) -> None:
    async def nothing(*_: object) -> Report:
        return Report()

    with pytest.raises(ValueError, match="whole milliseconds"):
        Job("never", every, SKIP, HOUR, "Nothing.", nothing)
