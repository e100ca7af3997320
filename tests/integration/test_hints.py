"""Hints on a real Redis-compatible server: dramatiq takes them for its own, and losing them harms nobody."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import dramatiq
import pytest
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import default_middleware

from db.ids import new_id
from local.valkey import Valkey
from tests.front_door import NO_REDIS
from workers.hints import BATCH, CAPACITY, Hints
from workers.queues import EFFECTS, NAMESPACE, SEND_EFFECT, WEBHOOKS, WORK_WEBHOOK_EVENT, Route


def everything(url: str) -> dict[str, Any]:
    """Every key with its type and value."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        kinds = {key: client.type(key) for key in sorted(client.keys())}
        read = {"list": lambda key: client.lrange(key, 0, -1), "hash": client.hgetall}
        return {key: read[kind](key) for key, kind in kinds.items() if kind in read}


def messages(url: str, queue: str) -> list[dict[str, Any]]:
    keys = everything(url)
    encoded = keys.get(f"{NAMESPACE}:{queue}.msgs", {})
    return [json.loads(encoded[key]) for key in keys.get(f"{NAMESPACE}:{queue}", [])]


def rows(url: str, queue: str) -> list[UUID]:
    return [UUID(message["args"][0]) for message in messages(url, queue)]


async def test_a_hint_is_written_as_dramatiq_writes_its_messages(redis_url: str) -> None:
    row = new_id()
    broker = RedisBroker(url=redis_url, namespace=NAMESPACE, middleware=[])  # type: ignore[no-untyped-call]
    broker.enqueue(
        dramatiq.Message(queue_name=WEBHOOKS, actor_name="work_webhook_event", args=(str(row),), kwargs={}, options={})
    )
    theirs = everything(redis_url)
    (their_message,) = messages(redis_url, WEBHOOKS)
    broker.client.flushall()
    broker.close()

    async with Hints(redis_url) as hints:
        hints.offer(WORK_WEBHOOK_EVENT, row)
        await hints.flush()

    ours = everything(redis_url)
    (our_message,) = messages(redis_url, WEBHOOKS)
    assert ours.keys() == theirs.keys() == {f"{NAMESPACE}:{WEBHOOKS}", f"{NAMESPACE}:{WEBHOOKS}.msgs"}
    assert list(our_message) == list(their_message)
    own = {"message_id", "message_timestamp", "options"}
    assert {k: v for k, v in our_message.items() if k not in own} == {
        k: v for k, v in their_message.items() if k not in own
    }
    assert abs(our_message["message_timestamp"] - their_message["message_timestamp"]) < 60_000
    (key,) = ours[f"{NAMESPACE}:{WEBHOOKS}"]
    assert our_message["options"] == {"redis_message_id": key}


@contextmanager
def worker(url: str, route: Route, worked: list[str], enough: int, done: threading.Event) -> Iterator[None]:
    """A real dramatiq worker with an actor that only notes what it was given."""
    middleware = [each() for each in default_middleware]
    broker = RedisBroker(url=url, namespace=NAMESPACE, middleware=middleware)  # type: ignore[no-untyped-call]

    def note(row: str) -> None:
        worked.append(row)
        if len(worked) >= enough:
            done.set()

    dramatiq.actor(actor_name=route.actor, queue_name=route.queue, broker=broker)(note)
    running = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
    running.start()
    try:
        yield
        broker.join(route.queue, timeout=10_000)
    finally:
        running.stop()
        broker.close()


@pytest.mark.parametrize("route", [WORK_WEBHOOK_EVENT, SEND_EFFECT])
async def test_a_real_worker_works_each_hint_once(redis_url: str, route: Route) -> None:
    hinted = [new_id() for _ in range(450)]
    worked: list[str] = []
    done = threading.Event()

    with worker(redis_url, route, worked, len(hinted), done):
        async with Hints(redis_url) as hints:
            for row in hinted:
                hints.offer(route, row)
            await hints.flush()
        await asyncio.to_thread(done.wait, 30)

    assert sorted(worked) == sorted(map(str, hinted))
    assert rows(redis_url, route.queue) == []


async def test_hints_keep_their_order_and_their_queues(redis_url: str) -> None:
    events, effects = [new_id() for _ in range(3)], [new_id() for _ in range(2)]

    async with Hints(redis_url) as hints:
        for row in events:
            hints.offer(WORK_WEBHOOK_EVENT, row)
        for row in effects:
            hints.offer(SEND_EFFECT, row)
        await hints.flush()

        assert rows(redis_url, WEBHOOKS) == events
        assert rows(redis_url, EFFECTS) == effects
        assert (await hints.depth(WEBHOOKS), await hints.depth(EFFECTS)) == (3, 2)


async def test_a_row_hinted_twice_in_one_batch_is_one_message(redis_url: str) -> None:
    row = new_id()

    async with Hints(redis_url) as hints:
        hints.offer(WORK_WEBHOOK_EVENT, row)
        hints.offer(WORK_WEBHOOK_EVENT, row)
        await hints.flush()

    assert rows(redis_url, WEBHOOKS) == [row]


async def test_closing_writes_what_was_offered(redis_url: str) -> None:
    offered = [new_id() for _ in range(3 * BATCH)]

    async with Hints(redis_url) as hints:
        for row in offered:
            hints.offer(WORK_WEBHOOK_EVENT, row)

    assert rows(redis_url, WEBHOOKS) == offered


async def test_sending_says_whether_all_was_written(own_valkey: Valkey) -> None:
    hinted = [new_id() for _ in range(2 * BATCH + 1)]

    async with Hints(own_valkey.url) as hints:
        assert await hints.send(WORK_WEBHOOK_EVENT, hinted)
        assert rows(own_valkey.url, WEBHOOKS) == hinted
        assert await hints.send(WORK_WEBHOOK_EVENT, [])

        own_valkey.kill()

        assert not await hints.send(WORK_WEBHOOK_EVENT, hinted)
        assert await hints.depth(WEBHOOKS) is None


async def test_an_offer_neither_waits_nor_fails_and_memory_is_bounded() -> None:
    async with Hints(NO_REDIS) as hints:
        begun = time.monotonic()
        for _ in range(CAPACITY + 500):
            hints.offer(WORK_WEBHOOK_EVENT, new_id())
        took = time.monotonic() - begun

        assert hints.dropped == 500
        await hints.flush()

    assert took < 2
    assert (hints.sent, hints.dropped) == (0, CAPACITY + 500)


async def test_an_outage_is_told_once_and_its_end_too(own_valkey: Valkey) -> None:
    with structlog.testing.capture_logs() as told:
        async with Hints(own_valkey.url) as hints:
            own_valkey.kill()
            for _ in range(5):
                hints.offer(WORK_WEBHOOK_EVENT, new_id())
                await hints.flush()
            own_valkey.start()
            hints.offer(WORK_WEBHOOK_EVENT, new_id())
            await hints.flush()

    assert [line["event"] for line in told] == ["hints.redis_is_away", "hints.redis_is_back"]
    assert own_valkey.url.split("@")[0].split(":")[-1] not in repr(told)


async def test_a_redis_that_was_restarted_between_two_hints_costs_none(own_valkey: Valkey) -> None:
    async with Hints(own_valkey.url) as hints:
        hints.offer(WORK_WEBHOOK_EVENT, new_id())
        await hints.flush()
        own_valkey.kill()
        own_valkey.start()

        row = new_id()
        hints.offer(WORK_WEBHOOK_EVENT, row)
        await hints.flush()

    assert rows(own_valkey.url, WEBHOOKS) == [row]


async def test_a_redis_that_accepts_and_never_answers_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with Hints(f"redis://127.0.0.1:{mute.getsockname()[1]}/0") as hints:
            begun = time.monotonic()
            hints.offer(WORK_WEBHOOK_EVENT, new_id())
            await hints.flush()
            took = time.monotonic() - begun

    assert hints.dropped == 1
    assert took < 4


async def test_a_redis_that_is_full_costs_hints_alone(own_valkey: Valkey) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.config_set("maxmemory", "1mb")

    async with Hints(own_valkey.url) as hints:
        hints.offer(WORK_WEBHOOK_EVENT, new_id())
        await hints.flush()

        assert (hints.sent, hints.dropped) == (0, 1)
