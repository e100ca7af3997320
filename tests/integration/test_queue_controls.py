"""A paused queue keeps everything that is owed there, and works it all once it runs again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from db import effects, queue_controls, queues, webhook_events
from db.effects import Effect
from db.pool import Pool
from gateways.registry import GATEWAYS
from schedules.sweep import sweep_once
from tests.builders import BOOK, keep, place_order, session
from tests.waiting import until
from workers.delivery.sender import SENT, Settled
from workers.effects import Outcome, send_effect
from workers.hints import Hints
from workers.outbound import Outbound
from workers.queues import BULK, EFFECTS, QUEUES, WEBHOOKS
from workers.webhook_events import Desk, Worked, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


class Post:
    async def send(self, effect: Effect) -> Settled:
        return SENT


async def pause(pool: Pool, queue: str, for_: timedelta | None = None) -> None:
    async with pool.acquire() as tx:
        await queue_controls.pause(tx, queue, by="ada", reason="a bad deploy", for_=for_)


async def resume(pool: Pool, queue: str) -> queue_controls.Paused | None:
    async with pool.acquire() as tx:
        return await queue_controls.resume(tx, queue)


async def owe_effect(pool: Pool) -> UUID:
    async with pool.acquire() as tx:
        owed = await effects.add(
            tx, kind="mail.payment_confirmed", order_id=None, idempotency_key=str(uuid4()), detail={}
        )
    assert owed is not None
    return owed


async def make_late(pool: Pool) -> None:
    await pool.execute(
        "UPDATE webhook_events SET next_hint_at = now() - interval '1 min', next_attempt_at = now() - interval '1 min'"
    )
    await pool.execute(
        "UPDATE effects SET next_hint_at = now() - interval '1 min', next_attempt_at = now() - interval '1 min'"
    )


async def test_nothing_of_a_paused_queue_is_taken_hinted_or_stood_by_for(pool: Pool, redis_url: str) -> None:
    event = await keep(pool, session(await place_order(pool)))
    effect = await owe_effect(pool)
    await make_late(pool)
    await pause(pool, WEBHOOKS)
    await pause(pool, EFFECTS)

    worked = [(await work_webhook_event(pool, DESK, event, careful=careful)).worked for careful in (False, True)]
    sent = await send_effect(pool, Post(), effect)
    begun = await Outbound(pool, Post()).send(effect)
    async with Hints(redis_url) as hints, pool.acquire() as tx:
        hinted = await sweep_once(pool, hints)
        stood_by_for = [
            *await webhook_events.long_owed(tx, limit=10, seconds=0),
            *await effects.long_owed(tx, limit=10, seconds=0),
        ]

    assert worked == [Worked.NOT_OWED, Worked.NOT_OWED]
    assert (sent, begun, hinted, stood_by_for) == (Outcome.NOT_OWED, False, 0, [])


async def test_everything_owed_meanwhile_is_due_at_once_after_the_pause(pool: Pool, redis_url: str) -> None:
    await pause(pool, WEBHOOKS)
    events = [await keep(pool, session(await place_order(pool, plan=f"plan-{n}"))) for n in range(20)]
    for event in events:
        await work_webhook_event(pool, DESK, event)
    await make_late(pool)

    resumed = await resume(pool, WEBHOOKS)
    async with Hints(redis_url) as hints:
        hinted = await sweep_once(pool, hints)
    results = [await work_webhook_event(pool, DESK, event) for event in events]

    assert resumed is not None
    assert (resumed.queue, resumed.paused_by, resumed.reason) == (WEBHOOKS, "ada", "a bad deploy")
    assert hinted == 20
    assert {result.worked for result in results} == {Worked.DONE}


async def test_the_other_queues_run_on(pool: Pool) -> None:
    await pause(pool, EFFECTS)
    await pause(pool, BULK)
    event = await keep(pool, session(await place_order(pool)))

    result = await work_webhook_event(pool, DESK, event)

    assert result.worked is Worked.DONE


async def test_a_pause_for_a_time_ends_by_itself(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await pause(pool, WEBHOOKS, timedelta(seconds=1))
    at_first = await work_webhook_event(pool, DESK, event)

    async def is_worked() -> bool:
        return (await work_webhook_event(pool, DESK, event)).worked is Worked.DONE

    await until(is_worked)
    async with pool.acquire() as tx:
        paused = await queue_controls.list_paused(tx)
    assert at_first.worked is Worked.NOT_OWED
    assert paused == []
    assert await resume(pool, WEBHOOKS) is None


async def test_a_second_pause_replaces_the_first_and_the_list_tells_of_it(pool: Pool) -> None:
    await pause(pool, WEBHOOKS, timedelta(hours=1))
    async with pool.acquire() as tx:
        second = await queue_controls.pause(tx, WEBHOOKS, by="grace", reason="still bad")
        paused = await queue_controls.list_paused(tx)

    assert paused == [second]
    assert (second.paused_by, second.until) == ("grace", None)


@pytest.mark.parametrize("queue", [WEBHOOKS, EFFECTS])
async def test_the_depth_of_each_queue_is_told(pool: Pool, queue: str) -> None:
    await keep(pool, {"n": 1})
    later = await keep(pool, {"n": 2})
    await owe_effect(pool)
    await make_late(pool)
    async with pool.acquire() as tx:
        await webhook_events.postpone(tx, later, delay_seconds=60, error_class="early", error="")
    await pause(pool, queue)

    async with pool.acquire() as tx:
        depths = {depth.queue: depth for depth in await queues.depths(tx, QUEUES)}

    assert tuple(depths) == QUEUES
    assert {name: (depth.owed, depth.delayed) for name, depth in depths.items()} == {
        "webhooks": (1, 1), "effects": (1, 0), "reconcile": (0, 0), "bulk": (0, 0)
    }  # fmt: skip
    assert 60 <= depths[WEBHOOKS].oldest_owed_seconds < 600
    assert depths[BULK].oldest_owed_seconds == 0
    assert {name for name, depth in depths.items() if depth.paused} == {queue}
