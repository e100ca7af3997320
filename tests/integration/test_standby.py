"""What has been owed too long is worked straight from the record, and a receiver that never answers holds up nobody."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from db import effects, webhook_events
from db.effects import Effect
from db.pool import Pool
from gateways.registry import GATEWAYS
from tests.builders import BOOK, keep, place_order, session
from tests.waiting import until
from workers.delivery.sender import SENT, Settled
from workers.outbound import AT_ONCE, Outbound
from workers.queues import SEND_EFFECT, WORK_WEBHOOK_EVENT
from workers.standby import Standby
from workers.webhook_events import Desk, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


@dataclass
class Receivers:
    """Answer at once, but for the kinds that are told to hang."""

    hanging: set[str] = field(default_factory=set)
    begun: list[str] = field(default_factory=list)

    async def send(self, effect: Effect) -> Settled:
        self.begun.append(effect.kind)
        if effect.kind in self.hanging:
            await asyncio.Event().wait()
        return SENT


async def owe(pool: Pool, kind: str) -> UUID:
    async with pool.acquire() as tx:
        effect = await effects.add(tx, kind=kind, order_id=None, idempotency_key=str(uuid4()), detail={})
    assert effect is not None
    return effect


async def make_long_owed(pool: Pool) -> None:
    for table in ("webhook_events", "effects"):
        await pool.execute(
            f"UPDATE {table} SET next_attempt_at = now() - interval '1 min' WHERE next_attempt_at <= now()"
        )


def standby(pool: Pool, receivers: Receivers) -> Standby:
    async def work(event: UUID) -> None:
        await work_webhook_event(pool, DESK, event, careful=True)

    return Standby(pool, {WORK_WEBHOOK_EVENT: work, SEND_EFFECT: Outbound(pool, receivers).send})


async def test_an_event_whose_hints_reach_nobody_is_worked_all_the_same(pool: Pool) -> None:
    order_id = await place_order(pool)
    await keep(pool, session(order_id))
    await make_long_owed(pool)

    looked_at = await standby(pool, Receivers()).run_once()

    assert looked_at == 1
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


async def test_an_effect_whose_hints_reach_nobody_is_sent_all_the_same(pool: Pool) -> None:
    await owe(pool, "mail.payment_confirmed")
    await make_long_owed(pool)

    await standby(pool, Receivers()).run_once()

    async def is_sent() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM effects WHERE status = 'sent'"))

    await until(is_sent)


async def test_what_is_fresh_done_or_not_yet_due_is_left_to_its_hint(pool: Pool) -> None:
    done, later = await keep(pool, b'{"done": 1}'), await keep(pool, b'{"later": 1}')
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.finish(tx, done, "stale")
        await webhook_events.postpone(tx, later, delay_seconds=60, error_class="early", error="")
    await make_long_owed(pool)
    await keep(pool, b'{"fresh": 1}')
    await owe(pool, "mail.payment_confirmed")

    assert await standby(pool, Receivers()).run_once() == 0


async def test_two_standbys_at_once_work_an_event_once(pool: Pool) -> None:
    orders = [await place_order(pool, plan=f"plan-{number}") for number in range(10)]
    for order_id in orders:
        await keep(pool, session(order_id))
    await make_long_owed(pool)

    await asyncio.gather(*(standby(pool, Receivers()).run_once() for _ in range(3)))

    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == 10
    assert await pool.fetchval("SELECT count(*) FROM history") == 10


async def test_a_receiver_that_never_answers_holds_up_no_other_channel(pool: Pool) -> None:
    receivers = Receivers(hanging={"notify.payment.completed"})
    outbound = Outbound(pool, receivers)
    notices = [await owe(pool, "notify.payment.completed") for _ in range(AT_ONCE + 5)]
    mail = await owe(pool, "mail.payment_confirmed")

    begun = [await outbound.send(notice) for notice in notices]
    is_mail_begun = await outbound.send(mail)

    async def is_sent() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM effects WHERE status = 'sent'"))

    await until(is_sent)
    await outbound.drain(0.1)
    assert begun == [True] * AT_ONCE + [False] * 5
    assert is_mail_begun
    untouched = "SELECT count(*) FROM effects WHERE attempts = 0 AND next_attempt_at <= now()"
    assert await pool.fetchval(untouched) == 5


async def test_what_was_being_sent_when_the_process_ends_is_owed_by_its_lease(pool: Pool) -> None:
    outbound = Outbound(pool, Receivers(hanging={"mail.payment_confirmed"}))
    await outbound.send(await owe(pool, "mail.payment_confirmed"))

    async def is_claimed() -> bool:
        return bool(await pool.fetchval("SELECT attempts FROM effects"))

    await until(is_claimed)
    await outbound.drain(0.1)

    row = await pool.fetchrow("SELECT status, next_attempt_at > now() AS leased FROM effects")
    assert row is not None
    assert tuple(row) == ("pending", True)
