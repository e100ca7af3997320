"""Opening a hosted page survives whatever happens to the call, or to us: one page per order, and no order forgotten."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db import attempts
from db.history import Cause
from db.pool import Pool, open_pool
from payments.events import CheckoutEnded
from payments.money import Money
from payments.order import OrderStatus
from tests.builders import BOOK, NOON, TEN, observed, paid, place_order
from tests.fake_gateway import (
    FakeGateway,
    lose_the_answer,
    nothing,
    refuse,
    refuse_the_key,
    say_it_is_outdated,
    spend_the_key,
)
from tests.killing import Killed, Walk, graveyard, until_gone
from workers.apply import apply
from workers.attempts import Busy, Counter, Lost, Opened, Opening, Over, Refused, intend_first, open_page

COUNTER = Counter(
    BOOK, lambda order_id: f"https://shop.example/success?order={order_id}", "https://shop.example/cancel"
)


async def place(pool: Pool, gateway: FakeGateway, **more: Any) -> UUID:
    """An order with its first attempt, as the counter writes them: in one transaction, before any call."""
    async with pool.acquire() as tx, tx.transaction():
        order_id = await place_order(tx, **more)
        await intend_first(tx, gateway, COUNTER, order_id, "api")
    return order_id


async def opened(pool: Pool, gateway: FakeGateway, order_id: UUID) -> Opening:
    return await open_page(pool, gateway, COUNTER, order_id, "api")


async def attempt_rows(pool: Pool) -> list[tuple[int, str]]:
    return [tuple(row) for row in await pool.fetch("SELECT number, status FROM payment_attempts ORDER BY number")]


async def status(pool: Pool, order_id: UUID) -> str:
    return str(await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id))


async def test_a_page_is_opened_and_kept_on_the_order(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)

    opening = await opened(pool, gateway, order_id)

    assert isinstance(opening, Opened)
    assert await pool.fetchval("SELECT session_id FROM orders") == opening.session_id
    assert await attempt_rows(pool) == [(1, "open")]


async def test_the_request_is_frozen_before_the_call_and_sent_as_it_is(pool: Pool) -> None:
    gateway = FakeGateway(before=[lose_the_answer])
    order_id = await place(pool, gateway)
    frozen = await pool.fetchval("SELECT request FROM payment_attempts")
    await opened(pool, gateway, order_id)
    await pool.execute("UPDATE plans SET price_cents = 1, name = 'Another'")

    await opened(pool, gateway, order_id)

    key = await pool.fetchval("SELECT idempotency_key FROM payment_attempts")
    assert gateway.requests == {key: frozen}
    assert frozen["amount"] == TEN.minor


async def test_opening_again_gives_the_same_page_without_a_call(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)
    first = await opened(pool, gateway, order_id)

    assert await opened(pool, gateway, order_id) == first
    assert gateway.calls == 1


async def test_f55_an_answer_lost_after_the_gateway_acted_is_found_again(pool: Pool) -> None:
    gateway = FakeGateway(after=[lose_the_answer])
    order_id = await place(pool, gateway)

    lost = await opened(pool, gateway, order_id)
    unknown = await attempt_rows(pool)
    found = await opened(pool, gateway, order_id)

    assert lost == Lost(order_id)
    assert unknown == [(1, "unknown")]
    assert await status(pool, order_id) == "pending"
    assert isinstance(found, Opened)
    assert len(gateway.sessions) == 1


async def test_a_refusal_fails_the_order_and_the_next_call_makes_a_new_attempt(pool: Pool) -> None:
    gateway = FakeGateway(before=[refuse])
    order_id = await place(pool, gateway)

    refused = await opened(pool, gateway, order_id)
    shown = await pool.fetchrow("SELECT status, failure_reason FROM orders")
    again = await opened(pool, gateway, order_id)

    assert refused == Refused(order_id, "invalid_request")
    assert shown is not None
    assert tuple(shown) == ("failed", "gateway_error")
    assert isinstance(again, Opened)
    assert await attempt_rows(pool) == [(1, "refused"), (2, "open")]


async def test_money_through_the_second_page_of_a_failed_order_pays_it(pool: Pool) -> None:
    gateway = FakeGateway(before=[refuse])
    order_id = await place(pool, gateway)
    await opened(pool, gateway, order_id)
    await place_order(pool)
    await opened(pool, gateway, order_id)

    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, observed(order_id, paid()), Cause("api", "test"), BOOK)

    assert await status(pool, order_id) == "paid"


async def test_a_refusal_after_a_lost_answer_is_not_believed_before_looking(pool: Pool) -> None:
    """The page was made, its answer lost, and then our key was revoked: another page must not be made beside it."""
    gateway = FakeGateway(after=[lose_the_answer], before=[nothing, refuse_the_key])
    order_id = await place(pool, gateway)
    await opened(pool, gateway, order_id)

    opening = await opened(pool, gateway, order_id)

    assert isinstance(opening, Opened)
    assert await status(pool, order_id) == "pending"
    assert len(gateway.sessions) == 1


async def test_f53_a_key_that_holds_a_server_error_is_given_up_once_nothing_was_found(pool: Pool) -> None:
    gateway = FakeGateway(before=[spend_the_key, spend_the_key])
    order_id = await place(pool, gateway)

    first = await opened(pool, gateway, order_id)
    second = await opened(pool, gateway, order_id)

    assert first == Lost(order_id)
    assert isinstance(second, Opened)
    assert await attempt_rows(pool) == [(1, "refused"), (2, "open")]
    assert await status(pool, order_id) == "pending"
    assert len(gateway.sessions) == 1


async def test_a_page_that_was_paid_unheard_pays_the_order_when_somebody_asks_again(pool: Pool) -> None:
    gateway = FakeGateway(after=[lose_the_answer])
    order_id = await place(pool, gateway)
    await opened(pool, gateway, order_id)
    gateway.ended = (observed(order_id, paid(), "cs_1"),)

    opening = await opened(pool, gateway, order_id)

    assert opening == Over(order_id, OrderStatus.PAID)
    assert await status(pool, order_id) == "paid"
    assert await attempt_rows(pool) == [(1, "closed")]


async def test_a_page_that_ended_unheard_is_followed_by_another(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)
    first = await opened(pool, gateway, order_id)
    assert isinstance(first, Opened)
    gateway.ended = (observed(order_id, CheckoutEnded(first.session_id), session_id=first.session_id),)
    await pool.execute("UPDATE payment_attempts SET expires_at = $1", NOON)

    second = await opened(pool, gateway, order_id)

    assert isinstance(second, Opened)
    assert second.session_id != first.session_id
    assert await attempt_rows(pool) == [(1, "closed"), (2, "open")]


async def test_a_page_past_its_expiry_that_cannot_be_asked_about_stays_as_it_is(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)
    await opened(pool, gateway, order_id)
    await pool.execute("UPDATE payment_attempts SET expires_at = $1, session_id = 'cs_gone'", NOON)

    assert await opened(pool, gateway, order_id) == Lost(order_id)
    assert await attempt_rows(pool) == [(1, "open")]


async def test_an_open_page_of_a_failed_order_is_found_and_replaces(pool: Pool) -> None:
    gateway = FakeGateway(before=[refuse])
    order_id = await place(pool, gateway)
    other = await place_order(pool)
    await opened(pool, gateway, order_id)
    await opened(pool, gateway, order_id)
    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, observed(other, CheckoutEnded("cs_other")), Cause("api", "test"), BOOK)
        await apply(tx, observed(other, paid("pi_other")), Cause("api", "test"), BOOK)

    async with pool.acquire() as tx:
        found = await attempts.find_open(tx, user_id="user-1", plan_id="plan-1", gateway="stripe", now=NOON)

    assert found == order_id
    assert await status(pool, other) == "cancelled"
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "late_success"


async def test_an_outdated_request_is_frozen_anew_where_nothing_was_made(pool: Pool) -> None:
    gateway = FakeGateway(before=[say_it_is_outdated])
    order_id = await place(pool, gateway)

    opening = await opened(pool, gateway, order_id)

    assert isinstance(opening, Opened)
    assert await status(pool, order_id) == "pending"
    assert await attempt_rows(pool) == [(1, "refused"), (2, "open")]


async def test_what_a_gateway_cannot_sell_is_refused_before_any_call(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway, plan="unsellable")

    refused = await opened(pool, gateway, order_id)

    assert isinstance(refused, Refused)
    assert gateway.calls == 0
    assert await status(pool, order_id) == "failed"


async def test_f58_twenty_callers_at_once_make_one_page_by_one_call(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)

    openings = await asyncio.gather(*(opened(pool, gateway, order_id) for _ in range(20)))

    assert gateway.calls == 1
    assert {type(opening) for opening in openings} <= {Opened, Busy}
    assert any(isinstance(opening, Opened) for opening in openings)


async def test_a_paid_order_has_nothing_to_open(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)
    await pool.execute("UPDATE orders SET status = 'paid'")

    assert await opened(pool, gateway, order_id) == Over(order_id, OrderStatus.PAID)
    assert gateway.calls == 0


async def test_two_live_attempts_of_one_order_cannot_be_written(pool: Pool) -> None:
    order_id = await place(pool, FakeGateway())

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(
            "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, request) "
            "VALUES ($1, 2, 'stripe', 'another', '{}')",
            order_id,
        )


async def test_the_open_page_of_a_plan_is_found_until_it_expires_or_is_paid(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await place(pool, gateway)
    await opened(pool, gateway, order_id)
    mine = {"user_id": "user-1", "plan_id": "plan-1", "gateway": "stripe"}

    found = await attempts.find_open(pool, **mine, now=NOON)  # type: ignore[arg-type]
    others = [
        await attempts.find_open(pool, **{**mine, **other}, now=NOON)  # type: ignore[arg-type]
        for other in ({"user_id": "user-2"}, {"plan_id": "plan-2"}, {"gateway": "razorpay"})
    ]
    expired = await attempts.find_open(pool, **mine, now=NOON.replace(hour=13))  # type: ignore[arg-type]
    await pool.execute("UPDATE orders SET status = 'paid'")

    assert found == order_id
    assert others == [None, None, None]
    assert expired is None
    assert await attempts.find_open(pool, **mine, now=NOON) is None  # type: ignore[arg-type]


async def test_killed_at_every_await_there_is_one_page_and_the_order_finds_it(database_url: str) -> None:
    """Walks the awaits by itself, so that a new one is covered too. Whoever resumes finds or makes the one page."""
    watching = await open_pool(database_url, name="watching")
    stop_at = 0
    with graveyard() as graves:
        while True:
            stop_at += 1
            gateway = FakeGateway()
            order_id = await place(watching, gateway, plan=f"plan-{stop_at}", expected=Money(1000, "usd"))
            dying = await open_pool(database_url, name="dying", min_size=1, max_size=1)
            survived = False
            with suppress(Killed):
                await Walk(open_page(dying, gateway, COUNTER, order_id, "api"), stop_at, graves)
                survived = True
            dying.terminate()
            await until_gone(watching, "dying")
            # The lease of a dead caller runs out by the clock; here the clock is helped.
            await watching.execute("UPDATE payment_attempts SET calling_until = '-infinity'")

            opening = await open_page(watching, gateway, COUNTER, order_id, "api")

            assert isinstance(opening, Opened), (stop_at, opening)
            assert len(gateway.sessions) == 1, stop_at
            kept = await watching.fetchval("SELECT session_id FROM orders WHERE id = $1", order_id)
            assert kept == opening.session_id, stop_at
            if survived:
                break
    await watching.close()
    assert stop_at > 10
