"""The clock's part in subscriptions: what becomes due is done once, late rather than never, whoever is told meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from db import access, subscriptions
from db.pool import Pool
from payments.dunning import DEFAULT, Policy
from payments.failure import Failure, FailureCode
from payments.invoice import InvoiceStatus
from payments.subscription import SubscriptionStatus
from schedules.dunning import keep_time
from schedules.job import Report
from tests.tellings import BEGIN, MONTH, Placed, book, invoice, place, snapshot, tell, telling
from workers.hints import Hints

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
SECOND_MONTH, THIRD_MONTH = BEGIN + MONTH, BEGIN + 2 * MONTH

DECLINED = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")
BEGUN = telling(BEGIN, snapshot(), invoice())
FAILED = telling(
    SECOND_MONTH,
    snapshot(SubscriptionStatus.PAST_DUE),
    invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED),
)


@pytest.fixture
async def hints() -> AsyncIterator[Hints]:
    """Redis is away: what is owed is owed all the same."""
    async with Hints("redis://127.0.0.1:1/0") as opened:
        yield opened


async def run(pool: Pool, hints: Hints, now: datetime, policy: Policy = DEFAULT, *, most: int = 5000) -> Report:
    return await keep_time(pool, hints, book(now, policy), f"dunning {now.isoformat()}", most=most)


async def owed(pool: Pool, kind: str) -> list[str]:
    rows = await pool.fetch("SELECT idempotency_key FROM effects WHERE kind = $1 ORDER BY idempotency_key", kind)
    return [row["idempotency_key"].removeprefix(f"{kind}:").partition(":")[2] for row in rows]


async def failing(pool: Pool) -> Placed:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    await tell(pool, placed, FAILED, now=SECOND_MONTH + SECOND)
    return placed


async def test_before_anything_is_due_nothing_is_done(pool: Pool, hints: Hints) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    report = await run(pool, hints, BEGIN + DAY)

    assert report == Report({"kept": 0})
    assert await pool.fetchval("SELECT version FROM subscriptions") == 1


async def test_f81_a_renewal_is_announced_by_our_clock_once(pool: Pool, hints: Hints) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    for days in (6, 6, 5):
        await run(pool, hints, SECOND_MONTH - days * DAY)

    assert len(await owed(pool, "mail.subscription_upcoming_invoice")) == 1
    detail = await pool.fetchval("SELECT detail FROM effects WHERE kind = 'notify.subscription.upcoming_invoice'")
    assert (detail["amount"], detail["dueAt"]) == (1000, SECOND_MONTH.isoformat())


async def test_the_end_of_a_trial_is_announced_by_our_clock_once(pool: Pool, hints: Hints) -> None:
    placed = await place(pool, trial_days=14)
    ends = BEGIN + 14 * DAY
    await tell(pool, placed, telling(BEGIN, snapshot(SubscriptionStatus.TRIALING, period_end=ends, trial_end=ends)))

    for hours in (0, 1, 30):
        await run(pool, hints, ends - 3 * DAY + timedelta(hours=hours))

    assert len(await owed(pool, "mail.subscription_trial_ending")) == 1


async def test_access_ends_with_its_period_and_the_grace_when_no_renewal_comes(pool: Pool, hints: Hints) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    await run(pool, hints, SECOND_MONTH + SECOND)
    during = await pool.fetchrow("SELECT active, reason FROM entitlements")
    await run(pool, hints, SECOND_MONTH + DAY + SECOND)
    after = await pool.fetchrow("SELECT active, reason FROM entitlements")

    assert during is not None
    assert after is not None
    assert (tuple(during), tuple(after)) == ((True, "grace"), (False, "ended"))
    [line] = await pool.fetch(
        "SELECT from_status, to_status, cause, detail FROM history WHERE cause = 'schedule' ORDER BY id DESC LIMIT 1"
    )
    assert (line["from_status"], line["to_status"]) == (None, "active")
    assert line["detail"]["access"]["active"] is False


async def test_nobody_finds_the_door_shut_between_a_period_and_the_news_of_its_renewal(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    allowed = []
    for hours in (-1, 0, 1, 23, 24):
        async with pool.acquire() as tx:
            [claim] = await access.of_user(tx, "user-1", SECOND_MONTH + timedelta(hours=hours))
        allowed.append((claim.active, claim.reason))

    assert allowed == [(True, "paid"), (True, "grace"), (True, "grace"), (True, "grace"), (False, "ended")]


async def test_f91_reminders_come_on_their_days_once_and_the_end_after_three_weeks(pool: Pool, hints: Hints) -> None:
    placed = await failing(pool)

    for day in (1, 3, 3, 4, 7, 8, 20, 21, 22):
        await run(pool, hints, SECOND_MONTH + day * DAY + SECOND)

    assert await owed(pool, "mail.subscription_payment_reminder") == ["in_2:3d", "in_2:7d"]
    assert await owed(pool, "gateway.cancel_subscription") == ["in_2"]
    assert await owed(pool, "mail.subscription_renewal_failed") == ["in_2"]
    assert (await pool.fetchval("SELECT status FROM subscriptions WHERE id = $1", placed.subscription)) == "past_due"


async def test_f91_a_clock_that_was_down_for_weeks_makes_up_for_it_in_one_run(pool: Pool, hints: Hints) -> None:
    await failing(pool)

    await run(pool, hints, SECOND_MONTH + 30 * DAY)

    assert await owed(pool, "gateway.cancel_subscription") == ["in_2"]
    assert await pool.fetchval("SELECT active FROM entitlements") is False


async def test_f91_two_clocks_that_return_together_do_everything_once(pool: Pool, hints: Hints) -> None:
    await failing(pool)
    now = SECOND_MONTH + 7 * DAY + SECOND

    await asyncio.gather(*(run(pool, hints, now) for _ in range(4)))

    assert await owed(pool, "mail.subscription_payment_reminder") == ["in_2:7d"]
    [written] = await pool.fetch("SELECT version FROM subscriptions")
    assert written["version"] == 3


async def test_what_is_paid_meanwhile_is_reminded_of_no_more(pool: Pool, hints: Hints) -> None:
    placed = await failing(pool)
    paid = SECOND_MONTH + 2 * DAY
    await tell(pool, placed, telling(paid, snapshot(period_end=THIRD_MONTH), invoice(2)), now=paid)

    await run(pool, hints, SECOND_MONTH + 8 * DAY)

    assert await owed(pool, "mail.subscription_payment_reminder") == []
    assert await owed(pool, "gateway.cancel_subscription") == []


async def test_a_policy_of_ones_own_is_kept(pool: Pool, hints: Hints) -> None:
    placed = await place(pool)
    policy = Policy(suspend_after=5 * DAY, remind_after=(2 * DAY,), cancel_after=None)
    await tell(pool, placed, BEGUN, policy=policy)
    await tell(pool, placed, FAILED, now=SECOND_MONTH + SECOND, policy=policy)

    allowed = []
    for day in (1, 2, 4, 6, 60):
        now = SECOND_MONTH + day * DAY + SECOND
        await run(pool, hints, now, policy)
        async with pool.acquire() as tx:
            [claim] = await access.of_user(tx, "user-1", now)
        allowed.append(claim.active)

    assert allowed == [True, True, True, False, False]
    assert await owed(pool, "mail.subscription_payment_reminder") == ["in_2:2d"]
    assert await owed(pool, "gateway.cancel_subscription") == []


async def test_one_that_cannot_be_worked_keeps_no_other_from_its_turn(pool: Pool, hints: Hints) -> None:
    broken = await place(pool)
    others = [await place(pool, user=f"user-{number}") for number in range(2, 5)]
    await pool.execute("UPDATE subscriptions SET next_step_at = $1", BEGIN)
    await pool.execute(
        "INSERT INTO invoices (subscription_id, gateway, gateway_invoice_id, status, reason, amount, currency, "
        "failure_code) VALUES ($1, 'stripe', 'in_x', 'open', 'renewal', 1, 'usd', 'a code of tomorrow')",
        broken.subscription,
    )

    report = await run(pool, hints, BEGIN + SECOND)

    assert report == Report({"kept": 3, "failed": 1}, complete=False)
    async with pool.acquire() as tx:
        due = await subscriptions.due(tx, BEGIN + SECOND, after=None, limit=10)
    assert [found for _, found in due] == [broken.subscription]
    assert len(others) == 3


async def test_a_run_that_has_more_than_it_may_do_says_so_and_the_next_goes_on(pool: Pool, hints: Hints) -> None:
    for number in range(5):
        await place(pool, user=f"user-{number}")
    await pool.execute("UPDATE subscriptions SET next_step_at = $1", BEGIN)

    first, second = await run(pool, hints, BEGIN + SECOND, most=3), await run(pool, hints, BEGIN + SECOND, most=3)

    assert first == Report({"kept": 3}, complete=False)
    assert second == Report({"kept": 2})
