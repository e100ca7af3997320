"""What is finished and old is forgotten, in batches; what somebody still needs never is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from db.pool import Pool
from schedules.job import Run
from schedules.pruning import prune
from schedules.timetable import BY_NAME
from tests.builders import keep, place_order
from tests.timekeeping import at, means_with

DAY = timedelta(days=1)


async def left(pool: Pool, table: str, column: str) -> set[Any]:
    return {row["kept"] for row in await pool.fetch(f"SELECT {column} AS kept FROM {table}")}


async def test_keys_go_after_two_days_unless_somebody_holds_them(pool: Pool) -> None:
    await place_order(pool)
    for key, age, held in [("old", 49, -1), ("held", 49, 1), ("young", 47, -1)]:
        await pool.execute(
            "INSERT INTO idempotency_keys (user_id, key, request_hash, held_until, created_at) "
            "VALUES ('user-1', $1, '', now() + $2::interval, now() - $3::interval)",
            key,
            timedelta(minutes=held),
            timedelta(hours=age),
        )

    report = await prune(pool, frequent=[])

    assert report.counts["idempotency_keys"] == 1
    assert await left(pool, "idempotency_keys", "key") == {"held", "young"}


async def ran(
    pool: Pool, job: str, *days_ago: float, outcome: str | None = "done", asked_by: str | None = None
) -> None:
    for days in days_ago:
        await pool.execute(
            "INSERT INTO job_runs (job, slot, claimed_by, lease_until, finished_at, outcome, asked_by) "
            "SELECT $1, at, $2, at, CASE WHEN $3::text IS NOT NULL THEN at END, $3, $4 "
            "  FROM (SELECT now() - $5::interval AS at) AS t",
            job,
            f"{job}:{outcome}:{days}",
            outcome,
            asked_by,
            days * DAY,
        )


async def test_runs_go_after_a_month_those_of_frequent_jobs_after_a_day(pool: Pool) -> None:
    await ran(pool, "seldom", 31, 29, 0.1)
    await ran(pool, "often", 29, 1.1, 0.9, 0.1)

    report = await prune(pool, frequent=["often"])

    assert report.counts["job_runs"] == 3
    assert await left(pool, "job_runs", "claimed_by") == {
        "seldom:done:29",
        "seldom:done:0.1",
        "often:done:0.9",
        "often:done:0.1",
    }


async def test_f143_the_newest_slot_and_the_newest_success_stay_however_old(pool: Pool) -> None:
    await ran(pool, "job", 70, 60)
    await ran(pool, "job", 50, 45, outcome="failed")
    await ran(pool, "job", 40, outcome=None)
    await ran(pool, "job", 35, outcome="failed", asked_by="anna")

    await prune(pool, frequent=[])

    # The newest by hand is none of the clock's slots, so that the one before it is what a clock goes by.
    assert await left(pool, "job_runs", "claimed_by") == {"job:done:60", "job:None:40", "job:failed:35"}


async def test_frequent_are_the_jobs_that_run_more_often_than_once_a_minute(pool: Pool) -> None:
    await ran(pool, "sweep", 2, 0.1)
    await ran(pool, "invariants", 2, 0.1)

    await BY_NAME["prune"].run(means_with(pool), Run("prune", at(9)))

    assert await left(pool, "job_runs", "claimed_by") == {"sweep:done:0.1", "invariants:done:2", "invariants:done:0.1"}


async def wrote_letter(pool: Pool, source_id: str, state: str, days_ago: int, source: str = "message") -> None:
    closed = state != "open"
    await pool.execute(
        "INSERT INTO dead_letters (source, source_id, queue, what, class, error_class, error, fingerprint, attempts, "
        "                          state, closed_at, closed_by, closed_reason, created_at) "
        "VALUES ($1, $2, 'webhooks', '', 'permanent', '', '', '', 1, $3, now() - $4::interval, $5, $5, now() - $6::interval)",
        source,
        source_id,
        state,
        days_ago * DAY if closed else None,
        "anna" if closed else None,
        days_ago * DAY,
    )


async def test_an_open_dead_letter_never_goes_and_a_closed_one_after_90_days(pool: Pool) -> None:
    await wrote_letter(pool, "open", "open", 4000)
    await wrote_letter(pool, "retried", "retried", 91)
    await wrote_letter(pool, "discarded", "discarded", 91)
    await wrote_letter(pool, "of late", "discarded", 89)

    report = await prune(pool, frequent=[])

    assert report.counts["dead_letters"] == 2
    assert await left(pool, "dead_letters", "source_id") == {"open", "of late"}


async def test_a_closed_letter_stays_while_its_row_is_dead(pool: Pool) -> None:
    dead, done = await keep(pool, b'{"dead": 1}'), await keep(pool, b'{"done": 1}')
    await pool.execute("UPDATE webhook_events SET status = 'dead', next_attempt_at = NULL WHERE id = $1", dead)
    for event in (dead, done):
        await wrote_letter(pool, str(event), "discarded", 91, "webhook_event")

    await prune(pool, frequent=[])

    assert await left(pool, "dead_letters", "source_id") == {str(dead)}


async def test_a_discarded_letter_of_an_effect_stays_while_its_effect_is_dead(pool: Pool) -> None:
    rows = await pool.fetch(
        "INSERT INTO effects (kind, status, idempotency_key, detail, next_attempt_at, sent_at) "
        "VALUES ('dead', 'dead', 'a', '{}', NULL, NULL), ('sent', 'sent', 'b', '{}', NULL, now()) RETURNING id, kind"
    )
    effects = {row["kind"]: str(row["id"]) for row in rows}
    for effect in effects.values():
        await wrote_letter(pool, effect, "discarded", 91, "effect")

    await prune(pool, frequent=[])

    assert await left(pool, "dead_letters", "source_id") == {effects["dead"]}


async def attempted(pool: Pool, status: str, days_ago: int) -> str:
    event = await keep(pool, f'{{"{status}": {days_ago}}}'.encode())
    owed = status in ("received", "retry")
    await pool.execute(
        "UPDATE webhook_events SET status = $2, reason = 'x', next_attempt_at = CASE WHEN $3 THEN now() END, "
        "processed_at = CASE WHEN $2 = 'done' THEN now() END WHERE id = $1",
        event,
        status,
        owed,
    )
    await pool.execute(
        "INSERT INTO work_attempts (source, source_id, epoch, worker, started_at, finished_at, outcome, class) "
        "VALUES ('webhook_event', $1, 0, $2, now(), now() - $3::interval, 'retry', 'transient')",
        event,
        f"{status}:{days_ago}",
        days_ago * DAY,
    )
    return f"{status}:{days_ago}"


async def test_attempts_go_after_90_days_once_their_work_is_finished(pool: Pool) -> None:
    gone = [await attempted(pool, status, 91) for status in ("done", "ignored")]
    kept = [await attempted(pool, status, 91) for status in ("received", "retry", "dead")]
    kept.append(await attempted(pool, "done", 89))

    report = await prune(pool, frequent=[])

    assert report.counts["work_attempts"] == len(gone)
    assert await left(pool, "work_attempts", "worker") == set(kept)


async def test_workers_go_after_a_week_of_silence(pool: Pool) -> None:
    for pid, days in [(1, 8), (2, 6)]:
        await pool.execute(
            "INSERT INTO workers (id, host, pid, queues, threads, seen_at) "
            "VALUES (gen_random_uuid(), 'host', $1, '{}', 1, now() - $2::interval)",
            pid,
            days * DAY,
        )

    await prune(pool, frequent=[])

    assert await left(pool, "workers", "pid") == {2}


@pytest.mark.parametrize(("rows", "most_batches", "gone", "complete"), [(25, 3, 25, True), (45, 3, 30, False)])
async def test_it_goes_in_batches_and_says_when_it_was_not_all(
    pool: Pool, rows: int, most_batches: int, gone: int, complete: bool
) -> None:
    await place_order(pool)
    await pool.execute(
        "INSERT INTO idempotency_keys (user_id, key, request_hash, held_until, created_at) "
        "SELECT 'user-1', n, '', now(), now() - interval '3 days' FROM generate_series(1, $1) AS n",
        rows,
    )

    report = await prune(pool, frequent=[], batch=10, most_batches=most_batches)

    assert (report.counts["idempotency_keys"], report.complete) == (gone, complete)
