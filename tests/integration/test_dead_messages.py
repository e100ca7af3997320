"""What Dramatiq gave up becomes dead letters: each once, whatever is in it, and whatever fails on the way."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from db.pool import Pool
from tests.front_door import NO_REDIS
from workers.broker import make_broker
from workers.dead_messages import CONTENT_LIMIT, Drained, drain
from workers.queues import EFFECTS, NAMESPACE, WEBHOOKS


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    broker = make_broker(redis_url)
    yield broker
    broker.close()
    broker.client.close()


def give_up(broker: RedisBroker, *arguments: Any, queue: str = WEBHOOKS, actor: str = "no_such_actor") -> str:
    """A message that a worker took and gave up, by Dramatiq's own hands."""
    message = Message[None](queue_name=queue, actor_name=actor, args=arguments, kwargs={}, options={})
    key = str(broker.enqueue(message).options["redis_message_id"])
    broker.do_fetch(queue, 1)
    broker.do_nack(queue, key)
    return key


def strange(**fields: Any) -> bytes:
    """A message of ours but for these fields."""
    return json.dumps({**Message[None]("q", "a", (), {}, {}).asdict(), **fields}).encode()


def give_up_bytes(broker: RedisBroker, raw: bytes, key: str = "key") -> None:
    broker.client.hset(f"{NAMESPACE}:{WEBHOOKS}.msgs", key, raw)
    broker.client.rpush(f"{NAMESPACE}:{WEBHOOKS}", key)
    broker.do_fetch(WEBHOOKS, 1)
    broker.do_nack(WEBHOOKS, key)


async def letters(pool: Pool) -> list[dict[str, Any]]:
    return [dict(row) for row in await pool.fetch("SELECT * FROM dead_letters ORDER BY queue DESC, created_at")]


def what_is_left(broker: RedisBroker) -> int:
    return sum(
        int(broker.client.zcard(f"{NAMESPACE}:{queue}.XQ")) + int(broker.client.hlen(f"{NAMESPACE}:{queue}.XQ.msgs"))
        for queue in (WEBHOOKS, EFFECTS)
    )


async def test_a_message_that_was_given_up_waits_for_a_person_and_leaves_redis(
    pool: Pool, broker: RedisBroker, redis_url: str
) -> None:
    keys = {give_up(broker, "a", 1), give_up(broker, "b", queue=EFFECTS)}

    drained = await drain(pool, redis_url)

    assert drained == Drained(kept=2)
    assert what_is_left(broker) == 0
    first, second = await letters(pool)
    assert {first["source_id"], second["source_id"]} == keys
    assert (first["source"], first["state"], first["queue"], first["what"]) == (
        "message",
        "open",
        WEBHOOKS,
        "no_such_actor",
    )
    assert first["message"] == {
        "actor": "no_such_actor",
        "args": ["a", 1],
        "kwargs": {},
        "options": {"redis_message_id": first["source_id"]},
    }
    assert second["queue"] == EFFECTS
    assert first["fingerprint"] == second["fingerprint"]


async def test_a_drain_that_died_before_it_removed_anything_writes_nothing_twice(
    pool: Pool, broker: RedisBroker, redis_url: str
) -> None:
    key = give_up(broker, "a")
    raw = broker.client.hget(f"{NAMESPACE}:{WEBHOOKS}.XQ.msgs", key)
    await drain(pool, redis_url)
    broker.client.zadd(f"{NAMESPACE}:{WEBHOOKS}.XQ", {key: 1})
    broker.client.hset(f"{NAMESPACE}:{WEBHOOKS}.XQ.msgs", key, raw)

    again = await drain(pool, redis_url)

    assert again == Drained(kept=0)
    assert what_is_left(broker) == 0
    assert len(await letters(pool)) == 1


async def test_several_drains_at_once_keep_each_message_once(pool: Pool, broker: RedisBroker, redis_url: str) -> None:
    for number in range(50):
        give_up(broker, number)

    drained = await asyncio.gather(*(drain(pool, redis_url, batch=7) for _ in range(4)))

    assert sum(each.kept for each in drained) == 50
    assert len(await letters(pool)) == 50
    assert what_is_left(broker) == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\x00 not JSON",
        b"[]",
        b"{}",
        b'"text"',
        json.dumps({**Message[None]("q", "a", ("\0",), {}, {}).asdict()}).encode(),
        json.dumps({**Message[None]("q", "a", ("\ud800",), {}, {}).asdict()}).encode(),
        json.dumps({**Message[None]("q", "a", (), {}, {}).asdict(), "actor_name": None}).encode(),
        json.dumps({**Message[None]("q", "a", (), {}, {}).asdict(), "options": 3}).encode(),
        json.dumps({**Message[None]("q", "a", (), {}, {}).asdict(), "options": {"retries": "many"}}).encode(),
        strange(args=[float("nan")]),
        strange(kwargs={"x": float("inf")}),
        strange(options={"retries": float("inf")}),
        strange(args=["deep"]).replace(b'"deep"', b"[" * 20_000 + b"]" * 20_000),
    ],
    ids=range(14),
)
async def test_bytes_that_are_no_message_of_ours_are_kept_as_evidence(
    pool: Pool, broker: RedisBroker, redis_url: str, raw: bytes
) -> None:
    give_up_bytes(broker, raw)
    good = give_up(broker, "good")

    drained = await drain(pool, redis_url)

    assert drained == Drained(kept=2)
    kept = {letter["source_id"]: letter for letter in await letters(pool)}
    assert kept[good]["error_class"] == "given_up"
    assert (kept["key"]["what"], kept["key"]["error_class"]) == ("unreadable", "undecodable")
    assert base64.b64decode(kept["key"]["message"]["base64"]) == raw


@pytest.mark.parametrize(("retries", "attempts"), [(10**12, 2**31 - 1), (2**31 - 1, 2**31 - 1), (-5, 0)])
async def test_more_attempts_than_a_column_takes_are_as_many_as_it_takes(
    pool: Pool, broker: RedisBroker, redis_url: str, retries: int, attempts: int
) -> None:
    give_up_bytes(broker, strange(options={"retries": retries}))

    assert await drain(pool, redis_url) == Drained(kept=1)
    [letter] = await letters(pool)
    assert (letter["error_class"], letter["attempts"]) == ("given_up", attempts)


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), 1e30, -1e30, 1e15, -1])
async def test_what_died_at_no_moment_of_the_past_died_now(
    pool: Pool, broker: RedisBroker, redis_url: str, score: float
) -> None:
    key = give_up(broker, "a")
    broker.client.zadd(f"{NAMESPACE}:{WEBHOOKS}.XQ", {key: score})
    before = datetime.now(UTC)

    assert await drain(pool, redis_url) == Drained(kept=1)
    [letter] = await letters(pool)
    assert before <= letter["created_at"] <= datetime.now(UTC)


async def test_what_the_database_refuses_is_evidence_and_its_neighbours_are_letters(
    pool: Pool, broker: RedisBroker, redis_url: str
) -> None:
    first, refused, last = give_up(broker, 1), give_up(broker, 2, actor="refused"), give_up(broker, 3)
    await pool.execute("ALTER TABLE dead_letters ADD CHECK (what <> 'refused')")

    drained = await drain(pool, redis_url)

    assert drained == Drained(kept=3)
    assert what_is_left(broker) == 0
    kept = {letter["source_id"]: letter for letter in await letters(pool)}
    assert (kept[first]["error_class"], kept[last]["error_class"]) == ("given_up", "given_up")
    assert (kept[refused]["what"], kept[refused]["error_class"]) == ("unreadable", "undecodable")
    assert Message[Any].decode(base64.b64decode(kept[refused]["message"]["base64"])).args == (2,)


async def test_of_too_much_the_beginning_is_kept(pool: Pool, broker: RedisBroker, redis_url: str) -> None:
    give_up(broker, "x" * CONTENT_LIMIT)

    await drain(pool, redis_url)

    [letter] = await letters(pool)
    assert letter["message"]["bytes"] > CONTENT_LIMIT
    assert len(base64.b64decode(letter["message"]["base64"])) == CONTENT_LIMIT


@pytest.mark.parametrize("key", [b"\xff", b"a\0b", random.Random(7).randbytes(20_000)])
async def test_an_odd_key_is_kept_and_removed_like_any_other(
    pool: Pool, broker: RedisBroker, redis_url: str, key: bytes
) -> None:
    broker.client.zadd(f"{NAMESPACE}:{WEBHOOKS}.XQ", {key: 1})
    broker.client.hset(f"{NAMESPACE}:{WEBHOOKS}.XQ.msgs", key, b"{}")

    assert await drain(pool, redis_url) == Drained(kept=1)
    assert what_is_left(broker) == 0


@pytest.mark.parametrize(
    ("evicted", "error_class"),
    [(f"{NAMESPACE}:{WEBHOOKS}.XQ", "given_up"), (f"{NAMESPACE}:{WEBHOOKS}.XQ.msgs", "evicted")],
)
async def test_f129_what_an_evicting_redis_has_left_is_kept(
    pool: Pool, broker: RedisBroker, redis_url: str, evicted: str, error_class: str
) -> None:
    key = give_up(broker, "a")
    broker.client.delete(evicted)

    assert await drain(pool, redis_url) == Drained(kept=1)
    [letter] = await letters(pool)
    assert (letter["source_id"], letter["error_class"]) == (key, error_class)
    assert what_is_left(broker) == 0


async def test_more_than_fits_in_one_drain_is_said(pool: Pool, broker: RedisBroker, redis_url: str) -> None:
    for number in range(5):
        give_up(broker, number)

    first = await drain(pool, redis_url, batch=2, most_batches=2)
    second = await drain(pool, redis_url, batch=2, most_batches=2)

    assert (first, second) == (Drained(kept=4, complete=False), Drained(kept=1))


async def test_without_redis_it_says_so_and_raises_nothing(pool: Pool) -> None:
    assert await drain(pool, NO_REDIS) == Drained(complete=False, away="ConnectionError")


async def test_without_postgres_nothing_leaves_redis(pool: Pool, broker: RedisBroker, redis_url: str) -> None:
    give_up(broker, "a")
    await pool.execute("ALTER TABLE dead_letters RENAME TO away")

    with pytest.raises(Exception, match="does not exist"):
        await drain(pool, redis_url)

    assert what_is_left(broker) == 2


async def test_somebody_elses_value_under_our_key_raises_nothing(
    pool: Pool, broker: RedisBroker, redis_url: str
) -> None:
    broker.client.set(f"{NAMESPACE}:{WEBHOOKS}.XQ", "not ours")

    assert await drain(pool, redis_url) == Drained(complete=False, away="ResponseError")


async def test_somebody_elses_value_under_one_queues_key_hides_no_other_queue(
    pool: Pool, broker: RedisBroker, redis_url: str
) -> None:
    broker.client.set(f"{NAMESPACE}:{WEBHOOKS}.XQ", "not ours")
    key = give_up(broker, "a", queue=EFFECTS)

    assert await drain(pool, redis_url) == Drained(kept=1, complete=False, away="ResponseError")
    assert [letter["source_id"] for letter in await letters(pool)] == [key]


async def test_a_letter_holds_what_it_takes_to_send_it_again(pool: Pool, broker: RedisBroker, redis_url: str) -> None:
    row = UUID("5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a")
    give_up(broker, str(row), actor="work_webhook_event")

    await drain(pool, redis_url)

    [letter] = await letters(pool)
    assert (letter["queue"], letter["message"]["actor"], letter["message"]["args"]) == (
        WEBHOOKS,
        "work_webhook_event",
        [str(row)],
    )
