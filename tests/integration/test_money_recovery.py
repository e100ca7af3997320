"""Money that goes back without a word: asked about, found on lists, and never decided by the time alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from prometheus_client.registry import CollectorRegistry

from db.dead_letters import Selection
from db.history import Cause
from db.operator_actions import Operator
from db.pool import Pool
from gateways.client import DisputeState, Doubt, Gone, MoneyState, PayoutState, RefundState, Refusal, Refused, Unknown
from gateways.gateway import Unhandled
from payments.dispute import DisputeStatus
from payments.events import Event, Observed, PaymentNamed, PayoutTold, References, RefundTold
from payments.refund import RefundStatus
from schedules.figures import RecordFigures
from tests.builders import NOON
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway
from tests.money_told import Sale, kinds, sold, usd
from tests.refunds import ask, asked, paid_order, refunds, send
from workers import replays
from workers.answering import Answering
from workers.backfill import backfill_events
from workers.listed import Backfilled
from workers.money_recovery import Looked, recover_money
from workers.recovery import recover_orphans
from workers.refund_requests import Asked

CAUSE = Cause("reconciliation", "run-1")
ADA = Operator("ada")

#: The gateway says that the key is another request's, and the errand is dead: nothing was made.
SPOILT = Refused(Refusal.KEY_REUSED, "another request")

LOST = Unknown(Doubt.CONNECTION_LOST)


async def recover(pool: Pool, gateway: FakeGateway, now: datetime) -> Looked:
    calendar = Calendar(now)
    return await recover_money(pool, Answering({gateway.name: gateway}), calendar.book, CAUSE)


async def sent_in_vain(pool: Pool, gateway: FakeGateway, amount: int | None = None) -> tuple[UUID, UUID, UUID]:
    """An order, its refund that is ``sent``, and the errand that nobody runs any more."""
    order_id = await paid_order(pool)
    refund_id, effect = await asked(pool, order_id, amount)
    gateway.refund_answers.append(SPOILT)
    await send(pool, effect, stripe=gateway)
    assert await pool.fetchval("SELECT status FROM effects WHERE id = $1", effect) == "dead"
    return order_id, refund_id, effect


async def discard(pool: Pool, effect: UUID, *, minutes_ago: int = 10) -> None:
    async with pool.acquire() as tx, tx.transaction():
        await replays.discard(tx, Selection(ids=(str(effect),)), by=ADA, reason="paid out in cash")
    await pool.execute("UPDATE dead_letters SET created_at = now() - $1::interval", timedelta(minutes=minutes_ago))


async def asked_after(
    pool: Pool, gateway: FakeGateway, look: Callable[[Looked], int], *, hours: int
) -> list[timedelta]:
    """How long after noon it was asked about, by a run every half hour."""
    runs = [timedelta(minutes=30 * run) for run in range(2 * hours)]
    return [after for after in runs if look(await recover(pool, gateway, NOON + after))]


# --- refunds that are sent ---


async def test_f52_a_refund_that_was_made_is_found_though_nobody_runs_its_errand_any_more(pool: Pool) -> None:
    gateway = FakeGateway()
    await sent_in_vain(pool, gateway)
    [(key, request)] = gateway.refund_calls
    gateway.refunds_made[key] = gateway.made(request, "re_1")

    looked = await recover(pool, gateway, NOON + timedelta(minutes=10))

    assert (looked.refunds, looked.in_vain) == (1, 0)
    assert looked.effects
    assert await refunds(pool) == [("succeeded", 1000)]
    assert await pool.fetchval("SELECT status FROM orders") == "refunded"
    line = await pool.fetchrow(
        "SELECT cause, cause_id FROM history WHERE subject = 'refund' AND to_status = 'succeeded'"
    )
    assert tuple(line or ()) == ("reconciliation", "run-1")


async def test_a_refund_whose_errand_still_runs_is_left_to_it(pool: Pool) -> None:
    gateway = FakeGateway(lost_refund_answers=1)
    _, effect = await asked(pool, await paid_order(pool))
    await send(pool, effect, stripe=gateway)

    looked = await recover(pool, gateway, NOON + timedelta(days=1))

    assert looked == Looked()
    assert gateway.refunds_sought == 0


async def test_one_that_was_sent_just_now_is_left_to_its_answer(pool: Pool) -> None:
    gateway = FakeGateway()
    await sent_in_vain(pool, gateway)

    assert await recover(pool, gateway, NOON + timedelta(minutes=9)) == Looked()


async def test_where_nothing_was_made_it_waits_for_a_person_however_long(pool: Pool) -> None:
    gateway = FakeGateway()
    await sent_in_vain(pool, gateway)

    asked_at = await asked_after(pool, gateway, lambda looked: looked.refunds, hours=48)

    pauses = [later - sooner for sooner, later in pairwise(asked_at)]
    assert asked_at[0] == timedelta(minutes=30)
    assert pauses == sorted(pauses)
    assert pauses[-1] <= timedelta(hours=6)
    assert await refunds(pool) == [("sent", 1000)]
    assert len(gateway.refund_calls) == 1, "it asks, and sends nothing"


async def test_what_a_person_has_given_up_and_the_gateway_has_not_made_is_cancelled_and_its_amount_is_free(
    pool: Pool,
) -> None:
    gateway = FakeGateway()
    order_id, _, effect = await sent_in_vain(pool, gateway)
    await discard(pool, effect)

    looked = await recover(pool, gateway, NOON + timedelta(minutes=10))
    again = await ask(pool, order_id)

    assert (looked.refunds, looked.in_vain) == (1, 0)
    assert await pool.fetchval("SELECT status FROM refunds WHERE failure_reason IS NOT NULL") == "cancelled"
    told = await pool.fetchval("SELECT failure_reason FROM refunds WHERE status = 'cancelled'")
    assert told == "ada has discarded its errand: paid out in cash"
    assert isinstance(again, Asked)
    assert again.refund.amount == 1000
    assert "notify.refund.failed" in await kinds(pool, "effects")


async def test_what_a_person_has_given_up_and_the_gateway_has_made_is_booked(pool: Pool) -> None:
    gateway = FakeGateway()
    _, _, effect = await sent_in_vain(pool, gateway)
    await discard(pool, effect)
    [(key, request)] = gateway.refund_calls
    gateway.refunds_made[key] = gateway.made(request, "re_1")

    await recover(pool, gateway, NOON + timedelta(minutes=10))

    assert await refunds(pool) == [("succeeded", 1000)]


@pytest.mark.parametrize("answer", [LOST, Refused(Refusal.CREDENTIALS, "no"), Gone()])
async def test_f114_whatever_else_the_gateway_says_cancels_nothing(
    pool: Pool, answer: Unknown | Refused | Gone
) -> None:
    gateway = FakeGateway()
    _, _, effect = await sent_in_vain(pool, gateway)
    await discard(pool, effect)
    gateway.refund_looks = [answer]

    looked = await recover(pool, gateway, NOON + timedelta(minutes=10))

    assert looked.in_vain == (0 if isinstance(answer, Gone) else 1)
    assert await refunds(pool) == [("sent", 1000)]
    assert await kinds(pool, "discrepancies") == (["refund_of_unknown_payment"] if isinstance(answer, Gone) else [])


async def test_while_a_worker_may_still_be_at_it_it_is_not_given_up(pool: Pool) -> None:
    gateway = FakeGateway()
    _, _, effect = await sent_in_vain(pool, gateway)
    await discard(pool, effect, minutes_ago=4)

    await recover(pool, gateway, NOON + timedelta(minutes=10))

    assert await refunds(pool) == [("sent", 1000)]


async def test_what_was_asked_of_nobody_and_is_given_up_needs_no_gateway_to_say_so(pool: Pool) -> None:
    """Its gateway has no key here, which is why its errand died."""
    _, effect = await asked(pool, await paid_order(pool, gateway="razorpay"))
    await pool.execute("UPDATE effects SET status = 'dead', next_attempt_at = NULL WHERE id = $1", effect)
    await pool.execute(
        "INSERT INTO dead_letters (source, source_id, queue, what, class, error_class, error, fingerprint, attempts) "
        "VALUES ('effect', $1, 'effects', '', 'permanent', '', '', '', 1)",
        str(effect),
    )
    kept = await recover(pool, FakeGateway(), NOON + timedelta(days=1))
    await discard(pool, effect)

    looked = await recover(pool, FakeGateway(), NOON + timedelta(days=1))

    assert (kept.refunds, looked.refunds) == (0, 1)
    assert await refunds(pool) == [("cancelled", 1000)]


# --- refunds that are pending ---


async def pending(pool: Pool) -> tuple[Sale, FakeGateway]:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 1000, RefundStatus.PENDING))
    return sale, FakeGateway()


def as_held(sale: Sale, *events: Event) -> MoneyState:
    return MoneyState(tuple(Observed(sale.gateway, References(objects=(sale.payment,)), event) for event in events))


@pytest.mark.parametrize(("ended", "order"), [(RefundStatus.SUCCEEDED, "refunded"), (RefundStatus.FAILED, "paid")])
async def test_f106_a_refund_that_came_to_its_end_without_a_word_is_found_after_an_hour(
    pool: Pool, ended: RefundStatus, order: str
) -> None:
    sale, gateway = await pending(pool)
    gateway.money_states[sale.payment] = as_held(sale, sale.refund(1, 1000, ended))

    early = await recover(pool, gateway, NOON + timedelta(minutes=59))
    looked = await recover(pool, gateway, NOON + timedelta(hours=1))
    again = await recover(pool, gateway, NOON + timedelta(days=1))

    assert (early.refunds, looked.refunds, again.refunds) == (0, 1, 0)
    assert (await sale.status(), await sale.refunds()) == (order, [(1000, ended.value)])
    assert gateway.money_reads == [sale.payment]


async def test_while_it_stays_pending_it_is_asked_about_ever_more_rarely(pool: Pool) -> None:
    sale, gateway = await pending(pool)
    gateway.money_states[sale.payment] = as_held(sale, sale.refund(1, 1000, RefundStatus.PENDING))

    asked_at = await asked_after(pool, gateway, lambda looked: looked.refunds, hours=48)

    pauses = [later - sooner for sooner, later in pairwise(asked_at)]
    assert asked_at[0] == timedelta(hours=1)
    assert pauses == sorted(pauses)
    assert timedelta(hours=5) <= pauses[-1] <= timedelta(hours=6)
    assert await sale.refunds() == [(1000, "pending")]


async def test_f113_a_payment_that_its_gateway_knows_no_more_is_a_discrepancy_that_heals(pool: Pool) -> None:
    sale, gateway = await pending(pool)

    await recover(pool, gateway, NOON + timedelta(hours=1))
    gone = await kinds(pool, "discrepancies", "state = 'open'"), await sale.refunds()
    gateway.money_states[sale.payment] = as_held(sale, sale.refund(1, 1000))
    await recover(pool, gateway, NOON + timedelta(days=1))

    assert gone == (["refund_of_unknown_payment"], [(1000, "pending")])
    assert await kinds(pool, "discrepancies", "state = 'open'") == []
    assert await sale.status() == "refunded"


async def test_a_gateway_that_is_away_is_left_alone_after_a_few(pool: Pool) -> None:
    gateway = FakeGateway()
    for name in map(str, range(10)):
        sale = await sold(pool, name)
        await sale.tell(sale.refund(1, 1000, RefundStatus.PENDING))
        gateway.money_states[sale.payment] = LOST

    looked = await recover(pool, gateway, NOON + timedelta(hours=1))

    assert looked.refunds == looked.in_vain == 4
    assert await pool.fetchval("SELECT count(*) FROM refunds WHERE looks = 0") == 6


# --- disputes ---


def dispute_state(sale: Sale, status: DisputeStatus, **more: int) -> DisputeState:
    told = sale.dispute(status, None, **more)
    return DisputeState(told.gateway_dispute_id, Observed(sale.gateway, References(objects=(sale.payment,)), told))


async def disputed(pool: Pool, gateway: str = "stripe") -> Sale:
    sale = await sold(pool, gateway=gateway)
    await sale.tell(sale.dispute(DisputeStatus.NEEDS_RESPONSE, took=1000))
    return sale


@pytest.mark.parametrize("name", ["stripe", "razorpay"])
@pytest.mark.parametrize(
    ("ended", "gave", "order"), [(DisputeStatus.WON, 1000, "paid"), (DisputeStatus.LOST, 0, "disputed")]
)
async def test_a_dispute_that_ended_without_a_word_is_read(
    pool: Pool, name: str, ended: DisputeStatus, gave: int, order: str
) -> None:
    sale = await disputed(pool, name)
    gateway = FakeGateway(name, dispute_states={"dp_1_1": dispute_state(sale, ended, took=1000, gave=gave)})

    early = await recover(pool, gateway, NOON + timedelta(minutes=59))
    looked = await recover(pool, gateway, NOON + timedelta(hours=1))
    again = await recover(pool, gateway, NOON + timedelta(days=9))

    assert (early.disputes, looked.disputes, again.disputes) == (0, 1, 0)
    assert await pool.fetchval("SELECT status FROM disputes") == ended.value
    assert (await sale.status(), await sale.access()) == (order, (order == "paid", order))
    assert gateway.dispute_reads == ["dp_1_1"]


async def test_of_runs_at_once_each_dispute_is_taken_by_one(pool: Pool) -> None:
    gateway = FakeGateway()
    for name in map(str, range(6)):
        sale = await sold(pool, name)
        await sale.tell(sale.dispute(DisputeStatus.NEEDS_RESPONSE, took=1000))
        gateway.dispute_states[f"dp_{name}_1"] = dispute_state(sale, DisputeStatus.LOST, took=1000)

    looked = await asyncio.gather(*(recover(pool, gateway, NOON + timedelta(hours=1)) for _ in range(3)))

    assert sum(each.disputes for each in looked) == 6
    assert sorted(gateway.dispute_reads) == sorted(gateway.dispute_states)


async def test_an_open_dispute_is_read_ever_more_rarely_and_at_least_each_day(pool: Pool) -> None:
    sale = await disputed(pool)
    state = dispute_state(sale, DisputeStatus.NEEDS_RESPONSE, took=1000)
    gateway = FakeGateway(dispute_states={"dp_1_1": state})

    asked_at = await asked_after(pool, gateway, lambda looked: looked.disputes, hours=24 * 5)

    pauses = [later - sooner for sooner, later in pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(days=1)
    assert await pool.fetchval("SELECT count(*) FROM history WHERE subject = 'dispute'") == 1


async def test_a_stage_that_a_late_word_has_put_back_is_read_again(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(DisputeStatus.UNDER_REVIEW, 0, took=1000))
    await sale.tell(sale.dispute(DisputeStatus.INQUIRY, 1))
    gateway = FakeGateway(dispute_states={"dp_1_1": dispute_state(sale, DisputeStatus.UNDER_REVIEW, took=1000)})

    await recover(pool, gateway, NOON + timedelta(hours=1))

    assert await pool.fetchval("SELECT status FROM disputes") == "under_review"


async def test_f113_a_dispute_that_its_gateway_knows_no_more_is_a_discrepancy_that_heals(pool: Pool) -> None:
    sale = await disputed(pool)
    gateway = FakeGateway()

    looked = await recover(pool, gateway, NOON + timedelta(hours=1))
    gone = await kinds(pool, "discrepancies", "state = 'open'"), await sale.status()
    gateway.dispute_states["dp_1_1"] = dispute_state(sale, DisputeStatus.WON, took=1000, gave=1000)
    await recover(pool, gateway, NOON + timedelta(days=2))

    assert (looked.disputes, looked.in_vain) == (1, 0)
    assert gone == (["dispute_not_found"], "disputed")
    assert await kinds(pool, "discrepancies", "state = 'open'") == []
    assert await sale.status() == "paid"


@pytest.mark.parametrize("answer", [LOST, Refused(Refusal.CREDENTIALS, "no")])
async def test_f114_without_an_answer_a_dispute_stays_as_it_is(pool: Pool, answer: Unknown | Refused) -> None:
    await disputed(pool)
    gateway = FakeGateway(dispute_states={"dp_1_1": answer})

    looked = await recover(pool, gateway, NOON + timedelta(hours=1))

    assert (looked.disputes, looked.in_vain) == (1, 1)
    assert await pool.fetchval("SELECT status FROM disputes") == "needs_response"
    assert await kinds(pool, "discrepancies") == []


# --- the job ---


async def test_the_job_asks_about_money_too_and_names_the_gateways_that_nobody_can_ask(pool: Pool) -> None:
    sale, gateway = await pending(pool)
    await disputed_elsewhere(pool)
    gateway.money_states[sale.payment] = as_held(sale, sale.refund(1, 1000))
    calendar = Calendar(NOON + timedelta(hours=1))

    recovered = await recover_orphans(pool, {"stripe": gateway}, calendar.hints, calendar.book, "run-1")

    assert (recovered.refunds, recovered.disputes, recovered.unasked, recovered.complete) == (1, 0, "razorpay", False)
    assert calendar.offered()


async def disputed_elsewhere(pool: Pool) -> None:
    sale = await sold(pool, "elsewhere", gateway="razorpay")
    await sale.tell(sale.dispute(DisputeStatus.NEEDS_RESPONSE, took=1000))


async def test_what_is_under_way_and_since_when_is_a_metric(pool: Pool) -> None:
    await sold_pending_an_hour_ago(pool)
    figures, registry = RecordFigures(pool), CollectorRegistry()
    registry.register(figures)

    await figures.gather()

    labels = {"gateway": "stripe", "status": "pending"}
    assert registry.get_sample_value("counterfoil_refunds_under_way", labels) == 1
    assert (registry.get_sample_value("counterfoil_refund_oldest_seconds", labels) or 0) >= 3600


async def sold_pending_an_hour_ago(pool: Pool) -> None:
    await pending(pool)
    await pool.execute("UPDATE refunds SET created_at = now() - interval '1 hour'")


# --- the sweep of a gateway that lists no events ---


def listed(sale: Sale, told: RefundTold) -> RefundState:
    return RefundState(told.gateway_refund_id, Observed("razorpay", References(objects=(sale.payment,)), told))


def razorpay() -> FakeGateway:
    return FakeGateway("razorpay", lists_events=False)


async def backfill(pool: Pool, gateway: FakeGateway, calendar: Calendar) -> Backfilled:
    return await backfill_events(pool, {gateway.name: gateway}, calendar.hints, calendar.book, "run-1")


async def test_f95_f108_a_refund_of_the_dashboard_of_which_nobody_told_us_is_booked_once(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    sale = await sold(pool, gateway="razorpay")
    gateway.listed_refunds = [listed(sale, sale.refund(1, 1000))]
    calendar.pass_by(minutes=5)

    first = await backfill(pool, gateway, calendar)
    second = await backfill(pool, gateway, calendar)

    assert (first.kept, first.complete) == (1, True)
    assert (second.kept, second.complete) == (0, True)
    assert (await sale.status(), await sale.refunds()) == ("refunded", [(1000, "succeeded")])
    assert await pool.fetchval("SELECT asked_by FROM refunds") == "gateway"


async def test_a_listed_refund_is_news_again_when_it_has_come_further(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    sale = await sold(pool, gateway="razorpay")
    kept = []

    for status in (RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.PENDING, RefundStatus.FAILED):
        gateway.listed_refunds = [listed(sale, sale.refund(1, 1000, status))]
        calendar.pass_by(minutes=5)
        kept.append((await backfill(pool, gateway, calendar)).kept)

    assert kept == [1, 1, 0, 1]
    assert (await sale.status(), await sale.refunds()) == ("paid", [(1000, "failed")])
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["refund_failed"]


async def test_a_listed_refund_of_ours_ends_in_its_own_row(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    order_id = await paid_order(pool, payment="pay_1", gateway="razorpay")
    _, effect = await asked(pool, order_id)
    gateway.lost_refund_answers = 1
    await send(pool, effect, razorpay=gateway)
    gateway.listed_refunds = list(gateway.refunds_made.values())
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)

    assert await refunds(pool) == [("succeeded", 1000)]


async def test_a_dispute_of_which_nobody_told_us_holds_its_money_and_is_found_once(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    sale = await sold(pool, gateway="razorpay")
    gateway.listed_disputes = [dispute_state(sale, DisputeStatus.NEEDS_RESPONSE, took=1000)]
    calendar.pass_by(minutes=5)

    first = await backfill(pool, gateway, calendar)
    second = await backfill(pool, gateway, calendar)

    assert (first.kept, second.kept) == (1, 0)
    assert (await sale.status(), await sale.access()) == ("disputed", (False, "disputed"))


async def test_a_payout_of_which_nobody_told_us_is_booked_once_it_was_paid(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    kept = []
    for is_paid in (False, True, True):
        told = PayoutTold("setl_1", 970, "inr", is_paid=is_paid, has_failed=False, arrives_at=NOON)
        gateway.listed_payouts = [PayoutState("setl_1", Observed("razorpay", References(), told))]
        calendar.pass_by(minutes=5)

        kept.append((await backfill(pool, gateway, calendar)).kept)

    assert kept == [0, 1, 0]
    assert await pool.fetchval("SELECT sum(amount) FROM movements") == -970
    assert await kinds(pool, "effects") == ["gateway.match_payout"]


async def test_money_back_of_others_is_passed_over_without_a_trace(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    marked, unmarked = (RefundTold(f"rfnd_{n}", PaymentNamed(f"pay_{n}"), usd(5), RefundStatus.SUCCEEDED) for n in "12")
    gateway.listed_refunds = [
        RefundState("rfnd_1", Observed("razorpay", References(objects=("pay_1",), instance="another"), marked)),
        RefundState("rfnd_2", Observed("razorpay", References(objects=("pay_2",)), unmarked)),
        Unhandled("unreadable"),
    ]
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    assert (backfilled.kept, backfilled.complete) == (0, True)
    assert await refunds(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM unmatched_references") == 0
    assert await kinds(pool, "discrepancies") == []


async def test_a_listed_refund_whose_payment_comes_later_is_met_again(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    late = Sale(pool, (await sold(pool, "first")).order_id, "razorpay", "late")
    gateway.listed_refunds = [listed(late, late.refund(1, 1000))]
    calendar.pass_by(minutes=5)
    early = await backfill(pool, gateway, calendar)
    sale = await sold(pool, "late", gateway="razorpay")
    calendar.pass_by(minutes=5)

    found = await backfill(pool, gateway, calendar)

    assert (early.kept, found.kept) == (0, 1)
    assert await sale.status() == "refunded"


async def test_a_listed_refund_that_is_refused_is_raised_and_is_no_news_twice(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    sale = await sold(pool, gateway="razorpay")
    gateway.listed_refunds = [listed(sale, sale.refund(1, 2000))]
    calendar.pass_by(minutes=5)

    kept = [(await backfill(pool, gateway, calendar)).kept for _ in range(2)]

    assert kept == [0, 0]
    assert await kinds(pool, "discrepancies") == ["refund_mismatch"]
    assert await sale.refunds() == []


async def test_f109_a_list_that_is_cut_short_leaves_its_own_cursor_and_no_other(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    sale = await sold(pool, gateway="razorpay")
    await backfill(pool, gateway, calendar)
    gateway.listed_refunds = [listed(sale, sale.refund(1, 1000)), LOST]
    calendar.pass_by(minutes=5)

    backfilled = await backfill(pool, gateway, calendar)

    assert (backfilled.kept, backfilled.complete) == (1, False)
    cursors = await pool.fetch("SELECT name, reached FROM cursors")
    minutes = {row["name"]: (row["reached"] - NOON) / timedelta(minutes=1) for row in cursors}
    assert minutes == {"razorpay.payments": 4, "razorpay.refunds": -1, "razorpay.disputes": 4, "razorpay.payouts": 4}


async def test_f112_refunds_are_read_in_windows_that_overlap(pool: Pool) -> None:
    calendar, gateway = Calendar(), razorpay()
    await backfill(pool, gateway, calendar)
    gateway.refund_windows.clear()
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)

    assert gateway.refund_windows == [(NOON - timedelta(hours=1, minutes=1), NOON + timedelta(minutes=4))]


async def test_where_events_are_listed_no_objects_are(pool: Pool) -> None:
    calendar, gateway = Calendar(), FakeGateway()
    calendar.pass_by(minutes=5)

    await backfill(pool, gateway, calendar)

    assert gateway.refund_windows == []
