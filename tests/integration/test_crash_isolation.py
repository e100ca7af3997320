"""What ends the process that works it: found out by marks, worked alone, and dead in the end; its neighbours are not."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from db import effects, webhook_events
from db.effects import Effect
from db.pool import Pool, open_pool
from gateways.registry import GATEWAYS
from local.postgres import Postgres
from tests import poison
from tests.builders import BOOK, keep, place_order, session
from tests.front_door import NO_REDIS
from tests.owed import MAIL, make_due, owe
from tests.processes import living
from tests.waiting import until, until_somebody_waits
from workers.alone import LAST_WORD, LEASE_SECONDS, LIMIT_SECONDS, MOST_CRASHES, SILENT_ATTEMPTS, Alone
from workers.delivery.sender import NotNow, Settled
from workers.effects import Outcome, send_effect
from workers.webhook_events import Desk, Worked, work_webhook_event

#: Where no database listens.
NO_POSTGRES = "postgresql://nobody@127.0.0.1:1/none"


class NobodyStarts(Alone):
    """No process is started; a test that needs one fails."""

    async def run(self, source: object, row: UUID) -> object:  # type: ignore[override]
        raise AssertionError(f"{source} {row} should not run alone")


def desk(alone: Alone) -> Desk:
    return Desk(GATEWAYS, {}, BOOK, alone)


def alone(database_url: str, harm: str, *, limit_seconds: float = 30) -> Alone:
    return Alone(poison.command("alone", database_url, harm), limit_seconds)


async def event_row(pool: Pool, event: UUID) -> asyncpg.Record:
    row = await pool.fetchrow("SELECT *, next_attempt_at - now() AS wait FROM webhook_events WHERE id = $1", event)
    assert row is not None
    return row


async def hint_again(pool: Pool) -> None:
    """As the sweep does with what is owed and late."""
    await pool.execute(
        "UPDATE webhook_events SET next_hint_at = now(), next_attempt_at = now() WHERE status IN ('received', 'retry')"
    )
    async with pool.acquire() as tx:
        await webhook_events.overdue(tx, limit=100, again_seconds=0)


async def mark_silent(pool: Pool, event: UUID) -> None:
    """As if attempts had begun and nobody had heard of their end."""
    await hint_again(pool)
    await pool.execute("UPDATE webhook_events SET begun = $2 WHERE id = $1", event, SILENT_ATTEMPTS)


async def attempts(pool: Pool) -> list[tuple[str, str | None, str | None]]:
    rows = await pool.fetch("SELECT outcome, class, error_class FROM work_attempts ORDER BY finished_at")
    return [(row["outcome"], row["class"], row["error_class"]) for row in rows]


async def test_the_first_hint_is_worked_without_a_mark(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    writes = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'marked'; END $$"
    await pool.execute(writes)
    await pool.execute(
        "CREATE TRIGGER no_marks BEFORE UPDATE ON webhook_events FOR EACH ROW WHEN (NEW.begun > 0) "
        "EXECUTE FUNCTION refuse()"
    )

    result = await work_webhook_event(pool, desk(NobodyStarts()), event)

    assert result.worked is Worked.DONE


async def test_f138_an_event_that_kills_its_worker_runs_alone_and_is_dead_after_three_crashes(
    pool: Pool, database_url: str
) -> None:
    event = await keep(pool, session(await place_order(pool)))
    killing = poison.command("worker", database_url, "kill")
    codes, begun = [], []
    for _ in range(SILENT_ATTEMPTS + 1):  # the first hint leaves no mark
        codes.append(await poison.run(*killing, source="webhook_event", row=event))
        begun.append((await event_row(pool, event))["begun"])
        await hint_again(pool)

    results, crashes = [], []
    for _ in range(MOST_CRASHES):
        results.append((await work_webhook_event(pool, desk(alone(database_url, "kill")), event)).worked)
        crashes.append((await event_row(pool, event))["crashes"])
        await hint_again(pool)

    assert codes == [-9] * (SILENT_ATTEMPTS + 1)
    assert begun == [0, 1, 2]
    assert results == [Worked.RETRY, Worked.RETRY, Worked.DEAD]
    assert crashes == [1, 2, 3]
    assert await attempts(pool) == [
        ("crashed", "crash", "worker_crash"),
        ("crashed", "crash", "worker_crash"),
        ("dead", "crash", "worker_crash"),
    ]
    letter = await pool.fetchrow("SELECT source_id, class, error_class, error, state FROM dead_letters")
    assert tuple(letter or ()) == (
        str(event), "crash", "worker_crash", "it ended the process that worked it: signal 9", "open"
    )  # fmt: skip


async def test_f138_an_innocent_neighbour_of_it_loses_nothing(pool: Pool, database_url: str) -> None:
    """It waits for its order in a process that is killed, twice; then it runs alone and ends like anybody."""
    order = await place_order(pool)
    innocent = await keep(pool, session(order, client_reference_id=str(order), innocent=True))
    await hint_again(pool)
    worker = poison.command("worker", database_url, "none")
    async with pool.acquire() as witness, pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM orders FOR UPDATE")
        for _ in range(SILENT_ATTEMPTS):
            process = await asyncio.create_subprocess_exec(*worker, "webhook_event", str(innocent))
            await until_somebody_waits(witness, "transactionid", seconds=30)
            process.kill()
            await process.wait()
            await witness.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%poison'"
            )
    begun = (await event_row(pool, innocent))["begun"]

    result = await work_webhook_event(pool, desk(alone(database_url, "none")), innocent)

    row = await event_row(pool, innocent)
    assert begun == SILENT_ATTEMPTS
    assert result.worked is Worked.DONE
    assert (row["status"], row["begun"], row["crashes"]) == ("done", 0, 0)
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert [outcome for outcome, *_ in await attempts(pool)] == ["done"]


async def test_an_attempt_that_ends_in_any_way_leaves_no_mark(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await hint_again(pool)
    await pool.execute("UPDATE webhook_events SET begun = 1")
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM orders FOR UPDATE")
        late = await work_webhook_event(
            pool, Desk(GATEWAYS, {}, BOOK, NobodyStarts(), limit_seconds=0.5), event, careful=True
        )

    assert late.worked is Worked.RETRY
    assert (await event_row(pool, event))["begun"] == 0


async def test_many_that_take_one_event_carefully_at_once_mark_it_once(database_url: str) -> None:
    """With one connection between them, all others stand between the mark and its work, if anybody can."""
    async with await open_pool(database_url, name="test", max_size=1) as narrow:
        event = await keep(narrow, session(await place_order(narrow)))
        await hint_again(narrow)
        await narrow.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'marked twice'; END $$"
        )
        await narrow.execute(
            "CREATE TRIGGER one_mark BEFORE UPDATE ON webhook_events FOR EACH ROW WHEN (NEW.begun > 1) "
            "EXECUTE FUNCTION refuse()"
        )

        results = await asyncio.gather(
            *(work_webhook_event(narrow, desk(NobodyStarts()), event, careful=True) for _ in range(8))
        )

        assert sorted(result.worked for result in results) == [Worked.DONE] + [Worked.NOT_OWED] * 7
        assert await narrow.fetchval("SELECT count(*) FROM history") == 1


async def test_an_event_that_another_connection_has_reserved_is_neither_marked_nor_worked(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    async with pool.acquire() as other:
        await webhook_events.reserve(other, event)
        meanwhile = await work_webhook_event(pool, desk(NobodyStarts()), event, careful=True)
        begun = (await event_row(pool, event))["begun"]

    afterwards = await work_webhook_event(pool, desk(NobodyStarts()), event, careful=True)

    assert (meanwhile.worked, begun) == (Worked.NOT_OWED, 0)
    assert afterwards.worked is Worked.DONE


async def test_who_has_the_row_between_a_mark_and_its_work_is_waited_for(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))

    async def take() -> bool:
        async with pool.acquire() as tx, tx.transaction():
            return await webhook_events.claim(tx, event, reserved=True) is not None

    async with pool.acquire() as witness, pool.acquire() as sweep:
        async with sweep.transaction():
            await sweep.execute("UPDATE webhook_events SET hint_count = hint_count + 1")
            taking = asyncio.create_task(take())
            await until_somebody_waits(witness, "transactionid")
        is_taken = await taking

    assert is_taken


async def test_a_process_that_leaves_without_a_word_is_a_crash_whatever_its_code(pool: Pool, database_url: str) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)

    await work_webhook_event(pool, desk(alone(database_url, "leave")), event)

    row = await event_row(pool, event)
    assert (row["status"], row["crashes"]) == ("retry", 1)
    assert "exit code 0" in row["last_error"]


async def test_a_process_that_does_not_end_is_killed_with_all_that_it_started(
    pool: Pool, database_url: str, tmp_path: Path
) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)
    pids = tmp_path / "pids"

    hanging = alone(database_url, f"hang:{pids}", limit_seconds=15)
    await work_webhook_event(pool, desk(hanging), event)

    row = await event_row(pool, event)
    assert (row["status"], row["crashes"]) == ("retry", 1)
    assert "no end within 15 s" in row["last_error"]

    async def are_gone() -> bool:
        return not living(int(pid) for pid in pids.read_text(encoding="ascii").split())

    await until(are_gone)


async def test_what_wants_too_much_memory_gets_an_error_that_can_be_written_down(pool: Pool, database_url: str) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)

    code = await poison.run(*poison.command("alone", database_url, "memory"), source="webhook_event", row=event)

    row = await event_row(pool, event)
    assert code == LAST_WORD
    assert (row["status"], row["error_class"], row["crashes"]) == ("retry", "MemoryError", 0)


async def test_a_process_that_cannot_even_begin_is_not_held_against_the_event(pool: Pool, database_url: str) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)

    result = await work_webhook_event(pool, desk(alone(database_url, "before")), event)

    row = await event_row(pool, event)
    assert result.worked is Worked.RETRY
    assert (row["status"], row["crashes"]) == ("received", 0)
    assert row["wait"].total_seconds() > LEASE_SECONDS - 30


async def test_what_has_crashed_once_stays_alone_even_after_an_attempt_that_ended(
    pool: Pool, database_url: str
) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await hint_again(pool)
    await pool.execute("UPDATE webhook_events SET crashes = 1")

    await work_webhook_event(pool, desk(alone(database_url, "leave")), event)

    assert (await event_row(pool, event))["crashes"] == 2


async def test_while_it_runs_alone_nobody_else_takes_it(pool: Pool, database_url: str, tmp_path: Path) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)
    pids = tmp_path / "pids"
    running = asyncio.create_task(work_webhook_event(pool, desk(alone(database_url, f"hang:{pids}")), event))

    async def hangs() -> bool:
        return pids.exists() and " " in pids.read_text(encoding="ascii")

    await until(hangs)
    meanwhile = await work_webhook_event(pool, desk(NobodyStarts()), event, careful=True)
    os.killpg(int(pids.read_text(encoding="ascii").split()[0]), signal.SIGKILL)
    await running

    assert meanwhile.worked is Worked.NOT_OWED
    assert LIMIT_SECONDS < LEASE_SECONDS


async def test_where_there_is_no_room_it_stays_owed_and_no_thread_waits(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)
    full = NobodyStarts(room=asyncio.Semaphore(0))

    result = await asyncio.wait_for(work_webhook_event(pool, desk(full), event), 10)

    assert result.worked is Worked.RETRY
    assert (await event_row(pool, event))["wait"].total_seconds() <= 0


async def test_crashes_that_nobody_lived_to_see_count_too(pool: Pool) -> None:
    """The machine ended with it each time: only the rows tell."""
    event = await keep(pool, session(await place_order(pool)))
    await hint_again(pool)
    await pool.execute("UPDATE webhook_events SET crashes = $1", MOST_CRASHES)

    result = await work_webhook_event(pool, desk(NobodyStarts()), event)

    assert result.worked is Worked.DEAD
    assert await pool.fetchval("SELECT class FROM dead_letters") == "crash"


async def test_postgres_away_is_never_a_crash(own_postgres: Postgres) -> None:
    own_pool = await open_pool(own_postgres.url, name="test")
    try:
        event = await keep(own_pool, session(await place_order(own_pool)))
        await mark_silent(own_pool, event)
        postmaster = own_postgres.pid
        assert postmaster is not None
        stopping = alone(own_postgres.url, f"kill_postgres:{postmaster}")
        working = asyncio.create_task(work_webhook_event(own_pool, desk(stopping), event))

        async def is_away() -> bool:
            return not living([postmaster])

        await until(is_away)
        await asyncio.to_thread(own_postgres.kill)
        await asyncio.to_thread(own_postgres.start)
        result = await working

        row = await event_row(own_pool, event)
        assert result.worked is Worked.RETRY
        assert (row["status"], row["crashes"]) == ("received", 0)
        assert row["wait"].total_seconds() <= 0
    finally:
        own_pool.terminate()


async def test_a_process_that_could_not_reach_the_database_gives_its_lease_back(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)

    result = await work_webhook_event(pool, desk(alone(NO_POSTGRES, "none")), event)

    row = await event_row(pool, event)
    assert result.worked is Worked.RETRY
    assert (row["status"], row["crashes"]) == ("received", 0)
    assert row["wait"].total_seconds() <= 0


async def test_a_wait_that_was_written_from_its_own_process_is_not_cut_short(pool: Pool, database_url: str) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await mark_silent(pool, event)
    await pool.execute("UPDATE webhook_events SET retry_count = 10")

    await work_webhook_event(pool, desk(alone(database_url, "memory")), event)

    row = await event_row(pool, event)
    assert (row["status"], row["error_class"]) == ("retry", "MemoryError")
    assert row["wait"].total_seconds() > 60


async def test_f131_an_attempt_that_overruns_its_time_has_ended_before_it_is_owed_again(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    hasty = Desk(GATEWAYS, {}, BOOK, NobodyStarts(), limit_seconds=0.5)
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM orders FOR UPDATE")
        overrun = await work_webhook_event(pool, hasty, event)
        still_there = await holder.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    await pool.execute("UPDATE webhook_events SET next_attempt_at = now()")

    again = await work_webhook_event(pool, hasty, event)

    assert (overrun.worked, again.worked) == (Worked.RETRY, Worked.DONE)
    assert still_there == 0
    assert await pool.fetchval("SELECT count(*) FROM history") == 1
    assert await attempts(pool) == [("retry", "transient", "TimeoutError"), ("done", None, None)]


async def test_f138_an_effect_that_kills_its_worker_runs_alone_and_is_dead_after_three_crashes(
    pool: Pool, database_url: str
) -> None:
    owed = await owe(pool, MAIL)
    async with pool.acquire() as tx:
        for _ in range(SILENT_ATTEMPTS):
            await effects.claim(tx, owed, lease_seconds=0)

    outcomes = []
    for _ in range(MOST_CRASHES):
        await make_due(pool, owed)
        outcomes.append(await send_effect(pool, Refusing(), owed, alone=alone(database_url, "kill")))

    assert outcomes == [Outcome.RETRY, Outcome.RETRY, Outcome.DEAD]
    assert [outcome for outcome, *_ in await attempts(pool)] == ["crashed", "crashed", "dead"]
    letter = await pool.fetchrow("SELECT source, class, error_class FROM dead_letters")
    assert tuple(letter or ()) == ("effect", "crash", "worker_crash")


async def test_an_innocent_effect_ends_alone_like_any_other(pool: Pool, database_url: str) -> None:
    owed = await owe(pool, MAIL)
    async with pool.acquire() as tx:
        for _ in range(SILENT_ATTEMPTS):
            await effects.claim(tx, owed, lease_seconds=0)
    await make_due(pool, owed)

    outcome = await send_effect(pool, Refusing(), owed, alone=alone(database_url, "none"))

    row = await pool.fetchrow("SELECT status, begun, crashes FROM effects")
    assert outcome is Outcome.SENT
    assert tuple(row or ()) == ("sent", 0, 0)


async def test_an_effect_whose_attempts_end_is_never_alone(pool: Pool) -> None:
    owed = await owe(pool, MAIL)

    for _ in range(2 * SILENT_ATTEMPTS):
        await make_due(pool, owed)
        await send_effect(pool, Refusing(NotNow("the receiver answered 503")), owed, alone=NobodyStarts())

    assert await pool.fetchval("SELECT begun FROM effects") == 0


class Refusing:
    """A sender in this process, which must not be reached unless it is told how to fail."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure or AssertionError("it should have been sent from a process of its own")

    async def send(self, effect: Effect) -> Settled:
        raise self._failure


@pytest.mark.parametrize("source", ["webhook_event", "effect"])
async def test_the_real_process_works_its_one_row_and_says_its_last_word(
    pool: Pool, database_url: str, source: str
) -> None:
    if source == "effect":
        row = await owe(pool, MAIL)
        await pool.execute("UPDATE effects SET attempts = 1, begun = 3, next_attempt_at = now() + interval '90 s'")
    else:
        row = await keep(pool, session(await place_order(pool)))
        await mark_silent(pool, row)

    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "workers", "--alone", source, str(row)],
        cwd=poison.ROOT,
        env={"PATH": os.defpath, "DATABASE_URL": database_url, "REDIS_URL": NO_REDIS, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    table = "effects" if source == "effect" else "webhook_events"
    after = await pool.fetchrow(f"SELECT status, begun, crashes FROM {table}")
    assert done.returncode == LAST_WORD, done.stdout + done.stderr
    assert tuple(after or ()) == ("sent" if source == "effect" else "done", 0, 0)
