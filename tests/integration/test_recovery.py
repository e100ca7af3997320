"""An order whose end nobody has told us is asked about, and ends as its gateway says: by no timer, and only once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool
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
from payments.order import LateSuccess
from tests.builders import NOON, TEN, observed, paid, place_order
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway, refuse
from tests.orphans import DECLINED, attempt, ended, kinds, opened, place, recover, status, told, with_page
from workers.apply import Book
from workers.attempts import Opened
from workers.looking import Look, look_at
from workers.queues import SEND_EFFECT
from workers.recovery import recover_orphans

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
