"""An idle worker hears of new hints at once; and what it cannot hear costs it a moment, never a hint."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from db.ids import new_id
from local.valkey import Valkey
from tests.processes import until
from workers.bell import CHANNEL, Bell
from workers.hints import Hints
from workers.queues import EFFECTS, QUEUES, SEND_EFFECT, WEBHOOKS, WORK_WEBHOOK_EVENT

#: Whoever waits for so long was not woken.
FOR_EVER = 600.0


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listening(url: str, opened: ExitStack) -> Bell:
    """An ear that hears, and has nothing left from its beginning."""
    client = redis.Redis.from_url(url, socket_timeout=2)
    bell = Bell(client, QUEUES, idle_seconds=FOR_EVER)
    opened.callback(client.close)
    opened.callback(bell.close)
    bell.listen()
    assert until(lambda: bell.is_heard)
    for queue in QUEUES:
        bell.wait(queue)
    return bell


def waiting(bell: Bell, queue: str) -> threading.Thread:
    waiter = threading.Thread(target=bell.wait, args=(queue,), daemon=True)
    waiter.start()
    return waiter


def is_over(waiter: threading.Thread) -> bool:
    return until(lambda: not waiter.is_alive())


@pytest.fixture
def rung(redis_url: str) -> Iterator[Any]:
    """Who hears every ring, and tells them in order."""
    with redis.Redis.from_url(redis_url) as client, client.pubsub(ignore_subscribe_messages=True) as ear:
        ear.subscribe(CHANNEL)
        ear.get_message(timeout=5)
        yield lambda: [each["data"].decode() for each in iter(lambda: ear.get_message(timeout=0.2), None)]


async def test_a_hint_wakes_every_worker_that_waits_for_its_queue_and_no_other(
    redis_url: str, opened: ExitStack
) -> None:
    bells = [listening(redis_url, opened) for _ in range(3)]
    waiters = [waiting(bell, WEBHOOKS) for bell in bells]
    other = waiting(bells[0], EFFECTS)

    async with Hints(redis_url) as hints:
        hints.offer(WORK_WEBHOOK_EVENT, new_id())
        await hints.flush()

    assert all(is_over(waiter) for waiter in waiters)
    assert other.is_alive()


async def test_it_is_rung_once_for_hints_that_come_together_and_not_while_some_wait(redis_url: str, rung: Any) -> None:
    async with Hints(redis_url) as hints:
        await hints.send(WORK_WEBHOOK_EVENT, [new_id() for _ in range(50)])
        first = rung()
        await hints.send(WORK_WEBHOOK_EVENT, [new_id() for _ in range(50)])
        second = rung()
        await hints.send(SEND_EFFECT, [new_id()])
        third = rung()

    assert (first, second, third) == ([WEBHOOKS], [], [EFFECTS])


async def test_after_a_restart_of_redis_it_is_heard_again(own_valkey: Valkey, opened: ExitStack) -> None:
    bell = listening(own_valkey.url, opened)

    own_valkey.kill()
    assert until(lambda: not bell.is_heard)
    own_valkey.start()
    assert until(lambda: bell.is_heard)
    for queue in QUEUES:
        bell.wait(queue)
    waiter = waiting(bell, WEBHOOKS)
    async with Hints(own_valkey.url) as hints:
        await hints.send(WORK_WEBHOOK_EVENT, [new_id()])

    assert is_over(waiter)


async def test_who_may_not_ring_still_gives_hints(own_valkey: Valkey) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">word", "~*", "+@all", "resetchannels")
    url = own_valkey.url.replace("redis://:" + own_valkey.url.split(":")[2].split("@")[0], "redis://app:word")

    async with Hints(url) as hints:
        assert await hints.send(WORK_WEBHOOK_EVENT, [new_id()])

        assert (hints.sent, hints.dropped, await hints.depth(WEBHOOKS)) == (1, 0, 1)


def test_who_cannot_hear_waits_for_a_moment_alone() -> None:
    with redis.Redis(port=1) as client:
        bell = Bell(client, QUEUES, idle_seconds=FOR_EVER)
        bell.listen()

        bell.wait(WEBHOOKS)

        assert not bell.is_heard
        bell.close()


def test_nobody_waits_once_it_is_closed(redis_url: str, opened: ExitStack) -> None:
    bell = listening(redis_url, opened)
    waiter = waiting(bell, WEBHOOKS)

    bell.close()

    assert is_over(waiter)
    bell.wait(WEBHOOKS)


def test_what_nobody_knows_wakes_nobody_and_deafens_nobody(redis_url: str, opened: ExitStack) -> None:
    bell = listening(redis_url, opened)
    waiter = waiting(bell, WEBHOOKS)

    with redis.Redis.from_url(redis_url) as client:
        client.publish(CHANNEL, b"\xff another")
        assert waiter.is_alive()
        client.publish(CHANNEL, WEBHOOKS)

    assert is_over(waiter)
