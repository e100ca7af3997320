"""Refunds and disputes as gateways tell them: one row each, and the order found anew, whichever news comes first."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from db import invariants, webhook_events
from db.history import Cause
from db.pool import Pool
from gateways.client import Refusal, Refused
from payments.dispute import DisputeStatus
from payments.dunning import DEFAULT, Period, Policy
from payments.events import (
    CheckoutEnded,
    DisputeTold,
    Event,
    Observed,
    PaymentAuthorised,
    PaymentNamed,
    PaymentSucceeded,
    References,
    RefundsTotalled,
    RefundTold,
)
from payments.money import Money
from payments.order import Early, LateSuccess, Stale
from payments.payment import Standing
from payments.refund import RefundReason, RefundStatus
from tests import tellings
from tests.builders import BOOK, NOON, TEN, keep
from tests.fake_gateway import FakeGateway
from tests.money_told import Sale, kinds, sell, sold, usd
from tests.refunds import ask, refunds, send
from tests.refunds import asked as asked_back
from workers.apply import Applied, Unmatched, apply
from workers.money_back import Booked
from workers.refund_requests import Asked, Wish, ask_for_order

PENDING, SUCCEEDED, FAILED = RefundStatus.PENDING, RefundStatus.SUCCEEDED, RefundStatus.FAILED
NEEDS_RESPONSE, UNDER_REVIEW = DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW
WON, LOST, CLOSED, INQUIRY = DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED, DisputeStatus.INQUIRY


async def assert_sound(pool: Pool) -> None:
    """No invariant of our own data is broken."""
    for invariant in invariants.load():
        async with pool.acquire() as connection, connection.transaction():
            assert not await invariants.find_violations(connection, invariant, seconds=10), invariant.says


# --- refunds ---


async def test_scenario_8_a_full_refund_refunds_the_order_and_takes_its_access(pool: Pool) -> None:
    sale = await sold(pool)

    applied = await sale.tell(sale.refund(1, 1000))

    assert isinstance(applied, Applied)
    assert applied.outcome == Booked("refund_succeeded")
    order = await sale.row("SELECT status, amount_refunded, refund_id FROM orders WHERE id = $1")
    assert tuple(order) == ("refunded", 1000, "re_1_1")
    assert await sale.access() == (False, "refunded")
    assert await sale.movements() == [("payment", 1000), ("refund", -1000)]
    owed = {"mail.refund_succeeded", "notify.refund.succeeded", "notify.access.suspended"}
    assert owed <= set(await kinds(pool, "effects"))
    assert len(applied.effects) == 3
    await assert_sound(pool)


async def test_a_partial_refund_leaves_the_order_paid_with_its_refunded_amount(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.refund(1, 400))

    order = await sale.row("SELECT status, amount_refunded FROM orders WHERE id = $1")
    assert tuple(order) == ("paid", 400)
    assert await sale.access() == (True, "paid")


async def test_f92_two_partial_refunds_told_twice_with_the_running_total_add_up_once(pool: Pool) -> None:
    sale = await sold(pool)
    first = sale.refund(1, 200, refunded_in_all=usd(200))
    second = sale.refund(2, 300, refunded_in_all=usd(500))

    for told in (first, first, second, second):
        await sale.tell(told)

    assert await sale.refunds() == [(200, "succeeded"), (300, "succeeded")]
    assert (await sale.row("SELECT amount_refunded FROM orders WHERE id = $1"))["amount_refunded"] == 500
    assert "gateway.read_money_back" not in await kinds(pool, "effects")
    await sale.tell(sale.refund(2, 300, FAILED, failure="expired_or_canceled_card"))
    assert (await sale.row("SELECT amount_refunded FROM orders WHERE id = $1"))["amount_refunded"] == 200
    await assert_sound(pool)


async def test_f93_an_earlier_refund_redelivered_after_a_later_one_is_no_third(pool: Pool) -> None:
    sale = await sold(pool)
    first, second = sale.refund(1, 200), sale.refund(2, 300)
    await sale.tell(first)
    await sale.tell(second)

    again = await sale.tell(first)

    assert isinstance(again, Applied)
    assert again.outcome == Stale("the refund is succeeded")
    assert await sale.refunds() == [(200, "succeeded"), (300, "succeeded")]


async def test_f94_a_refund_that_fails_later_opens_what_it_closed_and_tells_a_person(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 1000))

    await sale.tell(sale.refund(1, 1000, FAILED, failure="lost_or_stolen_card"))

    assert await sale.status() == "paid"
    assert await sale.access() == (True, "paid")
    assert await sale.movements() == [("payment", 1000), ("refund", -1000), ("refund_reversal", 1000)]
    row = await pool.fetchrow("SELECT kind, amount_at_risk, evidence FROM discrepancies WHERE state = 'open'")
    assert row is not None
    assert (row["kind"], row["amount_at_risk"]) == ("refund_failed", 1000)
    assert row["evidence"]["theirs"]["failure"] == "lost_or_stolen_card"
    assert {"notify.refund.failed", "notify.access.restored"} <= set(await kinds(pool, "effects"))
    lines = await pool.fetch("SELECT from_status, to_status FROM history WHERE subject = 'order' ORDER BY id")
    assert [tuple(line) for line in lines] == [("pending", "paid"), ("paid", "refunded"), ("refunded", "paid")]
    await assert_sound(pool)


async def test_f95_a_refund_from_the_gateways_dashboard_is_ours_to_tell_with_its_actor(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.refund(1, 250, PENDING))

    row = await sale.row("SELECT asked_by, amount, status, idempotency_key FROM refunds WHERE order_id = $1")
    assert tuple(row) == ("gateway", 250, "pending", None)
    line = await pool.fetchrow("SELECT from_status, to_status, cause, cause_id FROM history WHERE subject = 'refund'")
    assert line is not None
    assert tuple(line) == (None, "pending", "webhook_event", "event-1")


async def asked(sale: Sale, amount: int | None) -> UUID:
    """A refund of ours, ``requested``."""
    async with sale.pool.acquire() as tx, tx.transaction():
        wish = Wish(amount, RefundReason.REQUESTED_BY_CUSTOMER, "api:shop", str(uuid4()))
        answer = await ask_for_order(tx, sale.order_id, wish, Cause("api", "shop"), NOON)
    assert isinstance(answer, Asked)
    return answer.refund.id


async def test_f96_the_webhook_of_our_refund_outruns_our_own_answer(pool: Pool) -> None:
    sale = await sold(pool)
    refund_id = await asked(sale, 300)
    await pool.execute("UPDATE refunds SET status = 'sent', sent_at = $1", NOON)
    told = sale.refund(1, 300, refund_id=str(refund_id))

    answers = await asyncio.gather(*(sale.tell(told) for _ in range(6)))

    outcomes = [answer.outcome for answer in answers if isinstance(answer, Applied)]
    assert sorted(map(type, outcomes), key=str) == sorted([Booked, *[Stale] * 5], key=str)
    row = await sale.row("SELECT id, asked_by, status, gateway_refund_id FROM refunds WHERE order_id = $1")
    assert tuple(row) == (refund_id, "api:shop", "succeeded", "re_1_1")
    assert await sale.movements() == [("payment", 1000), ("refund", -300)]


async def test_f96_a_refund_that_names_an_id_of_ours_for_another_payment_is_not_ours(pool: Pool) -> None:
    mine, other = await sold(pool), await sold(pool, "2")
    refund_id = await asked(mine, 300)

    await other.tell(other.refund(1, 300, refund_id=str(refund_id)))

    assert await mine.refunds() == [(300, "requested")]
    assert await other.refunds() == [(300, "succeeded")]


async def test_f99_what_was_asked_of_nobody_yet_gives_way_to_what_the_gateway_has_done(pool: Pool) -> None:
    sale = await sold(pool)
    refund_id = await asked(sale, 800)

    await sale.tell(sale.refund(1, 500))

    rows = await pool.fetch(
        "SELECT id = $1 AS ours, status, failure_reason FROM refunds ORDER BY created_at, ours", refund_id
    )
    assert {(row["ours"], row["status"]) for row in rows} == {(True, "cancelled"), (False, "succeeded")}
    assert "notify.refund.failed" in await kinds(pool, "effects")
    assert await kinds(pool, "discrepancies") == []
    await assert_sound(pool)


async def test_f99_a_refund_that_was_overtaken_says_so_truly(pool: Pool) -> None:
    sale = await sold(pool)
    await ask(pool, sale.order_id)

    await sale.tell(sale.refund(1, 100))

    row = await pool.fetchrow("SELECT status, failure_reason FROM refunds WHERE asked_by <> 'gateway'")
    assert row is not None
    assert row["status"] == "cancelled"
    assert "less was left" in row["failure_reason"]


async def test_f99_what_was_taken_for_refused_and_was_made_makes_room_like_any_other(pool: Pool) -> None:
    sale = await sold(pool)
    refund_id, effect = await asked_back(pool, sale.order_id, 1000, key="a")
    await send(pool, effect, stripe=FakeGateway(refund_answers=[Refused(Refusal.STATE, "no")]))
    await asked_back(pool, sale.order_id, 1000, key="b")

    await sale.tell(sale.refund(1, 1000, refund_id=str(refund_id)))

    assert await refunds(pool) == [("succeeded", 1000), ("cancelled", 1000)]


async def test_f99_while_ours_has_no_name_yet_a_refund_that_may_be_it_waits(pool: Pool) -> None:
    sale = await sold(pool)
    await asked(sale, 800)
    await pool.execute("UPDATE refunds SET status = 'sent', sent_at = $1", NOON)

    applied = await sale.tell(sale.refund(1, 500))

    assert isinstance(applied, Applied)
    assert isinstance(applied.outcome, Early)
    assert await sale.refunds() == [(800, "sent")]


async def test_f99_more_than_was_taken_moves_nothing_and_is_raised_until_it_fits(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 600))
    second = sale.refund(2, 500)

    applied = await sale.tell(second)
    await sale.tell(second)

    assert isinstance(applied, Applied)
    assert applied.outcome == Booked("refund_mismatch")
    assert await sale.refunds() == [(600, "succeeded")]
    row = await pool.fetchrow("SELECT kind, state, evidence FROM discrepancies")
    assert row is not None
    assert (row["kind"], row["state"]) == ("refund_mismatch", "open")
    assert (row["evidence"]["ours"]["amount"], row["evidence"]["theirs"]["amount"]) == (400, 500)
    assert (await kinds(pool, "effects")).count("gateway.read_money_back") == 1
    await sale.tell(sale.refund(1, 600, FAILED))
    await sale.tell(second)
    assert await sale.refunds() == [(600, "failed"), (500, "succeeded")]
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["refund_failed"]
    await assert_sound(pool)


async def test_another_amount_under_a_known_name_moves_nothing(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 600, PENDING))

    await sale.tell(sale.refund(1, 500))

    assert await sale.refunds() == [(600, "pending")]
    assert await kinds(pool, "discrepancies") == ["refund_mismatch"]


async def test_another_currency_moves_nothing(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(replace(sale.refund(1, 600), amount=Money(600, "eur")))

    assert await sale.refunds() == []
    assert await kinds(pool, "discrepancies") == ["refund_mismatch"]


async def test_f106_a_pending_refund_takes_nothing_until_it_has_gone(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.refund(1, 1000, PENDING))

    assert await sale.status() == "paid"
    assert await sale.access() == (True, "paid")
    assert await sale.movements() == [("payment", 1000)]
    payment = await sale.row("SELECT amount_refunded, amount_refunding FROM payments WHERE order_id = $1")
    assert tuple(payment) == (0, 1000)
    await sale.tell(sale.refund(1, 1000))
    assert await sale.status() == "refunded"


async def test_f106_a_pending_refund_that_fails_was_never_booked(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 1000, PENDING))

    await sale.tell(sale.refund(1, 1000, FAILED))

    assert await sale.movements() == [("payment", 1000)]
    assert await kinds(pool, "discrepancies") == []
    assert "notify.refund.failed" in await kinds(pool, "effects")


# --- whose it is ---


async def test_f30_a_refund_that_overtakes_its_payment_waits_for_it(pool: Pool) -> None:
    sale = await sell(pool)

    early = await sale.tell(sale.refund(1, 1000))
    await sale.work([sale.refund(1, 1000), sale.paid()])

    assert early == Unmatched(("pi_1",))
    assert await sale.status() == "refunded"
    assert await sale.access() == (False, "refunded")
    await assert_sound(pool)


async def test_f30_a_refund_whose_order_is_known_and_whose_payment_is_not_comes_back(pool: Pool) -> None:
    sale = await sell(pool)
    names = References(order_ids=(str(sale.order_id),), objects=("pi_1",))

    async with pool.acquire() as tx, tx.transaction():
        applied = await apply(tx, Observed("stripe", names, sale.refund(1, 1000)), Cause("webhook_event", "e"), BOOK)

    assert applied == Applied(None, Early("its payment is not recorded yet"))


async def test_a_refund_that_names_the_charge_alone_finds_the_one_payment_of_its_order(pool: Pool) -> None:
    sale = await sold(pool)
    await pool.execute("INSERT INTO gateway_references VALUES ('stripe', 'ch_1', $1)", sale.order_id)
    told = replace(sale.refund(1, 1000), payment=PaymentNamed(None, "ch_1"))

    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, Observed("stripe", References(), told), Cause("webhook_event", "e"), BOOK)

    assert await sale.status() == "refunded"


async def test_another_instances_refund_is_foreign(pool: Pool) -> None:
    sale = await sold(pool)
    names = References(objects=("pi_1",), instance="another")

    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, Observed("stripe", names, sale.refund(1, 1000)), Cause("webhook_event", "e"), BOOK)

    assert await sale.refunds() == []


async def test_the_refund_of_a_renewal_leaves_the_order_that_began_it_alone(pool: Pool) -> None:
    placed = await tellings.place(pool)
    bills = [tellings.telling(of=tellings.snapshot(), bill=tellings.invoice(number)) for number in (1, 2)]
    await tellings.tell(pool, placed, *bills)

    renewal = RefundTold("re_1", PaymentNamed("pi_2"), TEN, SUCCEEDED)
    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, Observed("stripe", References(objects=("pi_2",)), renewal), Cause("webhook_event", "e"), BOOK)

    row = await pool.fetchrow(
        "SELECT r.order_id, r.status, p.gateway_payment_id FROM refunds r JOIN payments p ON p.id = r.payment_id"
    )
    assert row is not None
    assert tuple(row) == (None, "succeeded", "pi_2")
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    told = await pool.fetchval("SELECT detail FROM effects WHERE kind = 'mail.refund_succeeded'")
    assert (told["orderId"], told["subscriptionId"]) == (str(placed.order), str(placed.subscription))
    await assert_sound(pool)


async def test_a_renewals_payment_wakes_the_refund_that_waited_for_it(pool: Pool) -> None:
    placed = await tellings.place(pool)
    await tellings.tell(pool, placed, tellings.telling(of=tellings.snapshot(), bill=tellings.invoice(1)))
    event = await keep(pool, {"id": "evt_refund"}, event_type="refund.created")
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.park(tx, event, ("pi_2",))

    await tellings.tell(pool, placed, tellings.telling(of=tellings.snapshot(), bill=tellings.invoice(2)))

    assert await pool.fetchval("SELECT status FROM webhook_events") == "retry"


# --- what a subscription gives by its invoices' money ---


async def subscribed(pool: Pool, invoices: int = 2) -> tellings.Placed:
    """A subscription whose invoices are paid; the last one's month has begun."""
    placed = await tellings.place(pool)
    for number in range(1, invoices + 1):
        begins = tellings.BEGIN + (number - 1) * tellings.MONTH
        now = tellings.snapshot(period_start=begins, period_end=begins + tellings.MONTH)
        await tellings.tell(pool, placed, tellings.telling(begins, now, tellings.invoice(number)), now=begins)
    return placed


async def tell_of(pool: Pool, event: RefundTold | DisputeTold, policy: Policy = DEFAULT) -> None:
    """What became of a payment, in the second month."""
    book = tellings.book(tellings.BEGIN + tellings.MONTH, policy)
    async with pool.acquire() as tx, tx.transaction():
        fact = Observed("stripe", References(objects=(event.payment.gateway_payment_id or "",)), event)
        await apply(tx, fact, Cause("webhook_event", "e"), book)


async def gives(pool: Pool) -> tuple[bool, str]:
    row = await pool.fetchrow("SELECT active, reason FROM entitlements")
    assert row is not None
    return row["active"], row["reason"]


def refund_of(number: int, minor: int = 1000, status: RefundStatus = SUCCEEDED) -> RefundTold:
    return RefundTold(f"re_{number}", PaymentNamed(f"pi_{number}"), usd(minor), status)


def dispute_of(number: int, status: DisputeStatus, took: int) -> DisputeTold:
    at, word = tellings.BEGIN + tellings.MONTH, status.value
    payment, seconds = PaymentNamed(f"pi_{number}"), timedelta(seconds=status is not NEEDS_RESPONSE)
    return DisputeTold(f"dp_{number}", payment, TEN, status, word, at + seconds, withdrawn=usd(took))


async def test_a_refunded_renewal_gives_its_period_no_more_and_a_failed_refund_gives_it_back(pool: Pool) -> None:
    await subscribed(pool)
    before = await gives(pool)

    await tell_of(pool, refund_of(2))
    after = await gives(pool)
    await tell_of(pool, refund_of(2, status=FAILED))

    assert (before, after, await gives(pool)) == ((True, "paid"), (False, "refunded"), (True, "paid"))
    assert await pool.fetchval("SELECT status FROM subscriptions") == "active"
    assert {"notify.access.suspended", "notify.access.restored"} <= set(await kinds(pool, "effects"))
    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    await assert_sound(pool)


async def test_a_renewal_that_was_refunded_in_part_gives_its_period(pool: Pool) -> None:
    await subscribed(pool)

    await tell_of(pool, refund_of(2, 400))

    assert await gives(pool) == (True, "paid")


async def test_the_refund_of_an_earlier_invoice_takes_nothing_of_a_later_one(pool: Pool) -> None:
    await subscribed(pool)

    await tell_of(pool, refund_of(1))

    assert await gives(pool) == (True, "paid")
    assert await pool.fetchval("SELECT status FROM orders") == "refunded"
    await assert_sound(pool)


async def test_a_refunded_first_invoice_ends_access_and_refunds_the_order(pool: Pool) -> None:
    await subscribed(pool, 1)

    await tell_of(pool, refund_of(1))

    assert await gives(pool) == (False, "refunded")
    assert await pool.fetchval("SELECT status FROM orders") == "refunded"
    await assert_sound(pool)


async def test_a_payment_that_went_back_before_its_invoice_was_told_gives_nothing(pool: Pool) -> None:
    placed = await tellings.place(pool)
    await tellings.tell(pool, placed, PaymentSucceeded("pi_1", TEN))
    await tell_of(pool, refund_of(1))

    await tellings.tell(pool, placed, tellings.telling(of=tellings.snapshot(), bill=tellings.invoice(1)))

    assert await gives(pool) == (False, "refunded")
    assert await pool.fetchval("SELECT status FROM orders") == "refunded"
    await assert_sound(pool)


async def test_a_disputed_renewal_is_suspended_until_it_is_won(pool: Pool) -> None:
    await subscribed(pool)

    await tell_of(pool, dispute_of(2, NEEDS_RESPONSE, 1000))
    held = await gives(pool)
    await tell_of(pool, dispute_of(2, WON, 1000))

    assert (held, await gives(pool)) == ((False, "disputed"), (True, "paid"))


@pytest.mark.parametrize(
    ("refunded", "disputed", "reason"),
    [
        (Period.REVOKE, Period.KEEP, "refunded"),
        (Period.KEEP, Period.SUSPEND, "disputed"),
        (Period.REVOKE, Period.SUSPEND, "disputed"),
        (Period.KEEP, Period.KEEP, "paid"),
    ],
)
async def test_the_dispute_of_a_refunded_renewal_gives_back_no_access(
    pool: Pool, refunded: Period, disputed: Period, reason: str
) -> None:
    await subscribed(pool)
    policy = Policy(refunded_invoice=refunded, disputed_invoice=disputed)

    await tell_of(pool, refund_of(2), policy)
    await tell_of(pool, dispute_of(2, NEEDS_RESPONSE, 1000), policy)

    assert await gives(pool) == (reason == "paid", reason)
    await assert_sound(pool)


@pytest.mark.parametrize("what", ["refund", "dispute"])
async def test_a_policy_may_let_the_period_go_on(pool: Pool, what: str) -> None:
    await subscribed(pool)
    policy = Policy(refunded_invoice=Period.KEEP, disputed_invoice=Period.KEEP)

    await tell_of(pool, refund_of(2) if what == "refund" else dispute_of(2, NEEDS_RESPONSE, 1000), policy)

    assert await gives(pool) == (True, "paid")


async def test_the_next_renewal_that_is_paid_gives_access_again(pool: Pool) -> None:
    placed = await subscribed(pool)
    await tell_of(pool, refund_of(2))

    begins = tellings.BEGIN + 2 * tellings.MONTH
    now = tellings.snapshot(period_start=begins, period_end=begins + tellings.MONTH)
    await tellings.tell(pool, placed, tellings.telling(begins, now, tellings.invoice(3)), now=begins)

    assert await gives(pool) == (True, "paid")


# --- the running total ---


async def test_a_total_that_is_not_the_sum_of_ours_is_read_once(pool: Pool) -> None:
    sale = await sold(pool)
    total = RefundsTotalled(PaymentNamed("pi_1"), usd(500))

    first, again = await sale.tell(total), await sale.tell(total)

    assert isinstance(first, Applied)
    assert isinstance(again, Applied)
    assert (len(first.effects), len(again.effects)) == (1, 0)
    assert await kinds(pool, "discrepancies") == []


async def test_the_same_total_is_read_again_after_what_it_told_of_had_come_back(pool: Pool) -> None:
    """Somebody gives the same sum back anew in the dashboard, and the news of that refund is lost."""
    sale = await sold(pool)
    total = RefundsTotalled(PaymentNamed("pi_1"), usd(300))
    await sale.tell(total)
    await sale.tell(sale.refund(1, 300))
    await sale.tell(sale.refund(1, 300, FAILED))

    first, again = await sale.tell(total), await sale.tell(total)

    assert isinstance(first, Applied)
    assert isinstance(again, Applied)
    assert (len(first.effects), len(again.effects)) == (1, 0)


async def test_a_total_that_differs_after_the_read_is_raised_and_cured_when_it_agrees(pool: Pool) -> None:
    sale = await sold(pool)
    total = RefundsTotalled(PaymentNamed("pi_1"), usd(500))

    await sale.tell(total, is_read=True)

    row = await pool.fetchrow("SELECT kind, amount_at_risk FROM discrepancies WHERE state = 'open'")
    assert row is not None
    assert tuple(row) == ("refund_total_mismatch", 500)
    await sale.tell(sale.refund(1, 500, refunded_in_all=usd(500)))
    assert await kinds(pool, "discrepancies", "state = 'open'") == []
    await sale.tell(replace(total, refunded_in_all=usd(900)), is_read=True)
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["refund_total_mismatch"]


async def test_what_is_too_early_to_be_booked_says_nothing_of_the_total(pool: Pool) -> None:
    """One of ours is on its way without a name: perhaps it is this one, and no refund is missing."""
    sale = await sold(pool)
    await pool.execute(
        "INSERT INTO refunds (order_id, payment_id, gateway, amount, currency, status, reason_code, asked_by, "
        "idempotency_key, created_at, sent_at) SELECT order_id, id, gateway, 500, currency, 'sent', 'other', 'api:shop', "
        "'key', now(), now() FROM payments"
    )

    told = await sale.tell(sale.refund(1, 501, refunded_in_all=usd(501)))

    assert isinstance(told, Applied)
    assert isinstance(told.outcome, Early)
    assert told.effects == ()


async def test_another_difference_of_the_totals_takes_the_place_of_the_last(pool: Pool) -> None:
    sale = await sold(pool)

    for minor in (100, 900, 900):
        await sale.tell(RefundsTotalled(PaymentNamed("pi_1"), usd(minor)), is_read=True)

    rows = await pool.fetch("SELECT state, amount_at_risk FROM discrepancies ORDER BY amount_at_risk")
    assert [tuple(row) for row in rows] == [("resolved", 100), ("open", 900)]


async def test_what_a_person_has_closed_of_the_totals_is_silent_until_they_differ_anew(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(RefundsTotalled(PaymentNamed("pi_1"), usd(100)), is_read=True)
    await pool.execute("UPDATE discrepancies SET state = 'resolved', closed_at = now(), closed_by = 'operator:ann'")

    opened = []
    for minor in (100, 900):
        await sale.tell(RefundsTotalled(PaymentNamed("pi_1"), usd(minor)), is_read=True)
        opened.append(await pool.fetchval("SELECT sum(amount_at_risk)::int FROM discrepancies WHERE state = 'open'"))

    assert opened == [None, 900]


# --- what a person had to decide ---


async def test_money_taken_twice_is_decided_when_it_went_back_and_again_when_that_fails(pool: Pool) -> None:
    sale = await sold(pool)
    second = replace(sale, name="2")
    await second.tell(second.paid())
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["duplicate_payment"]

    await second.tell(second.refund(1, 1000))

    assert await kinds(pool, "discrepancies", "state = 'open'") == []
    assert await sale.status() == "paid"
    assert await sale.access() == (True, "paid")
    await second.tell(second.refund(1, 1000, FAILED))
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["duplicate_payment", "refund_failed"]


async def test_a_refund_that_failed_is_healed_by_another_one(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 1000))
    await sale.tell(sale.refund(1, 1000, FAILED))
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["refund_failed"]

    await sale.tell(sale.refund(2, 1000))
    healed = await kinds(pool, "discrepancies", "state = 'open'")
    await sale.tell(sale.refund(2, 1000, FAILED))

    assert healed == []
    open_ones = await pool.fetch("SELECT evidence FROM discrepancies WHERE state = 'open'")
    assert [row["evidence"]["theirs"]["refund"] for row in open_ones] == ["re_1_2"]


async def test_of_two_payments_one_went_back_and_the_order_is_paid_whichever_came_first(pool: Pool) -> None:
    for number, order in enumerate(itertools.permutations(range(3))):
        sale = await sell(pool, f"two-{number}")
        second = replace(sale, name=f"two-{number}-again")
        news: list[Event] = [sale.paid(), sale.refund(1, 1000), second.paid()]

        await sale.work(news[index] for index in order)

        assert await sale.status() == "paid"
        assert await sale.access() == (True, "paid")
    await assert_sound(pool)


async def test_late_money_that_went_back_by_policy_refunds_the_order_that_was_given_up(pool: Pool) -> None:
    sale = await sell(pool, book=replace(BOOK, late_success=LateSuccess.REFUND))
    await sale.tell(CheckoutEnded("cs_1"))
    await sale.tell(sale.paid())
    assert await pool.fetchval("SELECT standing FROM payments") == Standing.RETURNED
    refund_id = await pool.fetchval("SELECT id FROM refunds")

    await sale.tell(sale.refund(1, 1000, refund_id=str(refund_id)))

    assert await sale.status() == "refunded"
    assert await sale.refunds() == [(1000, "succeeded")]
    await assert_sound(pool)


async def test_late_money_that_had_gone_back_and_was_returned_to_us_is_raised(pool: Pool) -> None:
    """No move leads out of `refunded` to what the order was: a person is told that its money is ours."""
    sale = await sell(pool, book=replace(BOOK, late_success=LateSuccess.REFUND))
    await sale.tell(CheckoutEnded("cs_1"))
    await sale.tell(sale.paid())
    refund_id = str(await pool.fetchval("SELECT id FROM refunds"))
    await sale.tell(sale.refund(1, 1000, refund_id=refund_id))

    await sale.tell(sale.refund(1, 1000, FAILED, refund_id=refund_id))

    order = await sale.row("SELECT status, amount_refunded FROM orders WHERE id = $1")
    assert tuple(order) == ("refunded", 0)
    assert sorted(await kinds(pool, "discrepancies", "state = 'open'")) == ["late_success", "refund_failed"]


async def test_late_money_that_cannot_go_back_is_raised(pool: Pool) -> None:
    sale = await sell(pool, book=replace(BOOK, late_success=LateSuccess.REFUND))
    await sale.tell(CheckoutEnded("cs_1"))
    await sale.tell(sale.paid())
    refund_id = await pool.fetchval("SELECT id FROM refunds")

    await sale.tell(sale.refund(1, 1000, FAILED, refund_id=str(refund_id)))

    assert await sale.status() == "cancelled"
    assert await kinds(pool, "discrepancies") == ["late_success"]


async def test_what_was_paid_twice_and_went_back_is_no_refund_of_the_order(pool: Pool) -> None:
    sale = await sold(pool)
    twice = replace(sale, name="2")
    await twice.tell(twice.paid())

    shown = []
    for told in (twice.refund(1, 600), twice.refund(2, 400), sale.refund(1, 300), sale.refund(2, 700)):
        await sale.tell(told)
        order = await sale.row("SELECT status, amount_refunded FROM orders WHERE id = $1")
        shown.append(tuple(order))

    assert shown == [("paid", 0), ("paid", 0), ("paid", 300), ("refunded", 1000)]
    await assert_sound(pool)


# --- disputes ---


async def test_f100_an_inquiry_moves_and_blocks_nothing(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.dispute(INQUIRY))
    await sale.tell(sale.dispute(CLOSED, 9, gateway_status="warning_closed"))

    assert await sale.status() == "paid"
    assert await sale.access() == (True, "paid")
    assert await sale.movements() == [("payment", 1000)]


async def test_f101_withdrawn_suspends_and_won_restores(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.dispute(NEEDS_RESPONSE, 0, took=1000))
    held = (await sale.status(), await sale.access())
    await sale.tell(sale.dispute(WON, 9))

    assert held == ("disputed", (False, "disputed"))
    assert (await sale.status(), await sale.access()) == ("paid", (True, "paid"))
    owed = set(await kinds(pool, "effects"))
    assert {"notify.dispute.opened", "notify.dispute.closed"} <= owed
    assert {"notify.access.suspended", "notify.access.restored"} <= owed


async def test_f101_of_two_disputes_one_that_is_won_frees_nothing_while_the_other_holds(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(NEEDS_RESPONSE, 0, took=400))
    await sale.tell(sale.dispute(NEEDS_RESPONSE, 0, number=2, took=600))

    await sale.tell(sale.dispute(WON, 9, gave=400))
    one = await sale.status()
    await sale.tell(sale.dispute(WON, 9, number=2, gave=600))

    assert (one, await sale.status()) == ("disputed", "paid")
    await assert_sound(pool)


async def test_f101_a_refunded_order_stays_refunded_when_its_dispute_is_won(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 1000))

    await sale.tell(sale.dispute(NEEDS_RESPONSE, 0, took=1000))
    held = await sale.status()
    await sale.tell(sale.dispute(WON, 9, gave=1000))

    assert (held, await sale.status()) == ("disputed", "refunded")
    assert await sale.access() == (False, "refunded")
    await assert_sound(pool)


async def test_f102_money_moves_with_its_own_events_whichever_comes_first(pool: Pool) -> None:
    ends = []
    for number, order in enumerate([*itertools.permutations(range(5))][::4]):
        sale = await sold(pool, f"f102-{number}")
        news: list[Event] = [
            sale.dispute(NEEDS_RESPONSE, 0),
            sale.dispute(NEEDS_RESPONSE, 1, took=1000),
            sale.dispute(UNDER_REVIEW, 5, gave=400),
            sale.dispute(WON, 9, gave=1000),
            sale.dispute(WON, 9),
        ]
        await sale.work(news[index] for index in order)
        ends.append(await sale.stands())

    assert len(ends) == 30
    assert all(end == ends[0] for end in ends)
    assert (ends[0]["order"], ends[0]["net"]) == (("paid", 0, ""), 1000)
    await assert_sound(pool)


async def test_f38_opened_and_closed_at_once_by_two_workers_ends_closed(pool: Pool) -> None:
    for number in range(5):
        sale = await sold(pool, f"f38-{number}")
        opened, closed = sale.dispute(NEEDS_RESPONSE, 0, took=1000), sale.dispute(LOST, 0)

        await asyncio.gather(*(sale.tell(told) for told in (opened, closed, opened, closed)))

        row = await sale.row("SELECT status, withdrawn FROM disputes WHERE order_id = $1")
        assert tuple(row) == ("lost", 1000)
        assert await sale.status() == "disputed"
        assert await sale.movements() == [("dispute", -1000), ("payment", 1000)]


@pytest.mark.parametrize("word", ["prevented", "appeal_needs_response", "appeal_under_review", "of_tomorrow"])
async def test_f103_a_word_that_we_do_not_know_is_kept_and_shown(pool: Pool, word: str) -> None:
    sale = await sold(pool)

    await sale.tell(sale.dispute(UNDER_REVIEW, gateway_status=word))

    assert (await sale.row("SELECT gateway_status FROM disputes WHERE order_id = $1"))["gateway_status"] == word


async def test_a_lost_dispute_stays_disputed(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.dispute(LOST, 0))

    assert (await sale.status(), await sale.access()) == ("disputed", (False, "disputed"))
    assert (await sale.row("SELECT closed_at FROM disputes WHERE order_id = $1"))["closed_at"] == NOON


async def test_f103_an_end_without_a_verdict_frees_nothing_that_was_not_given_back(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(NEEDS_RESPONSE, 1, took=1000))

    await sale.tell(sale.dispute(CLOSED, 2, gateway_status="prevented"))
    held = (await sale.status(), await sale.access())
    await sale.tell(sale.dispute(CLOSED, 3, gateway_status="prevented", took=1000, gave=1000))

    assert held == ("disputed", (False, "disputed"))
    assert (await sale.status(), await sale.access()) == ("paid", (True, "paid"))
    await assert_sound(pool)


async def test_f102_a_lost_dispute_whose_money_is_all_back_holds_nothing(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(LOST, 1, took=1000))

    await sale.tell(sale.dispute(LOST, 2, took=1000, gave=1000))

    assert (await sale.status(), await sale.access()) == ("paid", (True, "paid"))
    await assert_sound(pool)


async def test_f102_a_verdict_that_turns_moves_the_money_again_in_rows_of_its_own(pool: Pool) -> None:
    sale = await sold(pool, gateway="razorpay")
    turns = [
        sale.dispute(UNDER_REVIEW, 1, took=1000, kept=1000),
        sale.dispute(WON, 2, kept=0),
        sale.dispute(LOST, 3, took=1000, kept=1000),
        sale.dispute(WON, 4, kept=0),
        sale.dispute(LOST, 5, took=1000, kept=1000),
    ]

    held = []
    for told in turns:
        await sale.tell(told)
        held.append((await sale.status(), sum(minor for _, minor in await sale.movements())))

    assert held == [("disputed", 0), ("paid", 1000)] * 2 + [("disputed", 0)]
    assert len(await sale.movements()) == 1 + len(turns)
    await assert_sound(pool)


def later(sale: Sale, seconds: float = 60) -> Sale:
    """The same sale, told of and asked about at a later moment of business time."""
    return replace(sale, book=replace(sale.book, clock=lambda: NOON + timedelta(seconds=seconds)))


async def test_what_is_read_of_a_dispute_is_how_it_stands_now(pool: Pool) -> None:
    sale = await sold(pool, gateway="razorpay")
    await sale.tell(sale.dispute(UNDER_REVIEW, 5))
    due = NOON + timedelta(days=2)

    now = later(sale)
    await now.tell(now.dispute(NEEDS_RESPONSE, None, evidence_due_at=due), is_read=True)

    row = await sale.row("SELECT status, evidence_due_at FROM disputes WHERE order_id = $1")
    assert tuple(row) == ("needs_response", due)


async def test_a_read_that_says_lost_takes_back_what_was_won(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(WON, 5, took=1000, gave=1000))

    now = later(sale)
    await now.tell(now.dispute(LOST, None, took=2000, gave=1000), is_read=True)

    assert (await sale.status(), await sale.access()) == ("disputed", (False, "disputed"))
    await assert_sound(pool)


async def test_what_was_told_before_a_read_does_not_undo_it(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(NEEDS_RESPONSE, 0, took=1000))
    now = later(sale)
    await now.tell(now.dispute(WON, None, took=1000, gave=1000), is_read=True)

    await now.tell(now.dispute(UNDER_REVIEW, 5, took=1000))

    assert (await sale.row("SELECT status FROM disputes WHERE order_id = $1"))["status"] == "won"
    assert await sale.status() == "paid"


async def test_every_change_of_a_dispute_is_in_its_history(pool: Pool) -> None:
    sale = await sold(pool)
    first = sale.dispute(UNDER_REVIEW, 0, took=1000)
    changed = [
        replace(first, told_at=NOON + timedelta(seconds=1), amount=usd(400)),
        replace(first, told_at=NOON + timedelta(seconds=2), gateway_status="appeal_under_review"),
        replace(first, told_at=NOON + timedelta(seconds=3), reason="fraudulent"),
        replace(first, told_at=NOON + timedelta(seconds=4), evidence_due_at=NOON + timedelta(days=9)),
    ]
    same = replace(changed[-1], told_at=NOON + timedelta(seconds=5))

    for told in (first, *changed, same):
        await sale.tell(told)

    lines = await pool.fetch("SELECT from_status, detail FROM history WHERE subject = 'dispute' ORDER BY id")
    assert [line["from_status"] for line in lines] == [None] * 5
    assert [line["detail"]["amount"] for line in lines] == [1000, 400, 1000, 1000, 1000]
    assert lines[2]["detail"]["gatewayStatus"] == "appeal_under_review"
    assert lines[3]["detail"]["reason"] == "fraudulent"
    assert lines[4]["detail"]["evidenceDueAt"] == (NOON + timedelta(days=9)).isoformat()


async def test_a_dispute_of_one_payment_that_is_told_of_another_writes_nothing(pool: Pool) -> None:
    mine, other = await sold(pool), await sold(pool, "2")
    await mine.tell(mine.dispute(WON, 1))

    with pytest.raises(RuntimeError, match="is of another payment"):
        await other.tell(replace(other.dispute(LOST, 2), gateway_dispute_id="dp_1_1"))

    assert (await other.status(), await mine.status()) == ("paid", "paid")


async def test_f30_f72_a_refund_of_what_was_promised_and_not_taken_waits_for_the_money(pool: Pool) -> None:
    sale = await sell(pool, gateway="razorpay")
    names = References(order_ids=(str(sale.order_id),), objects=("pi_1",))
    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, Observed("razorpay", names, PaymentAuthorised("pi_1", TEN)), Cause("webhook_event", "e"), BOOK)

    applied = await sale.tell(sale.refund(1, 1000))

    assert isinstance(applied, Applied)
    assert applied.outcome == Early("its payment has not succeeded yet")
    assert await sale.refunds() == []


async def test_a_fee_that_comes_alone_is_booked(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(LOST, 1, took=1000))

    await sale.tell(sale.dispute(LOST, 1, took=1000, fee=usd(1500)))

    assert await sale.movements() == [("dispute", -1000), ("dispute_fee", -1500), ("payment", 1000)]


async def test_a_second_fee_of_a_dispute_is_booked_beside_the_first(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.dispute(LOST, 1, took=1000, fee=usd(1500)))

    again = sale.dispute(LOST, 2, took=2000, gave=1000, fee=usd(3500))
    await sale.tell(again)
    await sale.tell(again)

    assert [minor for kind, minor in await sale.movements() if kind == "dispute_fee"] == [-2000, -1500]


async def test_its_fee_is_booked_once(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.dispute(NEEDS_RESPONSE, 0, took=1000, fee=usd(1500)))
    await sale.tell(sale.dispute(LOST, 9, took=1000, fee=usd(1500)))

    assert await sale.movements() == [("dispute", -1000), ("dispute_fee", -1500), ("payment", 1000)]


async def test_what_a_bank_takes_in_another_currency_is_raised_and_not_added_up(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(replace(sale.dispute(NEEDS_RESPONSE), withdrawn=Money(900, "eur")))

    assert await kinds(pool, "discrepancies") == ["dispute_mismatch"]
    assert await sale.movements() == [("payment", 1000)]


async def test_f107_a_fraud_warning_is_one_task_and_moves_nothing(pool: Pool) -> None:
    sale = await sold(pool)

    for name in ("issfr_1", "issfr_1", "issfr_2"):
        await sale.tell(sale.warning(name))

    assert await kinds(pool, "discrepancies", "state = 'open'") == ["early_fraud_warning"]
    assert await sale.status() == "paid"
    assert "gateway.refund_payment" not in await kinds(pool, "effects")
    await sale.tell(sale.refund(1, 1000))
    assert await kinds(pool, "discrepancies", "state = 'open'") == []


async def test_f107_a_fraud_warning_about_what_went_back_is_no_task(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 1000))

    await sale.tell(sale.warning())

    assert await kinds(pool, "discrepancies") == []


# --- what a gateway keeps ---


async def test_the_fee_of_a_payment_is_booked_once_also_where_it_is_told_later(pool: Pool) -> None:
    sale = await sold(pool)

    await sale.tell(sale.paid(fee=59))
    await sale.tell(sale.paid(fee=59))

    assert await sale.movements() == [("fee", -59), ("payment", 1000)]


async def test_f97_many_workers_at_once_book_each_fact_once(pool: Pool) -> None:
    sale = await sold(pool)
    news: list[Event] = [sale.refund(number, 100) for number in range(1, 5)]
    news += [sale.dispute(NEEDS_RESPONSE, 0, took=600), sale.dispute(WON, 9, took=600, gave=600)]

    await asyncio.gather(*(sale.tell(told) for told in news * 3))

    stands = await sale.stands()
    assert (stands["order"], stands["net"]) == (("paid", 400, "_4"), 600)
    await assert_sound(pool)


# --- every order of the news ---


def stripes(sale: Sale) -> list[Event]:
    return [
        sale.paid(),
        sale.refund(1, 200),
        sale.refund(2, 300),
        sale.refund(2, 300, FAILED),
        sale.dispute(NEEDS_RESPONSE, 0),
        sale.dispute(NEEDS_RESPONSE, 0, took=1000),
        sale.dispute(WON, 9, took=1000, gave=1000),
    ]


def razorpays(sale: Sale) -> list[Event]:
    """No events of its own tell what the money of a dispute did: what was deducted says so, and how it ended. A verdict
    may turn."""
    return [
        sale.paid(fee=24),
        sale.refund(1, 200),
        sale.refund(2, 300, PENDING),
        sale.refund(2, 300, FAILED),
        sale.dispute(UNDER_REVIEW, 3, took=1000, kept=1000),
        sale.dispute(WON, 6, kept=0),
        sale.dispute(LOST, 9, took=1000, kept=1000),
    ]


NEWS = {"stripe": stripes, "razorpay": razorpays}
ENDS = {"stripe": ("paid", 200, "_1"), "razorpay": ("disputed", 200, "_1")}


@pytest.mark.parametrize("gateway", NEWS)
@pytest.mark.parametrize("picked", [(0, 1, 2, 3), (0, 2, 5, 6)], ids=str)
async def test_every_order_of_four_of_the_news_ends_the_same(pool: Pool, gateway: str, picked: tuple[int, ...]) -> None:
    ends = []
    for number, order in enumerate(itertools.permutations(picked)):
        sale = await sell(pool, f"{gateway}-{number}", gateway=gateway)
        news = NEWS[gateway](sale)
        await sale.work(news[index] for index in order)
        ends.append(await sale.stands())

    assert len(ends) == 24
    assert all(end == ends[0] for end in ends)
    await assert_sound(pool)


@pytest.mark.parametrize("gateway", NEWS)
async def test_orders_of_all_seven_each_told_twice_end_the_same(pool: Pool, gateway: str) -> None:
    ends = []
    orders = [*itertools.permutations(range(7))]
    for number in range(50):
        order = orders[number * (len(orders) - 1) // 49]
        sale = await sell(pool, f"{gateway}-{number}", gateway=gateway)
        news = NEWS[gateway](sale)
        await sale.work(news[index] for index in (*order, *order[::-1]))
        ends.append(await sale.stands())

    assert all(end == ends[0] for end in ends)
    assert ends[0]["order"] == ENDS[gateway]
    await assert_sound(pool)
