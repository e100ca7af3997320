"""An order whose end nobody has told us is asked about, and ends as its gateway says: by no timer, and only once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db import orders
from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool, open_pool
from gateways.client import Doubt, GatewayPayment, Paid, Refusal, Refused, Unknown
from payments.events import (
    CheckoutEnded,
    Observed,
    PaymentAuthorised,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    References,
)
from payments.failure import Failure, FailureCode
from payments.order import LateSuccess
from tests.builders import NOON, TEN, observed, paid, place_order
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway, lose_the_answer, refuse, say_it_is_outdated
from tests.killing import Killed, Walk, graveyard
from tests.waiting import until
from workers.apply import Book, apply
from workers.attempts import Busy, Counter, Opened, Opening, intend_first, open_page
from workers.looking import Look, Seen, look_at
from workers.queues import SEND_EFFECT
from workers.recovery import Recovered, recover_orphans

DECLINED = Failure(FailureCode.CARD_DECLINED)


def counter(calendar: Calendar) -> Counter:
    return Counter(calendar.book, lambda order_id: f"https://shop.example/{order_id}", "https://shop.example/cancel")


async def place(pool: Pool, gateway: FakeGateway, calendar: Calendar, **more: Any) -> UUID:
    async with pool.acquire() as tx, tx.transaction():
        order_id = await place_order(tx, **more)
        await intend_first(tx, gateway, counter(calendar), order_id, "api")
    return order_id


async def opened(pool: Pool, gateway: FakeGateway, calendar: Calendar, order_id: UUID) -> Opening:
    return await open_page(pool, gateway, counter(calendar), order_id, "api")


async def with_page(pool: Pool, gateway: FakeGateway, calendar: Calendar, **more: Any) -> tuple[UUID, str]:
    """An order with a page that can be paid."""
    order_id = await place(pool, gateway, calendar, **more)
    opening = await opened(pool, gateway, calendar, order_id)
    assert isinstance(opening, Opened)
    return order_id, opening.session_id


async def recover(pool: Pool, gateway: FakeGateway, calendar: Calendar, **more: Any) -> Recovered:
    # Leases and the patience with callers are in real time; here they are over.
    await pool.execute(
        "UPDATE payment_attempts SET updated_at = now() - interval '10 minutes' WHERE calling_until <= now()"
    )
    return await recover_orphans(pool, {gateway.name: gateway}, calendar.hints, calendar.book, "run-1", **more)


async def told(pool: Pool, fact: Observed, calendar: Calendar) -> None:
    """As by a webhook."""
    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, fact, Cause("webhook_event", "event-1"), calendar.book)


async def status(pool: Pool, order_id: UUID) -> str:
    return str(await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id))


async def attempt(pool: Pool, order_id: UUID) -> str:
    return str(
        await pool.fetchval(
            "SELECT status FROM payment_attempts WHERE order_id = $1 ORDER BY number DESC LIMIT 1", order_id
        )
    )


async def kinds(pool: Pool) -> list[tuple[str, str]]:
    return [tuple(row) for row in await pool.fetch("SELECT kind, state FROM discrepancies ORDER BY kind")]


def ended(order_id: UUID, session_id: str) -> Observed:
    return observed(order_id, CheckoutEnded(session_id), session_id, session_id=session_id)


# --- the page is known ---


async def test_f118_a_payment_that_nobody_told_us_of_gives_access_and_effects_once(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    gateway.endings[session_id] = (observed(order_id, paid(), session_id, session_id=session_id),)
    calendar.pass_by(hours=1)

    first = await recover(pool, gateway, calendar)
    hinted = calendar.offered()
    calendar.pass_by(days=1)
    second = await recover(pool, gateway, calendar)

    assert (first.asked, first.paid, first.complete) == (1, 1, True)
    assert second.asked == 0
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("paid", "closed")
    assert await pool.fetchval("SELECT count(*) FROM entitlements WHERE active") == 1
    assert {row for _, row in hinted} == {row["id"] for row in await pool.fetch("SELECT id FROM effects")}
    assert [actor for actor, _ in hinted] == [SEND_EFFECT.actor] * 3
    line = await pool.fetchrow("SELECT cause, cause_id, to_status FROM history")
    assert tuple(line or ()) == ("reconciliation", "run-1", "paid")


async def test_before_its_hour_an_order_is_left_to_its_webhooks(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    await with_page(pool, gateway, calendar)
    calendar.pass_by(minutes=59)

    recovered = await recover(pool, gateway, calendar)
    elsewhere = await recover(pool, FakeGateway("razorpay"), calendar)

    assert recovered.asked == 0
    assert (elsewhere.unasked, elsewhere.complete) == ("", True)


@pytest.mark.parametrize(("failed", "ends_as"), [(False, "cancelled"), (True, "failed")])
async def test_an_expired_page_ends_its_order(pool: Pool, failed: bool, ends_as: str) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    declined = observed(order_id, PaymentFailed("pi_1", TEN, DECLINED))
    gateway.endings[session_id] = ((declined,) if failed else ()) + (ended(order_id, session_id),)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.closed == 1
    assert (await status(pool, order_id), await attempt(pool, order_id)) == (ends_as, "closed")


async def test_a_page_that_can_still_be_paid_after_its_time_is_closed_at_the_gateway_first(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert gateway.asked[-2:] == [f"fetch {session_id}", f"close {session_id}"]
    assert recovered.closed == 1
    assert await status(pool, order_id) == "cancelled"


async def test_a_page_that_turns_out_paid_while_it_is_being_closed_is_paid(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    gateway.closing = Paid((observed(order_id, paid(), session_id, session_id=session_id),))
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.paid == 1
    assert await status(pool, order_id) == "paid"


@pytest.mark.parametrize("answer", [Unknown(Doubt.STILL_OPEN), Refused(Refusal.INVALID, "not now")])
async def test_a_page_that_cannot_be_closed_stays_open_here_too(pool: Pool, answer: Unknown | Refused) -> None:
    gateway, calendar = FakeGateway(closing=answer), Calendar()
    order_id, _ = await with_page(pool, gateway, calendar)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.unchanged == 1
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("pending", "open")


async def test_a_delayed_payment_is_asked_about_until_it_has_come(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    gateway.endings[session_id] = (observed(order_id, PaymentPending("pi_1", TEN), session_id, session_id=session_id),)
    calendar.pass_by(hours=1)
    waiting = await recover(pool, gateway, calendar)
    gateway.endings[session_id] = (observed(order_id, paid(), session_id, session_id=session_id),)
    calendar.pass_by(days=3)

    settled = await recover(pool, gateway, calendar)

    assert (waiting.unchanged, settled.paid) == (1, 1)
    assert await status(pool, order_id) == "paid"


async def test_f113_a_page_that_the_gateway_does_not_know_is_a_discrepancy_and_never_unpaid(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    key, session = gateway.sessions.popitem()
    calendar.pass_by(hours=1)

    missing = await recover(pool, gateway, calendar)
    calendar.pass_by(hours=23)
    rarely = await recover(pool, gateway, calendar)
    gateway.sessions[key] = session
    gateway.endings[session_id] = (observed(order_id, paid(), session_id, session_id=session_id),)
    before = await status(pool, order_id), await kinds(pool)
    calendar.pass_by(hours=2)
    found = await recover(pool, gateway, calendar)

    assert (missing.not_found, rarely.asked) == (1, 0)
    assert before == ("pending", [("session_not_found", "open")])
    assert found.paid == 1
    assert await kinds(pool) == [("session_not_found", "resolved")]
    assert await pool.fetchval("SELECT closed_by FROM discrepancies") == "the clock"


async def test_f114_no_answer_for_days_decides_nothing(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    order_id, session_id = await with_page(pool, gateway, calendar)
    gateway.is_away = True
    runs = []
    for _ in range(30):
        calendar.pass_by(hours=8)
        runs.append(await recover(pool, gateway, calendar))
    before = await status(pool, order_id), await attempt(pool, order_id)
    gateway.is_away = False
    gateway.endings[session_id] = (observed(order_id, paid(), session_id, session_id=session_id),)
    calendar.pass_by(hours=8)

    await recover(pool, gateway, calendar)

    assert before == ("pending", "open")
    assert {(run.unknown, run.complete) for run in runs} == {(1, False)}
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0
    assert await status(pool, order_id) == "paid"


async def test_f119_recovery_and_webhook_lead_to_the_same_order_under_every_policy(pool: Pool) -> None:
    """An order that failed once has a second page, which is paid: it is not late, whoever tells."""
    calendar = Calendar(late_success=LateSuccess.HOLD)
    statuses = []
    for plan, is_told in (("by-webhook", True), ("by-recovery", False)):
        gateway = FakeGateway(before=[refuse])
        order_id = await place(pool, gateway, calendar, plan=plan)
        await opened(pool, gateway, calendar, order_id)
        second = await opened(pool, gateway, calendar, order_id)
        assert isinstance(second, Opened)
        fact = observed(order_id, paid(f"pi_{plan}"), second.session_id, session_id=second.session_id)
        gateway.endings[second.session_id] = (fact,)
        if is_told:
            await told(pool, fact, calendar)
        else:
            cause = Cause("reconciliation", "run-1")
            await pool.execute("UPDATE payment_attempts SET calling_until = '-infinity'")
            await look_at(pool, {"stripe": gateway}, calendar.book, Orphan(order_id, "stripe"), cause)
        standing = await pool.fetchval("SELECT standing FROM payments WHERE order_id = $1", order_id)
        statuses.append((await status(pool, order_id), standing, await attempt(pool, order_id)))

    assert statuses == [("paid", "accepted", "closed")] * 2


# --- the page may exist ---


async def test_f115_a_page_whose_answer_was_lost_is_found_by_our_reference_and_closed(pool: Pool) -> None:
    gateway, calendar = FakeGateway(after=[lose_the_answer]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    (session,) = gateway.sessions.values()
    assert gateway.asked == ["create", "find", f"close {session.id}"]
    assert recovered.closed == 1
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("cancelled", "closed")
    assert await pool.fetchval("SELECT session_id FROM orders") == session.id


async def test_f115_a_page_whose_answer_was_lost_and_that_was_paid_pays_the_order(pool: Pool) -> None:
    gateway, calendar = FakeGateway(after=[lose_the_answer]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    gateway.ended = (observed(order_id, paid(), "cs_1"),)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.paid == 1
    assert await status(pool, order_id) == "paid"


async def test_an_attempt_that_made_nothing_fails_once_its_gateway_refuses_to_make_it_now(pool: Pool) -> None:
    """The call never arrived. Asking again under the same key is the question that has an answer."""
    gateway, calendar = FakeGateway(before=[lose_the_answer, say_it_is_outdated]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert gateway.asked == ["create", "find", "create"]
    assert gateway.sessions == {}
    assert recovered.closed == 1
    shown = await pool.fetchrow("SELECT status, failure_reason FROM orders WHERE id = $1", order_id)
    assert tuple(shown or ()) == ("failed", "gateway_error")
    assert await attempt(pool, order_id) == "refused"


async def test_an_attempt_made_only_now_is_closed_unless_it_can_still_be_of_use(pool: Pool) -> None:
    gateway, calendar = FakeGateway(before=[lose_the_answer, lose_the_answer]), Calendar()
    early, late = [await place(pool, gateway, calendar, plan=plan) for plan in ("early", "late")]
    await opened(pool, gateway, calendar, early)
    await opened(pool, gateway, calendar, late)
    await pool.execute("UPDATE orders SET next_look_at = 'infinity' WHERE id = $1", late)

    await recover(pool, gateway, calendar)
    still_of_use = await status(pool, early), await attempt(pool, early)
    await pool.execute("UPDATE orders SET next_look_at = '-infinity' WHERE id = $1", late)
    calendar.pass_by(hours=1)
    await recover(pool, gateway, calendar)

    assert still_of_use == ("pending", "open")
    assert (await status(pool, late), await attempt(pool, late)) == ("cancelled", "closed")


async def refuse_our_key() -> Refused:
    return Refused(Refusal.CREDENTIALS, "who are you")


async def say_the_key_was_used() -> Refused:
    return Refused(Refusal.KEY_REUSED, "another request")


@pytest.mark.parametrize("refusal", [refuse_our_key, say_the_key_was_used])
async def test_a_refusal_that_speaks_of_our_key_says_nothing_of_what_was_made(pool: Pool, refusal: Any) -> None:
    gateway, calendar = FakeGateway(before=[lose_the_answer, refusal]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.unknown == 1
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("pending", "unknown")


async def test_an_order_whose_last_attempt_was_outdated_fails_when_nobody_comes_for_another(pool: Pool) -> None:
    gateway, calendar = FakeGateway(before=[say_it_is_outdated, say_it_is_outdated]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    before = await status(pool, order_id), await attempt(pool, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert before == ("pending", "refused")
    assert recovered.closed == 1
    assert await status(pool, order_id) == "failed"


async def test_an_order_under_somebody_elses_call_is_left_alone(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    await with_page(pool, gateway, calendar)
    await pool.execute("UPDATE payment_attempts SET calling_until = now() + interval '1 minute'")
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.asked == 0


async def test_a_look_at_an_order_under_somebody_elses_call_asks_nothing(pool: Pool) -> None:
    """The claim came before the lease; or no claim did."""
    gateway, calendar = FakeGateway(), Calendar()
    order_id, _ = await with_page(pool, gateway, calendar)
    await pool.execute("UPDATE payment_attempts SET calling_until = now() + interval '1 minute'")
    before = list(gateway.asked)
    calendar.pass_by(hours=1)

    seen = await look_at(
        pool, {"stripe": gateway}, calendar.book, Orphan(order_id, "stripe"), Cause("reconciliation", "run-1")
    )

    assert seen == Seen(Look.UNCHANGED)
    assert gateway.asked == before
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("pending", "open")


# --- clocks that are wrong, and gateways without a key ---


def two_hours_ahead() -> datetime:
    """A host's clock that nobody keeps."""
    return datetime.now(UTC) + timedelta(hours=2)


async def test_a_host_whose_clock_is_ahead_closes_no_page_that_can_be_paid(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar(datetime.now(UTC) - timedelta(minutes=5))
    order_id, session_id = await with_page(pool, gateway, calendar)
    await pool.execute("UPDATE orders SET created_at = $1", calendar.now)
    book = Book("counterfoil", LateSuccess.FULFIL, two_hours_ahead, two_hours_ahead)

    recovered = await recover_orphans(pool, {"stripe": gateway}, calendar.hints, book, "run-1")
    seen = await look_at(pool, {"stripe": gateway}, book, Orphan(order_id, "stripe"), Cause("reconciliation", "run-1"))

    assert (recovered.asked, seen.look) == (0, Look.UNCHANGED)
    assert gateway.asked[-1] == f"fetch {session_id}"
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("pending", "open")


async def test_time_that_development_has_skipped_is_no_wrong_clock(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar(datetime.now(UTC) - timedelta(minutes=5))
    order_id, _ = await with_page(pool, gateway, calendar)
    await pool.execute("UPDATE orders SET created_at = $1", calendar.now)
    book = Book("counterfoil", LateSuccess.FULFIL, two_hours_ahead)

    recovered = await recover_orphans(pool, {"stripe": gateway}, calendar.hints, book, "run-1")

    assert (recovered.asked, recovered.closed) == (1, 1)
    assert await status(pool, order_id) == "cancelled"


@pytest.mark.parametrize("has_page", [True, False])
async def test_orders_at_a_gateway_without_a_key_are_named_and_hide_no_other(pool: Pool, has_page: bool) -> None:
    """Its key has gone from the settings before its orders had ended."""
    gone, gateway, calendar = FakeGateway("razorpay"), FakeGateway(), Calendar()
    order_id = await place(pool, gone, calendar, plan="gone")
    if has_page:
        await opened(pool, gone, calendar, order_id)
    await with_page(pool, gateway, calendar, plan="asked")
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert (recovered.closed, recovered.unasked, recovered.complete) == (1, "razorpay", False)
    assert await status(pool, order_id) == "pending"


async def test_without_any_key_no_order_is_passed_over_in_silence(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    await with_page(pool, gateway, calendar)
    calendar.pass_by(hours=1)

    recovered = await recover_orphans(pool, {}, calendar.hints, calendar.book, "run-1")

    assert (recovered.asked, recovered.unasked, recovered.complete) == (0, "stripe", False)


# --- orders of applications, and late money ---


@pytest.mark.parametrize("gateway_name", ["stripe", None])
async def test_the_page_of_an_order_that_its_application_wrote_by_itself_is_asked_about(
    pool: Pool, gateway_name: str | None
) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    _, session_id = await with_page(pool, gateway, calendar)
    await pool.execute("DELETE FROM payment_attempts")
    await pool.execute("UPDATE orders SET gateway = $1", gateway_name)
    order_id = await pool.fetchval("SELECT id FROM orders")
    gateway.endings[session_id] = (observed(order_id, paid(), session_id, session_id=session_id),)
    calendar.pass_by(hours=1)
    other = FakeGateway("razorpay")

    recovered = await recover_orphans(
        pool, {"razorpay": other, "stripe": gateway}, calendar.hints, calendar.book, "run-1"
    )

    assert recovered.paid == 1
    assert await status(pool, order_id) == "paid"


async def test_an_order_that_names_no_page_is_nothing_to_ask_about(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    await place_order(pool)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert (recovered.asked, gateway.asked) == (0, [])


def razorpay_says(order_id: UUID, event: PaymentFailed | PaymentAuthorised | PaymentSucceeded) -> Observed:
    return Observed("razorpay", References((str(order_id),), ("pay_1",)), event)


async def given_up(pool: Pool, gateway: FakeGateway, calendar: Calendar) -> UUID:
    """Its payment failed, its page expired, and both were told."""
    order_id, session_id = await with_page(pool, gateway, calendar)
    await told(pool, razorpay_says(order_id, PaymentFailed("pay_1", TEN, DECLINED)), calendar)
    end = References((str(order_id),), (session_id,), None, session_id)
    await told(pool, Observed("razorpay", end, CheckoutEnded(session_id)), calendar)
    return order_id


async def test_f31_a_late_authorisation_that_nobody_told_us_of_is_captured(pool: Pool) -> None:
    gateway, calendar = FakeGateway("razorpay", late_for=timedelta(days=4)), Calendar()
    order_id = await given_up(pool, gateway, calendar)
    before = await status(pool, order_id)
    fact = razorpay_says(order_id, PaymentAuthorised("pay_1", TEN))
    gateway.payments["pay_1"] = GatewayPayment("pay_1", NOON, fact)
    calendar.pass_by(days=2)

    await recover(pool, gateway, calendar)

    assert before == "failed"
    assert [kind for kind, _ in [tuple(row) for row in await pool.fetch("SELECT kind, 1 FROM effects")]] == [
        "gateway.capture_payment"
    ]


async def test_late_money_that_nobody_told_us_of_pays_as_late_money_does(pool: Pool) -> None:
    gateway, calendar = FakeGateway("razorpay", late_for=timedelta(days=4)), Calendar()
    order_id = await given_up(pool, gateway, calendar)
    fact = razorpay_says(order_id, PaymentSucceeded("pay_1", TEN))
    gateway.payments["pay_1"] = GatewayPayment("pay_1", NOON, fact)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.paid == 1
    assert await status(pool, order_id) == "paid"


@pytest.mark.parametrize(("late_for", "passed"), [(timedelta(days=4), 5), (timedelta(0), 1)])
async def test_an_order_that_was_given_up_is_asked_about_only_while_money_may_come(
    pool: Pool, late_for: timedelta, passed: int
) -> None:
    gateway, calendar = FakeGateway("razorpay", late_for=late_for), Calendar()
    await given_up(pool, gateway, calendar)
    calendar.pass_by(days=passed)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.asked == 0


# --- many at once ---


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


async def until_gone(witness: Pool, name: str) -> None:
    """The server lets go of what a dead process had locked."""

    async def is_gone() -> bool:
        living = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"
        return not await witness.fetchval(living, f"counterfoil {name}")

    await until(is_gone)


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
