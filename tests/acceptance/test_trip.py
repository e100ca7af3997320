"""The whole trip through the real processes: a signed POST ends as a paid order, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
import redis

from tests.acceptance.conftest import Stack
from tests.builders import session
from tests.signed import stripe_headers
from tests.waiting import until


def body_of(order_id: str) -> bytes:
    return json.dumps(session(order_id)).encode()


async def is_paid(stack: Stack, order_id: str) -> bool:
    return await stack.status(order_id) == "paid"


async def all_paid(stack: Stack, orders: list[str]) -> bool:
    paid = "SELECT count(*) FROM orders WHERE id::text = ANY ($1::text[]) AND status = 'paid'"
    return bool(await stack.database.fetchval(paid, orders) == len(orders))


async def test_scenario_1_a_signed_post_ends_as_a_paid_order_with_access_and_three_effects(stack: Stack) -> None:
    order_id = await stack.place_order()
    body = body_of(order_id)

    answer = await stack.post("stripe", body)
    await until(lambda: is_paid(stack, order_id))

    async def sent() -> bool:
        kinds = "SELECT count(*) FROM effects WHERE order_id = $1::text::uuid AND status = 'sent'"
        return bool(await stack.database.fetchval(kinds, order_id) == 3)

    await until(sent)
    assert (answer.status_code, answer.json()) == (200, {"received": True, "duplicate": False})
    outbox = Path(stack.running.told["outbox"])
    kept = [path for path in outbox.rglob("*") if path.is_file() and order_id in path.read_text(encoding="utf-8")]
    assert len(kept) >= 3
    stored = await stack.database.fetchrow(
        "SELECT payload_raw, processed FROM webhook_events WHERE payload_raw = $1", body
    )
    assert stored is not None
    assert stored["processed"]


async def test_scenario_3_10_f1_eleven_deliveries_eight_at_once_are_one_event_and_one_effect(stack: Stack) -> None:
    order_id = await stack.place_order()
    body = body_of(order_id)

    answers = await asyncio.gather(*(stack.post("stripe", body) for _ in range(8)))
    answers += [await stack.post("stripe", body) for _ in range(3)]
    await until(lambda: is_paid(stack, order_id))

    assert {answer.status_code for answer in answers} == {200}
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    rows = await stack.database.fetch("SELECT deliveries FROM webhook_events WHERE payload_raw = $1", body)
    assert [row["deliveries"] for row in rows] == [11]
    effects = await stack.database.fetchval("SELECT count(*) FROM effects WHERE order_id = $1::text::uuid", order_id)
    assert effects == 3


async def test_f32_an_event_that_comes_before_its_order_pays_it_once_it_is_there(stack: Stack) -> None:
    order_id = str(uuid4())
    await stack.post("stripe", body_of(order_id))
    parked = "SELECT count(*) FROM webhook_events WHERE reason = 'unmatched'"

    async def is_parked() -> bool:
        return bool(await stack.database.fetchval(parked))

    await until(is_parked)
    await stack.place_order()
    await stack.database.execute(
        "INSERT INTO orders (id, user_id, amount, currency) VALUES ($1::text::uuid, 'u', 1000, 'usd')", order_id
    )

    await until(lambda: is_paid(stack, order_id))


async def test_f3_redis_frozen_every_event_is_answered_200_and_worked_all_the_same(stack: Stack) -> None:
    pid = stack.running.pid("valkey")
    orders = [await stack.place_order() for _ in range(20)]
    os.kill(pid, signal.SIGSTOP)
    try:
        answers = await asyncio.gather(*(stack.post("stripe", body_of(order)) for order in orders))
        await until(lambda: all_paid(stack, orders), seconds=60)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize("key", ["webhooks", "webhooks.msgs", "__heartbeats__"])
async def test_what_somebody_else_has_put_under_our_keys_holds_nothing_up(stack: Stack, key: str) -> None:
    order_id = await stack.place_order()
    with redis.Redis.from_url(stack.running.told["redis_url"]) as client:
        client.delete(f"counterfoil:{key}")
        client.set(f"counterfoil:{key}", "not what a worker expects")

        answer = await stack.post("stripe", body_of(order_id))
        await until(lambda: is_paid(stack, order_id), seconds=60)
        client.delete(f"counterfoil:{key}")

    assert answer.status_code == 200


async def test_f3_redis_killed_and_back_empty_loses_nothing(stack: Stack) -> None:
    orders = [await stack.place_order() for _ in range(20)]
    for order in orders[:10]:
        await stack.post("stripe", body_of(order))
    stack.running.kill("valkey")

    answers = [await stack.post("stripe", body_of(order)) for order in orders[10:]]

    assert {answer.status_code for answer in answers} == {200}
    await until(lambda: all_paid(stack, orders), seconds=60)


async def test_f128_flushall_and_kill_9_of_every_worker_lose_and_double_nothing(stack: Stack) -> None:
    orders = [await stack.place_order() for _ in range(40)]
    posting = asyncio.gather(*(stack.post("stripe", body_of(order)) for order in orders))
    with redis.Redis.from_url(stack.running.told["redis_url"]) as client:
        client.flushall()
        stack.running.kill("worker-1")
        await posting
        client.flushall()
        stack.running.kill("worker-2")

    await until(lambda: all_paid(stack, orders), seconds=60)

    doubled = "SELECT count(*) FROM (SELECT FROM effects GROUP BY kind, order_id HAVING count(*) > 1) AS doubled"
    assert await stack.database.fetchval(doubled) == 0


async def test_promise_1_an_ingress_killed_after_its_answer_has_kept_the_event(stack: Stack) -> None:
    order_id = await stack.place_order()
    before = stack.running.pid("ingress")

    answer = await stack.post("stripe", body_of(order_id))
    stack.running.kill("ingress")

    assert answer.status_code == 200
    await until(lambda: is_paid(stack, order_id))

    async def is_back() -> bool:
        try:
            ready = (await stack.http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False
        return ready and stack.running.pid("ingress") != before

    await until(is_back)


async def test_f23_postgres_killed_is_503_and_then_heals_by_itself(stack: Stack) -> None:
    order_id = await stack.place_order()
    body = body_of(order_id)
    stack.running.kill("postgres")

    async def is_kept() -> bool:
        answer = await stack.post("stripe", body)
        assert answer.status_code in {200, 503}
        assert answer.status_code == 200 or "retry-after" in answer.headers
        return answer.status_code == 200

    await until(is_kept, seconds=60)
    database = await asyncpg.connect(stack.running.told["database_url"])
    looking = Stack(stack.running, stack.http, database)
    await until(lambda: is_paid(looking, order_id), seconds=60)
    await database.close()


async def test_f5_f6_nothing_forged_late_or_early_is_written(stack: Stack) -> None:
    order_id = await stack.place_order()
    body = body_of(order_id)
    before = await stack.database.fetchval("SELECT count(*) FROM webhook_events")
    secret = stack.running.told["secrets"]["stripe_webhook"]
    forged = [
        {},
        {"Stripe-Signature": "t=1,v1=00"},
        stripe_headers(body, secret, int(time.time()) - 400),
        stripe_headers(body, secret, int(time.time()) + 3600),
        stripe_headers(body, "whsec_another", int(time.time())),
        stripe_headers(body + b" ", secret, int(time.time())),
    ]

    answers = [await stack.http.post("/webhooks/stripe", content=body, headers=headers) for headers in forged]

    assert [answer.status_code for answer in answers] == [400] * len(forged)
    assert await stack.database.fetchval("SELECT count(*) FROM webhook_events") == before
    assert await stack.status(order_id) == "pending"
