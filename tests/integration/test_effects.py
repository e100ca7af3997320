"""An effect's life in its row: claimed by lease, settled once, brought back by growing delays, dead at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from db import effects
from db.effects import Effect
from db.pool import Pool, open_pool
from local.postgres import Postgres
from tests.builders import TROUBLE
from tests.owed import DETAIL, MAIL, NOTIFY, ORDER, make_due, owe, row
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled
from workers.effects import (
    BUDGET,
    FIRST_DELAY_SECONDS,
    LEASE_SECONDS,
    MOST_DELAY_SECONDS,
    SEND_SECONDS,
    Outcome,
    send_effect,
)


@dataclass
class Post:
    """A sender that keeps what it was given, and fails as it is told."""

    failure: Exception | None = None
    settled: Settled = SENT
    sent: list[Effect] = field(default_factory=list)

    async def send(self, effect: Effect) -> Settled:
        self.sent.append(effect)
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return self.settled


@dataclass
class SlowPost:
    """A sender that sends, and then never returns."""

    sent: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, _: Effect) -> Settled:
        self.sent.set()
        await asyncio.Event().wait()
        return SENT


async def test_an_effect_is_sent_once_and_says_when(pool: Pool) -> None:
    post, owed = Post(), await owe(pool, MAIL)

    outcomes = [await send_effect(pool, post, owed), await send_effect(pool, post, owed)]

    assert outcomes == [Outcome.SENT, Outcome.NOT_OWED]
    (sent,) = post.sent
    assert (sent.kind, sent.order_id, sent.address, sent.attempts) == (MAIL, ORDER, "ada@example.org", 1)
    assert sent.detail == DETAIL
    after = await row(pool, owed)
    assert (after["status"], after["attempts"], after["last_error"]) == ("sent", 1, None)
    assert after["sent_at"] is not None


async def test_f51_eight_workers_at_once_send_an_effect_once(pool: Pool) -> None:
    post, owed = Post(), await owe(pool, MAIL)

    outcomes = await asyncio.gather(*(send_effect(pool, post, owed) for _ in range(8)))

    assert sorted(outcomes) == [Outcome.NOT_OWED] * 7 + [Outcome.SENT]
    assert len(post.sent) == 1


async def test_f51_one_fact_owes_each_of_its_effects_once(pool: Pool) -> None:
    owed = await owe(pool, MAIL)

    again = await pool.fetchval("SELECT idempotency_key FROM effects WHERE id = $1", owed)
    async with pool.acquire() as tx:
        second = await effects.add(tx, kind=MAIL, order_id=ORDER, idempotency_key=again, detail=DETAIL)

    assert second is None
    assert await pool.fetchval("SELECT count(*) FROM effects") == 1


async def test_f48_an_effect_of_a_move_that_was_rolled_back_does_not_exist(pool: Pool) -> None:
    async with pool.acquire() as tx:
        transaction = tx.transaction()
        await transaction.start()
        added = await effects.add(tx, kind=MAIL, order_id=None, idempotency_key="k", detail=DETAIL)
        await transaction.rollback()

    assert added is not None
    assert await send_effect(pool, Post(), added) is Outcome.NOT_OWED


async def test_an_effect_that_does_not_exist_is_not_owed(pool: Pool) -> None:
    assert await send_effect(pool, Post(), uuid4()) is Outcome.NOT_OWED


async def test_f49_a_worker_that_dies_after_sending_comes_back_after_its_lease_with_the_same_key(pool: Pool) -> None:
    dying, post, owed = SlowPost(), Post(), await owe(pool, NOTIFY)
    worker = asyncio.create_task(send_effect(pool, dying, owed))
    await asyncio.wait_for(dying.sent.wait(), 10)
    worker.cancel()
    await asyncio.wait([worker])

    at_once = await send_effect(pool, post, owed)
    leased = await row(pool, owed)
    await make_due(pool, owed)
    after_the_lease = await send_effect(pool, post, owed)

    assert (at_once, after_the_lease) == (Outcome.NOT_OWED, Outcome.SENT)
    assert LEASE_SECONDS - 30 < leased["wait"] <= LEASE_SECONDS
    assert [sent.idempotency_key for sent in post.sent] == [leased["idempotency_key"]]


async def test_a_slow_sender_is_cut_off_well_before_its_lease_ends(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)

    outcome = await send_effect(pool, SlowPost(), owed, limit_seconds=0.05)

    assert outcome is Outcome.RETRY
    assert (await row(pool, owed))["last_error"] == "sending took longer than 0.05 s"
    assert SEND_SECONDS <= LEASE_SECONDS / 2


async def test_a_worker_that_lost_its_lease_can_say_sent_and_nothing_else(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)
    async with pool.acquire() as tx:
        stale = await effects.claim(tx, owed, lease_seconds=0)
        newest = await effects.claim(tx, owed, lease_seconds=60)
        assert stale is not None
        assert newest is not None

        await effects.postpone(tx, stale, delay_seconds=5, error="stale")
        await effects.bury(tx, stale, TROUBLE)
        kept = await row(pool, owed)
        await effects.mark_sent(tx, owed, note=None)
        await effects.bury(tx, newest, TROUBLE)

    assert (kept["status"], kept["last_error"], kept["attempts"]) == ("pending", None, 2)
    assert kept["wait"] > 30
    assert (await row(pool, owed))["status"] == "sent"


async def test_a_claim_waits_for_nobody(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM effects WHERE id = $1 FOR UPDATE", owed)

        outcome = await asyncio.wait_for(send_effect(pool, Post(), owed), 5)

    assert outcome is Outcome.NOT_OWED


async def test_f152_attempts_are_spread_over_growing_delays_and_end_dead(pool: Pool) -> None:
    post, owed = Post(NotNow("the receiver answered 503")), await owe(pool, NOTIFY)
    outcomes, waits = [], []

    for _ in range(BUDGET):
        await make_due(pool, owed)
        outcomes.append(await send_effect(pool, post, owed))
        waits.append((await row(pool, owed))["wait"])

    assert outcomes == [Outcome.RETRY] * (BUDGET - 1) + [Outcome.DEAD]
    for attempt, wait in enumerate(waits[:-1]):
        ceiling = min(MOST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**attempt)
        assert ceiling / 10 - 1 < wait <= ceiling
    assert sum(waits[:-1]) > 4 * 3600
    after = await row(pool, owed)
    assert (after["status"], after["attempts"], after["wait"]) == ("dead", BUDGET, None)
    assert after["last_error"] == "the receiver answered 503"


async def test_a_postponed_effect_is_not_owed_before_its_time(pool: Pool) -> None:
    post, owed = Post(NotNow("the receiver answered 503")), await owe(pool, NOTIFY)
    await send_effect(pool, post, owed)

    outcome = await send_effect(pool, post, owed)

    assert outcome is Outcome.NOT_OWED
    assert len(post.sent) == 1


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [(3600.0, 3590, 3600), (10.0**9, MOST_DELAY_SECONDS - 10, MOST_DELAY_SECONDS), (0.0, 0, FIRST_DELAY_SECONDS)],
)
async def test_a_receivers_wish_is_honoured_up_to_our_longest_wait(
    pool: Pool, wish: float, least: float, most: float
) -> None:
    owed = await owe(pool, NOTIFY)

    await send_effect(pool, Post(NotNow("the receiver answered 429", retry_after_seconds=wish)), owed)

    assert least <= (await row(pool, owed))["wait"] <= most


async def test_f48_what_cannot_heal_is_dead_at_once_with_its_reason(pool: Pool) -> None:
    owed = await owe(pool, NOTIFY)

    outcome = await send_effect(pool, Post(NeverAgain("the receiver answered 410")), owed)

    after = await row(pool, owed)
    assert outcome is Outcome.DEAD
    assert (after["status"], after["attempts"], after["last_error"]) == ("dead", 1, "the receiver answered 410")


async def test_a_bug_is_dead_at_once_with_its_place_and_without_its_words(pool: Pool) -> None:
    owed = await owe(pool, MAIL)

    outcome = await send_effect(pool, Post(KeyError("ada@example.org")), owed)

    error = (await row(pool, owed))["last_error"]
    assert outcome is Outcome.DEAD
    assert error.startswith("KeyError\n")
    assert "in send" in error
    assert "ada@example.org" not in error


@pytest.mark.parametrize(
    "error", [asyncpg.DeadlockDetectedError(), asyncpg.ConnectionDoesNotExistError(), asyncpg.SerializationError()]
)
async def test_what_the_database_heals_by_itself_is_sent_again(pool: Pool, error: Exception) -> None:
    owed = await owe(pool, MAIL)

    failed = await send_effect(pool, Post(error), owed)
    await make_due(pool, owed)
    sent = await send_effect(pool, Post(), owed)

    assert (failed, sent) == (Outcome.RETRY, Outcome.SENT)


async def test_an_effect_that_kills_its_worker_each_time_runs_out_of_attempts(pool: Pool) -> None:
    post, owed = Post(), await owe(pool, MAIL)
    await pool.execute("UPDATE effects SET attempts = $2 WHERE id = $1", owed, BUDGET)

    outcome = await send_effect(pool, post, owed)

    assert outcome is Outcome.DEAD
    assert post.sent == []


async def test_f51_a_failing_mailer_does_not_touch_the_order(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    before = await pool.fetchrow("SELECT * FROM orders WHERE id = $1", ORDER)

    await send_effect(pool, Post(NeverAgain("the mail server refused the recipient (550)")), owed)

    assert await pool.fetchrow("SELECT * FROM orders WHERE id = $1", ORDER) == before


async def test_nothing_to_send_is_settled_and_says_why(pool: Pool) -> None:
    owed = await owe(pool, MAIL)

    outcome = await send_effect(pool, Post(settled=Settled("nothing was sent: SMTP_URL is not set")), owed)

    after = await row(pool, owed)
    assert outcome is Outcome.SENT
    assert (after["status"], after["last_error"]) == ("sent", "nothing was sent: SMTP_URL is not set")


async def test_f153_a_late_retry_tells_the_state_it_was_created_with(pool: Pool) -> None:
    post, owed = Post(NotNow("the receiver answered 503")), await owe(pool, NOTIFY)
    await send_effect(pool, post, owed)
    await pool.execute("UPDATE orders SET status = 'refunded', amount_refunded = amount WHERE id = $1", ORDER)
    await make_due(pool, owed)

    await send_effect(pool, Post(), owed)
    await make_due_again_is_refused(pool, owed)

    first, *_ = post.sent
    assert first.detail == DETAIL
    assert (await row(pool, owed))["detail"] == DETAIL


async def make_due_again_is_refused(pool: Pool, owed: UUID) -> None:
    """A settled effect owes nothing, whoever says otherwise."""
    with pytest.raises(asyncpg.CheckViolationError):
        await make_due(pool, owed)


async def test_the_newest_address_is_used_and_none_is_frozen(pool: Pool) -> None:
    post, owed = Post(), await owe(pool, MAIL)
    await pool.execute("UPDATE users SET email = 'new@example.org'")

    await send_effect(pool, post, owed)

    assert post.sent[0].address == "new@example.org"
    assert "@" not in str((await row(pool, owed))["detail"])


async def test_the_sweep_finds_what_is_owed_and_late_and_reminds_of_it_once(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    async with pool.acquire() as tx:
        fresh = await effects.overdue(tx, limit=10, again_seconds=60)
        await make_due(pool, owed)

        late = await effects.overdue(tx, limit=10, again_seconds=60)
        again = await effects.overdue(tx, limit=10, again_seconds=60)

    assert (fresh, late, again) == ([], [owed], [])


async def test_the_sweep_leaves_what_is_leased_postponed_sent_or_dead(pool: Pool) -> None:
    owed = await owe(pool, MAIL)
    await send_effect(pool, Post(NotNow("later")), owed)

    async with pool.acquire() as tx:
        postponed = await effects.overdue(tx, limit=10, again_seconds=0)
        await make_due(pool, owed)
        await send_effect(pool, Post(NeverAgain("no")), owed)
        dead = await effects.overdue(tx, limit=10, again_seconds=0)

    assert (postponed, dead) == ([], [])


@pytest.fixture
async def own_pool(own_postgres: Postgres) -> AsyncIterator[Pool]:
    opened = await open_pool(own_postgres.url, name="test")
    yield opened
    opened.terminate()


async def test_a_database_that_goes_away_while_we_send_costs_a_repeat_and_no_effect(
    own_postgres: Postgres, own_pool: Pool
) -> None:
    owed = await owe(own_pool, NOTIFY)

    class Unlucky(Post):
        async def send(self, effect: Effect) -> Settled:
            own_postgres.stop()
            return await super().send(effect)

    unlucky, post = Unlucky(), Post()

    lost = await send_effect(own_pool, unlucky, owed)
    still_away = await send_effect(own_pool, post, owed)
    own_postgres.start()
    await make_due(own_pool, owed)
    back = await send_effect(own_pool, post, owed)

    assert (lost, still_away, back) == (Outcome.RETRY, Outcome.RETRY, Outcome.SENT)
    assert [sent.idempotency_key for sent in post.sent] == [sent.idempotency_key for sent in unlucky.sent]


async def test_logs_name_the_effect_and_never_the_customer(pool: Pool) -> None:
    owed = await owe(pool, MAIL)

    with capture_logs() as logs:
        await send_effect(pool, Post(NotNow("the receiver answered 503")), owed)
        await make_due(pool, owed)
        await send_effect(pool, Post(KeyError("ada@example.org")), owed)

    assert [entry["event"] for entry in logs] == ["effect.postponed", "effect.dead"]
    assert {(entry["effect_id"], entry["kind"], entry["order_id"]) for entry in logs} == {(str(owed), MAIL, str(ORDER))}
    assert "ada@example.org" not in str(logs)
