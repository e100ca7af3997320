"""What we call at gateways is kept with the row that it was made for, under the gateways' own names of it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from db.effects import Effect
from db.pool import Pool, open_pool
from gateways.calling import Answer, Deadline, Denial, Line, NoAnswer
from gateways.calls import HEARD_MAX, Call, heard, listen
from gateways.client import LIVE, Doubt
from gateways.pacing import Bucket
from tests.builders import place_order
from tests.desk import Desk
from tests.owed import effect
from tests.stories import open_page
from workers.call_record import calls_kept
from workers.delivery.sender import SENT, Settled
from workers.errands import Errands

LINE = Line("stripe", Bucket(1000), retry_seconds=0.001)


class Calling:
    """An errand that calls its gateway: the first attempt is lost, the second answered."""

    async def send(self, effect: Effect) -> Settled:
        del effect
        lost = [NoAnswer(Doubt.TIMED_OUT, request_id="req_lost")]

        async def attempt(_: float) -> Answer | Denial:
            if lost:
                raise lost.pop()
            return Answer({}, "req_found")

        await LINE.call("create_refund", attempt, Deadline.of(LIVE), is_repeatable=True)
        return SENT


async def test_each_attempt_at_a_call_is_kept_with_the_gateways_request_id(pool: Pool) -> None:
    errands = Errands(pool, {"gateway.x": Calling()})

    await errands.send(effect("gateway.x"))

    rows = await pool.fetch("SELECT operation, outcome, request_id, source FROM gateway_calls ORDER BY at, id")
    assert [tuple(row) for row in rows] == [
        ("create_refund", "timed_out", "req_lost", "effect"),
        ("create_refund", "answered", "req_found", "effect"),
    ]


async def test_a_call_is_in_the_story_of_its_order(pool: Pool, database_url: str, redis_url: str) -> None:
    order = await place_order(pool)
    await open_page(pool, order)
    attempt = await pool.fetchval("SELECT id FROM payment_attempts")
    async with calls_kept(pool, "payment_attempt", attempt):
        listen(Call("stripe", "create_session", "answered", "req_9", 12))
    async with calls_kept(pool, "order", order):
        listen(Call("stripe", "fetch_session", "timed_out", None, 10_000))

    told = Desk(database_url, redis_url)("explain", "order", order, "--json").json

    assert [line["says"] for line in told["timeline"] if line["kind"] == "call"] == [
        "stripe create_session answered, request req_9, 12 ms",
        "stripe fetch_session timed_out, 10000 ms",
    ]


async def test_nothing_fails_for_want_of_a_record() -> None:
    away = await open_pool("postgresql://127.0.0.1:1/none", name="test")

    async with calls_kept(away, "effect", uuid4()):
        listen(Call("stripe", "create_session", "answered", "req_9", 12))

    await away.close()


async def test_who_listens_hears_its_own_calls_and_those_of_the_tasks_that_it_began() -> None:
    async def call(name: str) -> list[Call]:
        with heard() as calls:
            await asyncio.gather(*(asyncio.create_task(_call(f"{name}-{n}")) for n in range(2)))
        return calls

    first, second = await asyncio.gather(call("a"), call("b"))

    assert {each.operation for each in first} == {"a-0", "a-1"}
    assert {each.operation for each in second} == {"b-0", "b-1"}


async def _call(operation: str) -> None:
    await asyncio.sleep(0)
    listen(Call("stripe", operation, "answered", None, 1))


def test_a_list_of_a_thousand_pages_is_known_by_its_first_ones() -> None:
    with heard() as calls:
        for n in range(1000):
            listen(Call("stripe", f"page {n}", "answered", None, 1))

    assert len(calls) == HEARD_MAX
