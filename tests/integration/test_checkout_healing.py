"""The customer is back and the webhook is not: the status that their page polls asks the gateway, and waits for nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.pool import Pool
from payments.events import PaymentPending
from payments.money import Money
from payments.order import LateSuccess
from tests.builders import observed, paid
from tests.counter import PAGES, Shop, counter, put_on_sale
from tests.waiting import until
from workers.apply import Book

PRICE = Money(4900, "usd")


class Clock:
    """Business time, moved by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.book = Book("counterfoil", LateSuccess.FULFIL, lambda: datetime.now(UTC) + self.ahead)


async def status(shop: Shop, order_id: str) -> str:
    """As our page polls it."""
    answer = await shop.http.get(f"/order-status/{order_id}", params={"token": PAGES.make(UUID(order_id))})
    return str(answer.json()["status"])


async def bought(pool: Pool, shop: Shop) -> str:
    await put_on_sale(pool)
    return str((await shop.buy()).json()["orderId"])


async def test_f122_an_order_that_was_paid_unheard_heals_while_its_page_polls(pool: Pool, database_url: str) -> None:
    clock = Clock()
    async with counter(database_url, book=clock.book) as shop:
        order_id = await bought(pool, shop)
        shop.stripe.ended = (observed(order_id, paid("pi_1", PRICE)),)
        clock.ahead = timedelta(seconds=25)

        async def is_paid() -> bool:
            return await status(shop, order_id) == "paid"

        await until(is_paid)

    assert await pool.fetchval("SELECT count(*) FROM effects") == 3
    line = await pool.fetchrow("SELECT cause, cause_id FROM history")
    assert tuple(line or ()) == ("reconciliation", "success_page")


async def test_the_webhook_has_its_time_before_anybody_asks(pool: Pool, database_url: str) -> None:
    clock = Clock()
    async with counter(database_url, book=clock.book) as shop:
        order_id = await bought(pool, shop)
        clock.ahead = timedelta(seconds=10)

        for _ in range(5):
            await status(shop, order_id)

    assert shop.stripe.looks == 0


async def test_many_polls_are_one_look_and_looks_grow_rare(pool: Pool, database_url: str) -> None:
    clock = Clock()
    async with counter(database_url, book=clock.book) as shop:
        order_id = await bought(pool, shop)
        shop.stripe.ended = (observed(order_id, PaymentPending("pi_1", PRICE)),)
        clock.ahead = timedelta(minutes=20)

        await asyncio.gather(*(status(shop, order_id) for _ in range(30)))
        await until(lambda: _has_looked(shop, 1))
        await asyncio.gather(*(status(shop, order_id) for _ in range(30)))
        order = await pool.fetchrow("SELECT created_at, next_look_at FROM orders")
        now = clock.book.clock()

    assert order is not None
    assert shop.stripe.looks == 1
    assert timedelta(minutes=4) < order["next_look_at"] - now <= (now - order["created_at"]) / 4


async def _has_looked(shop: Shop, times: int) -> bool:
    return shop.stripe.looks >= times


async def test_a_gateway_that_hangs_holds_up_no_status(pool: Pool, database_url: str) -> None:
    clock = Clock()
    async with counter(database_url, book=clock.book) as shop:
        order_id = await bought(pool, shop)
        shop.stripe.mood = "hangs"
        clock.ahead = timedelta(seconds=25)

        async with asyncio.timeout(3):
            shown = [await status(shop, order_id) for _ in range(3)]
        await until(lambda: _has_looked(shop, 1))

    assert shown == ["pending"] * 3


@pytest.mark.parametrize("order_status", ["paid", "cancelled"])
async def test_an_order_that_has_its_end_is_not_asked_about(pool: Pool, database_url: str, order_status: str) -> None:
    clock = Clock()
    async with counter(database_url, book=clock.book) as shop:
        order_id = await bought(pool, shop)
        await pool.execute("UPDATE orders SET status = $1", order_status)
        clock.ahead = timedelta(minutes=5)

        await status(shop, order_id)

    assert shop.stripe.looks == 0
