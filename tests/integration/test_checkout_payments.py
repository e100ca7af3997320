"""POST /create-payment: the order first, the price ours, and one page for one wish, whatever the gateway does."""

from __future__ import annotations

import asyncio
import json
import time
from uuid import UUID

import asyncpg
import pytest

from db import attempts
from db.pool import Pool
from tests.counter import APP_URL, PAGES, bearer, counter, problem, put_on_sale
from tests.fake_client import FakeClient


async def test_an_order_is_written_before_its_page_is_opened(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answer = await shop.buy()

        told = answer.json()
        row = await pool.fetchrow("SELECT id, user_id, amount, currency, status, session_id, gateway FROM orders")
        assert answer.status_code == 201
        assert list(told) == ["orderId", "sessionId", "gateway", "url", "status"]
        assert told["status"] == "pending"
        assert told["gateway"] == "stripe"
        assert told["url"].startswith("https://stripe.test/")
        assert row is not None
        assert tuple(row.values()) == (
            UUID(told["orderId"]), "anna", 4900, "usd", "pending", told["sessionId"], "stripe",
        )  # fmt: skip


async def test_the_price_is_ours_whatever_the_request_says(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answer = await shop.buy(
            amount=1, priceCents=1, price=1, currency="inr", status="paid", userId="bob", orderId="x", quantity=0
        )

        [(_, request)] = shop.stripe.asked
        assert answer.status_code == 201
        assert answer.json()["status"] == "pending"
        assert (request["amount"], request["currency"]) == (4900, "usd")
        assert await pool.fetchval("SELECT (user_id, amount, currency, status)::text FROM orders") == (
            "(anna,4900,usd,pending)"
        )


async def test_the_gateway_is_given_where_its_customer_comes_back_to(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id = (await shop.buy()).json()["orderId"]

        [(_, request)] = shop.stripe.asked
        assert request["success_url"] == (
            f"{APP_URL}/payment/success?order={order_id}&token={PAGES.make(UUID(order_id))}"
        )
        assert request["cancel_url"] == f"{APP_URL}/payment/cancel"
        assert request["email"] == "anna@example.com"


@pytest.mark.parametrize(
    ("wish", "refused"),
    [
        ({"planId": "no such plan"}, (400, "invalid_plan")),
        ({"planId": "gone"}, (400, "invalid_plan")),
        ({"planId": "pro"}, (400, "invalid_plan")),
        ({"planId": 7}, (400, "invalid_plan")),
        ({"planId": ""}, (400, "invalid_plan")),
        ({"planId": None}, (400, "invalid_plan")),
        ({"planId": "life\0time"}, (400, "invalid_plan")),
        ({"planId": "\ud800"}, (400, "invalid_plan")),
        ({"planId": ["lifetime"]}, (400, "invalid_plan")),
        ({"planId": "x" * 256}, (400, "invalid_plan")),
        ({"planId": "' OR 1=1 --"}, (400, "invalid_plan")),
        ({}, (400, "invalid_plan")),
        ({"planId": "indian", "gateway": "stripe"}, (400, "invalid_plan")),
        ({"planId": "lifetime", "gateway": "paypal"}, (400, "invalid_gateway")),
        ({"planId": "lifetime", "gateway": 1}, (400, "invalid_gateway")),
        ({"planId": "lifetime", "gateway": ""}, (400, "invalid_gateway")),
        ({"planId": "elsewhere"}, (400, "invalid_gateway")),
    ],
)
async def test_what_cannot_be_sold_is_refused_and_leaves_no_order(
    pool: Pool, database_url: str, wish: dict[str, object], refused: tuple[int, str]
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answer = await shop.http.post("/create-payment", content=json.dumps(wish), headers=bearer())

        assert problem(answer) == refused
        assert await pool.fetchval("SELECT count(*) FROM orders") == 0
        assert shop.stripe.asked == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b'{"planId":', b"\xff", b"[" * 10_000, b'{"planId": NaN}'])
async def test_a_body_that_is_no_json_object_is_refused(pool: Pool, database_url: str, body: bytes) -> None:
    async with counter(database_url) as shop:
        answer = await shop.http.post("/create-payment", content=body, headers=bearer())

        assert problem(answer) == (400, "malformed_body")


async def test_a_body_of_more_than_16_kib_is_refused(database_url: str) -> None:
    async with counter(database_url) as shop:
        answer = await shop.http.post("/create-payment", content=b" " * 16_385, headers=bearer())

        assert problem(answer) == (413, "body_too_large")


async def test_the_first_gateway_that_sells_the_plan_is_taken_unless_one_is_named(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        taken = [
            (await shop.buy("lifetime")).json()["gateway"],
            (await shop.buy("lifetime", gateway="razorpay")).json()["gateway"],
            (await shop.buy("lifetime", gateway=None)).json()["gateway"],
            (await shop.buy("indian")).json()["gateway"],
        ]

        assert taken == ["stripe", "razorpay", "stripe", "razorpay"]


async def test_a_gateway_that_is_not_set_up_sells_nothing(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    razorpay = FakeClient("razorpay")
    async with counter(database_url, clients={"razorpay": razorpay}) as shop:
        assert (await shop.buy()).json()["gateway"] == "razorpay"
        assert problem(await shop.buy(gateway="stripe")) == (400, "invalid_gateway")
        assert [plan["gateways"] for plan in (await shop.get("/plans")).json() if plan["id"] == "lifetime"] == [
            ["razorpay"]
        ]


async def test_f58_twenty_clicks_of_one_moment_are_one_order_and_one_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.delay_seconds = 0.3
        answers = await asyncio.gather(*(shop.buy() for _ in range(20)))

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
        assert await pool.fetchval("SELECT count(*) FROM orders") == 1
        assert len(shop.stripe.asked) == 1


async def test_f58_a_click_while_the_page_is_open_gets_that_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first, second = await shop.buy(), await shop.buy()

        assert second.json() == first.json()
        assert len(shop.stripe.asked) == 1


async def test_another_user_another_plan_and_another_gateway_are_other_orders(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answers = [
            *await asyncio.gather(shop.buy(), shop.buy(user="bob"), shop.buy("cheap"), shop.buy(gateway="razorpay")),
            await shop.buy(key="a-new-key-is-a-new-order"),
        ]

        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["orderId"] for answer in answers}) == 5
        assert len({answer.json()["sessionId"] for answer in answers}) == 5


async def test_a_price_change_leaves_the_open_order_and_counts_for_the_next(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await shop.buy()
        await pool.execute("UPDATE plans SET price_cents = 5900 WHERE id = 'lifetime'")
        second = await shop.buy(key="another")

        amounts = {str(row["id"]): row["amount"] for row in await pool.fetch("SELECT id, amount FROM orders")}
        assert amounts == {first.json()["orderId"]: 4900, second.json()["orderId"]: 5900}


async def test_after_the_page_has_ended_the_next_click_is_a_new_order(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = (await shop.buy()).json()
        async with pool.acquire() as connection, connection.transaction():
            await attempts.close(connection, UUID(first["orderId"]), first["sessionId"])

        second = (await shop.buy()).json()

        assert second["orderId"] != first["orderId"]


async def test_a_refusal_of_the_gateway_is_said_with_the_order_that_was_kept(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "refuses"
        answer = await shop.buy()

        order_id = answer.json()["orderId"]
        status = (await shop.get(f"/order-status/{order_id}")).json()
        assert problem(answer) == (502, "gateway_refused")
        assert status["status"] == "failed"
        assert status["failure"]["code"] == "gateway_error"
        assert status["failure"]["action"] == "retry"


async def test_f65_an_amount_that_the_gateway_cannot_take_is_refused_without_a_call(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answer = await shop.buy("odd")

        assert problem(answer) == (502, "gateway_refused")
        assert shop.stripe.asked == []


async def test_a_lost_answer_is_unknown_and_the_next_click_finds_the_same_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        lost = await shop.buy()
        order_id = lost.json()["orderId"]
        meanwhile = (await shop.get(f"/order-status/{order_id}")).json()
        shop.stripe.mood = "opens"
        found = await shop.buy()

        assert problem(lost) == (504, "gateway_unknown")
        assert meanwhile["status"] == "pending"
        assert (meanwhile["failure"]["code"], meanwhile["failure"]["action"]) == ("unknown", "wait")
        assert (found.status_code, found.json()["orderId"]) == (201, order_id)
        assert len(set(shop.stripe.keys)) == 1
        assert len(shop.stripe.pages) == 1
        assert "failure" not in (await shop.get(f"/order-status/{order_id}")).json()


async def test_a_gateway_that_hangs_is_answered_for_in_time_and_asked_again_under_the_same_key(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url, open_seconds=3.0) as shop:
        shop.stripe.mood = "hangs"
        begun = time.monotonic()
        hung = await shop.buy()
        took = time.monotonic() - begun
        shop.stripe.mood = "opens"
        opened = await shop.buy()

        assert problem(hung) == (504, "gateway_unknown")
        assert took < 3.5
        assert (opened.status_code, opened.json()["orderId"]) == (201, hung.json()["orderId"])
        assert len(set(shop.stripe.keys)) == 1


async def test_a_gateway_client_that_keeps_no_time_is_cut_off(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url, open_seconds=0.5) as shop:
        shop.stripe.mood = "deaf"
        begun = time.monotonic()
        answers = await asyncio.gather(shop.buy(), shop.buy(), shop.buy())

        assert [problem(answer) for answer in answers] == [(504, "gateway_unknown")] * 3
        assert time.monotonic() - begun < 2
        assert len({answer.json()["orderId"] for answer in answers}) == 1
        assert len(shop.stripe.asked) == 1


async def test_a_page_that_ended_before_anybody_saw_it_is_followed_by_a_new_order(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        lost = (await shop.buy()).json()
        [page] = shop.stripe.pages.values()
        await shop.stripe.close_session(page.id)
        shop.stripe.mood = "opens"
        opened = await shop.buy()

        assert opened.status_code == 201
        assert opened.json()["orderId"] != lost["orderId"]
        assert opened.json()["sessionId"] != page.id


async def test_clients_are_closed_with_the_application(database_url: str) -> None:
    async with counter(database_url) as shop:
        clients = [shop.stripe, shop.razorpay]
        closed_before = [client.closed for client in clients]

    assert closed_before == [False, False]
    assert [client.closed for client in clients] == [True, True]


async def test_what_came_of_requests_is_counted(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        await shop.buy()
        await shop.buy("gone")
        await shop.http.post("/create-payment")

        assert await shop.metric('counterfoil_create_payment_total{outcome="opened"}') == 1
        assert await shop.metric('counterfoil_create_payment_total{outcome="invalid_plan"}') == 1
        assert await shop.metric('counterfoil_create_payment_total{outcome="unauthenticated"}') == 1
        assert await shop.metric('counterfoil_opening_seconds_count{gateway="stripe"}') == 1


async def test_f58_clicks_for_one_plan_wait_for_each_other_and_others_do_not(pool: Pool) -> None:
    """The lock alone: in the service, writing the user's row would hide its loss."""
    wish = {"user_id": "anna", "plan_id": "lifetime", "gateway": "stripe"}
    async with pool.acquire() as first, first.transaction(), pool.acquire() as second, second.transaction():
        await attempts.serialise(first, **wish)
        await second.execute("SET LOCAL lock_timeout = '100ms'")

        await attempts.serialise(second, **wish | {"user_id": "bob"})
        await attempts.serialise(second, **wish | {"plan_id": "cheap"})
        await attempts.serialise(second, **wish | {"gateway": "razorpay"})
        with pytest.raises(asyncpg.LockNotAvailableError):
            await attempts.serialise(second, **wish)
