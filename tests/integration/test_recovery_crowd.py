"""Recovery of many at once: none hides another, none is asked about twice, and a run may end or die anywhere."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from db import orders
from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool, open_pool
from gateways.client import Paid
from payments.events import (
    CheckoutEnded,
    Observed,
    PaymentFailed,
    PaymentPending,
    References,
)
from tests.builders import TEN, observed, paid
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway, lose_the_answer
from tests.killing import Killed, Walk, graveyard, until_gone
from tests.orphans import (
    DECLINED,
    attempt,
    ended,
    opened,
    place,
    recover,
    say_the_key_was_used,
    status,
    told,
    with_page,
)
from tests.waiting import until
from workers.attempts import Busy, Opened
from workers.looking import look_at
from workers.recovery import recover_orphans


async def test_one_stuck_order_keeps_no_other_from_its_turn(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    placed = [await with_page(pool, gateway, calendar, plan=f"plan-{n}") for n in range(12)]
    for order_id, session_id in placed:
        gateway.endings[session_id] = (
            observed(order_id, PaymentPending(f"pi_{session_id}", TEN), session_id=session_id),
        )
    calendar.pass_by(hours=1)

    first = await recover(pool, gateway, calendar)
    again_at_once = await recover(pool, gateway, calendar)
    calendar.pass_by(minutes=30)
    second = await recover(pool, gateway, calendar)
    calendar.pass_by(minutes=30)
    third = await recover(pool, gateway, calendar)

    assert [run.asked for run in (first, again_at_once, second, third)] == [12, 0, 12, 0]


async def test_f109_a_gateway_that_is_away_is_left_alone_after_a_few_and_the_run_says_so(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    for n in range(12):
        await with_page(pool, gateway, calendar, plan=f"plan-{n}")
    other = FakeGateway("razorpay")
    theirs, session_id = await with_page(pool, other, calendar, plan="theirs")
    end = Observed("razorpay", References((str(theirs),), (session_id,), None, session_id), CheckoutEnded(session_id))
    other.endings[session_id] = (end,)
    gateway.is_away = True
    calendar.pass_by(hours=1)

    recovered = await recover_orphans(
        pool, {"stripe": gateway, "razorpay": other}, calendar.hints, calendar.book, "run-1"
    )

    assert recovered.unknown < 12
    assert not recovered.complete
    assert await status(pool, theirs) == "cancelled"
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'pending'") == 12


async def test_many_orders_of_which_nobody_can_tell_hide_no_other(pool: Pool) -> None:
    gateway, calendar = FakeGateway(before=[lose_the_answer] * 6), Calendar()
    for n in range(6):
        await opened(pool, gateway, calendar, await place(pool, gateway, calendar, plan=f"plan-{n}"))
    order_id, session_id = await with_page(pool, gateway, calendar, plan="told")
    gateway.endings[session_id] = (ended(order_id, session_id),)
    gateway.before = [say_the_key_was_used] * 6
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert (recovered.unknown, recovered.closed) == (6, 1)
    assert await status(pool, order_id) == "cancelled"


async def test_two_runs_at_once_ask_about_each_order_once(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    for n in range(10):
        order_id, session_id = await with_page(pool, gateway, calendar, plan=f"plan-{n}")
        gateway.endings[session_id] = (observed(order_id, paid(f"pi_{n}"), session_id, session_id=session_id),)
    calendar.pass_by(hours=1)
    gateway.asked.clear()

    runs = await asyncio.gather(*(recover(pool, gateway, calendar) for _ in range(3)))

    assert sum(run.paid for run in runs) == 10
    assert len(gateway.asked) == len(set(gateway.asked)) == 10
    assert await pool.fetchval("SELECT count(*) FROM history") == 10
    assert await pool.fetchval("SELECT count(*) FROM effects") == 30


async def test_a_recovery_that_races_the_webhook_makes_one_move_and_one_effect_of_each_kind(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    facts = []
    for n in range(10):
        order_id, session_id = await with_page(pool, gateway, calendar, plan=f"plan-{n}")
        facts.append(observed(order_id, paid(f"pi_{n}"), session_id, session_id=session_id))
        gateway.endings[session_id] = (facts[-1],)
    calendar.pass_by(hours=1)

    await asyncio.gather(recover(pool, gateway, calendar), *(told(pool, fact, calendar) for fact in facts))

    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'paid'") == 10
    assert await pool.fetchval("SELECT count(*) FROM history") == 10
    assert await pool.fetchval("SELECT count(*) FROM effects") == 30
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


async def test_nobody_else_calls_for_an_order_while_it_is_being_asked_about(pool: Pool) -> None:
    gateway, calendar = FakeGateway(holds=asyncio.Event()), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    gateway.endings[session_id] = (ended(order_id, session_id),)
    calendar.pass_by(hours=1)
    asking = asyncio.create_task(recover(pool, gateway, calendar))
    await until(lambda: _is_asked(gateway, f"fetch {session_id}"))

    async with asyncio.timeout(10):
        meanwhile = await opened(pool, gateway, calendar, order_id)
    assert gateway.holds is not None
    gateway.holds.set()
    await asking

    assert meanwhile == Busy(order_id)
    assert isinstance(await opened(pool, gateway, calendar, order_id), Opened)


async def _is_asked(gateway: FakeGateway, question: str) -> bool:
    return question in gateway.asked


async def test_an_error_at_one_order_does_not_end_the_run(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    broken, _ = await with_page(pool, gateway, calendar, plan="broken")
    order_id, session_id = await with_page(pool, gateway, calendar, plan="whole")
    gateway.endings[session_id] = (ended(order_id, session_id),)
    # A fact that contradicts our record: the payment stands under another order.
    taken = observed(broken, PaymentFailed("pi_taken", TEN, DECLINED))
    gateway.closing = Paid((taken,))
    await pool.execute(
        "INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status) "
        "VALUES ('stripe', 'pi_taken', $1, 1000, 'usd', 'failed')",
        order_id,
    )
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert (recovered.failed, recovered.closed, recovered.complete) == (1, 1, False)
    assert await status(pool, broken) == "pending"


async def test_a_run_without_time_leaves_everything_due_and_says_so(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    await with_page(pool, gateway, calendar)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar, seconds=0)

    assert (recovered.asked, recovered.complete) == (0, False)
    assert (await recover(pool, gateway, calendar)).asked == 1


@pytest.mark.parametrize("has_page", [True, False])
async def test_killed_at_every_await_the_next_run_finishes(database_url: str, has_page: bool) -> None:
    """Walks the awaits by itself. One order, one page there, and one move, whatever the dead run had done."""
    watching = await open_pool(database_url, name="watching")
    stop_at = 0
    with graveyard() as graves:
        while True:
            stop_at += 1
            calendar = Calendar()
            gateway = FakeGateway(after=[] if has_page else [lose_the_answer])
            order_id = await place(watching, gateway, calendar, plan=f"plan-{stop_at}")
            await opened(watching, gateway, calendar, order_id)
            calendar.pass_by(hours=1)
            dying = await open_pool(database_url, name="dying", min_size=1, max_size=1)
            survived = False
            cause = Cause("reconciliation", "dying")
            orphan = Orphan(order_id, "stripe")
            with suppress(Killed):
                await Walk(look_at(dying, {"stripe": gateway}, calendar.book, orphan, cause), stop_at, graves)
                survived = True
            dying.terminate()
            await until_gone(watching, "dying")
            # The lease of a dead run ends by the clock; here the clock is helped.
            await watching.execute("UPDATE payment_attempts SET calling_until = '-infinity'")
            calendar.pass_by(days=1)

            await recover(watching, gateway, calendar)

            assert await status(watching, order_id) == "cancelled", stop_at
            assert await attempt(watching, order_id) == "closed", stop_at
            assert len(gateway.sessions) == 1, stop_at
            lines = await watching.fetchval("SELECT count(*) FROM history WHERE subject_id = $1", str(order_id))
            assert lines == 1, stop_at
            if survived:
                break
    await watching.close()
    assert stop_at > 10


async def test_what_recovery_locks_is_locked_as_the_webhook_locks_it(pool: Pool) -> None:
    """An order that a webhook holds this moment is not waited for: another run takes it."""
    gateway, calendar = FakeGateway(), Calendar()
    order_id, _ = await with_page(pool, gateway, calendar)
    calendar.pass_by(hours=1)
    async with pool.acquire() as tx, tx.transaction():
        await orders.lock(tx, order_id)

        recovered = await recover(pool, gateway, calendar)

    assert recovered.asked == 0
