"""The front door while PostgreSQL or Redis is away: what it promises, and that it needs nobody to recover."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import asyncpg
import psutil

from db.pool import Pool
from ingress.keeping import KEEP_SECONDS
from local.postgres import Postgres
from local.valkey import Valkey
from tests.front_door import front_door, hinted, raw, stripe_event


async def until(is_so: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await is_so():
            await asyncio.sleep(0.02)


async def test_f3_without_redis_a_delivery_is_kept_and_owed(pool: Pool, database_url: str, own_valkey: Valkey) -> None:
    async with front_door(database_url, own_valkey.url) as door:
        own_valkey.kill()

        answers = [await door.stripe(raw(stripe_event())) for _ in range(20)]

        assert [answer.status_code for answer in answers] == [200] * 20
        assert await pool.fetchval("SELECT count(*) FROM webhook_events WHERE status = 'received'") == 20


async def test_f3_hints_begin_again_when_an_empty_redis_comes_back(
    pool: Pool, database_url: str, own_valkey: Valkey
) -> None:
    async with front_door(database_url, own_valkey.url) as door:
        await door.stripe(raw(stripe_event()))
        await door.hints.flush()
        own_valkey.kill()
        await door.stripe(raw(stripe_event()))
        await door.hints.flush()
        own_valkey.start()

        await door.stripe(raw(stripe_event(id="evt_after")))

        after = await pool.fetchval("SELECT id FROM webhook_events WHERE event_id = 'evt_after'")
        assert await hinted(door, own_valkey.url) == [after]
        assert (door.hints.sent, door.hints.dropped) == (2, 1)


async def test_f23_without_postgres_the_gateway_is_told_to_come_again(own_postgres: Postgres) -> None:
    body = raw(stripe_event())
    async with front_door(own_postgres.url) as door:
        assert (await door.stripe(raw(stripe_event()))).status_code == 200
        own_postgres.kill()

        begun = time.monotonic()
        away = [await door.stripe(body) for _ in range(3)]
        not_ready = await door.http.get("/readyz")
        took = time.monotonic() - begun

        assert {(answer.status_code, answer.json()["code"]) for answer in away} == {(503, "unavailable")}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in away)
        assert not_ready.status_code == 503
        assert (await door.http.get("/healthz")).status_code == 200
        assert took < 5

        own_postgres.start()
        await until(lambda: is_ready(door.http.get))

        assert (await door.stripe(body)).json() == {"received": True, "duplicate": False}


async def test_f23_it_starts_while_postgres_is_away_and_needs_no_restart(own_postgres: Postgres) -> None:
    url = own_postgres.url
    own_postgres.kill()

    async with front_door(url) as door:
        assert (await door.stripe(raw(stripe_event()))).status_code == 503
        own_postgres.start()
        await until(lambda: is_ready(door.http.get))

        assert (await door.stripe(raw(stripe_event()))).status_code == 200


async def test_f23_a_database_that_hangs_is_not_waited_for_longer_than_a_gateway_does(
    pool: Pool, database_url: str
) -> None:
    body = raw(stripe_event())
    async with front_door(database_url) as door, pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute("LOCK TABLE webhook_keys IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            answer = await door.stripe(body)
            took = time.monotonic() - begun

        assert answer.status_code == 503
        assert took < 5
        assert (await door.stripe(body)).status_code == 200
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 1


async def test_f23_a_database_that_froze_is_not_waited_for_and_goes_on_where_it_stopped(
    own_postgres: Postgres,
) -> None:
    async with front_door(own_postgres.url) as door:
        assert (await door.stripe(raw(stripe_event()))).status_code == 200
        freeze(own_postgres, signal.SIGSTOP)
        begun = time.monotonic()
        answers = await asyncio.gather(*(door.stripe(raw(stripe_event())) for _ in range(20)))
        took = time.monotonic() - begun
        freeze(own_postgres, signal.SIGCONT)
        await until(lambda: is_ready(door.http.get))

        assert {answer.status_code for answer in answers} == {503}
        assert took < 5.5  # with a second for this machine
        assert (await door.stripe(raw(stripe_event()))).status_code == 200


def freeze(server: Postgres, how: signal.Signals) -> None:
    """Stop or continue every process of the server; each leads a group of its own."""
    postmaster = psutil.Process(server.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        process.send_signal(how)


async def test_f23_nobody_waits_longer_behind_a_queue(pool: Pool, database_url: str) -> None:
    async with front_door(database_url) as door, pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute("LOCK TABLE webhook_keys IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            answers = await asyncio.gather(*(door.stripe(raw(stripe_event())) for _ in range(450)))
            took = time.monotonic() - begun

        assert {answer.status_code for answer in answers} == {503}
        # One wait is 4 seconds. Five batches at two writers, 3 seconds each, would be 9 one after the other.
        assert took < 2 * KEEP_SECONDS
        assert (await door.stripe(raw(stripe_event()))).status_code == 200


async def test_f23_a_database_without_our_tables_is_a_503_too(own_postgres: Postgres) -> None:
    connection = await asyncpg.connect(own_postgres.url)
    await connection.execute("CREATE DATABASE empty TEMPLATE template0")
    await connection.close()

    async with front_door(own_postgres.url_of("empty")) as door:
        answer = await door.stripe(raw(stripe_event()))

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_password_that_is_wrong_is_a_503_and_is_not_shown(
    database_url: str,
) -> None:
    async with front_door(database_url.replace("://counterfoil:", "://counterfoil:not-")) as door:
        answer = await door.stripe(raw(stripe_event()))

    assert answer.status_code == 503
    assert "not-" not in answer.text


async def is_ready(get: Callable[[str], Awaitable[object]]) -> bool:
    return getattr(await get("/readyz"), "status_code", None) == 200
