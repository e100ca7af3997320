"""A user is one customer at a gateway, however many ask for it at once, and whoever dies while asking."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from db import users
from db.pool import Pool, open_pool
from gateways.client import LIVE, Doubt, Refusal, Refused, Unknown
from gateways.customers import Customer, NewCustomer
from tests.fake_client import FakeClient
from tests.killing import Killed, Walk, graveyard, until_gone
from workers.customers import Waiting, find_or_make

ANNA = NewCustomer("anna", "counterfoil", "anna@example.com")


async def know_anna(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await users.know(connection, "anna", "anna@example.com")


async def ask(pool: Pool, client: FakeClient) -> str | Waiting | Refused | Unknown | None:
    return await find_or_make(pool, client, ANNA, LIVE)


async def ask_until_told(pool: Pool, client: FakeClient) -> str:
    """As the counter does: whoever has not got the turn waits for who has."""
    while True:
        answer = await ask(pool, client)
        if isinstance(answer, str):
            return answer
        assert isinstance(answer, Waiting), answer
        await asyncio.sleep(0.05)


async def test_fifty_at_once_make_one_customer_with_one_call(pool: Pool) -> None:
    await know_anna(pool)
    client = FakeClient(customer_seconds=0.2)

    told = await asyncio.gather(*(ask_until_told(pool, client) for _ in range(50)))

    assert len(set(told)) == 1
    assert client.customer_calls == 1
    assert await pool.fetchval("SELECT stripe_customer_id FROM users") == told[0]


async def test_each_gateway_has_a_customer_of_its_own(pool: Pool) -> None:
    await know_anna(pool)
    first, second = FakeClient("stripe"), FakeClient("other")

    await ask(pool, first)
    await ask(pool, second)

    rows = await pool.fetch("SELECT gateway, customer_id FROM gateway_customers ORDER BY gateway")
    assert [tuple(row) for row in rows] == [("other", "cus_1_anna"), ("stripe", "cus_1_anna")]


async def test_a_lost_answer_is_asked_for_again_at_once_under_the_same_key(pool: Pool) -> None:
    await know_anna(pool)
    client = FakeClient(customer_answers=[Unknown(Doubt.CONNECTION_LOST)])

    lost = await ask(pool, client)
    told = await ask(pool, client)

    assert isinstance(lost, Unknown)
    assert told == "cus_1_anna"
    assert client.customer_calls == 2
    [key] = client.customers
    assert key == await pool.fetchval("SELECT idempotency_key FROM gateway_customers")


async def lose_the_first_answer(pool: Pool, client: FakeClient, *, ago: timedelta) -> None:
    await know_anna(pool)
    client.customer_answers.append(Unknown(Doubt.CONNECTION_LOST))
    await ask(pool, client)
    await pool.execute("UPDATE gateway_customers SET created_at = now() - $1::interval", ago)


async def test_a_customer_that_was_made_unheard_is_found_when_its_key_may_be_forgotten(pool: Pool) -> None:
    client = FakeClient(unheard={"anna": Customer("cus_unheard")})
    await lose_the_first_answer(pool, client, ago=timedelta(hours=25))

    told = await ask(pool, client)

    assert told == "cus_unheard"
    assert client.customer_calls == 1


async def test_while_the_key_lives_nobody_looks(pool: Pool) -> None:
    client = FakeClient()
    await lose_the_first_answer(pool, client, ago=timedelta(hours=22))

    assert await ask(pool, client) == "cus_1_anna"
    assert client.customer_searches == 0


async def test_while_nobody_can_say_whether_one_was_made_none_is_made(pool: Pool) -> None:
    client = FakeClient(unheard={"anna": Unknown(Doubt.TIMED_OUT)})
    await lose_the_first_answer(pool, client, ago=timedelta(hours=25))

    assert await ask(pool, client) == Unknown(Doubt.TIMED_OUT)
    assert client.customer_calls == 1


async def test_where_nobody_may_look_one_is_made(pool: Pool) -> None:
    client = FakeClient(unheard={"anna": Refused(Refusal.INVALID, "no searches in this country")})
    await lose_the_first_answer(pool, client, ago=timedelta(hours=25))

    assert await ask(pool, client) == "cus_1_anna"


async def test_a_refusal_is_passed_on_and_nothing_is_kept(pool: Pool) -> None:
    await know_anna(pool)
    refused = Refused(Refusal.CREDENTIALS, "no")
    client = FakeClient(customer_answers=[refused])

    assert await ask(pool, client) == refused
    assert await pool.fetchval("SELECT customer_id FROM gateway_customers") is None


async def test_f115_whoever_dies_while_asking_leaves_the_turn_and_the_key_to_the_next(database_url: str) -> None:
    """Walks the awaits by itself, so that a new one is covered too."""
    watching = await open_pool(database_url, name="watching")
    await know_anna(watching)
    stop_at, survived = 0, False
    with graveyard() as graves:
        while not survived:
            stop_at += 1
            await watching.execute("DELETE FROM gateway_customers")
            client = FakeClient()
            dying = await open_pool(database_url, name="dying", min_size=1, max_size=1)
            with suppress(Killed):
                await Walk(find_or_make(dying, client, ANNA, LIVE), stop_at, graves)
                survived = True
            dying.terminate()
            await until_gone(watching, "dying")
            # The lease of a dead caller runs out by the clock; here the clock is helped.
            await watching.execute("UPDATE gateway_customers SET calling_until = '-infinity'")

            told = await ask(watching, client)

            assert len(client.customers) == 1, stop_at
            assert told == next(iter(client.customers.values())).id, stop_at
    await watching.close()
