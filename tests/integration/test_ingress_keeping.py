"""Shared commits: many deliveries, few transactions, and nobody hurt by a neighbour."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator

import pytest

from db.pool import Pool
from gateways.registry import GATEWAYS
from ingress.keeping import BACKLOG_ROWS, Keeping, Unavailable
from ingress.metrics import Metrics
from ingress.repeats import Kept
from tests.builders import arrival
from tests.front_door import NO_REDIS, stripe_event
from workers.hints import Hints

STRIPE = GATEWAYS["stripe"]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Hints(NO_REDIS))


@pytest.fixture
async def keeping(database_url: str, metrics: Metrics) -> AsyncIterator[Keeping]:
    async with Keeping(database_url, metrics) as opened:
        yield opened


def commits(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("counterfoil_rows_per_commit_count") or 0


def rows(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("counterfoil_rows_per_commit_sum") or 0


async def keep(keeping: Keeping, event: dict[str, object]) -> Kept:
    return await keeping.keep(STRIPE, arrival(event, event_id=str(event["id"])), event)


async def test_two_hundred_at_once_share_a_few_commits(pool: Pool, keeping: Keeping, metrics: Metrics) -> None:
    kept = await asyncio.gather(*(keep(keeping, stripe_event()) for _ in range(200)))

    assert all(not each.duplicate and each.owed for each in kept)
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == rows(metrics) == 200
    assert commits(metrics) <= 8
    # All rows of a commit bear its transaction's number: the database agrees.
    assert await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM webhook_events") == commits(metrics)


async def test_a_lone_delivery_waits_for_nobody(keeping: Keeping, metrics: Metrics) -> None:
    await keep(keeping, stripe_event())

    assert (commits(metrics), rows(metrics)) == (1, 1)


@pytest.mark.parametrize(
    "poison",
    [
        {"event_type": "a\0b"},  # refused by the server
        {"event_type": "\ud800"},  # refused by the client, which cannot encode it
        {"event_type": None},  # refused by a constraint
        {"event_id": "x" * 3000, "event_key": hashlib.shake_256(b"long").hexdigest(4000)},  # too long for an index
    ],
)
async def test_one_bad_row_does_not_hurt_its_neighbours(pool: Pool, keeping: Keeping, poison: dict[str, str]) -> None:
    event = stripe_event()
    bad = dataclasses.replace(arrival(event), **poison)  # type: ignore[arg-type]  # what no gateway's envelope gives

    outcomes = await asyncio.gather(
        *(keep(keeping, stripe_event()) for _ in range(10)),
        keeping.keep(STRIPE, bad, event),
        *(keep(keeping, stripe_event()) for _ in range(10)),
        return_exceptions=True,
    )

    assert isinstance(outcomes.pop(10), Unavailable)
    assert all(isinstance(outcome, Kept) and not outcome.duplicate for outcome in outcomes)
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 20


async def test_repeats_within_one_batch_are_counted_one_by_one(pool: Pool, keeping: Keeping, metrics: Metrics) -> None:
    first, second = stripe_event(), stripe_event()

    kept = await asyncio.gather(*(keep(keeping, event) for event in (first, second) * 5))

    assert sum(not each.duplicate for each in kept) == 2
    assert len({each.id for each in kept}) == 2
    assert sorted(row["deliveries"] for row in await pool.fetch("SELECT deliveries FROM webhook_events")) == [5, 5]


async def test_two_processes_that_keep_the_same_events_at_once_agree(
    pool: Pool, database_url: str, metrics: Metrics
) -> None:
    events = [stripe_event() for _ in range(100)]

    async with Keeping(database_url, metrics) as one, Keeping(database_url, metrics) as other:
        kept = await asyncio.gather(
            *(keep(one, event) for event in events), *(keep(other, event) for event in reversed(events))
        )

    assert sum(not each.duplicate for each in kept) == 100
    counts = await pool.fetchrow("SELECT count(*) AS rows, sum(deliveries) AS deliveries FROM webhook_events")
    assert counts is not None
    assert (counts["rows"], counts["deliveries"]) == (100, 200)


async def test_a_request_that_goes_away_does_not_cancel_the_commit_it_shares(pool: Pool, keeping: Keeping) -> None:
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE webhook_keys IN ACCESS EXCLUSIVE MODE")
        posts = [asyncio.create_task(keep(keeping, stripe_event())) for _ in range(30)]
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        for gone in posts[::3]:
            gone.cancel()

    outcomes = await asyncio.gather(*posts, return_exceptions=True)
    assert sum(isinstance(outcome, Kept) for outcome in outcomes) == 20
    await until_kept(pool, 30)


async def until_kept(pool: Pool, count: int) -> None:
    async with asyncio.timeout(5):
        while await pool.fetchval("SELECT count(*) FROM webhook_events") != count:
            await asyncio.sleep(0.01)


async def test_more_than_may_wait_is_refused_at_once(pool: Pool, keeping: Keeping) -> None:
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE webhook_keys IN ACCESS EXCLUSIVE MODE")
        kept = [asyncio.create_task(keep(keeping, stripe_event())) for _ in range(BACKLOG_ROWS + 500)]
        refused, _ = await asyncio.wait(kept, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)

        assert refused
        assert all("too many" in str(post.exception()) for post in refused)

    outcomes = await asyncio.gather(*kept, return_exceptions=True)
    assert sum(isinstance(outcome, Kept) for outcome in outcomes) >= BACKLOG_ROWS


async def test_closing_waits_for_what_was_taken(pool: Pool, database_url: str, metrics: Metrics) -> None:
    async with Keeping(database_url, metrics) as keeping:
        posts = [asyncio.create_task(keep(keeping, stripe_event())) for _ in range(50)]
        await asyncio.sleep(0)

    kept = await asyncio.gather(*posts)
    assert all(not each.duplicate for each in kept)
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 50
