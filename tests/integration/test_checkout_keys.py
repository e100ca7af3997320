"""``Idempotency-Key``: one order and one answer per key, whoever asks how often, and a gateway's failure is no answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from checkout import idempotency
from db import attempts, idempotency_keys, users
from db.idempotency_keys import Answered, Claimed, InFlight, Reused
from db.pool import Pool
from tests.counter import bearer, counter, problem, put_on_sale

KEY = "order-7-of-anna"


async def test_a_repeat_gets_the_first_answer_to_the_letter(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await shop.buy(key=KEY)
        await pool.execute("UPDATE plans SET active = false")
        again = await shop.buy(key=KEY)

        assert first.status_code == 201
        assert "idempotent-replayed" not in first.headers
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"]
        assert len(shop.stripe.asked) == 1
        assert await pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_another_request_under_the_same_key_is_refused(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        await shop.buy(key=KEY)

        assert problem(await shop.buy("cheap", key=KEY)) == (409, "key_reused")
        assert problem(await shop.buy(key=KEY, amount=1)) == (409, "key_reused")
        assert await pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_a_new_key_is_a_new_order_whatever_is_open(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answers = [await shop.buy(), await shop.buy(key="one"), await shop.buy(key="two")]

        assert len({answer.json()["orderId"] for answer in answers}) == 3


async def test_two_users_may_choose_the_same_key(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        annas, bobs = await shop.buy(key=KEY), await shop.buy(key=KEY, user="bob")

        assert annas.status_code == bobs.status_code == 201
        assert annas.json()["orderId"] != bobs.json()["orderId"]


async def test_twenty_requests_of_one_moment_under_one_key_are_one_order_and_one_call(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.delay_seconds = 0.5
        answers = await asyncio.gather(*(shop.buy(key=KEY) for _ in range(20)))

        said = Counter(answer.status_code for answer in answers)
        refused = [answer for answer in answers if answer.status_code == 409]
        assert said == {201: 1, 409: 19}
        assert {problem(answer) for answer in refused} == {(409, "key_in_use")}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert await pool.fetchval("SELECT count(*) FROM orders") == 1
        assert len(shop.stripe.asked) == 1
        assert (await shop.buy(key=KEY)).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(("mood", "said"), [("loses", "gateway_unknown"), ("refuses", "gateway_refused")])
async def test_a_failure_of_the_gateway_is_not_replayed_and_the_key_goes_on_with_its_order(
    pool: Pool, database_url: str, mood: str, said: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = mood  # type: ignore[assignment]  # one of the moods, by its name
        failed = await shop.buy(key=KEY)
        shop.stripe.mood = "opens"
        opened = await shop.buy(key=KEY)
        again = await shop.buy(key=KEY)

        assert problem(failed)[1] == said
        assert (opened.status_code, opened.json()["orderId"]) == (201, failed.json()["orderId"])
        assert "idempotent-replayed" not in opened.headers
        assert again.content == opened.content
        assert await pool.fetchval("SELECT count(*) FROM orders") == 1
        assert len(shop.stripe.pages) == 1


async def test_f115_a_gateway_that_hung_is_asked_again_under_its_own_same_key(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url, open_seconds=3.0) as shop:
        shop.stripe.mood = "hangs"
        hung = await shop.buy(key=KEY)
        shop.stripe.mood = "opens"
        opened = await shop.buy(key=KEY)

        assert problem(hung) == (504, "gateway_unknown")
        assert (opened.status_code, opened.json()["orderId"]) == (201, hung.json()["orderId"])
        assert len(shop.stripe.asked) == 2
        assert len(set(shop.stripe.keys)) == 1


async def test_a_resumed_order_stays_with_its_gateway_and_its_price(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        await shop.buy(key=KEY)
        await pool.execute("UPDATE plans SET gateways = '{razorpay}', price_cents = 1")
        shop.stripe.mood = "opens"
        opened = await shop.buy(key=KEY)

        assert opened.json()["gateway"] == "stripe"
        assert {request["amount"] for _, request in shop.stripe.asked} == {4900}


async def test_what_was_refused_before_an_order_was_written_leaves_the_key_free(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        refused = await shop.buy("gone", key=KEY)
        bought = await shop.buy(key=KEY)

        assert problem(refused) == (400, "invalid_plan")
        assert bought.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "t\tab", "caf\xe9", "\x7f"])
async def test_a_key_is_visible_ascii_of_at_most_255_characters(pool: Pool, database_url: str, key: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        headers = [*bearer().items(), ("Idempotency-Key", key.encode("latin-1"))]
        answer = await shop.http.post("/create-payment", json={"planId": "lifetime"}, headers=headers)  # type: ignore[arg-type]  # bytes on purpose

        assert problem(answer) == (400, "invalid_idempotency_key")


async def test_a_key_sent_twice_is_none(pool: Pool, database_url: str) -> None:
    async with counter(database_url) as shop:
        headers = [*bearer().items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        answer = await shop.http.post("/create-payment", json={"planId": "lifetime"}, headers=headers)

        assert problem(answer) == (400, "invalid_idempotency_key")


async def test_the_longest_key_is_kept(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first, again = await shop.buy(key="~" * 255), await shop.buy(key="~" * 255)

        assert again.content == first.content


async def test_an_order_that_is_over_is_said_to_be(pool: Pool, database_url: str) -> None:
    """Its page ended before the key got its answer: a customer who closed the tab of a lost answer."""
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        lost = await shop.buy(key=KEY)
        async with pool.acquire() as connection, connection.transaction():
            await attempts.close(connection, UUID(lost.json()["orderId"]), shop.stripe.pages[shop.stripe.keys[0]].id)
        over = await shop.buy(key=KEY)

        assert problem(over) == (409, "order_over")
        assert over.json()["orderId"] == lost.json()["orderId"]


async def test_a_gateway_that_was_switched_off_meanwhile_is_said_to_be(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        lost = await shop.buy(key=KEY)
    async with counter(database_url, clients={}) as shop:
        refused = await shop.buy(key=KEY)

    assert problem(refused) == (502, "gateway_refused")
    assert refused.json()["orderId"] == lost.json()["orderId"]


async def test_a_key_whose_holder_died_is_free_after_its_lease(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "deaf"
        dying = asyncio.create_task(shop.buy(key=KEY))
        async with asyncio.timeout(10):
            while not shop.stripe.asked:
                await asyncio.sleep(0.01)
        dying.cancel()
        await asyncio.wait([dying])
        held = await shop.buy(key=KEY)
        await pool.execute("UPDATE idempotency_keys SET held_until = now() - interval '1 second'")
        await pool.execute("UPDATE payment_attempts SET calling_until = now() - interval '1 second'")
        order_id = await pool.fetchval("SELECT id::text FROM orders")
        unknown = (await shop.get(f"/order-status/{order_id}")).json()
        shop.stripe.mood = "opens"
        resumed = await shop.buy(key=KEY)

        assert problem(held) == (409, "key_in_use")
        assert unknown["failure"]["code"] == "unknown"
        assert (resumed.status_code, resumed.json()["orderId"]) == (201, order_id)
        assert len(set(shop.stripe.keys)) == 1


class TestTheRow:
    """The statements alone, each against what could go wrong between two of them."""

    async def claim(self, pool: Pool, *, key: str = KEY, request: str = "a", lease: float = 30) -> object:
        async with pool.acquire() as connection, connection.transaction():
            await users.know(connection, "anna", None)
            return await idempotency_keys.claim(
                connection, user_id="anna", key=key, request_hash=request, lease_seconds=lease
            )

    async def test_it_is_held_by_one_at_a_time(self, pool: Pool) -> None:
        claims = await asyncio.gather(*(self.claim(pool) for _ in range(8)))

        assert Counter(type(claim) for claim in claims) == {Claimed: 1, InFlight: 7}

    async def test_another_request_is_told_so_even_while_the_first_runs(self, pool: Pool) -> None:
        await self.claim(pool)

        assert await self.claim(pool, request="b") == Reused()

    async def test_a_lease_that_ran_out_can_be_taken_by_one(self, pool: Pool) -> None:
        await self.claim(pool, lease=0)
        claims = await asyncio.gather(*(self.claim(pool) for _ in range(8)))

        assert Counter(type(claim) for claim in claims) == {Claimed: 1, InFlight: 7}

    async def test_who_lost_the_lease_releases_nothing(self, pool: Pool) -> None:
        first = await self.claim(pool, lease=0)
        second = await self.claim(pool)
        assert isinstance(first, Claimed)
        assert isinstance(second, Claimed)
        async with pool.acquire() as connection:
            await idempotency_keys.release(connection, user_id="anna", key=KEY, held_until=first.held_until)
            still_held = await self.claim(pool)
            await idempotency_keys.release(connection, user_id="anna", key=KEY, held_until=second.held_until)

        assert still_held == InFlight()
        assert isinstance(await self.claim(pool), Claimed)

    async def test_the_first_answer_stands(self, pool: Pool) -> None:
        await self.claim(pool)
        async with pool.acquire() as connection:
            for body in ("first", "second"):
                await idempotency_keys.keep_answer(connection, user_id="anna", key=KEY, status=201, body=body)

        assert await self.claim(pool) == Answered(201, "first")

    def test_a_lease_outlasts_an_answer(self) -> None:
        assert idempotency.LEASE_SECONDS > 25
