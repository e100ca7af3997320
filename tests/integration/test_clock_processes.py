"""Several clocks as real processes, killed as the kernel kills; and ours, with the whole timetable."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import pytest

from db.pool import Pool, open_pool
from local.postgres import Postgres
from schedules.timetable import TIMETABLE
from tests import small_clock
from tests.processes import ROOT, bury, first_line
from tests.waiting import until, until_somebody_waits

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a module of ours as a process of its own; whatever still lives at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(module: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        bury(process)


@pytest.fixture
async def fires(pool: Pool) -> Pool:
    await pool.execute(small_clock.TABLE)
    return pool


async def count(pool: Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM fires"))


async def until_fired(pool: Pool, more: int) -> None:
    so_far = await count(pool)

    async def have_fired() -> bool:
        return await count(pool) >= so_far + more

    await until(have_fired, seconds=60)


async def all_ready(clocks: Sequence[subprocess.Popen[str]]) -> list[str]:
    return [await asyncio.to_thread(first_line, clock) for clock in clocks]


async def stopped(clocks: Sequence[subprocess.Popen[str]]) -> list[int]:
    for clock in clocks:
        clock.send_signal(signal.SIGTERM)
    return [await asyncio.to_thread(clock.wait, 30) for clock in clocks]


async def assert_no_slot_fired_twice_and_none_missed(pool: Pool, *, killed: int) -> None:
    slots = [row["slot"] for row in await pool.fetch("SELECT slot FROM job_runs ORDER BY slot")]
    assert slots == [slots[0] + n * small_clock.EVERY for n in range(len(slots))], "none missed"
    assert await pool.fetchval("SELECT count(*) FROM job_runs WHERE outcome IS DISTINCT FROM 'done'") == 0
    assert not await pool.fetch("SELECT slot, claims FROM fires GROUP BY slot, claims HAVING count(*) > 1")
    unfired = "SELECT slot FROM job_runs r WHERE NOT EXISTS (SELECT FROM fires f WHERE f.slot = r.slot)"
    assert not await pool.fetch(unfired)
    # A claim that its clock did not outlive is repeated: one for each that was killed, at most.
    assert await pool.fetchval("SELECT count(*) FROM job_runs WHERE claims > 1") <= killed


async def test_f142_three_clocks_one_killed_fire_each_slot_once_and_miss_none(
    start: Start, fires: Pool, database_url: str
) -> None:
    clocks = [start("tests.small_clock", database_url) for _ in range(3)]
    assert await all_ready(clocks) == ["ready"] * 3
    await until_fired(fires, 10)

    clocks[0].kill()
    await until_fired(fires, 15)
    ended = await stopped(clocks[1:])

    assert ended == [0, 0]
    assert await fires.fetchval("SELECT count(DISTINCT who) FROM fires") >= 2
    await assert_no_slot_fired_twice_and_none_missed(fires, killed=1)


async def test_f142_a_clock_killed_in_the_midst_of_a_run_has_it_run_by_another(
    start: Start, fires: Pool, database_url: str
) -> None:
    doomed = start("tests.small_clock", database_url)
    assert await all_ready([doomed]) == ["ready"]
    await until_fired(fires, 3)

    async with fires.acquire() as holder:
        async with holder.transaction():
            await holder.execute("LOCK TABLE fires IN EXCLUSIVE MODE")
            await until_somebody_waits(holder, "relation")
            doomed.kill()
            doomed.wait()
        heir = start("tests.small_clock", database_url)
        await until_fired(fires, 10)
        await stopped([heir])

    assert await fires.fetchval("SELECT count(*) FROM job_runs WHERE claims = 2") == 1
    await assert_no_slot_fired_twice_and_none_missed(fires, killed=1)


async def test_f142_f143_all_clocks_down_for_a_while_and_postgres_restarted_miss_no_slot(
    start: Start, own_postgres: Postgres
) -> None:
    pool = await open_pool(own_postgres.url, name="test")
    await pool.execute(small_clock.TABLE)
    clocks = [start("tests.small_clock", own_postgres.url) for _ in range(3)]
    await until_fired(pool, 5)

    await asyncio.to_thread(own_postgres.kill)
    await asyncio.to_thread(own_postgres.start)
    await until_fired(pool, 5)
    for clock in clocks:
        clock.kill()
    heir = start("tests.small_clock", own_postgres.url)
    await until_fired(pool, 20)
    await stopped([heir])

    slots = [row["slot"] for row in await pool.fetch("SELECT slot FROM job_runs ORDER BY slot")]
    assert slots == [slots[0] + n * small_clock.EVERY for n in range(len(slots))]
    assert not await pool.fetch("SELECT slot, claims FROM fires GROUP BY slot, claims HAVING count(*) > 1")
    await pool.close()


async def test_the_process_keeps_the_whole_timetable_and_ends_when_told_to(
    start: Start, pool: Pool, database_url: str, redis_url: str
) -> None:
    clock = start("schedules", DATABASE_URL=database_url, REDIS_URL=redis_url)
    assert await all_ready([clock]) == ["ready"]

    async def all_done() -> bool:
        done = await pool.fetch("SELECT DISTINCT job FROM job_runs WHERE outcome = 'done'")
        return {row["job"] for row in done} == {job.name for job in TIMETABLE}

    await until(all_done)
    [code] = await stopped([clock])

    assert code == 0
    assert await pool.fetchval("SELECT count(*) FROM job_runs WHERE outcome IS NULL") == 0


async def test_the_process_starts_and_ends_while_postgres_and_redis_are_away(start: Start) -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing", "REDIS_URL": "redis://127.0.0.1:1/0"}
    clock = start("schedules", **nowhere)
    assert await all_ready([clock]) == ["ready"]

    assert await stopped([clock]) == [0]
