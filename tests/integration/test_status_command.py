"""`counterfoil status`: one screen and one exit code, also where the record or Redis is away; it tells, and never hangs."""

from __future__ import annotations

import os
import signal
import time

import pytest
import redis

from db import discrepancies, queue_controls, workers
from db.ids import new_id
from db.pool import Pool
from gateways.registry import GATEWAYS
from local.postgres import Postgres
from local.valkey import Valkey
from schedules.timetable import TIMETABLE
from tests.builders import BOOK, keep, place_order, session
from tests.desk import Desk
from workers.queues import QUEUES
from workers.webhook_events import Desk as WorkDesk
from workers.webhook_events import work_webhook_event


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Desk:
    return Desk(database_url, redis_url)


async def make_well(pool: Pool) -> None:
    """A worker for every queue, and a clock that has just run every job."""
    async with pool.acquire() as tx:
        await workers.register(tx, new_id(), host="h", pid=7, queues=QUEUES, threads=8)
        await tx.execute(
            """
            INSERT INTO job_runs (job, slot, claimed_by, lease_until, finished_at, outcome)
            SELECT job, now(), 'h:8', now(), now(), 'done' FROM unnest($1::text[]) AS job
            """,
            [job.name for job in TIMETABLE],
        )


async def test_all_is_well(pool: Pool, desk: Desk) -> None:
    await make_well(pool)
    await keep(pool, session(await place_order(pool)))

    said = desk("status")
    told = desk("status", "--json")
    seen = desk.on_a_terminal("status")

    assert (said.code, said.lines[0]) == (0, ["verdict", "healthy"])
    assert (told.code, told.json["verdict"], told.json["problems"]) == (0, "healthy", [])
    assert seen.splitlines()[0].endswith("healthy\x1b[0m")
    assert len(seen.splitlines()) < 40
    facts = {line[1]: line[2] for line in said.lines if line[0] == "facts"}
    assert facts["postgres"] == "answers"
    assert facts["workers"] == "h:7 (0 in hand)"
    assert facts["jobs"] == f"{len(TIMETABLE)} in time"
    assert facts["stripe"].startswith("heard ")
    assert facts["razorpay"] == "not heard in two days"


async def test_what_is_wrong_is_told_with_what_to_do(pool: Pool, desk: Desk) -> None:
    await make_well(pool)
    dead = await keep(pool, session(await place_order(pool), amount_total=None))
    await work_webhook_event(pool, WorkDesk(GATEWAYS, {}, BOOK), dead)
    async with pool.acquire() as tx:
        await queue_controls.pause(tx, "effects", by="ada", reason="their outage")
        await discrepancies.open_discrepancy(
            tx,
            kind="late_success",
            gateway="stripe",
            fingerprint="f",
            evidence={},
            proposed_action="look_by_hand",
            amount_at_risk=4900,
            currency="usd",
        )

    said = desk("status")
    told = desk("status", "--json").json

    assert said.code == 1
    assert [line[1:] for line in said.lines if line[0] == "problems"] == [
        [
            "degraded",
            "the queue effects is paused by ada (their outage), 0 wait in it",
            "counterfoil queues resume effects",
        ],
        [
            "degraded",
            "1 dead letters wait for a person",
            "counterfoil dead list --group; docs/runbook.md#events-are-dead",
        ],
    ]
    assert ["facts", "at risk", "49.00 USD at stripe"] in said.lines
    assert (told["dead_letters"]["open"], told["dead_letters"]["causes"][0]["count"]) == (1, 1)
    assert told["discrepancies"]["kinds"][0]["amount_at_risk"] == 4900


async def test_a_worker_that_has_fallen_silent_does_not_count(pool: Pool, desk: Desk) -> None:
    await make_well(pool)
    await pool.execute("UPDATE workers SET seen_at = now() - interval '16 s'")

    said = desk("status")

    assert said.code == 2
    assert "no worker is alive" in said.out


async def test_f145_a_clock_that_has_fallen_silent_is_noticed(pool: Pool, desk: Desk) -> None:
    await make_well(pool)
    await pool.execute(
        "UPDATE job_runs SET finished_at = now() - interval '7 days', started_at = now() - interval '7 days'"
    )

    said = desk("status")

    assert said.code == 1
    assert "no clock runs" in said.out


async def test_a_database_of_an_older_release_is_told_by_what_it_lacks(pool: Pool, desk: Desk) -> None:
    await pool.execute("DELETE FROM schema_migrations WHERE name = '0006_work.sql'")
    older = desk("status")
    await pool.execute("DROP TABLE schema_migrations")
    empty = desk("status")

    assert (older.code, empty.code) == (2, 2)
    assert ["problems", "down", "migrations are missing: 0006_work.sql", "counterfoil migrate"] in older.lines
    assert "0001" in empty.out


async def test_redis_that_evicts_or_is_away_is_told_with_the_rest(
    pool: Pool, database_url: str, own_valkey: Valkey
) -> None:
    await make_well(pool)
    desk = Desk(database_url, own_valkey.url)
    with redis.Redis.from_url(own_valkey.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")

    evicting = desk("status")
    own_valkey.stop()
    away = desk("status")

    assert (evicting.code, away.code) == (1, 1)
    assert "its maxmemory-policy is allkeys-lru\tset maxmemory-policy to noeviction" in evicting.out
    assert "Redis does not answer" in away.out
    assert own_valkey.url not in away.out


async def test_a_record_that_is_away_is_down_and_redis_is_told_all_the_same(redis_url: str) -> None:
    away = Desk("postgresql://u:hidden@127.0.0.1:1/x", redis_url)("status")
    told = Desk("postgresql://u:hidden@127.0.0.1:1/x", redis_url)("status", "--json").json

    assert away.code == 2
    assert "hidden" not in away.out + away.err
    assert (told["postgres"]["reachable"], told["redis"]["reachable"], told["queues"]) == (False, True, [])


def test_servers_that_hang_are_told_of_in_bounded_time(own_postgres: Postgres, own_valkey: Valkey) -> None:
    desk = Desk(own_postgres.url, own_valkey.url)
    pids = [pid for pid in (own_postgres.pid, own_valkey.pid) if pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        said = desk("status")
        took = time.monotonic() - begun
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    assert len(pids) == said.code == 2
    assert took < 45


def test_settings_that_are_missing_end_with_2(desk: Desk) -> None:
    unset = desk("status", DATABASE_URL=None)
    wrong = desk("status", REDIS_URL="nonsense")

    assert (unset.code, unset.out) == (2, "")
    assert "Redis does not answer" in wrong.out
