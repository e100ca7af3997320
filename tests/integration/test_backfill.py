"""What no webhook has told us is fetched from the gateway's own list: without a hole, and a second time without news."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db import cursors
from db.history import Cause
from db.pool import Pool
from gateways.client import Doubt, GatewayPayment, Refused, Unknown
from gateways.gateway import Json
from gateways.registry import GATEWAYS
from payments.events import (
    CheckoutEnded,
    Observed,
    OrderEvent,
    PaymentAuthorised,
    PaymentFailed,
    PaymentSucceeded,
    References,
)
from payments.failure import Failure, FailureCode
from payments.order import LateSuccess
from tests.builders import BOOK, NOON, TEN, place_order, session
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway
from tests.front_door import front_door, raw, stripe_event
from workers.apply import Book, apply
from workers.backfill import backfill_events
from workers.listed import Backfilled
from workers.queues import SEND_EFFECT, WORK_WEBHOOK_EVENT
from workers.recovery import recover_orphans
from workers.webhook_events import Desk, Worked, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


async def backfill(pool: Pool, gateway: FakeGateway, calendar: Calendar) -> Backfilled:
    return await backfill_events(pool, {gateway.name: gateway}, calendar.hints, calendar.book, "run-1")


def event(at: datetime, **more: Any) -> dict[str, Any]:
    """An event of Stripe's list."""
    return stripe_event(created=int(at.timestamp()), **more)


async def work_all(pool: Pool, calendar: Calendar) -> list[Worked]:
    """What was hinted, worked."""
    rows = [row for actor, row in calendar.offered() if actor == WORK_WEBHOOK_EVENT.actor]
    return [(await work_webhook_event(pool, DESK, row)).worked for row in rows]


async def held(pool: Pool) -> set[str]:
    return {row["event_id"] for row in await pool.fetch("SELECT event_id FROM webhook_events")}


def ids(gateway: FakeGateway) -> set[str]:
    return {each["id"] for each in gateway.events if not isinstance(each, Refused | Unknown)}


async def cursor(pool: Pool, name: str = "stripe.events") -> datetime | None:
    async with pool.acquire() as connection:
        return await cursors.read(connection, name)


# --- events ---


async def test_f118_a_missed_event_pays_its_order_with_all_that_follows(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    told = session(order_id) | {"created": int(NOON.timestamp())}
    gateway = FakeGateway(events=[told])
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)
    worked = await work_all(pool, calendar)

    assert backfilled.kept == 1
    assert worked == [Worked.DONE]
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT count(*) FROM effects") == 3
    assert await pool.fetchval("SELECT cause FROM history") == "webhook_event"
    row = await pool.fetchrow("SELECT source, secret_id, signature_headers, payload FROM webhook_events")
    assert row is not None
    assert (row["source"], row["secret_id"], row["signature_headers"]) == ("backfill", "api", {})
    assert row["payload"] == told


@pytest.mark.parametrize("missed", [timedelta(minutes=30), timedelta(days=4), timedelta(days=29)])
async def test_f108_whatever_was_missed_is_fetched_and_a_second_run_finds_nothing(
    pool: Pool, missed: timedelta
) -> None:
    calendar, gateway = Calendar(), FakeGateway()
    await backfill(pool, gateway, calendar)
    gateway.events = [event(NOON + missed * part / 50) for part in range(50, 0, -1)]
    calendar.now += missed + timedelta(minutes=2)

    first = await backfill(pool, gateway, calendar)
    second = await backfill(pool, gateway, calendar)

    assert (first.kept, first.complete) == (50, True)
    assert (second.kept, second.complete) == (0, True)
    assert await held(pool) == ids(gateway)


async def test_f108_what_is_older_than_the_list_is_gone_and_the_run_says_so_once(pool: Pool) -> None:
    calendar, gateway = Calendar(), FakeGateway()
    await backfill(pool, gateway, calendar)
    calendar.pass_by(days=31)

    first = await backfill(pool, gateway, calendar)
    second = await backfill(pool, gateway, calendar)

    assert (first.complete, second.complete) == (False, True)


async def test_f110_what_is_listed_late_is_not_skipped(pool: Pool) -> None:
    calendar, gateway = Calendar(), FakeGateway()
    calendar.pass_by(hours=1)
    await backfill(pool, gateway, calendar)
    reached = await cursor(pool)
    late = event(calendar.now - timedelta(minutes=9), delivered=True)
    fresh = event(calendar.now - timedelta(seconds=30), delivered=True)
    gateway.events = [late, fresh]
    calendar.pass_by(seconds=5)
    await backfill(pool, gateway, calendar)
    before = await held(pool)
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)

    assert reached == NOON + timedelta(minutes=59)
    assert before == {late["id"]}, "the last minute is left to the list"
    assert await held(pool) == {late["id"], fresh["id"]}


async def test_f111_a_hole_behind_known_events_is_filled(pool: Pool) -> None:
    calendar = Calendar()
    events = [event(NOON + timedelta(seconds=n)) for n in range(20, 0, -1)]
    gateway = FakeGateway(events=[*events[:8], *events[11:]])
    calendar.pass_by(minutes=5)
    await backfill(pool, gateway, calendar)
    gateway.events = [*events]

    filled = await backfill(pool, gateway, calendar)

    assert filled.kept == 3
    assert len(await held(pool)) == 20


async def test_f109_a_list_that_is_cut_short_moves_the_cursor_past_no_hole(pool: Pool) -> None:
    calendar, gateway = Calendar(), FakeGateway()
    calendar.pass_by(hours=1)
    await backfill(pool, gateway, calendar)
    reached = await cursor(pool)
    events: list[Json | Refused | Unknown] = [event(NOON + timedelta(hours=2, seconds=-n)) for n in range(10)]
    gateway.events = [*events[:5], Unknown(Doubt.RATE_LIMITED), *events[5:]]
    calendar.pass_by(hours=2)

    cut = await backfill(pool, gateway, calendar)
    still = await cursor(pool)
    gateway.events = list(events)
    whole = await backfill(pool, gateway, calendar)

    assert (cut.kept, cut.complete, still) == (5, False, reached)
    assert (whole.kept, whole.complete) == (5, True)
    assert await cursor(pool) == calendar.now - timedelta(minutes=1)


async def test_what_was_read_of_a_long_absence_need_not_be_read_again(pool: Pool) -> None:
    """Windows of a day, the oldest first: the cursor stands where the list was cut short."""
    calendar, gateway = Calendar(), FakeGateway()
    await backfill(pool, gateway, calendar)
    gateway.windows.clear()
    calendar.pass_by(days=5)

    class Failing(FakeGateway):
        async def list_events(self, since: datetime, until: datetime, *args: Any, **more: Any) -> Any:
            async for each in super().list_events(since, until, *args, **more):
                yield each
            if until > NOON + timedelta(days=3):
                yield Unknown(Doubt.TIMED_OUT)

    cut = await backfill(pool, Failing(), calendar)

    assert not cut.complete
    assert NOON + timedelta(days=2) < (await cursor(pool) or NOON) <= NOON + timedelta(days=3)


async def test_an_event_that_could_not_be_delivered_is_fetched_however_old_it_is(pool: Pool) -> None:
    calendar, gateway = Calendar(), FakeGateway()
    await backfill(pool, gateway, calendar)
    gateway.events = [event(NOON - timedelta(days=20)), event(NOON - timedelta(days=20), delivered=True)]
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    undelivered = gateway.events[0]
    assert isinstance(undelivered, dict)
    assert backfilled.kept == 1
    assert await held(pool) == {undelivered["id"]}


async def test_what_nobody_works_is_not_kept(pool: Pool) -> None:
    calendar = Calendar()
    gateway = FakeGateway(events=[event(NOON, type="customer.created"), event(NOON)])
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    assert (backfilled.seen, backfilled.kept) == (4, 1)  # each is listed twice: as recent, and as undelivered


async def test_another_applications_event_is_kept_and_ignored_as_its_webhook_would_be(pool: Pool) -> None:
    calendar = Calendar()
    foreign = session("1234", metadata={"counterfoil": "another"}) | {"created": int(NOON.timestamp())}
    gateway = FakeGateway(events=[foreign])
    calendar.pass_by(minutes=5)
    await backfill(pool, gateway, calendar)

    await work_all(pool, calendar)

    row = await pool.fetchrow("SELECT status, reason FROM webhook_events")
    assert tuple(row or ()) == ("ignored", "foreign")


async def test_a_webhook_that_came_first_stays_as_it_is(pool: Pool, database_url: str) -> None:
    calendar = Calendar()
    told = event(NOON)
    async with front_door(database_url) as door:
        await door.stripe(raw(told))
    await pool.execute("UPDATE webhook_events SET status = 'dead', reason = 'bug', next_attempt_at = NULL")
    gateway = FakeGateway(events=[told | {"pending_webhooks": 0}])
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    row = await pool.fetchrow("SELECT source, payload_raw, status, deliveries FROM webhook_events")
    assert backfilled.kept == 0
    assert tuple(row or ()) == ("webhook", raw(told), "dead", 1)
    assert calendar.offered() == []


@pytest.mark.parametrize("is_done", [False, True])
async def test_a_webhook_that_follows_its_copy_is_a_repeat_and_its_bytes_are_the_evidence(
    pool: Pool, database_url: str, is_done: bool
) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    told = session(order_id) | {"created": int(NOON.timestamp()), "pending_webhooks": 3}
    gateway = FakeGateway(events=[told])
    calendar.pass_by(minutes=5)
    await backfill(pool, gateway, calendar)
    if is_done:
        await work_all(pool, calendar)
    # Another rendering, another order of fields: nothing of the bytes is the same.
    signed = json.dumps({**told, "pending_webhooks": 1, "api_version": "2025-03-31.basil"}, indent=2).encode()

    async with front_door(database_url) as door:
        answers = [await door.stripe(signed) for _ in range(3)]

    (row,) = await pool.fetch(
        "SELECT id, source, payload_raw, secret_id, deliveries, signature_headers FROM webhook_events"
    )
    assert [answer.json() for answer in answers] == [{"received": True, "duplicate": True}] * 3
    assert (row["source"], row["payload_raw"], row["deliveries"]) == ("webhook", signed, 4)
    assert row["secret_id"] != "api"
    assert "stripe-signature" in row["signature_headers"]
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0
    await work_webhook_event(pool, DESK, row["id"])
    assert await pool.fetchval("SELECT count(*) FROM effects") == 3


async def test_f60_a_contradiction_of_what_was_signed_is_still_raised_after_a_copy(
    pool: Pool, database_url: str
) -> None:
    calendar = Calendar()
    told = event(NOON)
    gateway = FakeGateway(events=[told])
    calendar.pass_by(minutes=5)
    await backfill(pool, gateway, calendar)

    async with front_door(database_url) as door:
        await door.stripe(raw(told))
        await door.stripe(raw({**told, "data": {"object": {"id": "pi_1", "amount": 1}}}))

    assert await pool.fetchval("SELECT kind FROM discrepancies") == "conflicting_content"


# --- payments, where there is no list of events ---


def payment(order_id: UUID | str, status: str = "captured", number: int = 1, at: datetime = NOON) -> GatewayPayment:
    payment_id = f"pay_{number}"
    facts: dict[str, OrderEvent] = {
        "captured": PaymentSucceeded(payment_id, TEN),
        "authorized": PaymentAuthorised(payment_id, TEN),
        "failed": PaymentFailed(payment_id, TEN, Failure(FailureCode.CARD_DECLINED)),
    }
    names = References((str(order_id),), (payment_id,))
    return GatewayPayment(payment_id, at, Observed("razorpay", names, facts[status]))


def razorpay(*listed: GatewayPayment | Unknown) -> FakeGateway:
    return FakeGateway("razorpay", lists_events=False, listed=list(listed))


async def test_a_payment_that_nobody_told_us_of_is_applied_as_its_webhook_would_be(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    gateway = razorpay(payment(order_id))
    calendar.pass_by(minutes=5)

    first = await backfill(pool, gateway, calendar)
    hinted = calendar.offered()
    second = await backfill(pool, gateway, calendar)

    assert (first.kept, second.kept) == (1, 0)
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert [actor for actor, _ in hinted] == [SEND_EFFECT.actor] * 3
    line = await pool.fetchrow("SELECT cause, cause_id FROM history")
    assert tuple(line or ()) == ("reconciliation", "run-1")


async def test_an_authorised_payment_that_nobody_told_us_of_is_captured(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    gateway = razorpay(payment(order_id, "authorized"))
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)

    assert await pool.fetchval("SELECT kind FROM effects") == "gateway.capture_payment"


async def test_a_payment_is_news_again_when_it_has_come_further(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    gateway = razorpay(payment(order_id, "failed"))
    calendar.pass_by(minutes=5)
    failed = await backfill(pool, gateway, calendar)
    gateway.listed = [payment(order_id)]
    calendar.pass_by(minutes=5)

    paid = await backfill(pool, gateway, calendar)

    assert (failed.kept, paid.kept) == (1, 1)
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


async def test_a_second_payment_of_a_paid_order_is_a_discrepancy(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    gateway = razorpay(payment(order_id), payment(order_id, number=2))
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)
    await backfill(pool, gateway, calendar)

    assert [row["kind"] for row in await pool.fetch("SELECT kind FROM discrepancies")] == ["duplicate_payment"]


async def test_f112_windows_are_closed_before_now_and_the_next_run_overlaps_them(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    await backfill(pool, gateway, calendar)
    gateway.windows.clear()
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)

    assert gateway.windows == [(NOON - timedelta(hours=1, minutes=1), NOON + timedelta(minutes=4), False)]


async def test_one_payment_that_cannot_be_applied_hides_no_other_and_is_tried_again(pool: Pool) -> None:
    """Its row stands under another order, which only a bug can bring about."""
    calendar = Calendar()
    broken, whole = await place_order(pool, plan="broken"), await place_order(pool, plan="whole")
    contradictory = GatewayPayment(
        "pay_1", NOON, Observed("razorpay", References((str(broken),), ()), PaymentSucceeded("pay_1", TEN))
    )
    await pool.execute(
        "INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status) "
        "VALUES ('razorpay', 'pay_1', $1, 1000, 'usd', 'failed')",
        whole,
    )
    gateway = razorpay(contradictory, payment(whole, number=2))
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    assert (backfilled.kept, backfilled.complete) == (1, False)
    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", whole) == "paid"
    assert (await cursor(pool, "razorpay.payments") or NOON) < calendar.now - timedelta(minutes=1)


async def test_f109_payments_that_are_cut_short_leave_the_cursor(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    gateway = razorpay()
    await backfill(pool, gateway, calendar)
    reached = await cursor(pool, "razorpay.payments")
    gateway.listed = [payment(order_id), Unknown(Doubt.TIMED_OUT)]
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    assert (backfilled.kept, backfilled.complete) == (1, False)
    assert await cursor(pool, "razorpay.payments") == reached


async def test_a_payment_that_was_listed_as_begun_and_taken_after_its_page_had_ended_is_found(pool: Pool) -> None:
    """Nobody can ask about it by its id: what was listed as begun is not in the record."""
    calendar = Calendar()
    order_id = await place_order(pool)
    begun = calendar.now + timedelta(minutes=20)
    gateway = FakeGateway(
        "razorpay", lists_events=False, late_for=timedelta(days=4), listed=[GatewayPayment("pay_1", begun, None)]
    )
    calendar.pass_by(minutes=25)
    await backfill(pool, gateway, calendar)
    calendar.pass_by(minutes=20)
    async with pool.acquire() as tx, tx.transaction():
        end = References((str(order_id),), ("plink_1",), None, "plink_1")
        await apply(tx, Observed("razorpay", end, CheckoutEnded("plink_1")), Cause("webhook_event", "1"), calendar.book)
    before = await pool.fetchval("SELECT status FROM orders")
    calendar.pass_by(hours=2)
    await backfill(pool, gateway, calendar)
    gateway.listed = [payment(order_id, at=begun)]

    for _ in range(3):
        calendar.pass_by(days=1)
        await backfill(pool, gateway, calendar)
        await recover_orphans(pool, {"razorpay": gateway}, calendar.hints, calendar.book, "run-2")

    assert before == "cancelled"
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT count(*) FROM effects") == 3


async def test_one_gateway_that_is_away_keeps_the_other_from_nothing(pool: Pool) -> None:
    calendar = Calendar()
    order_id = await place_order(pool)
    away = FakeGateway(events=[Unknown(Doubt.TIMED_OUT)])
    calendar.pass_by(minutes=5)

    backfilled = await backfill_events(
        pool, {"stripe": away, "razorpay": razorpay(payment(order_id))}, calendar.hints, calendar.book, "run-1"
    )

    assert not backfilled.complete
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


async def test_a_cursor_never_goes_back_by_reading_on(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await cursors.advance(connection, "list", NOON)

        await cursors.advance(connection, "list", NOON - timedelta(days=1))

        assert await cursors.read(connection, "list") == NOON


# --- clocks that are wrong ---


@pytest.mark.parametrize("lists_events", [True, False])
async def test_a_cursor_that_lies_ahead_of_now_is_set_back_and_what_it_hid_is_read(
    pool: Pool, lists_events: bool
) -> None:
    """One run had a clock that was ahead; then hours passed, in which nothing was read."""
    calendar = Calendar()
    order_id = await place_order(pool)
    gateway = FakeGateway("stripe" if lists_events else "razorpay", lists_events=lists_events)
    name = "stripe.events" if lists_events else "razorpay.payments"
    async with pool.acquire() as connection:
        await cursors.advance(connection, name, calendar.now + timedelta(days=400))
    gateway.events = [session(order_id) | {"created": int(NOON.timestamp()), "delivered": True}]
    gateway.listed = [payment(order_id)]
    calendar.pass_by(hours=5)

    first = await backfill(pool, gateway, calendar)
    reached = await cursor(pool, name)
    await work_all(pool, calendar)
    second = await backfill(pool, gateway, calendar)

    assert (first.kept, first.complete, reached) == (1, False, calendar.now - timedelta(minutes=1))
    assert (second.kept, second.complete) == (0, True)
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


async def test_a_host_whose_clock_is_ahead_moves_no_cursor_past_now(pool: Pool) -> None:
    def ahead() -> datetime:
        return datetime.now(UTC) + timedelta(hours=2)

    gateway, book = FakeGateway(), Book("counterfoil", LateSuccess.FULFIL, ahead, ahead)

    backfilled = await backfill_events(pool, {"stripe": gateway}, Calendar().hints, book, "run-1")

    assert backfilled.complete
    assert await pool.fetchval("SELECT reached <= now() FROM cursors")
