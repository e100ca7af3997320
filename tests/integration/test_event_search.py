"""An event is found by any of its ids, and lists tell the newest first, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db import event_search, webhook_events
from db.event_search import EventFilter
from db.pool import Pool
from gateways.registry import GATEWAYS
from tests.builders import BOOK, TEN, TROUBLE, keep, place_order, session
from workers.webhook_events import Desk, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


async def listed(pool: Pool, wanted: EventFilter, **more: object) -> list[UUID]:
    async with pool.acquire() as tx:
        return [event.id for event in await event_search.newest(tx, wanted, **more)]  # type: ignore[arg-type]


async def test_an_event_is_found_by_our_id_and_by_the_gateways(pool: Pool) -> None:
    live = await keep(pool, {"n": 1}, event_id="evt_1", livemode=True)
    test = await keep(pool, {"n": 2}, event_id="evt_1", livemode=False)
    await keep(pool, {"n": 3}, event_id="evt_2")

    async with pool.acquire() as tx:
        by_theirs = await event_search.find(tx, ["evt_1"])
        by_ours = await event_search.find(tx, [str(test), "not-an-id", "'; --"])

    assert [event.id for event in by_theirs] == [live, test]
    assert [(event.id, event.status, event.deliveries) for event in by_ours] == [(test, "received", 1)]


async def test_a_list_tells_the_newest_first_and_goes_on_where_it_stopped(pool: Pool) -> None:
    events = [await keep(pool, {"n": n}) for n in range(5)]

    first = await listed(pool, EventFilter(), limit=2)
    rest = await listed(pool, EventFilter(), limit=10, before=first[-1])

    assert [*first, *rest] == sorted(events, reverse=True)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (EventFilter(gateway="stripe"), 2),
        (EventFilter(gateway="razorpay"), 1),
        (EventFilter(event_type="payment.captured"), 1),
        (EventFilter(status="done"), 1),
        (EventFilter(status="received", gateway="razorpay"), 1),
        (EventFilter(reason="moved_to_paid"), 1),
        (EventFilter(queue="bulk"), 0),
        (EventFilter(since=datetime.now(UTC) - timedelta(hours=1)), 3),
        (EventFilter(since=datetime(2100, 1, 1, tzinfo=UTC)), 0),
        (EventFilter(until=datetime(2020, 1, 1, tzinfo=UTC)), 0),
        (EventFilter(), 3),
    ],
)
async def test_a_filter_means_what_fits_all_of_it(pool: Pool, wanted: EventFilter, count: int) -> None:
    done = await keep(pool, session(await place_order(pool)))
    await work_webhook_event(pool, DESK, done)
    await keep(pool, {"n": 1})
    await keep(pool, {"n": 2}, gateway="razorpay", event_type="payment.captured")

    assert len(await listed(pool, wanted)) == count


async def test_the_events_that_moved_an_order_are_found_by_it(pool: Pool) -> None:
    order, other = await place_order(pool), await place_order(pool, plan="plan-2")
    event = await keep(pool, session(order))
    await work_webhook_event(pool, DESK, event)
    await work_webhook_event(pool, DESK, await keep(pool, session(other)))

    assert await listed(pool, EventFilter(order_id=order)) == [event]


async def test_an_event_that_concerns_an_order_without_moving_it_is_found_by_it_too(pool: Pool) -> None:
    order, other = await place_order(pool), await place_order(pool, plan="plan-2")
    told = {
        "declined": _intent(order, "payment_intent.payment_failed", last_payment_error={"code": "card_declined"}),
        "too_little": session(order, amount_total=TEN.minor - 1, payment_intent="pi_less"),
        "paid": session(order),
        "again": session(order, payment_intent="pi_second"),
        "of_another": session(other),
    }
    events = {name: await keep(pool, event, event_type=event["type"]) for name, event in told.items()}
    results = {name: (await work_webhook_event(pool, DESK, event)).reason for name, event in events.items()}

    found = await listed(pool, EventFilter(order_id=order))

    assert results == {
        "declined": "recorded", "too_little": "mismatch", "paid": "moved_to_paid", "again": "surplus",
        "of_another": "moved_to_paid",
    }  # fmt: skip
    assert set(found) == set(events.values()) - {events["of_another"]}


async def test_an_event_that_waits_for_its_order_or_died_of_waiting_is_found_by_it(pool: Pool) -> None:
    order = await place_order(pool)
    waiting, dead = await keep(pool, {"n": 1}), await keep(pool, {"n": 2})
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.postpone(tx, waiting, delay_seconds=60, error_class="early", error="", order_id=order)
        await webhook_events.bury(tx, dead, TROUBLE, order_id=order)

    found = await listed(pool, EventFilter(order_id=order))

    assert set(found) == {waiting, dead}


def _intent(order: UUID, kind: str, **more: object) -> dict[str, Any]:
    about = {
        "id": f"pi_{order}",
        "object": "payment_intent",
        "status": "requires_payment_method",
        "amount": TEN.minor,
        "amount_received": 0,
        "currency": TEN.currency,
        "metadata": {"order_id": str(order)},
        **more,
    }
    return {**session(order), "type": kind, "data": {"object": about}}
