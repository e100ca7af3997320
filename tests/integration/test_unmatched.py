"""An event about an object that we do not know yet waits, and is woken by the transaction that stores its name."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import references, webhook_events
from db.pool import Pool
from gateways.registry import GATEWAYS
from payments.events import References
from tests.builders import BOOK, TEN, keep, place_order, session
from tests.waiting import until_somebody_waits
from workers.apply import parking_names
from workers.webhook_events import Desk, Worked, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


async def status(pool: Pool, event: UUID) -> tuple[str, str | None]:
    row = await pool.fetchrow("SELECT status, reason FROM webhook_events WHERE id = $1", event)
    assert row is not None
    return row["status"], row["reason"]


async def parked(pool: Pool, order_id: UUID | str, **more: Any) -> UUID:
    event = await keep(pool, session(order_id, **more))
    result = await work_webhook_event(pool, DESK, event)
    assert result.worked is Worked.IGNORED
    assert await status(pool, event) == ("ignored", "unmatched")
    return event


async def test_f32_an_event_that_comes_before_its_order_pays_it_afterwards(pool: Pool) -> None:
    order_id = uuid4()
    event = await parked(pool, order_id)

    await place_order(pool)
    await pool.execute("INSERT INTO orders (id, user_id, amount) VALUES ($1, 'user-1', $2)", order_id, TEN.minor)
    woken = await status(pool, event)
    await work_webhook_event(pool, DESK, event)

    assert woken == ("retry", None)
    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id) == "paid"


@pytest.mark.parametrize(
    "store",
    [
        "UPDATE orders SET session_id = 'cs_known' WHERE id = $1",
        "UPDATE orders SET payment_intent_id = 'pi_known' WHERE id = $1",
        "INSERT INTO gateway_references (gateway, reference, order_id) VALUES ('stripe', 'cs_known', $1)",
        """INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status)
           VALUES ('stripe', 'pi_known', $1, 1000, 'usd', 'pending')""",
    ],
    ids=["session", "payment-intent", "reference", "payment"],
)
async def test_each_way_of_storing_a_name_wakes_what_waits_for_it(pool: Pool, store: str) -> None:
    strangers: dict[str, Any] = {"client_reference_id": None, "metadata": {}}
    event = await parked(pool, "unknown", id="cs_known", payment_intent="pi_known", **strangers)
    other = await parked(pool, "unknown", id="cs_other", payment_intent="pi_other", **strangers)
    order_id = await place_order(pool)

    await pool.execute(store, order_id)

    assert await status(pool, event) == ("retry", None)
    assert await status(pool, other) == ("ignored", "unmatched")


async def test_f74_a_payment_without_any_name_of_ours_is_never_guessed_by_its_amount(pool: Pool) -> None:
    order_id = await place_order(pool)

    await parked(pool, "unknown", id="cs_nameless", payment_intent=None, client_reference_id=None, metadata={})

    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id) == "pending"


async def test_a_rolled_back_order_wakes_nothing(pool: Pool) -> None:
    order_id = uuid4()
    event = await parked(pool, order_id)
    await place_order(pool)

    async with pool.acquire() as tx:
        doomed = tx.transaction()
        await doomed.start()
        await tx.execute("INSERT INTO orders (id, user_id, amount) VALUES ($1, 'user-1', 1000)", order_id)
        await doomed.rollback()

    assert await status(pool, event) == ("ignored", "unmatched")


async def test_a_redelivery_of_a_waiting_event_looks_again(pool: Pool) -> None:
    event = await parked(pool, uuid4())

    async with pool.acquire() as tx, tx.transaction():
        delivery = await webhook_events.count_delivery(tx, event)
    result = await work_webhook_event(pool, DESK, event)

    assert delivery.owed
    assert result.worked is Worked.IGNORED
    assert await status(pool, event) == ("ignored", "unmatched")


async def test_an_event_and_its_order_that_meet_in_one_moment_never_miss_each_other(pool: Pool) -> None:
    """The order commits while the event is being parked: whoever comes second must see the other."""
    await place_order(pool)

    async def race(order_id: UUID, event: UUID) -> None:
        insert = "INSERT INTO orders (id, user_id, amount) VALUES ($1, 'user-1', 1000)"
        await asyncio.gather(pool.execute(insert, order_id), work_webhook_event(pool, DESK, event))

    orders = [uuid4() for _ in range(60)]
    events = [await keep(pool, session(order_id)) for order_id in orders]
    for order_id, event in zip(orders, events, strict=True):
        await race(order_id, event)

    left = await pool.fetchval("SELECT count(*) FROM webhook_events WHERE status = 'ignored'")
    assert left == 0


async def test_parking_waits_for_whoever_stores_the_name_and_then_finds_the_order(pool: Pool) -> None:
    order_id = uuid4()
    await place_order(pool)
    event = await keep(pool, session(order_id))

    async with pool.acquire() as tx, tx.transaction():
        await tx.execute("INSERT INTO orders (id, user_id, amount) VALUES ($1, 'user-1', 1000)", order_id)
        working = asyncio.create_task(work_webhook_event(pool, DESK, event))
        async with pool.acquire() as witness:
            await until_somebody_waits(witness, "advisory")

    assert (await working).worked is Worked.DONE
    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id) == "paid"


async def test_storing_waits_for_whoever_parks_under_the_name_and_then_wakes_it(pool: Pool) -> None:
    order_id = uuid4()
    await place_order(pool)
    event = await keep(pool, session(order_id))
    names = parking_names(References(order_ids=(str(order_id),)))

    async with pool.acquire() as tx, tx.transaction():
        await references.lock(tx, names)
        insert = "INSERT INTO orders (id, user_id, amount) VALUES ($1, 'user-1', 1000)"
        storing = asyncio.create_task(pool.execute(insert, order_id))
        async with pool.acquire() as witness:
            await until_somebody_waits(witness, "advisory")
        await webhook_events.park(tx, event, names)
    await storing

    assert await status(pool, event) == ("retry", None)
