"""What a worker process does with one event or one effect when nothing gives way: it waits for so long, and goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from db.pool import Pool
from gateways.razorpay.settings import RazorpaySettings
from gateways.registry import GATEWAYS
from gateways.stripe.settings import StripeSettings
from tests.builders import BOOK, keep, place_order, session
from tests.front_door import NO_REDIS
from workers.delivery.senders import DeliverySettings
from workers.services import Services, WorkerValues
from workers.webhook_events import Desk


@pytest.fixture
async def services(database_url: str) -> AsyncIterator[Services]:
    """Of a worker with two connections for its work, which waits for a second at most."""
    desk, delivery = Desk(GATEWAYS, {}, BOOK), DeliverySettings(production=False)
    keys = {"stripe": StripeSettings(), "razorpay": RazorpaySettings()}
    values = WorkerValues(database_url, NO_REDIS, threads=0, desk=desk, delivery=delivery, gateways=keys)
    opened = Services(values, most_seconds=1.0)
    await opened._open()
    yield opened
    await opened._close_in_time()


async def test_f131_without_a_connection_it_gives_up_in_time_and_the_event_stays_owed(
    services: Services, pool: Pool
) -> None:
    event = await keep(pool, session(await place_order(pool)))

    async with services.pool.acquire(), services.pool.acquire():
        await services.work(event)
        in_hand = services.in_hand
        during = await pool.fetchval("SELECT status FROM webhook_events")
    await services.work(event)

    assert (in_hand, during) == (0, "received")
    assert await pool.fetchval("SELECT status FROM webhook_events") == "done"


async def test_without_a_connection_no_send_is_begun_and_nothing_is_raised(services: Services, pool: Pool) -> None:
    effect = await pool.fetchval(
        "INSERT INTO effects (kind, idempotency_key, detail) VALUES ('mail.payment_confirmed', 'k', '{}') RETURNING id"
    )

    async with services.pool.acquire(), services.pool.acquire():
        begun = await services.send(effect)

    assert not begun
    assert await pool.fetchval("SELECT attempts FROM effects") == 0


async def test_once_it_is_to_end_nothing_more_is_begun_from_the_record(services: Services, pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    services.stop_beginning()

    await services._work_long_owed(event)

    assert await pool.fetchval("SELECT status FROM webhook_events") == "received"
