"""What is owed and late is hinted again: after a lost hint, an emptied Redis, an outage; and not more often than that."""

from __future__ import annotations

import asyncio

import pytest

from db import effects, webhook_events
from db.ids import new_id
from db.pool import Pool
from local.valkey import Valkey
from schedules import sweep
from schedules.sweep import sweep_once
from tests.builders import keep
from workers.hints import Hints
from workers.queues import EFFECTS, WEBHOOKS, WORK_WEBHOOK_EVENT


async def make_late(pool: Pool) -> None:
    await pool.execute("UPDATE webhook_events SET next_hint_at = now() - interval '1 s' WHERE next_attempt_at <= now()")
    await pool.execute("UPDATE effects SET next_hint_at = now() - interval '1 s'")


async def test_f4_an_event_whose_hint_was_lost_is_hinted_again(pool: Pool, redis_url: str) -> None:
    await keep(pool, b"{}")
    await make_late(pool)

    async with Hints(redis_url) as hints:
        sent = await sweep_once(pool, hints)
        depth = await hints.depth(WEBHOOKS)

    assert (sent, depth) == (1, 1)


async def test_an_owed_effect_is_hinted_on_its_own_queue(pool: Pool, redis_url: str) -> None:
    async with pool.acquire() as tx:
        await effects.add(tx, kind="mail.payment_confirmed", order_id=None, idempotency_key="key", detail={})
    await make_late(pool)

    async with Hints(redis_url) as hints:
        sent = await sweep_once(pool, hints)
        depth = await hints.depth(EFFECTS)

    assert (sent, depth) == (1, 1)


async def test_what_is_fresh_done_or_waiting_for_its_time_is_left_alone(pool: Pool, redis_url: str) -> None:
    await keep(pool, b'{"fresh": 1}')
    done, later = await keep(pool, b'{"done": 1}'), await keep(pool, b'{"later": 1}')
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.finish(tx, done, "stale")
        await webhook_events.postpone(tx, later, delay_seconds=60, error_class="early", error="")

    async with Hints(redis_url) as hints:
        assert await sweep_once(pool, hints) == 0


async def test_two_sweeps_in_a_row_or_at_once_hint_a_row_once(pool: Pool, redis_url: str) -> None:
    for number in range(10):
        await keep(pool, f'{{"n": {number}}}'.encode())
    await make_late(pool)

    async with Hints(redis_url) as hints:
        sent = await asyncio.gather(*(sweep_once(pool, hints) for _ in range(4)))
        again = await sweep_once(pool, hints)

    assert (sum(sent), again) == (10, 0)


async def test_a_deep_queue_gets_no_more_hints(pool: Pool, redis_url: str) -> None:
    await keep(pool, b"{}")
    await make_late(pool)

    async with Hints(redis_url) as hints:
        await hints.send(WORK_WEBHOOK_EVENT, [new_id() for _ in range(sweep.DEEP_ENOUGH)])
        sent = await sweep_once(pool, hints)

    assert sent == 0


@pytest.mark.parametrize("outage", ["stopped", "emptied"])
async def test_f3_f128_after_redis_is_back_everything_owed_is_due_at_once(
    pool: Pool, own_valkey: Valkey, outage: str
) -> None:
    await keep(pool, b"{}")
    await make_late(pool)

    async with Hints(own_valkey.url) as hints:
        if outage == "stopped":
            await asyncio.to_thread(own_valkey.stop)
            while_away = await sweep_once(pool, hints)
        else:
            await sweep_once(pool, hints)
            while_away = 0
            await asyncio.to_thread(own_valkey.stop)
            await make_late(pool)
        await asyncio.to_thread(own_valkey.start)
        sent = await sweep_once(pool, hints)
        depth = await hints.depth(WEBHOOKS)

    assert (while_away, sent, depth) == (0, 1, 1)
