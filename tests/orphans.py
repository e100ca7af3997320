"""Orders that wait for a word from their gateway: placed, opened, asked about by recovery, and looked at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from db.history import Cause
from db.pool import Pool
from gateways.client import Refusal, Refused
from payments.events import (
    CheckoutEnded,
    Observed,
)
from payments.failure import Failure, FailureCode
from tests.builders import observed, place_order
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway
from workers.apply import apply
from workers.attempts import Counter, Opened, Opening, intend_first, open_page
from workers.recovery import Recovered, recover_orphans

DECLINED = Failure(FailureCode.CARD_DECLINED)


def counter(calendar: Calendar) -> Counter:
    return Counter(calendar.book, lambda order_id: f"https://shop.example/{order_id}", "https://shop.example/cancel")


async def place(pool: Pool, gateway: FakeGateway, calendar: Calendar, **more: Any) -> UUID:
    async with pool.acquire() as tx, tx.transaction():
        order_id = await place_order(tx, **more)
        await intend_first(tx, gateway, counter(calendar), order_id, "api")
    return order_id


async def opened(pool: Pool, gateway: FakeGateway, calendar: Calendar, order_id: UUID) -> Opening:
    return await open_page(pool, gateway, counter(calendar), order_id, "api")


async def with_page(pool: Pool, gateway: FakeGateway, calendar: Calendar, **more: Any) -> tuple[UUID, str]:
    """An order with a page that can be paid."""
    order_id = await place(pool, gateway, calendar, **more)
    opening = await opened(pool, gateway, calendar, order_id)
    assert isinstance(opening, Opened)
    return order_id, opening.session_id


async def recover(pool: Pool, gateway: FakeGateway, calendar: Calendar, **more: Any) -> Recovered:
    # Leases and the patience with callers are in real time; here they are over.
    await pool.execute(
        "UPDATE payment_attempts SET updated_at = now() - interval '10 minutes' WHERE calling_until <= now()"
    )
    return await recover_orphans(pool, {gateway.name: gateway}, calendar.hints, calendar.book, "run-1", **more)


async def told(pool: Pool, fact: Observed, calendar: Calendar) -> None:
    """As by a webhook."""
    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, fact, Cause("webhook_event", "event-1"), calendar.book)


async def status(pool: Pool, order_id: UUID) -> str:
    return str(await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id))


async def attempt(pool: Pool, order_id: UUID) -> str:
    return str(
        await pool.fetchval(
            "SELECT status FROM payment_attempts WHERE order_id = $1 ORDER BY number DESC LIMIT 1", order_id
        )
    )


async def kinds(pool: Pool) -> list[tuple[str, str]]:
    return [tuple(row) for row in await pool.fetch("SELECT kind, state FROM discrepancies ORDER BY kind")]


def ended(order_id: UUID, session_id: str) -> Observed:
    return observed(order_id, CheckoutEnded(session_id), session_id, session_id=session_id)


async def refuse_our_key() -> Refused:
    return Refused(Refusal.CREDENTIALS, "who are you")


async def say_the_key_was_used() -> Refused:
    return Refused(Refusal.KEY_REUSED, "another request")
