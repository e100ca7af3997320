"""Working one event: once, by one worker, in one transaction; and what each kind of failure leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from db import webhook_events
from db.pool import Pool
from gateways.gateway import Json, TranslationError, Unhandled
from gateways.registry import GATEWAYS
from payments.events import Observed
from tests.builders import BOOK, TEN, keep, observed, paid, place_order, session
from workers.webhook_events import BUDGET, Account, Desk, Worked, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


def desk(translate: Callable[[Json], Observed | Unhandled]) -> Desk:
    """A desk at which Stripe's words mean what the test says."""
    return replace(DESK, gateways={"stripe": replace(GATEWAYS["stripe"], translate=translate)})


def raising(error: Exception) -> Desk:
    def translate(_: Json) -> Observed | Unhandled:
        raise error

    return desk(translate)


async def event_row(pool: Pool, event: UUID) -> asyncpg.Record:
    found = await pool.fetchrow("SELECT *, next_attempt_at - now() AS wait FROM webhook_events WHERE id = $1", event)
    assert found is not None
    return found


async def test_scenario_1_a_kept_event_becomes_a_paid_order(pool: Pool) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id))

    result = await work_webhook_event(pool, DESK, event)

    assert (result.worked, len(result.effects)) == (Worked.DONE, 3)
    row = await event_row(pool, event)
    assert (row["status"], row["reason"], row["processed"]) == ("done", "moved_to_paid", True)
    assert row["processed_at"] is not None
    cause = await pool.fetchrow("SELECT cause, cause_id FROM history")
    assert cause is not None
    assert tuple(cause) == ("webhook_event", str(event))


async def test_scenario_10_f39_one_event_in_many_hands_is_worked_once(pool: Pool) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id))

    results = await asyncio.gather(*(work_webhook_event(pool, DESK, event) for _ in range(8)))

    assert sorted(result.worked for result in results) == [Worked.DONE, *[Worked.NOT_OWED] * 7]
    assert await pool.fetchval("SELECT count(*) FROM effects") == 3


async def test_scenario_3_a_done_event_is_not_worked_again(pool: Pool) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id))
    await work_webhook_event(pool, DESK, event)

    again = await work_webhook_event(pool, DESK, event)

    assert again.worked is Worked.NOT_OWED


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"livemode": True}, "other_mode"),
        ({"account": "acct_2"}, "other_account"),
        ({"event_type": "x", "gateway": "gone"}, "unknown_gateway"),
    ],
)
async def test_f18_another_mode_account_or_gateway_is_kept_and_ignored(
    pool: Pool, more: dict[str, object], reason: str
) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id), **more)

    result = await work_webhook_event(pool, replace(DESK, accounts={"stripe": Account(livemode=False)}), event)

    assert result.worked is Worked.IGNORED
    row = await event_row(pool, event)
    assert (row["status"], row["reason"]) == ("ignored", reason)
    assert await pool.fetchval("SELECT status FROM orders") == "pending"


async def test_our_own_account_may_be_named(pool: Pool) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id), account="acct_1", livemode=True)

    result = await work_webhook_event(pool, replace(DESK, accounts={"stripe": Account(True, "acct_1")}), event)

    assert result.worked is Worked.DONE


async def test_f15_what_nobody_handles_is_ignored_with_its_reason(pool: Pool) -> None:
    event = await keep(pool, b'{"type": "x"}')

    await work_webhook_event(pool, desk(lambda _: Unhandled("unhandled_type")), event)

    row = await event_row(pool, event)
    assert (row["status"], row["reason"]) == ("ignored", "unhandled_type")


async def test_another_applications_event_is_ignored_as_foreign(pool: Pool) -> None:
    event = await keep(pool, b"{}")

    await work_webhook_event(pool, desk(lambda _: observed("x", paid(), instance="another")), event)

    row = await event_row(pool, event)
    assert (row["status"], row["reason"]) == ("ignored", "foreign")


async def test_f22_a_shape_that_we_do_not_know_is_dead_at_once_and_says_which_field(pool: Pool) -> None:
    event = await keep(pool, b"{}")

    result = await work_webhook_event(pool, raising(TranslationError("session.amount_total is missing")), event)

    assert result.worked is Worked.DEAD
    row = await event_row(pool, event)
    assert (row["status"], row["error_class"], row["retry_count"]) == ("dead", "unknown_shape", 1)
    assert "session.amount_total is missing" in row["last_error"]


async def test_a_bug_is_dead_at_once_with_its_traceback(pool: Pool) -> None:
    event = await keep(pool, b"{}")

    await work_webhook_event(pool, raising(ZeroDivisionError("division by zero")), event)

    row = await event_row(pool, event)
    assert (row["status"], row["error_class"]) == ("dead", "ZeroDivisionError")
    assert "Traceback" in row["last_error"]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
        asyncpg.UniqueViolationError(),
        asyncpg.DiskFullError(),
        asyncpg.LockNotAvailableError(),
    ],
)
async def test_f48_what_time_heals_is_owed_again_after_a_delay(pool: Pool, error: Exception) -> None:
    event = await keep(pool, b"{}")

    result = await work_webhook_event(pool, raising(error), event)

    assert result.worked is Worked.RETRY
    row = await event_row(pool, event)
    assert (row["status"], row["retry_count"], row["error_class"]) == ("retry", 1, type(error).__name__)
    assert row["wait"].total_seconds() > 0
    assert (await work_webhook_event(pool, DESK, event)).worked is Worked.NOT_OWED


async def test_f48_a_budget_that_is_spent_ends_among_the_dead(pool: Pool) -> None:
    event = await keep(pool, b"{}")

    results = []
    for _ in range(BUDGET):
        await pool.execute("UPDATE webhook_events SET next_attempt_at = now() WHERE status IN ('received', 'retry')")
        results.append((await work_webhook_event(pool, raising(TimeoutError()), event)).worked)

    assert results == [Worked.RETRY] * (BUDGET - 1) + [Worked.DEAD]
    assert (await event_row(pool, event))["retry_count"] == BUDGET


async def test_f48_a_dead_event_works_once_its_cause_is_mended_and_it_comes_again(pool: Pool) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id))
    await work_webhook_event(pool, raising(ZeroDivisionError()), event)

    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.count_delivery(tx, event)
    result = await work_webhook_event(pool, DESK, event)

    assert result.worked is Worked.DONE
    assert (await event_row(pool, event))["last_error"] is None


async def test_early_comes_back_later_and_nothing_is_written_meanwhile(pool: Pool) -> None:
    order_id = await place_order(pool)
    event = await keep(pool, b"{}")

    result = await work_webhook_event(pool, desk(lambda _: observed(order_id, paid(None))), event)

    assert result.worked is Worked.RETRY
    row = await event_row(pool, event)
    assert (row["status"], row["error_class"]) == ("retry", "early")
    assert await pool.fetchval("SELECT count(*) FROM history") == 0


async def test_f48_f50_a_worker_that_fails_at_the_very_end_leaves_nothing_of_its_work(pool: Pool) -> None:
    """The event's own finishing fails: the move, the access and the effects must be gone with it."""
    order_id = await place_order(pool)
    event = await keep(pool, session(order_id))
    await pool.execute("ALTER TABLE webhook_events ADD CONSTRAINT no_end CHECK (status <> 'done') NOT VALID")

    await work_webhook_event(pool, DESK, event)

    assert await pool.fetchval("SELECT status FROM orders") == "pending"
    tables = ("payments", "entitlements", "effects", "history")
    assert [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables] == [0, 0, 0, 0]
    assert (await event_row(pool, event))["status"] == "dead"


async def test_f47_two_events_of_one_payment_worked_at_once_pay_once(pool: Pool) -> None:
    order_id = await place_order(pool)
    events = [await keep(pool, session(order_id)) for _ in range(10)]

    await asyncio.gather(*(work_webhook_event(pool, DESK, event) for event in events))

    reasons = await pool.fetch("SELECT reason, count(*) AS n FROM webhook_events GROUP BY 1 ORDER BY 1")
    assert [(row["reason"], row["n"]) for row in reasons] == [("moved_to_paid", 1), ("stale", 9)]
    assert await pool.fetchval("SELECT count(*) FROM history") == 1


async def test_f69_a_free_session_pays_a_free_order_without_a_payment(pool: Pool) -> None:
    order_id = await place_order(pool, expected=replace(TEN, minor=0))
    free = session(order_id, "no_payment_required", amount_total=0, payment_intent=None)

    await work_webhook_event(pool, DESK, await keep(pool, free))

    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT count(*) FROM payments") == 0
    assert await pool.fetchval("SELECT count(*) FROM effects") == 3
