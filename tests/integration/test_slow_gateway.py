"""A gateway that takes its time while workers ask it: no transaction waits with it, and nobody's connections run out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from db.history import Cause
from db.pool import Pool, open_pool
from gateways.registry import GATEWAYS
from payments.events import Observed, PaymentAuthorised, References
from tests.builders import BOOK, TEN, keep, place_order, session
from tests.fake_gateway import FakeGateway
from tests.waiting import until
from workers.apply import Applied, apply
from workers.captures import Captures
from workers.delivery.senders import DeliverySettings, build
from workers.outbound import AT_ONCE, Outbound
from workers.webhook_events import Desk, Worked, work_webhook_event


@dataclass
class Slow(FakeGateway):
    """Answers once it is let."""

    let: asyncio.Event = field(default_factory=asyncio.Event)

    async def capture_payment(self, *asked: Any) -> Any:
        self.captures.append(asked[:2])
        await self.let.wait()
        self.captures.pop()
        return await super().capture_payment(*asked)


async def owe_capture(pool: Pool, number: int) -> Any:
    order_id = await place_order(pool, user=f"user-{number}")
    told = References(order_ids=(str(order_id),), objects=(f"pay_{number}",))
    fact = Observed("razorpay", told, PaymentAuthorised(f"pay_{number}", TEN))
    async with pool.acquire() as tx, tx.transaction():
        applied = await apply(tx, fact, Cause("webhook_event", "event"), BOOK)
    assert isinstance(applied, Applied)
    return applied.effects[0]


async def test_f140_captures_that_take_their_time_hold_no_transaction_open_and_no_worker_up(
    pool: Pool, database_url: str
) -> None:
    gateway = Slow("razorpay")
    captures = [await owe_capture(pool, number) for number in range(AT_ONCE)]
    event = await keep(pool, session(await place_order(pool, user="another")))
    own = await open_pool(database_url, name="worker", max_size=2)
    senders = build(DeliverySettings(production=False), further={"gateway": Captures(own, {"razorpay": gateway}, BOOK)})
    outbound = Outbound(own, senders)
    for capture in captures:
        await outbound.send(capture)

    async def all_asked() -> bool:
        return len(gateway.captures) == AT_ONCE

    await until(all_asked)
    open_transactions = await pool.fetchval(
        """
        SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        """
    )
    meanwhile = await work_webhook_event(own, Desk(GATEWAYS, {}, BOOK), event)
    under_way = outbound.under_way
    gateway.let.set()
    await outbound.drain(30)
    await own.close()

    assert open_transactions == 0
    assert meanwhile.worked is Worked.DONE
    assert (under_way, outbound.under_way) == (AT_ONCE, 0)
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == AT_ONCE + 1
