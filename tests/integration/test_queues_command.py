"""`counterfoil queues` and `counterfoil jobs`: how deep, who works, what is at rest; what the clock does, and done now."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from db import workers
from db.ids import new_id
from db.pool import Pool
from db.webhook_events import replay
from schedules.timetable import TIMETABLE
from tests.builders import keep, place_order, session
from tests.desk import Desk, data_dir_of
from workers.hints import Hints
from workers.queues import QUEUES, WORK_WEBHOOK_EVENT


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Desk:
    return Desk(database_url, redis_url)


async def test_every_queue_is_listed_with_what_is_owed_there_and_what_redis_holds(
    pool: Pool, desk: Desk, redis_url: str
) -> None:
    event, later = [await keep(pool, session(await place_order(pool))) for _ in range(2)]
    async with pool.acquire() as tx, Hints(redis_url) as hints:
        await replay(tx, [later], [3600.0], queue="bulk")
        await workers.register(tx, new_id(), host="h", pid=7, queues=["webhooks"], threads=8)
        await hints.send(WORK_WEBHOOK_EVENT, [event])

    listed = desk("queues", "--json").json

    assert [line["name"] for line in listed] == list(QUEUES)
    webhooks, *_, bulk = listed
    assert 0 <= webhooks.pop("oldest_seconds") < 60
    assert webhooks == {
        "name": "webhooks",
        "owed": 1,
        "delayed": 0,
        "dead": 0,
        "hints": 1,
        "in_flight": 0,
        "workers": 1,
        "paused": None,
    }
    assert (bulk["owed"], bulk["delayed"], bulk["workers"]) == (0, 1, 0)


def test_a_person_sees_a_table_and_a_pipe_gets_lines_with_tabs(desk: Desk) -> None:
    piped = desk("queues")
    seen = desk.on_a_terminal("queues")

    assert [line[0] for line in piped.lines] == list(QUEUES)
    assert "in flight" in seen.splitlines()[0]
    assert "in flight" not in piped.out


def test_what_workers_have_taken_from_redis_is_in_flight(desk: Desk, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        for worker, taken in (("w1", ["a", "b"]), ("w2", ["c"])):
            client.zadd("counterfoil:__heartbeats__", {worker: 1})
            client.sadd(f"counterfoil:__acks__.{worker}.effects", *taken)

    listed = desk("queues", "--json").json

    assert {line["name"]: line["in_flight"] for line in listed} == dict.fromkeys(QUEUES, 0) | {"effects": 3}


def test_without_redis_the_record_is_told_all_the_same(database_url: str) -> None:
    listed = Desk(database_url)("queues", "--json")

    assert listed.code == 0
    assert [line["hints"] for line in listed.json] == [None] * 4


async def test_a_queue_is_paused_and_resumed_by_name_with_who_and_why(pool: Pool, desk: Desk) -> None:
    paused = desk("queues", "pause", "effects", "--reason", "their outage", "--for", "1h")
    [rest] = [line["paused"] for line in desk("queues", "--json").json if line["paused"]]
    resumed = desk("queues", "resume", "effects", "--as", "grace")
    again = desk("queues", "resume", "effects")

    assert paused.code == resumed.code == 0
    assert paused.out.startswith("effects is paused until 2")
    assert (rest["by"], rest["reason"]) == ("ada", "their outage")
    assert (again.code, again.err) == (1, "counterfoil: effects is not paused.\n")
    acts = await pool.fetch(
        "SELECT actor, via, action, target, reason, before, after FROM operator_actions ORDER BY at"
    )
    assert [tuple(act)[:5] for act in acts] == [
        ("ada", "cli", "queues.pause", {"queue": "effects"}, "their outage"),
        ("grace", "cli", "queues.resume", {"queue": "effects"}, "it may run again"),
    ]
    assert [act["before"]["paused"] for act in acts] == [False, True]
    assert [act["after"]["paused"] for act in acts] == [True, False]


async def test_a_pause_ends_by_itself_after_its_span(pool: Pool, desk: Desk) -> None:
    desk("queues", "pause", "bulk", "--reason", "r", "--for", "1h30m")

    lasts = await pool.fetchval("SELECT until - paused_at FROM queue_controls")
    assert lasts == timedelta(hours=1, minutes=30)


async def test_who_acts_is_the_user_of_the_machine_unless_named(pool: Pool, desk: Desk) -> None:
    desk("queues", "pause", "bulk", "--reason", "r", COUNTERFOIL_OPERATOR=None)

    assert await pool.fetchval("SELECT paused_by FROM queue_controls") == pwd.getpwuid(os.getuid()).pw_name


# --- jobs ---


def test_every_job_is_listed_with_its_schedule_and_its_next_run(desk: Desk) -> None:
    listed = desk("jobs", "--json").json
    lines = desk("jobs", "list").lines

    assert [job["name"] for job in listed] == [line[0] for line in lines] == [job.name for job in TIMETABLE]
    assert listed[0]["schedule"] == "every second"
    assert listed[0]["last_success_seconds"] is None
    assert listed[0]["next_run_at"]


async def test_a_job_is_run_now_with_its_outcome_and_who_asked(pool: Pool, desk: Desk) -> None:
    ran = desk("jobs", "run", "partitions", "--reason", "the year ends")

    assert (ran.code, ran.out.split()[:2]) == (0, ["partitions", "done"])
    [listed] = [job for job in desk("jobs", "--json").json if job["name"] == "partitions"]
    assert (listed["outcome"], listed["asked_by"], listed["overdue"]) == ("done", "ada", False)
    act = await pool.fetchrow("SELECT actor, action, target, reason FROM operator_actions")
    assert tuple(act or ()) == ("ada", "jobs.run", {"job": "partitions"}, "the year ends")


async def test_a_job_that_is_cut_short_ends_with_1(database_url: str) -> None:
    ran = Desk(database_url)("jobs", "run", "drain_dead_messages")

    assert ran.code == 1
    assert ran.out.startswith("drain_dead_messages incomplete")


async def test_a_job_that_is_under_way_is_not_run_beside_itself(pool: Pool, desk: Desk) -> None:
    await pool.execute(
        "INSERT INTO job_runs (job, slot, claimed_by, lease_until) VALUES ('prune', now(), 'h:7', now() + interval '1 h')"
    )

    refused = desk("jobs", "run", "prune")

    assert (refused.code, refused.err) == (1, "counterfoil: prune is under way already, by h:7.\n")


def test_a_job_that_lacks_a_setting_is_not_run(desk: Desk) -> None:
    unset = desk("jobs", "run", "prune", REDIS_URL=None)

    assert (unset.code, unset.err) == (2, "counterfoil: REDIS_URL is not set.\n")


# --- the record ---


def test_a_record_that_is_away_is_told_of_without_its_password() -> None:
    refused = Desk("postgresql://u:hidden@127.0.0.1:1/x")("queues")

    assert refused.code == 1
    assert refused.err == "counterfoil: The database does not answer as it should (ConnectionRefusedError).\n"


def test_an_address_that_is_none_is_not_repeated() -> None:
    refused = Desk("postgresql://u:hid den@[many/x")("queues")

    assert refused.code == 1
    assert "hid" not in refused.err


async def test_a_record_that_was_not_migrated_says_so(pool: Pool, desk: Desk) -> None:
    await pool.execute("DROP TABLE queue_controls")

    refused = desk("queues")

    assert (refused.code, "counterfoil migrate" in refused.err) == (1, True)


def test_a_command_finds_the_stack_that_up_started(desk: Desk, tmp_path: Path) -> None:
    folder = data_dir_of(tmp_path, DATABASE_URL=desk.database_url, REDIS_URL=desk.redis_url)

    listed = desk("queues", "--data-dir", folder, DATABASE_URL=None, REDIS_URL=None)
    nowhere = desk("queues", DATABASE_URL=None)

    assert (listed.code, len(listed.lines)) == (0, 4)
    assert (nowhere.code, "DATABASE_URL is not set" in nowhere.err) == (2, True)
