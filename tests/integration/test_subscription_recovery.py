"""Subscriptions of which nobody has told us: one look at each repairs what lost webhooks have left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from db import attempts
from db.history import Cause
from db.pool import Pool
from gateways.client import Doubt, Gone, SubscriptionState, Unknown
from payments.events import Event, PaymentFailed, PaymentPending, PaymentSucceeded
from payments.failure import Failure, FailureCode
from payments.subscription import Snapshot, SubscriptionStatus
from tests import tellings
from tests.fake_gateway import FakeGateway
from tests.tellings import BEGIN, MONTH, SUB, Placed, book, place, snapshot, tell, telling
from workers.giving_up import Closing, give_up
from workers.subscription_recovery import Looked, recover_subscriptions
from workers.subscription_requests import Done, Impossible, Unanswered, Wish, ask

CAUSE = Cause("reconciliation", "test")
PAUSED = SubscriptionStatus.PAUSED
DECLINED = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")


async def recover(pool: Pool, gateway: FakeGateway, now: datetime) -> Looked:
    return await recover_subscriptions(pool, {"stripe": gateway}, book(now), CAUSE)


async def subscription(pool: Pool) -> dict[str, Any]:
    row = await pool.fetchrow("SELECT * FROM subscriptions")
    assert row is not None
    return dict(row)


def held(placed: Placed, *months: int) -> FakeGateway:
    """The gateway holds it in the last of these months, with an invoice for each."""
    last = max(months)
    begins = BEGIN + (last - 1) * MONTH
    facts = [telling(None, bill=tellings.invoice(number)) for number in months]
    facts.append(telling(None, snapshot(period_start=begins, period_end=begins + MONTH)))
    state = SubscriptionState(SUB, tuple(tellings.observed(placed, fact) for fact in facts))
    return FakeGateway(subscriptions={SUB: state})


def seen(placed: Placed, snapshot: Snapshot) -> SubscriptionState:
    return SubscriptionState(SUB, (tellings.observed(placed, telling(None, snapshot)),))


async def begun(pool: Pool) -> Placed:
    placed = await place(pool)
    await tell(pool, placed, telling(BEGIN, snapshot(), tellings.invoice()))
    return placed


async def test_months_of_lost_webhooks_are_repaired_by_one_read(pool: Pool) -> None:
    placed = await begun(pool)
    gateway = held(placed, 1, 2, 3)
    now = BEGIN + 2 * MONTH + timedelta(days=1)

    looked = await recover(pool, gateway, now)

    row = await subscription(pool)
    assert (looked.asked, looked.in_vain) == (1, 0)
    assert gateway.reads == [SUB]
    assert row["current_period_end"] == BEGIN + 3 * MONTH
    assert await pool.fetchval("SELECT count(*) FROM invoices WHERE status = 'paid'") == 3
    assert await pool.fetchval("SELECT count(*) FROM payments WHERE standing = 'accepted'") == 3
    assert await pool.fetchval("SELECT until FROM entitlements") >= BEGIN + 3 * MONTH


async def test_a_second_run_finds_nothing_and_asks_nothing(pool: Pool) -> None:
    placed = await begun(pool)
    gateway = held(placed, 1, 2)
    now = BEGIN + MONTH + timedelta(days=1)
    await recover(pool, gateway, now)

    again = await recover(pool, gateway, now + timedelta(hours=7))

    assert again == Looked()
    assert gateway.reads == [SUB]


async def test_nobody_is_asked_while_the_period_runs_or_its_renewal_may_be_on_its_way(pool: Pool) -> None:
    gateway = held(await begun(pool), 1)

    assert await recover(pool, gateway, BEGIN + MONTH + timedelta(hours=2)) == Looked()
    assert gateway.reads == []


@pytest.mark.parametrize("status", [SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID])
async def test_a_failing_renewal_whose_payment_was_not_told_is_found_within_hours_and_not_at_the_periods_end(
    pool: Pool, status: SubscriptionStatus
) -> None:
    placed = await begun(pool)
    failing = snapshot(status, period_start=BEGIN + MONTH, period_end=BEGIN + 2 * MONTH)
    now = BEGIN + MONTH + timedelta(hours=2)
    await tell(pool, placed, telling(now, failing), now=now)
    gateway = held(placed, 1, 2)

    early = await recover(pool, gateway, now + timedelta(minutes=59))
    looked = await recover(pool, gateway, now + timedelta(hours=1))
    again = await recover(pool, gateway, now + timedelta(days=1))

    assert (early, again) == (Looked(), Looked())
    assert looked.asked == 1
    assert (await subscription(pool))["status"] == "active"
    assert await pool.fetchval("SELECT active FROM entitlements") is True


async def test_a_renewal_that_goes_on_failing_is_asked_about_after_an_hour_then_more_rarely_and_each_day(
    pool: Pool,
) -> None:
    placed = await begun(pool)
    failing = snapshot(SubscriptionStatus.PAST_DUE, period_start=BEGIN + MONTH, period_end=BEGIN + 2 * MONTH)
    now = BEGIN + MONTH
    await tell(pool, placed, telling(now, failing), now=now)
    gateway = FakeGateway(subscriptions={SUB: seen(placed, failing)})

    looks = [(await recover(pool, gateway, now + hours * timedelta(hours=1))).asked for hours in range(4 * 24)]

    asked = [hours for hours, look in enumerate(looks) if look]
    pauses = [later - sooner for sooner, later in pairwise(asked)]
    assert asked[0] == 1
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 24


async def test_a_renewal_that_fails_after_an_earlier_one_was_paid_is_asked_about_as_soon_as_that_was(
    pool: Pool,
) -> None:
    placed = await begun(pool)
    asked = []
    for month in (1, 2):
        now = BEGIN + month * MONTH
        period: dict[str, Any] = {"period_start": now, "period_end": now + MONTH}
        failing = snapshot(SubscriptionStatus.PAST_DUE, **period)
        await tell(pool, placed, telling(now, failing), now=now)
        gateway = FakeGateway(subscriptions={SUB: seen(placed, failing)})
        looks = [(await recover(pool, gateway, now + hours * timedelta(hours=1))).asked for hours in range(4 * 24)]
        asked.append([hours for hours, look in enumerate(looks) if look])
        paid = telling(now + timedelta(days=5), snapshot(**period), tellings.invoice(month + 1))
        await tell(pool, placed, paid, now=now + timedelta(days=5))

    first, second = asked

    assert first[0] == 1
    assert second == first


async def test_one_whose_first_payment_was_heard_and_nothing_else_is_found_by_its_page(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, PaymentSucceeded(None, tellings.PRICE))
    gateway = held(placed, 1)
    await pool.execute("UPDATE orders SET session_id = 'cs_1'")
    gateway.session_states["cs_1"] = gateway.subscriptions[SUB].observed

    looked = await recover(pool, gateway, BEGIN + timedelta(hours=2))

    row = await subscription(pool)
    assert looked.asked == 1
    assert (row["status"], row["gateway_subscription_id"]) == ("active", SUB)


async def test_one_that_has_no_page_and_never_had_any_comes_to_its_end(pool: Pool) -> None:
    await place(pool)

    early = await recover(pool, FakeGateway(), BEGIN + timedelta(minutes=30))
    late = await recover(pool, FakeGateway(), BEGIN + timedelta(hours=2))

    assert early == Looked()
    assert late.asked == 1
    assert (await subscription(pool))["status"] == "expired"
    assert await pool.fetchval("SELECT status FROM orders") == "failed"


async def on_its_way(pool: Pool) -> Placed:
    """A bank's debit: the page is over, and the money is not here."""
    placed = await place(pool)
    async with pool.acquire() as tx, tx.transaction():
        attempt = await attempts.intend(
            tx,
            order_id=placed.order,
            number=1,
            gateway="stripe",
            idempotency_key="key-1",
            request={},
            expires_at=BEGIN + timedelta(minutes=31),
        )
        await attempts.mark_open(tx, attempt, session_id="cs_1", url=None, expires_at=BEGIN, is_over=True)
    await tell(pool, placed, PaymentPending(None, tellings.PRICE))
    return placed


async def statuses(pool: Pool) -> tuple[str, str]:
    return await pool.fetchval("SELECT status FROM orders"), await pool.fetchval("SELECT status FROM subscriptions")


async def test_one_whose_money_is_on_its_way_is_not_given_up_by_the_clock(pool: Pool) -> None:
    placed = await on_its_way(pool)

    await recover(pool, FakeGateway(), BEGIN + timedelta(hours=3))
    waiting = await statuses(pool)
    await tell(pool, placed, PaymentFailed(None, tellings.PRICE, DECLINED, final=True))
    await recover(pool, FakeGateway(), BEGIN + timedelta(days=1))

    assert waiting == ("pending", "incomplete")
    assert await statuses(pool) == ("failed", "expired")


@pytest.mark.parametrize(
    ("told", "closing", "order", "subscription"),
    [
        (PaymentPending(None, tellings.PRICE), Closing.UNKNOWN, "pending", "incomplete"),
        (PaymentSucceeded(None, tellings.PRICE), Closing.PAID, "paid", "incomplete"),
        (PaymentFailed(None, tellings.PRICE, DECLINED, final=True), Closing.CLOSED, "failed", "expired"),
    ],
)
async def test_whoever_gives_up_what_is_on_its_way_is_told_by_its_gateway_how_it_stands(
    pool: Pool, told: Event, closing: Closing, order: str, subscription: str
) -> None:
    placed = await on_its_way(pool)
    gateway = FakeGateway(session_states={"cs_1": (tellings.observed(placed, told),)})

    assert await give_up(pool, gateway, book(), placed.order, "anna") is closing
    assert await statuses(pool) == (order, subscription)


async def test_what_its_gateway_has_made_is_given_up_there_first(pool: Pool) -> None:
    placed = await on_its_way(pool)
    await tell(pool, placed, telling(BEGIN, snapshot(SubscriptionStatus.INCOMPLETE)))
    await tell(pool, placed, PaymentFailed(None, tellings.PRICE, DECLINED, final=True))
    states = [
        SubscriptionState(SUB, (tellings.observed(placed, telling(None, snapshot(status, ended_at=ended))),))
        for status, ended in ((SubscriptionStatus.INCOMPLETE, None), (SubscriptionStatus.EXPIRED, BEGIN))
    ]
    gateway = FakeGateway(subscriptions={SUB: states[0]}, change_answers=[Unknown(Doubt.TIMED_OUT), states[1]])

    lost = await give_up(pool, gateway, book(), placed.order, "anna")
    waiting = await statuses(pool)
    closed = await give_up(pool, gateway, book(), placed.order, "anna")

    assert (lost, waiting) == (Closing.UNKNOWN, ("failed", "incomplete"))
    assert (closed, await statuses(pool)) == (Closing.CLOSED, ("failed", "expired"))
    assert len({key for _, _, key, _ in gateway.changes}) == 1


async def test_what_is_on_its_way_is_not_given_up_while_its_gateway_is_away(pool: Pool) -> None:
    placed = await on_its_way(pool)

    closing = await give_up(pool, FakeGateway(is_away=True), book(), placed.order, "anna")

    assert closing is Closing.UNKNOWN
    assert await statuses(pool) == ("pending", "incomplete")


async def test_f113_one_that_the_gateway_does_not_know_is_for_a_person_and_loses_nothing(pool: Pool) -> None:
    await begun(pool)

    looked = await recover(pool, FakeGateway(), BEGIN + MONTH + timedelta(days=1))

    assert looked.in_vain == 1
    assert (await subscription(pool))["status"] == "active"
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "subscription_not_found"


async def test_f114_no_answer_decides_nothing_and_the_next_look_comes_later_each_time(pool: Pool) -> None:
    await begun(pool)
    gateway = FakeGateway(is_deaf=True)
    now = BEGIN + MONTH + timedelta(days=1)

    looks = [await recover(pool, gateway, now + hours * timedelta(hours=1)) for hours in range(12)]

    assert (await subscription(pool))["status"] == "active"
    assert sum(look.asked for look in looks) == 5


async def test_a_request_whose_answer_was_lost_is_asked_again_under_its_key(pool: Pool) -> None:
    placed = await begun(pool)
    gateway = held(placed, 1)
    gateway.change_answers = [Unknown(Doubt.TIMED_OUT)]
    now = BEGIN + timedelta(days=1)
    lost = await ask(pool, gateway, book(now), placed.subscription, Wish("pause", {}), "anna")
    paused = tellings.observed(placed, telling(None, snapshot(PAUSED)))
    gateway.subscriptions[SUB] = SubscriptionState(SUB, (paused,))
    early = await recover(pool, gateway, now)
    await pool.execute("UPDATE subscription_requests SET updated_at = now() - interval '6 minutes'")

    looked = await recover(pool, gateway, now)

    assert isinstance(lost, Unanswered)
    assert early == Looked()
    assert (looked.asked, looked.in_vain) == (1, 0)
    assert (await subscription(pool))["status"] == "paused"
    assert len({key for _, _, key, _ in gateway.changes}) == 1
    assert await pool.fetchval("SELECT status FROM subscription_requests") == "done"


async def test_a_request_whose_answer_cannot_be_written_holds_up_nobody(pool: Pool) -> None:
    placed = await begun(pool)
    gateway = held(placed, 1, 2)
    gateway.change_answers = [Unknown(Doubt.TIMED_OUT)]
    await ask(pool, gateway, book(BEGIN), placed.subscription, Wish("pause", {}), "anna")
    await pool.execute("UPDATE subscription_requests SET updated_at = now() - interval '6 minutes'")
    unwritable: Any = None
    gateway.change_answers = [SubscriptionState(SUB, (unwritable,))]

    looked = await recover(pool, gateway, BEGIN + MONTH + timedelta(days=1))

    assert (looked.asked, looked.in_vain) == (2, 1)
    assert gateway.reads == [SUB]
    assert (await subscription(pool))["current_period_end"] == BEGIN + 2 * MONTH


async def test_a_request_to_what_has_ended_meanwhile_ends_too(pool: Pool) -> None:
    placed = await begun(pool)
    gateway = held(placed, 1)
    gateway.change_answers = [Unknown(Doubt.TIMED_OUT)]
    now = BEGIN + timedelta(days=1)
    await ask(pool, gateway, book(now), placed.subscription, Wish("pause", {}), "anna")
    ended = snapshot(SubscriptionStatus.CANCELLED, ended_at=now)
    await tell(pool, placed, telling(now, ended), now=now)
    gateway.change_answers = [Gone()]
    await pool.execute("UPDATE subscription_requests SET updated_at = now() - interval '6 minutes'")

    await recover(pool, gateway, now)
    refused = await ask(pool, gateway, book(now), placed.subscription, Wish("cancel", {"atPeriodEnd": False}), "anna")

    assert isinstance(refused, Impossible)
    assert await pool.fetchval("SELECT status FROM subscription_requests") == "refused"
    assert (await subscription(pool))["status"] == "cancelled"


async def test_f90_the_end_that_only_the_answer_tells_of_stands_though_a_webhook_was_quicker(pool: Pool) -> None:
    shown = snapshot(tells_end=False)
    placed = await begun(pool)
    gateway = FakeGateway(subscriptions={SUB: seen(placed, shown)})
    gateway.change_answers = [seen(placed, replace(shown, cancel_at_period_end=True, ends_at=shown.period_end))]
    now = BEGIN + timedelta(days=1)

    async def webhook() -> None:
        await tell(pool, placed, telling(now, replace(shown, period_start=BEGIN + timedelta(seconds=1))), now=now)

    gateway.meanwhile = webhook
    done = await ask(pool, gateway, book(now), placed.subscription, Wish("cancel", {"atPeriodEnd": True}), "anna")

    row = await subscription(pool)
    assert isinstance(done, Done)
    assert (row["cancel_at_period_end"], row["ends_at"]) == (True, shown.period_end)


async def test_f90_an_end_that_could_not_be_written_is_asked_for_again(pool: Pool) -> None:
    shown = snapshot(tells_end=False)
    placed = await begun(pool)
    ends = seen(placed, replace(shown, cancel_at_period_end=True, ends_at=shown.period_end))
    gateway = FakeGateway(is_deaf=True, change_answers=[ends, ends])
    now = BEGIN + timedelta(days=1)

    async def webhook() -> None:
        await tell(pool, placed, telling(now, replace(shown, period_start=BEGIN + timedelta(seconds=1))), now=now)

    gateway.meanwhile = webhook
    lost = await ask(pool, gateway, book(now), placed.subscription, Wish("cancel", {"atPeriodEnd": True}), "anna")
    gateway.meanwhile = None
    await pool.execute("UPDATE subscription_requests SET updated_at = now() - interval '6 minutes'")

    await recover(pool, gateway, now)

    assert isinstance(lost, Unanswered)
    assert (await subscription(pool))["cancel_at_period_end"] is True
    assert await pool.fetchval("SELECT status FROM subscription_requests") == "done"
