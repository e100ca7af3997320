"""``python -m workers`` as it is run: it starts with nothing there, can be watched, and ends in time whatever hangs."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.pool import Pool, open_pool
from local.postgres import Postgres
from local.valkey import Valkey
from tests import processes
from tests.builders import keep, place_order, session
from tests.integration.test_ingress_process import free_port, wait_for
from tests.waiting import until, until_somebody_waits
from tests.worker_process import NOWHERE, freeze, has_said, worker
from workers.__main__ import END_SECONDS
from workers.hints import Hints
from workers.queues import WORK_WEBHOOK_EVENT

Start = Callable[..., AbstractContextManager["subprocess.Popen[bytes]"]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(log: Path) -> Start:
    return partial(worker, log=log)


async def ended(process: subprocess.Popen[bytes]) -> int:
    """Told to end, and waited for no longer than it may take."""
    process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait, END_SECONDS + 15)


async def owe(pool: Pool) -> tuple[str, Any]:
    """An order, and the event that pays it, hinted nowhere."""
    order_id = await place_order(pool)
    return str(order_id), await keep(pool, session(order_id))


def is_paid(pool: Pool) -> Callable[[], Any]:
    async def look() -> bool:
        return bool(await pool.fetchval("SELECT bool_and(status = 'paid') FROM orders"))

    return look


# --- the end ---


async def test_f134_it_starts_and_ends_while_postgres_and_redis_are_away(start: Start) -> None:
    with start(DATABASE_URL=NOWHERE) as process:
        assert await ended(process) == 0


async def test_f134_it_ends_while_redis_is_away(start: Start, pool: Pool, database_url: str) -> None:
    with start(DATABASE_URL=database_url) as process:
        assert await ended(process) == 0

    assert await pool.fetchval("SELECT stopped_at IS NOT NULL FROM workers")


async def test_f134_it_ends_while_postgres_and_redis_are_frozen_with_work_in_hand(
    start: Start, own_postgres: Postgres, own_valkey: Valkey
) -> None:
    pool = await open_pool(own_postgres.url, name="test")
    _, event = await owe(pool)
    with start(DATABASE_URL=own_postgres.url, REDIS_URL=own_valkey.url) as process:
        holder = await pool.acquire()
        await holder.execute("BEGIN; SELECT FROM orders FOR UPDATE")
        async with Hints(own_valkey.url) as hints:
            await hints.send(WORK_WEBHOOK_EVENT, [event])
        async with pool.acquire() as witness:
            await until_somebody_waits(witness, "transactionid")
        for server in (own_postgres, own_valkey):
            freeze(server, signal.SIGSTOP)
        try:
            code = await ended(process)
        finally:
            for server in (own_postgres, own_valkey):
                freeze(server, signal.SIGCONT)
            pool.terminate()

    assert code == 0


def is_registered(pool: Pool) -> Callable[[], Any]:
    async def look() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM workers WHERE stopped_at IS NULL"))

    return look


async def test_it_finishes_what_it_has_in_hand(
    start: Start, pool: Pool, database_url: str, redis_url: str, log: Path
) -> None:
    _, event = await owe(pool)
    with start(DATABASE_URL=database_url, REDIS_URL=redis_url) as process:
        async with pool.acquire() as holder, holder.transaction():
            await holder.execute("SELECT FROM orders FOR UPDATE")
            async with Hints(redis_url) as hints:
                await hints.send(WORK_WEBHOOK_EVENT, [event])
            async with pool.acquire() as witness:
                await until_somebody_waits(witness, "transactionid")
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(processes.until, lambda: has_said(log, "Shutting down"))
        code = await asyncio.to_thread(process.wait, END_SECONDS + 15)

    assert code == 0
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


async def test_a_second_signal_ends_it_at_once(
    start: Start, pool: Pool, database_url: str, redis_url: str, log: Path
) -> None:
    _, event = await owe(pool)
    with start(DATABASE_URL=database_url, REDIS_URL=redis_url) as process:
        async with pool.acquire() as holder, holder.transaction():
            await holder.execute("SELECT FROM orders FOR UPDATE")
            async with Hints(redis_url) as hints:
                await hints.send(WORK_WEBHOOK_EVENT, [event])
            async with pool.acquire() as witness:
                await until_somebody_waits(witness, "transactionid")
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(processes.until, lambda: has_said(log, "Shutting down"))
            process.send_signal(signal.SIGINT)
            code = await asyncio.to_thread(process.wait, 10)

    assert code == 128 + signal.SIGINT


async def test_f134_a_receiver_that_never_answers_does_not_hold_up_the_end(
    start: Start, pool: Pool, database_url: str, redis_url: str
) -> None:
    _, event = await owe(pool)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        receiver = {
            "NOTIFY_URL": f"http://127.0.0.1:{mute.getsockname()[1]}/",
            "NOTIFY_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "NOTIFY_ALLOW": "127.0.0.1",
        }
        with start(DATABASE_URL=database_url, REDIS_URL=redis_url, **receiver) as process:
            async with Hints(redis_url) as hints:
                await hints.send(WORK_WEBHOOK_EVENT, [event])

            async def is_sending() -> bool:
                claimed = "SELECT count(*) FROM effects WHERE kind LIKE 'notify.%' AND attempts = 1"
                return bool(await pool.fetchval(claimed))

            await until(is_sending)
            code = await ended(process)

    assert code == 0
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind LIKE 'notify.%' AND status = 'pending'") == 1


# --- what it does while it runs ---


async def test_f127_what_a_killed_worker_had_fetched_is_worked_by_another_without_a_clock(
    start: Start, pool: Pool, database_url: str, redis_url: str
) -> None:
    _, event = await owe(pool)
    with start(DATABASE_URL=database_url, REDIS_URL=redis_url) as doomed:
        async with pool.acquire() as holder, holder.transaction():
            await holder.execute("SELECT FROM orders FOR UPDATE")
            async with Hints(redis_url) as hints:
                await hints.send(WORK_WEBHOOK_EVENT, [event])
            async with pool.acquire() as witness:
                await until_somebody_waits(witness, "transactionid")
            doomed.kill()
            doomed.wait()
        with start(DATABASE_URL=database_url, REDIS_URL=redis_url):
            await until(is_paid(pool))

    assert await pool.fetchval("SELECT count(*) FROM history") == 1


async def test_it_says_in_the_record_that_it_lives_and_comes_back_after_an_outage_of_it(
    start: Start, own_postgres: Postgres, log: Path
) -> None:
    own_postgres.kill()
    with start("--queues", "webhooks", "bulk", "--threads", "3", DATABASE_URL=own_postgres.url) as process:
        await asyncio.to_thread(processes.until, lambda: has_said(log, "presence.not_said"))
        own_postgres.start()
        pool = await open_pool(own_postgres.url, name="test")
        await until(is_registered(pool))
        row = await pool.fetchrow("SELECT pid, queues, threads, in_hand FROM workers")
        code = await ended(process)
        left = await pool.fetchval("SELECT stopped_at IS NOT NULL FROM workers")
        await pool.close()

    assert row is not None
    assert tuple(row) == (process.pid, ["bulk", "webhooks"], 3, 0)
    assert (code, left) == (0, True)


async def test_who_watches_is_told_how_it_is_and_what_it_does(
    start: Start, own_postgres: Postgres, redis_url: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    pool = await open_pool(own_postgres.url, name="test")
    _, event = await owe(pool)
    with start(DATABASE_URL=own_postgres.url, REDIS_URL=redis_url, PORT=str(port), APP_ENV="production",
               APP_URL="https://shop.example") as process:  # fmt: skip
        async with Hints(redis_url) as hints:
            await hints.send(WORK_WEBHOOK_EVENT, [event])
        await until(is_paid(pool))
        await asyncio.to_thread(wait_for, f"{url}/readyz", 200)
        exposed = (await asyncio.to_thread(wait_for, f"{url}/metrics", 200)).text
        await pool.close()
        await asyncio.to_thread(own_postgres.kill)
        unready = await asyncio.to_thread(wait_for, f"{url}/readyz", 503)
        alive = await asyncio.to_thread(httpx.get, f"{url}/healthz")
        elsewhere = await asyncio.to_thread(httpx.get, f"{url}/webhooks/stripe")
        code = await ended(process)

    assert 'counterfoil_attempts_total{class="",outcome="done"} 1.0' in exposed
    assert "counterfoil_event_seconds_count 1.0" in exposed
    assert "counterfoil_hints_sent_total 3.0" in exposed
    assert "counterfoil_in_hand" in exposed
    assert unready.json()["code"] == "unavailable"
    assert alive.status_code == 200
    assert elsewhere.status_code in {403, 404}
    assert code == 0


async def test_without_its_port_it_works_all_the_same(
    start: Start, pool: Pool, database_url: str, redis_url: str, log: Path
) -> None:
    _, event = await owe(pool)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        start(DATABASE_URL=database_url, REDIS_URL=redis_url, PORT=str(taken.getsockname()[1])) as process,
    ):
        async with Hints(redis_url) as hints:
            await hints.send(WORK_WEBHOOK_EVENT, [event])
        await until(is_paid(pool))
        assert await ended(process) == 0

    assert has_said(log, "watching.cannot_listen")


@pytest.mark.parametrize("words", [("--threads", "0"), ("--threads", "many"), ("--queues", "nobodys")])
def test_words_that_it_does_not_know_stop_the_start(words: tuple[str, ...]) -> None:
    said = subprocess.run([sys.executable, "-m", "workers", *words], capture_output=True, text=True, check=False)

    assert said.returncode == 2
    assert words[0] in said.stderr
