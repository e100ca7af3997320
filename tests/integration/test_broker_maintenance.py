"""Dramatiq's housekeeping on the beat: a dead worker's messages are back at once, a live one's stay with it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name

from schedules.broker_maintenance import BROKER_ID, keep_house
from tests.front_door import NO_REDIS
from workers.broker import make_broker
from workers.queues import NAMESPACE, QUEUES, WEBHOOKS

HEARTBEATS = f"{NAMESPACE}:__heartbeats__"


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    broker = make_broker(redis_url)
    yield broker
    broker.close()
    broker.client.close()


def fetch_one(broker: RedisBroker, queue: str) -> None:
    """A worker has taken a message, and is at it."""
    message = Message[None](queue_name=queue, actor_name="a", args=(), kwargs={}, options={"redis_message_id": queue})
    broker.do_enqueue(queue, queue, message.encode())
    broker.do_fetch(queue, 1)


def fall_silent(broker: RedisBroker) -> None:
    """It was killed, a minute and a bit ago."""
    broker.client.zadd(HEARTBEATS, {broker.broker_id: (time.time() - 61) * 1000})


async def test_what_a_dead_worker_had_fetched_goes_back_to_every_queue(broker: RedisBroker, redis_url: str) -> None:
    names = [name for queue in QUEUES for name in (queue, dq_name(queue))]
    for name in names:
        fetch_one(broker, name)
    fall_silent(broker)

    report = await keep_house(redis_url)

    assert (report.counts, report.complete) == ({"queues": len(names)}, True)
    assert [broker.client.llen(f"{NAMESPACE}:{name}") for name in names] == [1] * len(names)


async def test_what_a_live_worker_holds_stays_with_it(broker: RedisBroker, redis_url: str) -> None:
    fetch_one(broker, WEBHOOKS)

    await keep_house(redis_url)

    assert broker.client.llen(f"{NAMESPACE}:{WEBHOOKS}") == 0


async def test_the_clocks_leave_one_heartbeat_between_them(broker: RedisBroker, redis_url: str) -> None:
    for _ in range(3):
        await keep_house(redis_url)

    assert broker.client.zrange(HEARTBEATS, 0, -1) == [BROKER_ID.encode()]


async def test_what_is_dead_in_redis_waits_for_the_drain_longer_than_a_week(
    broker: RedisBroker, redis_url: str
) -> None:
    fetch_one(broker, WEBHOOKS)
    broker.do_nack(WEBHOOKS, WEBHOOKS)
    month_ago = (time.time() - 30 * 24 * 3600) * 1000
    broker.client.zadd(f"{NAMESPACE}:{WEBHOOKS}.XQ", {WEBHOOKS: month_ago})

    await keep_house(redis_url)

    assert broker.client.zcard(f"{NAMESPACE}:{WEBHOOKS}.XQ") == 1


async def test_a_redis_that_is_away_or_strange_is_no_failure(broker: RedisBroker, redis_url: str) -> None:
    broker.client.set(HEARTBEATS, "not ours")

    strange, away = await keep_house(redis_url), await keep_house(NO_REDIS)

    assert (strange.complete, strange.counts) == (False, {"redis": "ResponseError"})
    assert (away.complete, away.counts) == (False, {"redis": "ConnectionError"})
