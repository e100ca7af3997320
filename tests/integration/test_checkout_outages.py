"""The checkout while PostgreSQL is away or slow: it says so, keeps what it has written, and needs nobody to recover."""

from __future__ import annotations

import asyncio
import time

from db.pool import Pool, open_pool
from local.postgres import Postgres
from tests.counter import counter, problem, put_on_sale
from tests.front_door import front_door
from tests.integration.test_ingress_outages import is_ready, until


async def test_it_starts_while_the_database_is_away_and_needs_no_restart(own_postgres: Postgres) -> None:
    url = own_postgres.url
    own_postgres.kill()

    async with counter(url) as shop:
        away = await shop.buy()
        reading = await shop.get("/orders")
        not_ready = await shop.http.get("/readyz")
        own_postgres.start()
        await until(lambda: is_ready(shop.http.get))
        back = await shop.get("/orders")

        assert [problem(answer) for answer in (away, reading, not_ready)] == [(503, "unavailable")] * 3
        assert all(int(answer.headers["retry-after"]) > 0 for answer in (away, reading, not_ready))
        assert (await shop.http.get("/healthz")).status_code == 200
        assert back.json() == {"data": [], "nextCursor": None}


async def test_a_database_that_went_away_during_the_call_costs_no_second_page(own_postgres: Postgres) -> None:
    pool = await open_pool(own_postgres.url, name="test")
    await put_on_sale(pool)
    await pool.close()
    async with counter(own_postgres.url) as shop:
        shop.stripe.delay_seconds = 1.0
        buying = asyncio.create_task(shop.buy(key="k"))
        async with asyncio.timeout(10):
            while not shop.stripe.asked:
                await asyncio.sleep(0.01)
        own_postgres.kill()
        interrupted = await buying
        own_postgres.start()
        await until(lambda: is_ready(shop.http.get))
        pool = await open_pool(own_postgres.url, name="test")
        await pool.execute("UPDATE idempotency_keys SET held_until = now()")
        await pool.execute("UPDATE payment_attempts SET calling_until = now()")
        await pool.close()
        resumed = await shop.buy(key="k")

        assert problem(interrupted) == (503, "unavailable")
        assert resumed.status_code == 201
        assert len(shop.stripe.pages) == 1
        assert len(set(shop.stripe.keys)) == 1


async def test_a_database_that_hangs_is_not_waited_for_longer_than_promised(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop, pool.acquire() as holder:
        async with holder.transaction():
            await holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            answers = await asyncio.gather(shop.buy(), shop.get("/orders"))
            took = time.monotonic() - begun
        after = await shop.buy()

        assert [problem(answer) for answer in answers] == [(503, "unavailable")] * 2
        assert took < 25
        assert after.status_code == 201


async def test_a_database_without_our_tables_is_a_503(own_postgres: Postgres) -> None:
    pool = await open_pool(own_postgres.url, name="test")
    await pool.execute("CREATE DATABASE empty TEMPLATE template0")
    await pool.close()

    async with counter(own_postgres.url_of("empty")) as shop:
        assert problem(await shop.buy()) == (503, "unavailable")
        assert problem(await shop.get("/plans")) == (503, "unavailable")


async def test_f140_a_gateway_that_takes_its_time_holds_no_transaction_open(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.delay_seconds = 2.0
        buying = asyncio.gather(*(shop.buy(user=f"user-{n}") for n in range(40)))
        async with asyncio.timeout(10):
            while len(shop.stripe.asked) < 40:
                await asyncio.sleep(0.01)
        open_transactions = await pool.fetchval(
            """
            SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
            """
        )
        answers = await buying

        assert open_transactions == 0
        assert {answer.status_code for answer in answers} == {201}


async def test_the_ingress_is_another_service(database_url: str) -> None:
    async with counter(database_url) as shop, front_door(database_url) as door:
        assert (await shop.http.post("/webhooks/stripe", content=b"{}")).status_code == 404
        assert (await door.http.get("/plans")).status_code == 404
