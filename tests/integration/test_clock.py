"""The clock on a real database: one fire for a slot, whoever else keeps time; none lost by death, error or overlap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from db import job_runs
from db.pool import Pool, open_pool
from local.postgres import Postgres
from schedules.clock import Busy, Ended
from schedules.job import CatchUp, Outcome, Report
from schedules.listing import listing
from schedules.slots import MOST_CLAIMS
from tests.timekeeping import HOUR, Diary, Gate, HeldClock, a_job, at, clock_on, held_clock
from tests.waiting import until, until_somebody_waits

SOON = timedelta(milliseconds=100)
#: Renewed every second, and never lost by a machine that is busy for a moment.
LEASE = timedelta(seconds=3)
#: For those that are to lose it.
SHORT_LEASE = timedelta(milliseconds=300)


@pytest.fixture
async def held(database_url: str) -> AsyncIterator[HeldClock]:
    async with held_clock(database_url) as held:
        yield held


async def runs(pool: Pool) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch("SELECT * FROM job_runs ORDER BY job, slot")]


async def outcomes(pool: Pool) -> list[tuple[datetime, str | None]]:
    return [(run["slot"], run["outcome"]) for run in await runs(pool)]


async def the_only_run(pool: Pool) -> dict[str, Any]:
    [run] = await runs(pool)
    return run


# --- slots ---


async def test_slots_are_the_databases_time_and_not_the_hosts(held: HeldClock) -> None:
    diary = Diary()
    await held.set(at(9.25))

    await clock_on(held.pool).run_once(a_job(diary))
    wait = await clock_on(held.pool).run_once(a_job(diary))

    assert diary.slots == [at(9)]
    assert wait == 0.75 * 3600
    run = await the_only_run(held.pool)
    assert (run["started_at"], run["finished_at"], run["outcome"]) == (at(9.25), at(9.25), "done")
    assert run["detail"] == {"seen": 1}


async def test_f142_clocks_that_look_at_the_same_instant_fire_a_slot_once(held: HeldClock) -> None:
    diary = Diary()
    await held.set(at(9))

    for hour in range(9, 14):
        await held.set(at(hour))
        await asyncio.gather(*(clock_on(held.pool, who=f"host:{n}").run_once(a_job(diary)) for n in range(8)))

    assert diary.slots == [at(hour) for hour in range(9, 14)]
    assert {run["claims"] for run in await runs(held.pool)} == {1}


async def test_without_turns_the_primary_key_alone_gives_a_slot_to_one(pool: Pool) -> None:
    slot = at(9)

    async def claim(n: int) -> bool:
        async with pool.acquire() as tx:
            return await job_runs.begin(tx, "job", slot, by=f"host:{n}", lease=HOUR, detail={})

    assert sum(await asyncio.gather(*(claim(n) for n in range(8)))) == 1


@pytest.mark.parametrize(
    ("catch_up", "fired", "told"),
    [
        (CatchUp.SKIP, [9, 33], [(32, "skipped", {"slots": 23}), (33, "done", {"seen": 2})]),
        (CatchUp.LATEST, [9, 33], [(33, "done", {"seen": 2, "makes_up_for": 23})]),
        (CatchUp.ALL, [9, *range(10, 34)], [(hour, "done", {"seen": hour - 8}) for hour in range(10, 34)]),
    ],
)
async def test_f143_a_day_without_a_clock_is_caught_up_as_the_policy_says(
    held: HeldClock, catch_up: CatchUp, fired: list[int], told: list[tuple[int, str, dict[str, int]]]
) -> None:
    diary = Diary()
    job = a_job(diary, catch_up=catch_up)
    await held.set(at(9.1))
    await clock_on(held.pool).run_once(job)
    await held.set(at(33.5))

    while await clock_on(held.pool).run_once(job) == 0.0:
        pass

    assert diary.slots == [at(hour) for hour in fired]
    assert [(run["slot"], run["outcome"], run["detail"]) for run in (await runs(held.pool))[1:]] == [
        (at(hour), outcome, detail) for hour, outcome, detail in told
    ]


async def test_a_server_whose_clock_was_set_back_silences_no_job(held: HeldClock) -> None:
    diary = Diary()
    for hour in (9, 13, 10.5):
        await held.set(at(hour))
        await clock_on(held.pool).run_once(a_job(diary))

    assert diary.slots == [at(9), at(13), at(10)]


# --- overlap, death, leases ---


@pytest.mark.parametrize("catch_up", CatchUp)
async def test_a_job_does_not_overlap_itself_and_goes_on_once_it_has_ended(held: HeldClock, catch_up: CatchUp) -> None:
    gate, diary = Gate(), Diary()
    await held.set(at(9))
    slow = asyncio.create_task(clock_on(held.pool, lease=5 * HOUR).run_once(a_job(gate)))
    await gate.begun.wait()
    await held.set(at(10.5))

    meanwhile = await clock_on(held.pool, who="other:1").run_once(a_job(diary, catch_up=catch_up))
    gate.let_go.set()
    await slow
    await clock_on(held.pool, who="other:1").run_once(a_job(diary, catch_up=catch_up))

    assert meanwhile == 0.5 * 3600
    assert diary.slots == [at(10)]
    assert await outcomes(held.pool) == [(at(9), "done"), (at(10), "done")]


async def test_the_turn_alone_keeps_a_job_from_overlapping_a_run_that_is_only_just_claimed(held: HeldClock) -> None:
    diary = Diary()
    await held.set(at(9))
    async with held.pool.acquire() as other, other.transaction():
        await job_runs.take_turns(other, "job")
        await job_runs.begin(other, "job", at(9), by="other:1", lease=5 * HOUR, detail={})
        async with held.pool.acquire() as witness:
            await witness.execute("UPDATE public.held_clock SET moment = $1", at(10))
            looking = asyncio.create_task(clock_on(held.pool).run_once(a_job(diary)))
            await until_somebody_waits(witness, "advisory")
    await looking

    assert diary.slots == []
    assert await outcomes(held.pool) == [(at(9), None)]


async def claimed_and_forgotten(held: HeldClock, who: str, *, claims: int = 1) -> None:
    """What a clock leaves behind that is killed while it runs the slot of nine o'clock."""
    await held.set(at(9))
    async with held.pool.acquire() as tx:
        await job_runs.begin(tx, "job", at(9), by=who, lease=0.1 * HOUR, detail={})
        await tx.execute("UPDATE job_runs SET claims = $1", claims)


async def test_f142_the_run_of_a_clock_that_died_is_taken_over_after_its_lease(held: HeldClock) -> None:
    diary = Diary()
    await claimed_and_forgotten(held, "dead:1")
    await held.set(at(9.05))
    too_early = await clock_on(held.pool).run_once(a_job(diary))
    await held.set(at(9.2))

    await clock_on(held.pool, who="heir:1").run_once(a_job(diary))

    assert too_early == pytest.approx(0.05 * 3600)
    assert diary.slots == [at(9)]
    run = await the_only_run(held.pool)
    assert (run["claimed_by"], run["claims"], run["outcome"]) == ("heir:1", 2, "done")


async def test_who_lost_a_run_can_no_longer_say_how_it_ended(held: HeldClock) -> None:
    await claimed_and_forgotten(held, "dead:1", claims=2)

    async with held.pool.acquire() as tx:
        await job_runs.finish(tx, "job", at(9), claims=1, outcome="failed", detail={})
        extended = await job_runs.extend(tx, "job", at(9), claims=1, lease=HOUR)

    assert not extended
    assert (await the_only_run(held.pool))["outcome"] is None


@pytest.mark.parametrize("catch_up", [CatchUp.SKIP, CatchUp.LATEST])
async def test_a_newer_slot_makes_up_for_a_run_whose_clock_died(held: HeldClock, catch_up: CatchUp) -> None:
    diary = Diary()
    await claimed_and_forgotten(held, "dead:1")
    await held.set(at(10.5))

    await clock_on(held.pool).run_once(a_job(diary, catch_up=catch_up))

    assert diary.slots == [at(10)]
    assert await outcomes(held.pool) == [(at(9), "failed"), (at(10), "done")]


async def test_a_run_that_has_ended_three_clocks_is_given_up(held: HeldClock) -> None:
    diary = Diary()
    await claimed_and_forgotten(held, "dead:3", claims=MOST_CLAIMS)
    await held.set(at(10))

    await clock_on(held.pool).run_once(a_job(diary, catch_up=CatchUp.ALL))

    assert diary.slots == [at(10)]
    assert await outcomes(held.pool) == [(at(9), "failed"), (at(10), "done")]


async def test_a_long_honest_run_keeps_its_lease_and_is_not_doubled(held: HeldClock) -> None:
    gate, diary = Gate(), Diary()
    await held.set(at(9))
    running = asyncio.create_task(clock_on(held.pool, lease=LEASE).run_once(a_job(gate)))
    await gate.begun.wait()

    await held.set(at(9) + 0.9 * LEASE)
    await until(lambda: is_held_until(held.pool, at(9) + 1.9 * LEASE))
    await held.set(at(9) + 1.8 * LEASE)
    await until(lambda: is_held_until(held.pool, at(9) + 2.8 * LEASE))
    await clock_on(held.pool, who="other:1").run_once(a_job(diary))
    gate.let_go.set()
    await running

    assert diary.slots == []
    assert [(run["claims"], run["outcome"]) for run in await runs(held.pool)] == [(1, "done")]


async def is_held_until(pool: Pool, moment: datetime) -> bool:
    return bool(await pool.fetchval("SELECT lease_until = $1 FROM job_runs", moment))


async def test_a_run_that_lost_its_lease_is_broken_off_and_leaves_the_other_alone(pool: Pool) -> None:
    gate = Gate()
    running = asyncio.create_task(clock_on(pool, lease=LEASE).run_once(a_job(gate)))
    await gate.begun.wait()

    await pool.execute("UPDATE job_runs SET claims = 2, claimed_by = 'heir:1'")
    await asyncio.wait_for(running, 30)

    run = await the_only_run(pool)
    assert (run["claimed_by"], run["outcome"]) == ("heir:1", None)


# --- errors, slowness, hangs ---


async def test_f144_an_error_ends_its_run_and_nothing_else(held: HeldClock) -> None:
    async def fails(*_: object) -> Report:
        raise ValueError("sk_live_secret")

    await held.set(at(9))
    await clock_on(held.pool).run_once(a_job(fails))
    await held.set(at(10))
    await clock_on(held.pool).run_once(a_job(Diary()))

    failed, done = await runs(held.pool)
    assert (failed["outcome"], done["outcome"]) == ("failed", "done")
    assert failed["detail"]["error"] == "ValueError"
    assert failed["detail"]["at"].startswith("tests.integration.test_clock:")
    assert "sk_live" not in str(failed)


async def test_a_run_that_was_cut_short_says_so(held: HeldClock) -> None:
    async def cut_short(*_: object) -> Report:
        return Report({"seen": 3}, complete=False)

    await clock_on(held.pool).run_once(a_job(cut_short))

    run = await the_only_run(held.pool)
    assert (run["outcome"], run["detail"]) == ("incomplete", {"seen": 3})


async def test_a_run_that_takes_too_long_is_ended_and_has_failed(pool: Pool) -> None:
    await clock_on(pool).run_once(a_job(Gate(), limit=SOON))

    run = await the_only_run(pool)
    assert run["outcome"] == "failed"
    assert run["detail"]["error"].startswith("it took longer than")


async def test_a_run_that_does_not_even_end_when_told_to_is_left_behind(pool: Pool) -> None:
    let_go = asyncio.Event()

    async def stubborn(*_: object) -> Report:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return Report()

    await clock_on(pool).run_once(a_job(stubborn, limit=SOON))
    let_go.set()

    assert (await the_only_run(pool))["outcome"] == "failed"


async def test_a_run_that_cancels_itself_has_failed_and_does_not_take_the_clock_along(pool: Pool) -> None:
    async def gives_up(*_: object) -> Report:
        raise asyncio.CancelledError

    await clock_on(pool).run_once(a_job(gives_up))

    run = await the_only_run(pool)
    assert (run["outcome"], run["detail"]) == ("failed", {"error": "it cancelled itself"})


async def test_f144_a_job_that_fails_or_hangs_delays_no_other(pool: Pool) -> None:
    async def fails(*_: object) -> Report:
        raise RuntimeError

    diary, gate, stopping = Diary(), Gate(), asyncio.Event()
    jobs = [
        a_job(fails, name="fails", every=SOON),
        a_job(gate, name="hangs", every=SOON),
        a_job(diary, name="ticks", every=SOON),
    ]
    keeping = asyncio.create_task(clock_on(pool).run(jobs, stopping))

    async def has_ticked() -> bool:
        failed = await pool.fetchval("SELECT count(*) FROM job_runs WHERE job = 'fails' AND outcome = 'failed'")
        return len(diary.slots) >= 10 and failed >= 5

    await until(has_ticked)
    gate.let_go.set()
    stopping.set()
    await asyncio.wait_for(keeping, 10)

    assert gate.runs >= 1


# --- stopping ---


async def test_what_runs_when_told_to_stop_may_end(pool: Pool) -> None:
    gate, stopping = Gate(), asyncio.Event()
    keeping = asyncio.create_task(clock_on(pool).run([a_job(gate)], stopping))
    await gate.begun.wait()

    stopping.set()
    gate.let_go.set()
    await asyncio.wait_for(keeping, 5)

    assert [run["outcome"] for run in await runs(pool)] == ["done"]


async def test_what_does_not_end_in_time_is_handed_to_whoever_comes_next(pool: Pool) -> None:
    gate, diary = Gate(), Diary()
    keeping = asyncio.create_task(clock_on(pool).run_once(a_job(gate)))
    await gate.begun.wait()

    keeping.cancel()
    await asyncio.wait({keeping}, timeout=10)
    await clock_on(pool, who="heir:1").run_once(a_job(diary))

    assert len(diary.slots) == 1
    run = await the_only_run(pool)
    assert (run["claimed_by"], run["claims"], run["outcome"]) == ("heir:1", 2, "done")


# --- by hand ---


async def test_a_run_by_hand_has_a_slot_of_its_own_and_takes_none_of_the_clocks(held: HeldClock) -> None:
    diary = Diary()
    await held.set(at(9))
    await clock_on(held.pool).run_once(a_job(diary))
    await held.set(at(12))

    ended = await clock_on(held.pool, who="desk:1").run_now(a_job(diary), by="anna")
    await held.set(at(12.5))
    await clock_on(held.pool).run_once(a_job(diary))

    assert ended == Ended(Outcome.DONE, {"seen": 2})
    assert diary.slots == [at(9), at(12) + timedelta(microseconds=1), at(12)]
    assert [run["asked_by"] for run in await runs(held.pool)] == [None, None, "anna"]
    assert (await runs(held.pool))[1]["detail"]["makes_up_for"] == 2


async def test_a_run_by_hand_waits_for_nobody_and_overlaps_nobody(pool: Pool) -> None:
    gate, diary = Gate(), Diary()
    running = asyncio.create_task(clock_on(pool, who="host:1").run_once(a_job(gate)))
    await gate.begun.wait()

    by_hand = await clock_on(pool, who="desk:1").run_now(a_job(diary), by="anna")
    gate.let_go.set()
    await running

    assert by_hand == Busy("host:1")
    assert diary.slots == []


async def test_the_clock_waits_for_a_run_by_hand(held: HeldClock) -> None:
    gate, diary = Gate(), Diary()
    await held.set(at(9.5))
    by_hand = asyncio.create_task(clock_on(held.pool, lease=HOUR).run_now(a_job(gate), by="anna"))
    await gate.begun.wait()

    meanwhile = await clock_on(held.pool).run_once(a_job(diary))
    gate.let_go.set()
    await by_hand
    await clock_on(held.pool).run_once(a_job(diary))

    assert meanwhile == 0.5 * 3600
    assert diary.slots == [at(9)]


async def test_a_run_by_hand_beside_a_dead_one_is_overlapped_by_nobody(held: HeldClock) -> None:
    gate, diary = Gate(), Diary()
    await claimed_and_forgotten(held, "dead:1")
    await held.set(at(9.5))
    by_hand = asyncio.create_task(clock_on(held.pool, lease=5 * HOUR).run_now(a_job(gate), by="anna"))
    await gate.begun.wait()
    await held.set(at(10.5))

    await clock_on(held.pool).run_once(a_job(diary))
    meanwhile = list(diary.slots)
    gate.let_go.set()
    await by_hand
    await clock_on(held.pool).run_once(a_job(diary))

    assert meanwhile == []
    assert diary.slots == [at(10)]
    assert [run["outcome"] for run in await runs(held.pool)] == ["failed", "done", "done"]


# --- silence ---


async def test_f145_a_job_whose_last_success_is_three_periods_old_is_overdue(held: HeldClock) -> None:
    async def fails(*_: object) -> Report:
        raise RuntimeError

    await held.set(at(9))
    await clock_on(held.pool).run_once(a_job(Diary(), name="silent"))
    for hour in (9, 10, 11, 12):
        await held.set(at(hour))
        await clock_on(held.pool).run_once(a_job(Diary(), name="healthy"))
        await clock_on(held.pool).run_once(a_job(Diary() if hour == 9 else fails, name="failing"))
    await held.set(at(12.5))

    lines = await listing(held.pool, [a_job(Diary(), name=name) for name in ("healthy", "failing", "silent")])

    assert [(line.name, line.is_overdue, line.success_age) for line in lines] == [
        ("healthy", False, 0.5 * HOUR),
        ("failing", True, 3.5 * HOUR),
        ("silent", True, 3.5 * HOUR),
    ]
    assert [line.last.last_outcome for line in lines if line.last] == ["done", "failed", "done"]
    assert {(line.schedule, line.next_slot) for line in lines} == {("every hour", at(13))}


async def test_f145_a_clock_that_never_ran_is_noticed_too(held: HeldClock) -> None:
    await held.pool.execute("UPDATE schema_migrations SET applied_at = $1", at(9))
    await held.set(at(11.9))
    [early] = await listing(held.pool, [a_job(Diary())])
    await held.set(at(12.1))

    [late] = await listing(held.pool, [a_job(Diary())])

    assert (early.last, early.is_overdue) == (None, False)
    assert (late.last, late.is_overdue) == (None, True)


async def test_f145_a_job_that_has_never_succeeded_is_overdue_after_three_periods(held: HeldClock) -> None:
    async def fails(*_: object) -> Report:
        raise RuntimeError

    for hour in (9, 10, 11, 12):
        await held.set(at(hour))
        await clock_on(held.pool).run_once(a_job(fails))
    await held.set(at(12.5))

    [line] = await listing(held.pool, [a_job(fails)])

    assert (line.success_age, line.is_overdue) == (None, True)


# --- the database away ---


async def test_f23_while_postgres_is_away_the_clock_waits_and_then_goes_on(own_postgres: Postgres) -> None:
    diary, stopping = Diary(), asyncio.Event()
    pool = await open_pool(own_postgres.url, name="test")
    keeping = asyncio.create_task(clock_on(pool).run([a_job(diary, every=SOON)], stopping))

    async def has_fired(times: int) -> bool:
        return len(diary.slots) >= times

    await until(lambda: has_fired(3))
    with capture_logs() as logs:

        async def has_looked_in_vain() -> bool:
            return any(line["event"] == "schedules.round_failed" for line in logs)

        await asyncio.to_thread(own_postgres.kill)
        await until(has_looked_in_vain)
    so_far = len(diary.slots)
    await asyncio.to_thread(own_postgres.start)
    await until(lambda: has_fired(so_far + 3))
    stopping.set()
    await asyncio.wait_for(keeping, 10)

    assert diary.slots == sorted(set(diary.slots))
    assert await pool.fetchval("SELECT count(*) FROM job_runs WHERE outcome IS NULL") == 0
    await pool.close()


async def test_f23_an_end_that_cannot_be_written_is_written_once_postgres_is_back(own_postgres: Postgres) -> None:
    gate = Gate()
    pool = await open_pool(own_postgres.url, name="test")
    running = asyncio.create_task(clock_on(pool).run_once(a_job(gate)))
    await gate.begun.wait()

    await asyncio.to_thread(own_postgres.kill)
    gate.let_go.set()
    await asyncio.sleep(0)
    await asyncio.to_thread(own_postgres.start)
    await asyncio.wait_for(running, 30)

    assert [(run["claims"], run["outcome"]) for run in await runs(pool)] == [(1, "done")]
    await pool.close()


async def test_f23_cut_off_for_longer_than_its_lease_a_run_is_broken_off(own_postgres: Postgres) -> None:
    gate = Gate()
    pool = await open_pool(own_postgres.url, name="test")
    running = asyncio.create_task(clock_on(pool, lease=SHORT_LEASE).run_once(a_job(gate)))
    await gate.begun.wait()

    await asyncio.to_thread(own_postgres.kill)
    await asyncio.wait_for(gate.broken_off.wait(), 20)
    await asyncio.to_thread(own_postgres.start)
    await asyncio.wait_for(running, 30)

    run = await the_only_run(pool)
    assert (run["outcome"], run["detail"]) == ("failed", {"error": "it lost its lease"})
    await pool.close()
