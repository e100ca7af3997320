"""What is told of a subscription, written into the record: the same rows in whatever order, and each fact once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from db import access, payments, subscriptions
from db.history import Cause
from db.pool import Pool, Tx
from payments.events import (
    CheckoutEnded,
    Event,
    Observed,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    References,
)
from payments.failure import Failure, FailureCode
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceStatus
from payments.money import Money
from payments.order import Stale
from payments.payment import PaymentStatus, Sighting, Standing
from payments.subscription import Followed, FollowOutcome, SubscriptionStatus
from tests.builders import place_order
from tests.tellings import (
    BEGIN,
    CUSTOMER,
    MONTH,
    NOTHING,
    PRICE,
    SESSION,
    SUB,
    Placed,
    book,
    invoice,
    observed,
    place,
    sell,
    snapshot,
    tell,
    telling,
)
from workers.apply import Applied, NotSubscribed, Unmatched, apply, apply_answer

SECOND = timedelta(seconds=1)
SECOND_MONTH = BEGIN + MONTH
THIRD_MONTH = BEGIN + 2 * MONTH
END = THIRD_MONTH + timedelta(minutes=1)

INCOMPLETE = SubscriptionStatus.INCOMPLETE
ACTIVE = SubscriptionStatus.ACTIVE
PAST_DUE = SubscriptionStatus.PAST_DUE
CANCELLED = SubscriptionStatus.CANCELLED

DECLINED = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")
PAID_BY_SESSION = PaymentSucceeded(None, PRICE)
BEGUN = telling(BEGIN, snapshot(), invoice())


async def one(pool: Pool, query: str, *values: object) -> dict[str, Any]:
    row = await pool.fetchrow(query, *values)
    assert row is not None
    return dict(row)


async def lines(pool: Pool | Tx, query: str, *values: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(query, *values)]


async def subscription(pool: Pool, placed: Placed) -> dict[str, Any]:
    return await one(pool, "SELECT * FROM subscriptions WHERE id = $1", placed.subscription)


async def kinds_owed(pool: Pool) -> list[str]:
    return [kind for (kind,) in await lines(pool, "SELECT kind FROM effects ORDER BY kind")]


# --- its life ---


async def test_the_first_payment_begins_it_and_pays_its_order(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, PAID_BY_SESSION, BEGUN)

    row = await subscription(pool, placed)
    assert (row["status"], row["gateway_subscription_id"], row["gateway_customer_id"]) == ("active", SUB, CUSTOMER)
    assert (row["current_period_start"], row["current_period_end"]) == (BEGIN, SECOND_MONTH)
    assert (row["ended_at"], row["cancelled_at"], row["version"]) == (None, None, 1)
    bill = await one(pool, "SELECT * FROM invoices")
    assert (bill["status"], bill["reason"], bill["amount"], bill["amount_paid"]) == ("paid", "first", 1000, 1000)
    money = await one(pool, "SELECT * FROM payments")
    assert (money["order_id"], money["invoice_id"], money["standing"]) == (placed.order, bill["id"], "accepted")
    assert await lines(pool, "SELECT order_id, subscription_id, active, until, reason FROM entitlements") == [
        (None, placed.subscription, True, SECOND_MONTH, "paid")
    ]
    assert await lines(pool, "SELECT subject, from_status, to_status FROM history ORDER BY id") == [
        ("order", "pending", "paid"),
        ("subscription", "incomplete", "active"),
    ]
    assert await kinds_owed(pool) == [
        "analytics.payment_completed",
        "mail.payment_confirmed",
        "mail.subscription_started",
        "notify.payment.completed",
        "notify.subscription.started",
    ]


async def test_the_first_invoice_pays_an_order_whose_session_nobody_told_of(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, BEGUN)

    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert (await one(pool, "SELECT active FROM entitlements"))["active"] is True


async def test_a_session_that_is_told_last_pays_nothing_twice(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, BEGUN, PAID_BY_SESSION)

    assert await lines(pool, "SELECT gateway_payment_id, standing FROM payments") == [("pi_1", "accepted")]
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


async def test_a_trial_is_begun_by_an_order_of_nothing_and_nobody_is_thanked_for_a_payment(pool: Pool) -> None:
    placed = await place(pool, trial_days=14)
    ends = BEGIN + timedelta(days=14)
    trial = snapshot(SubscriptionStatus.TRIALING, period_end=ends, trial_end=ends)

    await tell(pool, placed, telling(BEGIN, trial))

    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await lines(pool, "SELECT active, until, reason FROM entitlements") == [(True, ends, "trial")]
    owed = await kinds_owed(pool)
    assert "mail.subscription_started" in owed
    assert "mail.payment_confirmed" not in owed
    assert "notify.payment.completed" in owed


async def test_a_renewal_extends_access_and_its_money_is_its_invoices_alone(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    await tell(pool, placed, telling(SECOND_MONTH, None, invoice(2)), now=SECOND_MONTH)

    assert await pool.fetchval("SELECT until FROM entitlements") == THIRD_MONTH
    assert await lines(
        pool, "SELECT gateway_payment_id, order_id, standing FROM payments ORDER BY gateway_payment_id"
    ) == [("pi_1", placed.order, "accepted"), ("pi_2", None, "accepted")]
    assert {"mail.subscription_renewed", "notify.subscription.renewed"} < set(await kinds_owed(pool))


@pytest.mark.parametrize(
    "late",
    [
        PaymentSucceeded("pi_2", PRICE),
        PaymentFailed("pi_2", PRICE, DECLINED),
        PaymentFailed("pi_2", PRICE, DECLINED, final=True),
        PaymentPending("pi_2", PRICE),
        PaymentCancelled("pi_2", PRICE),
        PaymentAuthorised("pi_2", PRICE),
    ],
)
async def test_what_a_renewals_own_payment_tells_late_changes_nothing_of_its_money(pool: Pool, late: Event) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN, telling(SECOND_MONTH, None, invoice(2)), now=SECOND_MONTH)
    rows = "SELECT gateway_payment_id, order_id, status, standing, updated_at FROM payments ORDER BY 1"
    before = await lines(pool, rows)

    applied = await tell(pool, placed, late, now=SECOND_MONTH + SECOND)

    assert isinstance(applied, Applied)
    assert isinstance(applied.outcome, Stale)
    assert await lines(pool, rows) == before
    assert await lines(pool, "SELECT kind FROM discrepancies") == []
    assert await lines(pool, "SELECT status, failure_reason FROM orders") == [("paid", None)]


@pytest.mark.parametrize(
    ("status", "standing"), [(PaymentStatus.PENDING, None), (PaymentStatus.SUCCEEDED, Standing.SURPLUS)]
)
async def test_no_statement_unmakes_money_that_an_invoice_has_taken(
    pool: Pool, status: PaymentStatus, standing: Standing | None
) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN, telling(SECOND_MONTH, None, invoice(2)), now=SECOND_MONTH)
    seen = Sighting("pi_2", PRICE, status)

    async with pool.acquire() as tx, tx.transaction():
        row = await payments.record(tx, "stripe", placed.order, seen, status=status, standing=standing, failure=None)

    assert row is None
    told = await lines(pool, "SELECT order_id, status, standing FROM payments WHERE gateway_payment_id = 'pi_2'")
    assert told == [(None, "succeeded", "accepted")]


async def test_f82_f89_a_failed_renewal_suspends_at_once_and_is_told_once_however_often_it_is_tried(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    tries = [
        telling(
            SECOND_MONTH + timedelta(days=day),
            snapshot(PAST_DUE),
            invoice(2, InvoiceStatus.OPEN, attempts=day + 1, failure=DECLINED),
        )
        for day in range(3)
    ]

    for day, told in enumerate(tries):
        await tell(pool, placed, told, told, now=SECOND_MONTH + timedelta(days=day, minutes=1))

    bill = await one(pool, "SELECT * FROM invoices WHERE gateway_invoice_id = 'in_2'")
    assert (bill["attempts"], bill["failure_code"]) == (3, "insufficient_funds")
    assert bill["failing_since"] == SECOND_MONTH + timedelta(minutes=1)
    assert await lines(pool, "SELECT active, reason FROM entitlements") == [(False, "payment_failed")]
    owed = await kinds_owed(pool)
    assert [
        owed.count(kind) for kind in ("mail.subscription_renewal_failed", "notify.subscription.renewal_failed")
    ] == [
        1,
        1,
    ]
    assert owed.count("mail.access_suspended") == 1


async def test_a_payment_that_comes_after_all_restores_access(pool: Pool) -> None:
    placed = await place(pool)
    failed = telling(SECOND_MONTH, snapshot(PAST_DUE), invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED))
    await tell(pool, placed, BEGUN)
    await tell(pool, placed, failed, now=SECOND_MONTH + SECOND)
    later = SECOND_MONTH + timedelta(days=2)

    renewed = snapshot(period_start=SECOND_MONTH, period_end=THIRD_MONTH)
    await tell(pool, placed, telling(later, renewed, invoice(2, attempts=2)), now=later)

    assert await lines(pool, "SELECT active, until, reason FROM entitlements") == [(True, THIRD_MONTH, "paid")]
    assert (await kinds_owed(pool)).count("mail.access_restored") == 1


async def test_a_page_that_ends_unpaid_ends_what_it_would_have_begun_and_makes_room_for_another(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, CheckoutEnded(SESSION))
    again = await place(pool)

    row = await subscription(pool, placed)
    assert (row["status"], row["ended_at"]) == ("expired", BEGIN)
    assert (await subscription(pool, again))["status"] == "incomplete"


async def test_a_plan_change_at_the_gateway_is_a_plan_change_here(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    async with pool.acquire() as tx:
        await sell(tx, "yearly", Money(9000, "usd"))
    later = BEGIN + timedelta(days=3)

    await tell(pool, placed, telling(later, snapshot(price_id="price_yearly")), now=later)

    assert (await subscription(pool, placed))["plan_id"] == "yearly"
    assert await pool.fetchval("SELECT plan_id FROM entitlements") == "yearly"
    detail = await pool.fetchval("SELECT detail FROM effects WHERE kind = 'notify.subscription.plan_changed'")
    assert (detail["planId"], detail["previousPlanId"], detail["amount"]) == ("yearly", "monthly", 9000)
    told = await pool.fetchval("SELECT detail FROM history WHERE subject = 'subscription' ORDER BY id DESC LIMIT 1")
    assert told == {"plan": "yearly", "price": "price_yearly"}


async def test_a_change_to_a_plan_that_the_user_has_already_is_written_all_the_same(pool: Pool) -> None:
    placed, other = await place(pool), await place(pool, plan="yearly")
    await tell(pool, placed, BEGUN)

    await tell(pool, placed, telling(BEGIN + SECOND, snapshot(price_id="price_yearly")))

    assert await lines(pool, "SELECT plan_id, exclusive FROM subscriptions ORDER BY exclusive") == [
        ("yearly", False),
        ("yearly", True),
    ]
    assert (await subscription(pool, other))["exclusive"] is True


async def test_a_change_of_plan_brings_the_limit_of_the_plan_with_it(pool: Pool) -> None:
    placed = await place(pool, many=True)
    await tell(pool, placed, BEGUN)
    async with pool.acquire() as tx:
        await sell(tx, "yearly", Money(9000, "usd"))
        await sell(tx, "seats", Money(500, "usd"), many=True)

    limited = []
    for second, plan in enumerate(("yearly", "seats"), 1):
        await tell(pool, placed, telling(BEGIN + second * SECOND, snapshot(price_id=f"price_{plan}")))
        limited.append((await subscription(pool, placed))["exclusive"])

    assert limited == [True, False]


async def test_a_plan_that_is_limited_later_is_limited_for_those_who_have_it(pool: Pool) -> None:
    first, second = await place(pool, many=True), await place(pool, many=True)
    other = await place(pool, user="user-2", many=True)

    async with pool.acquire() as tx, tx.transaction():
        await sell(tx, "monthly", PRICE)
    limited = [(await subscription(pool, each))["exclusive"] for each in (first, second, other)]
    async with pool.acquire() as tx, tx.transaction():
        await sell(tx, "monthly", PRICE, many=True)

    # Both are of one moment: either may stand for it.
    assert (sorted(limited[:2]), limited[2]) == ([False, True], True)
    assert await pool.fetchval("SELECT count(*) FROM subscriptions WHERE exclusive") == 0


async def test_what_is_said_again_changes_nothing(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, PAID_BY_SESSION, BEGUN, telling(SECOND_MONTH, None, invoice(2)), now=SECOND_MONTH)
    before = (await subscription(pool, placed))["version"]

    applied = await tell(pool, placed, BEGUN, now=SECOND_MONTH)

    assert isinstance(applied, Applied)
    assert isinstance(applied.outcome, Followed)
    assert applied.outcome.outcome is FollowOutcome.STALE
    assert applied.effects == ()
    assert (await subscription(pool, placed))["version"] == before


# --- in whatever order ---

#: As Stripe tells it: each event of its own, and some within one second.
STRIPE: tuple[Event, ...] = (
    PAID_BY_SESSION,
    telling(BEGIN, snapshot(INCOMPLETE)),
    telling(BEGIN + SECOND, snapshot()),
    telling(BEGIN + SECOND, None, invoice()),
    telling(SECOND_MONTH, None, invoice(2)),
    telling(THIRD_MONTH, snapshot(CANCELLED, period_start=SECOND_MONTH, period_end=THIRD_MONTH, ended_at=THIRD_MONTH)),
)

#: As Razorpay does: the subscription with its money, or with the attempt that failed; the end of the first is told late.
RAZORPAY: tuple[Event, ...] = (
    telling(BEGIN, snapshot()),
    telling(BEGIN + SECOND, snapshot(), invoice()),
    telling(SECOND_MONTH, snapshot(PAST_DUE), invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED)),
    telling(
        SECOND_MONTH + timedelta(days=1),
        snapshot(PAST_DUE),
        invoice(2, InvoiceStatus.OPEN, attempts=2, failure=DECLINED),
    ),
    telling(
        SECOND_MONTH + timedelta(days=2),
        snapshot(period_start=SECOND_MONTH, period_end=THIRD_MONTH),
        invoice(2, attempts=3),
    ),
    telling(
        SECOND_MONTH + timedelta(days=9),
        snapshot(SubscriptionStatus.PAUSED, period_start=SECOND_MONTH, period_end=THIRD_MONTH),
    ),
)

#: What an order of tellings may make different: our own ids, when we wrote, how often.
RECORD = {
    "orders": "status, amount, currency, paid_at, failure_reason",
    "subscriptions": (
        "status, gateway, gateway_subscription_id, gateway_customer_id, plan_id, current_period_start, "
        "current_period_end, trial_end, cancel_at_period_end, ends_at, ended_at, price_id, told_at, is_settled, next_step_at"
    ),
    "invoices": (
        "gateway_invoice_id, number, status, reason, amount, amount_paid, currency, period_start, period_end, "
        "hosted_url, attempts, next_attempt_at, failing_since, failure_code, advice, paid_at"
    ),
    "payments": "gateway_payment_id, amount, currency, status, standing, order_id IS NULL, invoice_id IS NULL",
    "entitlements": "plan_id, active, until, reason",
    "discrepancies": "kind, amount_at_risk",
}


Record = dict[str, list[tuple[Any, ...]]]


async def record(tx: Tx) -> Record:
    return {table: await lines(tx, f"SELECT {what} FROM {table} ORDER BY 1, 2") for table, what in RECORD.items()}


@dataclass
class Orders:
    """Every order of some tellings, each told twice: how many were gone through, and in which records they end.

    Orders that have come to the same record with the same tellings left go on alike, so that one goes on for all.
    """

    tx: Tx
    placed: Placed
    counted: int = 0
    ends: list[Record] = field(default_factory=list)
    known: list[tuple[Sequence[Event], Record]] = field(default_factory=list)

    async def go_through(self, left: Sequence[Event]) -> None:
        now = await record(self.tx)
        if (left, now) in self.known:
            self.counted += math.factorial(len(left))
            return
        self.known.append((left, now))
        if not left:
            self.counted += 1
            self.ends.append(now)
        for number, event in enumerate(left):
            attempt = self.tx.transaction()
            await attempt.start()
            for _ in range(2):
                await apply(self.tx, observed(self.placed, event), Cause("webhook_event", "event-1"), book(END))
            await self.go_through([*left[:number], *left[number + 1 :]])
            await attempt.rollback()


@pytest.mark.parametrize(("life", "status"), [(STRIPE, "cancelled"), (RAZORPAY, "paused")], ids=["stripe", "razorpay"])
async def test_every_order_of_six_tellings_each_told_twice_ends_in_the_same_rows(
    pool: Pool, life: tuple[Event, ...], status: str
) -> None:
    placed = await place(pool)

    async with pool.acquire() as tx, tx.transaction():
        await tx.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        orders = Orders(tx, placed)
        await orders.go_through(life)

    assert orders.counted == math.factorial(6)
    [end] = orders.ends
    assert [row[0] for row in end["subscriptions"]] == [status]
    assert [row[:3] for row in end["payments"]] == [("pi_1", 1000, "usd"), ("pi_2", 1000, "usd")]
    assert end["discrepancies"] == []


# --- at once ---


async def test_workers_who_are_told_everything_at_once_write_it_once(pool: Pool) -> None:
    placed = await place(pool)
    everything = [event for event in STRIPE for _ in range(4)]

    await asyncio.gather(*(tell(pool, placed, event, now=END) for event in everything))

    row = await subscription(pool, placed)
    assert (row["status"], row["ended_at"]) == ("cancelled", THIRD_MONTH)
    assert await lines(pool, "SELECT gateway_payment_id, standing FROM payments ORDER BY 1") == [
        ("pi_1", "accepted"),
        ("pi_2", "accepted"),
    ]
    moves = await lines(
        pool, "SELECT from_status, to_status FROM history WHERE subject = 'subscription' AND from_status IS NOT NULL"
    )
    assert len(set(moves)) == len(moves)
    owed = await kinds_owed(pool)
    assert owed.count("mail.subscription_cancelled") == 1
    assert owed.count("notify.payment.completed") == 1


async def test_f28_created_and_updated_race_two_hundred_times_and_never_end_as_created(pool: Pool) -> None:
    placed = [await place(pool, user=f"user-{number}") for number in range(200)]

    for number, each in enumerate(placed):
        created, updated = (
            telling(BEGIN, replace(snapshot(status), gateway_subscription_id=f"sub_{number}"))
            for status in (INCOMPLETE, ACTIVE)
        )
        await asyncio.gather(tell(pool, each, created), tell(pool, each, updated))

    assert await lines(pool, "SELECT status, count(*) FROM subscriptions GROUP BY status") == [("active", 200)]


async def test_two_that_are_placed_at_once_are_one(pool: Pool) -> None:
    results = await asyncio.gather(*(place(pool) for _ in range(8)), return_exceptions=True)

    refused = [result for result in results if isinstance(result, asyncpg.UniqueViolationError)]
    assert len(refused) == 7
    assert await pool.fetchval("SELECT count(*) FROM subscriptions") == 1


async def test_a_plan_that_allows_many_is_subscribed_many_times(pool: Pool) -> None:
    await asyncio.gather(place(pool, many=True), place(pool, many=True))

    assert await pool.fetchval("SELECT count(*) FROM subscriptions WHERE NOT exclusive") == 2


# --- read at the gateway ---


async def answer(pool: Pool, placed: Placed, version: int, *events: Event) -> object:
    facts = [observed(placed, event) for event in events]
    async with pool.acquire() as tx, tx.transaction():
        return await apply_answer(tx, placed.subscription, facts, version, Cause("effect", "effect-1"), book())


async def test_f29_an_answer_that_was_overtaken_is_not_written(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    version = (await subscription(pool, placed))["version"]
    await tell(pool, placed, telling(BEGIN + SECOND, snapshot(cancel_at_period_end=True)))

    written = await answer(pool, placed, version, telling(None, snapshot()))

    assert written is None
    assert (await subscription(pool, placed))["cancel_at_period_end"] is True


async def test_two_states_of_one_second_are_settled_by_a_read(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN, telling(BEGIN, snapshot(cancel_at_period_end=True)))
    owed = await one(pool, "SELECT detail, subscription_id FROM effects WHERE kind = 'gateway.read_subscription'")
    version = (await subscription(pool, placed))["version"]

    written = await answer(pool, placed, version, telling(None, snapshot()))

    assert owed["subscription_id"] == placed.subscription
    assert owed["detail"]["gatewaySubscriptionId"] == SUB
    assert written is not None
    row = await subscription(pool, placed)
    assert (row["cancel_at_period_end"], row["is_settled"]) == (False, True)


async def test_one_that_is_told_without_a_time_is_read_before_it_is_believed(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, telling(None, snapshot()))

    assert (await subscription(pool, placed))["status"] == "incomplete"
    detail = await pool.fetchval("SELECT detail FROM effects WHERE kind = 'gateway.read_subscription'")
    assert detail["gatewaySubscriptionId"] == SUB


async def test_a_telling_that_does_not_say_what_has_happened_has_it_read(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, telling(BEGIN), BEGUN)

    await tell(pool, placed, telling(BEGIN + SECOND))

    detail = await pool.fetchval("SELECT detail FROM effects WHERE kind = 'gateway.read_subscription'")
    assert detail["gatewaySubscriptionId"] == SUB
    assert (await subscription(pool, placed))["version"] == 1


async def test_an_invoice_that_does_not_name_its_payment_is_read_once_for_it(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    unnamed = telling(SECOND_MONTH, None, invoice(2, payment=None))

    await tell(pool, placed, unnamed, unnamed, telling(SECOND_MONTH + SECOND, snapshot()), now=SECOND_MONTH + SECOND)

    reads = await lines(pool, "SELECT idempotency_key FROM effects WHERE kind = 'gateway.read_subscription'")
    assert reads == [(f"gateway.read_subscription:{placed.subscription}:payment of in_2",)]
    assert await pool.fetchval("SELECT until FROM entitlements") == THIRD_MONTH


async def test_f43_the_echo_of_our_own_call_moves_nothing_again(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    version = (await subscription(pool, placed))["version"]
    cancelled = snapshot(CANCELLED, ended_at=BEGIN + SECOND)

    await asyncio.gather(
        answer(pool, placed, version, telling(None, cancelled)),
        tell(pool, placed, telling(BEGIN + SECOND, cancelled)),
    )

    assert (await subscription(pool, placed))["ended_at"] == BEGIN + SECOND
    assert await lines(pool, "SELECT to_status FROM history WHERE subject = 'subscription' ORDER BY id") == [
        ("active",),
        ("cancelled",),
    ]
    assert (await kinds_owed(pool)).count("mail.subscription_cancelled") == 1


async def test_f118_a_read_repairs_the_rows_the_access_and_what_follows_once(pool: Pool) -> None:
    placed = await place(pool)
    facts = [telling(None, snapshot(period_start=SECOND_MONTH, period_end=THIRD_MONTH), invoice(2))]

    for _ in range(2):
        version = (await subscription(pool, placed))["version"]
        await answer(pool, placed, version, PAID_BY_SESSION, telling(None, None, invoice()), *facts)

    assert await lines(pool, "SELECT active, until, reason FROM entitlements") == [(True, THIRD_MONTH, "paid")]
    assert await pool.fetchval("SELECT count(*) FROM payments WHERE standing = 'accepted'") == 2
    owed = await kinds_owed(pool)
    assert len(set(owed)) == len(owed)
    assert {"mail.subscription_started", "mail.subscription_renewed", "notify.payment.completed"} < set(owed)


# --- whose, and which ---


async def test_f32_what_is_told_before_our_row_waits_and_finds_it(pool: Pool) -> None:
    other = await place(pool, user="user-2", plan="yearly")
    early = Placed(uuid4(), other.subscription)

    parked = await tell(pool, early, BEGUN)
    placed = await place(pool)
    await tell(pool, placed, PAID_BY_SESSION)
    await tell(pool, placed, BEGUN)

    assert isinstance(parked, Unmatched)
    assert {SUB, "in_1", "pi_1", f"order:{early.order}"} == set(parked.names)
    assert (await subscription(pool, placed))["status"] == "active"


async def test_every_name_that_was_told_leads_to_it_alone(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    unnamed = observed(placed, telling(BEGIN + SECOND, snapshot(cancel_at_period_end=True)))
    unnamed = replace(unnamed, references=replace(unnamed.references, order_ids=()))

    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, unnamed, Cause("webhook_event", "event-2"), book())

    assert (await subscription(pool, placed))["cancel_at_period_end"] is True


async def test_an_order_of_a_one_time_plan_has_no_subscription_to_be_told_of(pool: Pool) -> None:
    order = await place_order(pool)

    applied = await tell(pool, Placed(order, uuid4()), BEGUN)

    assert isinstance(applied, Applied)
    assert applied.outcome == NotSubscribed()
    assert await pool.fetchval("SELECT status FROM orders") == "pending"


@pytest.mark.parametrize(("payment", "recorded"), [(InvoicePayment("pi_1", PRICE), [("pi_1", None, 1000)]), (None, [])])
async def test_an_invoices_money_that_names_a_one_time_order_is_for_a_person_and_teaches_no_name(
    pool: Pool, payment: InvoicePayment | None, recorded: list[tuple[Any, ...]]
) -> None:
    order = await place_order(pool)
    bill = telling(BEGIN, None, invoice(payment=payment))

    applied = await tell(pool, Placed(order, uuid4()), bill, bill)

    assert isinstance(applied, Applied)
    assert applied.outcome == NotSubscribed()
    assert await pool.fetchval("SELECT status FROM orders") == "pending"
    assert await lines(pool, "SELECT gateway_payment_id, order_id, amount FROM payments") == recorded
    told = await lines(pool, "SELECT kind, amount_at_risk, payment_id IS NOT NULL FROM discrepancies")
    assert told == [("reference_conflict", 1000, payment is not None)]
    assert await lines(pool, "SELECT reference FROM gateway_references") == []


async def test_an_invoice_of_another_subscription_is_never_booked_on_ours(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    paid = replace(invoice(2), gateway_invoice_id="in_other", payment=InvoicePayment("pi_other", PRICE))
    unpaid = invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED)

    for bill in (paid, paid, replace(unpaid, gateway_invoice_id="in_open")):
        names = References((str(placed.order),), ("sub_2", bill.gateway_invoice_id), subscription_id="sub_2")
        async with pool.acquire() as tx, tx.transaction():
            await apply(tx, Observed("stripe", names, telling(BEGIN, None, bill)), Cause("webhook_event", "e"), book())

    assert await lines(pool, "SELECT gateway_invoice_id FROM invoices") == [("in_1",)]
    assert await lines(pool, "SELECT active, until FROM entitlements") == [(True, SECOND_MONTH)]
    money = await lines(pool, "SELECT order_id, standing FROM payments WHERE gateway_payment_id = 'pi_other'")
    assert money == [(placed.order, "surplus")]
    raised = await lines(pool, "SELECT kind, amount_at_risk FROM discrepancies ORDER BY kind")
    assert raised == [("duplicate_payment", 1000), ("subscription_conflict", 0)]
    learnt = "SELECT count(*) FROM gateway_references WHERE reference IN ('sub_2', 'in_other', 'in_open')"
    assert await pool.fetchval(learnt) == 0


async def test_a_first_invoice_of_another_subscription_pays_no_pending_order_and_its_money_is_surplus(
    pool: Pool,
) -> None:
    placed = await place(pool)
    first = telling(BEGIN, None, invoice(status=InvoiceStatus.OPEN))
    bill = replace(invoice(), gateway_invoice_id="in_other", payment=InvoicePayment("pi_other", PRICE))

    for told, name in ((first, SUB), (telling(BEGIN, None, bill), "sub_2"), (telling(BEGIN, None, bill), "sub_2")):
        names = References((str(placed.order),), (name,), subscription_id=name)
        async with pool.acquire() as tx, tx.transaction():
            await apply(tx, Observed("stripe", names, told), Cause("webhook_event", "e"), book())

    row = await subscription(pool, placed)
    assert (row["status"], row["gateway_subscription_id"]) == ("incomplete", SUB)
    assert await pool.fetchval("SELECT status FROM orders") == "pending"
    assert await lines(pool, "SELECT gateway_payment_id, standing FROM payments") == [("pi_other", "surplus")]
    raised = await lines(pool, "SELECT kind, amount_at_risk FROM discrepancies ORDER BY kind")
    assert raised == [("duplicate_payment", 1000), ("subscription_conflict", 0)]


async def test_f75_the_end_of_an_older_subscription_takes_nothing_from_a_newer_one(pool: Pool) -> None:
    old, new = await place(pool, many=True), await place(pool, many=True)
    newer = replace(snapshot(period_end=THIRD_MONTH), gateway_subscription_id="sub_new")
    bill = invoice(period_end=THIRD_MONTH, payment=InvoicePayment("pi_new", PRICE))
    await tell(pool, old, BEGUN)
    await tell(pool, new, telling(BEGIN, newer, replace(bill, gateway_invoice_id="in_new")))

    await tell(pool, old, telling(BEGIN + SECOND, snapshot(CANCELLED, ended_at=BEGIN + SECOND)))

    async with pool.acquire() as tx:
        [now] = await access.of_user(tx, "user-1", BEGIN + SECOND)
    assert (now.plan_id, now.active, now.until) == ("monthly", True, THIRD_MONTH)
    assert await lines(pool, "SELECT active, reason FROM entitlements ORDER BY active") == [
        (False, "cancelled"),
        (True, "paid"),
    ]


async def test_f34_f77_nothing_that_comes_late_revives_what_has_ended(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN, telling(BEGIN + SECOND, snapshot(CANCELLED, ended_at=BEGIN + SECOND)))

    for late in (BEGIN, BEGIN + SECOND, BEGIN + 2 * SECOND):
        await tell(pool, placed, telling(late, snapshot()), now=END)

    assert (await subscription(pool, placed))["status"] == "cancelled"
    assert await lines(pool, "SELECT active, reason FROM entitlements") == [(False, "cancelled")]
    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute("UPDATE subscriptions SET status = 'active', ended_at = NULL")


# --- money that a person must look at ---


async def test_a_first_invoice_that_is_not_what_its_order_expects_grants_nothing_and_is_told_once(pool: Pool) -> None:
    placed = await place(pool)
    short = telling(BEGIN, snapshot(), invoice(due=Money(500, "usd")))

    await tell(pool, placed, short, short)

    assert await pool.fetchval("SELECT status FROM orders") == "pending"
    assert await lines(pool, "SELECT active FROM entitlements") == [(False,)]
    assert await lines(pool, "SELECT standing FROM payments") == [("mismatched",)]
    told = await lines(pool, "SELECT kind, amount_at_risk, payment_id IS NOT NULL FROM discrepancies")
    assert told == [("amount_mismatch", 500, True)]


async def test_a_first_invoice_that_is_paid_in_another_currency_than_its_own_pays_nothing(pool: Pool) -> None:
    placed = await place(pool)
    euros = invoice(due=Money(1000, "eur"), payment=InvoicePayment("pi_1", PRICE))

    await tell(pool, placed, telling(BEGIN, snapshot(), euros))

    assert await pool.fetchval("SELECT status FROM orders") == "pending"
    assert await lines(pool, "SELECT active FROM entitlements") == [(False,)]
    assert await lines(pool, "SELECT kind, amount_at_risk FROM discrepancies") == [("currency_mismatch", 1000)]


async def test_late_first_money_for_what_we_ended_gives_nothing_and_waits_for_a_person(pool: Pool) -> None:
    placed = await place(pool)
    late = telling(BEGIN + SECOND, snapshot(), invoice())

    await tell(pool, placed, CheckoutEnded("cs_1"), late, late, now=BEGIN + SECOND)

    assert await lines(pool, "SELECT o.status, s.status FROM orders o, subscriptions s") == [("cancelled", "expired")]
    assert await lines(pool, "SELECT active FROM entitlements") in ([], [(False,)])
    assert await lines(pool, "SELECT gateway_payment_id, standing FROM payments") == [("pi_1", "held")]
    assert await lines(pool, "SELECT kind, amount_at_risk FROM discrepancies") == [("late_success", 1000)]
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind LIKE 'mail.%'") == 0


async def test_money_after_the_end_is_held_and_told_and_thanks_nobody(pool: Pool) -> None:
    placed = await place(pool)
    ended = telling(SECOND_MONTH, snapshot(SubscriptionStatus.CANCELLED, ended_at=SECOND_MONTH))
    await tell(pool, placed, BEGUN, ended, now=SECOND_MONTH)
    late = telling(SECOND_MONTH + SECOND, None, invoice(2))

    await tell(pool, placed, late, late, now=SECOND_MONTH + SECOND)

    assert await lines(pool, "SELECT standing FROM payments WHERE gateway_payment_id = 'pi_2'") == [("held",)]
    told = await lines(pool, "SELECT kind, proposed_action, amount_at_risk FROM discrepancies")
    assert told == [("late_success", "refund_payment", 1000)]
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'mail.subscription_renewed'") == 0


async def test_money_after_the_end_that_only_a_read_finds_is_the_same_discrepancy(pool: Pool) -> None:
    placed = await place(pool)
    ended = telling(SECOND_MONTH, snapshot(SubscriptionStatus.CANCELLED, ended_at=SECOND_MONTH))
    await tell(pool, placed, BEGUN, ended, now=SECOND_MONTH)
    read = telling(None, None, invoice(2, taken_at=SECOND_MONTH + SECOND))

    for late in (read, telling(SECOND_MONTH + SECOND, None, invoice(2))):
        await answer(pool, placed, (await subscription(pool, placed))["version"], late)

    assert await lines(pool, "SELECT standing FROM payments WHERE gateway_payment_id = 'pi_2'") == [("held",)]
    told = await lines(pool, "SELECT kind, proposed_action, amount_at_risk FROM discrepancies")
    assert told == [("late_success", "refund_payment", 1000)]


async def test_money_after_the_end_that_is_told_before_it_is_held_once_it_is_read(pool: Pool) -> None:
    placed = await place(pool)
    ended = telling(SECOND_MONTH, snapshot(SubscriptionStatus.CANCELLED, ended_at=SECOND_MONTH))
    late = telling(SECOND_MONTH + SECOND, None, invoice(2, taken_at=SECOND_MONTH + SECOND))
    await tell(pool, placed, BEGUN, late, now=SECOND_MONTH + SECOND)
    told = await tell(pool, placed, ended, now=SECOND_MONTH + SECOND)

    for _ in range(2):
        await answer(pool, placed, (await subscription(pool, placed))["version"], replace(late, told_at=None))

    assert isinstance(told, Applied)
    asked = await lines(pool, "SELECT kind FROM effects WHERE id = ANY ($1)", list(told.effects))
    assert ("gateway.read_subscription",) in asked
    assert await lines(pool, "SELECT standing FROM payments WHERE gateway_payment_id = 'pi_2'") == [("held",)]
    found = await lines(pool, "SELECT kind, amount_at_risk, payment_id IS NULL FROM discrepancies")
    assert found == [("late_success", 1000, False)]


async def test_a_change_that_is_paid_over_a_failing_renewal_grants_and_is_for_a_person(pool: Pool) -> None:
    placed = await place(pool)
    later = SECOND_MONTH + timedelta(days=1)
    unpaid = telling(SECOND_MONTH, None, invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED))
    until = later + 12 * MONTH
    bill = invoice(3, due=Money(12034, "usd"), reason=InvoiceReason.CHANGE, period_start=later, period_end=until)
    await tell(pool, placed, BEGUN, unpaid, now=SECOND_MONTH)

    await tell(pool, placed, telling(later, None, bill), now=later)
    heard = await lines(pool, "SELECT kind FROM discrepancies")
    for _ in range(2):
        version = (await subscription(pool, placed))["version"]
        await answer(pool, placed, version, replace(unpaid, told_at=None), telling(None, snapshot()))

    assert heard == []
    assert await lines(pool, "SELECT active, until FROM entitlements") == [(True, until)]
    told = await lines(pool, "SELECT kind, proposed_action, amount_at_risk FROM discrepancies")
    assert told == [("invoice_period_in_doubt", "accept_or_correct", 12034)]


async def test_what_is_paid_over_nothing_while_a_renewal_fails_gives_no_year(pool: Pool) -> None:
    placed = await place(pool)
    later = SECOND_MONTH + timedelta(days=1)
    unpaid = telling(SECOND_MONTH, None, invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED))
    free = invoice(3, due=NOTHING, reason=InvoiceReason.OTHER, period_start=later, period_end=later + 12 * MONTH)
    await tell(pool, placed, BEGUN, unpaid, now=SECOND_MONTH)

    await tell(pool, placed, telling(later, None, free), now=later)

    assert await lines(pool, "SELECT active, reason FROM entitlements") == [(False, "payment_failed")]
    assert await lines(pool, "SELECT kind FROM discrepancies") == [("invoice_period_in_doubt",)]


async def test_a_renewal_at_another_price_extends_and_is_told(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)
    cheap = telling(SECOND_MONTH, None, invoice(2, due=Money(800, "usd")))

    await tell(pool, placed, cheap, cheap, now=SECOND_MONTH)

    assert await pool.fetchval("SELECT until FROM entitlements") == THIRD_MONTH
    told = await one(pool, "SELECT * FROM discrepancies")
    assert (told["kind"], told["subscription_id"], told["amount_at_risk"]) == (
        "invoice_amount_differs",
        placed.subscription,
        800,
    )
    assert told["evidence"]["ours"]["amount"] == 1000


async def test_a_second_payment_of_an_invoice_is_surplus_and_is_told(pool: Pool) -> None:
    placed = await place(pool)
    again = telling(SECOND_MONTH, None, invoice(2, payment=InvoicePayment("pi_again", PRICE)))
    await tell(pool, placed, BEGUN, telling(SECOND_MONTH, None, invoice(2)), now=SECOND_MONTH)

    await tell(pool, placed, again, again, now=SECOND_MONTH)

    assert await lines(pool, "SELECT gateway_payment_id, standing FROM payments ORDER BY 1") == [
        ("pi_1", "accepted"),
        ("pi_2", "accepted"),
        ("pi_again", "surplus"),
    ]
    assert await lines(pool, "SELECT kind, payment_id IS NOT NULL FROM discrepancies") == [("duplicate_payment", True)]


@pytest.mark.parametrize("reason", [InvoiceReason.FIRST, InvoiceReason.RENEWAL])
@pytest.mark.parametrize("is_answered_first", [True, False])
async def test_a_change_of_plan_that_is_told_as_what_has_been_paid_already_is_booked_as_what_a_read_finds(
    pool: Pool, reason: InvoiceReason, is_answered_first: bool
) -> None:
    placed = await place(pool)
    renewed = telling(SECOND_MONTH, snapshot(period_start=SECOND_MONTH, period_end=THIRD_MONTH), invoice(2))
    at = BEGIN if reason is InvoiceReason.FIRST else SECOND_MONTH
    await tell(pool, placed, BEGUN, *([renewed] if at == SECOND_MONTH else []), now=at)
    for_it: dict[str, Any] = {"period_start": at, "period_end": at + MONTH, "due": Money(4000, "usd")}
    charged = telling(at + SECOND, None, invoice(3, reason=reason, **for_it))
    read = telling(None, None, invoice(3, reason=InvoiceReason.CHANGE, **for_it))

    if is_answered_first:
        await answer(pool, placed, (await subscription(pool, placed))["version"], read)
    told = await tell(pool, placed, charged, now=at + SECOND)
    if not is_answered_first:
        await answer(pool, placed, (await subscription(pool, placed))["version"], read)

    assert isinstance(told, Applied)
    assert isinstance(told.outcome, Followed)
    assert told.outcome.wants_read
    paid = await lines(pool, "SELECT standing, order_id IS NULL FROM payments WHERE gateway_payment_id = 'pi_3'")
    assert paid == [("accepted", True)]
    assert await lines(pool, "SELECT reason FROM invoices WHERE gateway_invoice_id = 'in_3'") == [("change",)]
    assert await lines(pool, "SELECT kind FROM discrepancies") == []


async def test_a_zero_invoice_needs_no_payment(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    await tell(pool, placed, telling(SECOND_MONTH, None, invoice(2, due=NOTHING)), now=SECOND_MONTH)

    assert await pool.fetchval("SELECT until FROM entitlements") == THIRD_MONTH
    assert await pool.fetchval("SELECT count(*) FROM payments") == 1
    assert "gateway.read_subscription" not in await kinds_owed(pool)


async def test_one_whose_lock_is_held_waits_and_sees_what_was_written(pool: Pool) -> None:
    placed = await place(pool)
    async with pool.acquire() as tx, tx.transaction():
        held = await subscriptions.lock(tx, placed.subscription)
        waiting = asyncio.create_task(tell(pool, placed, telling(BEGIN, snapshot(INCOMPLETE))))
        await apply(tx, observed(placed, BEGUN), Cause("webhook_event", "event-1"), book())

    await waiting

    assert held.version == 0
    assert (await subscription(pool, placed))["status"] == "active"


async def test_what_asks_for_a_read_alone_is_read_though_nothing_of_it_was_told_before(pool: Pool) -> None:
    placed = await place(pool)
    named = observed(placed, telling(None), subscription_id=SUB)

    async with pool.acquire() as tx, tx.transaction():
        await apply(tx, named, Cause("webhook_event", "event-1"), book())

    owed = await pool.fetchrow("SELECT kind, detail FROM effects")
    assert owed is not None
    assert (owed["kind"], owed["detail"]["gatewaySubscriptionId"]) == ("gateway.read_subscription", SUB)
