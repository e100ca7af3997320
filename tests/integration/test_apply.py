"""One observed fact, written into the record: once, whoever tells it, in whatever order, and with its cause."""

from __future__ import annotations

import asyncio
import itertools
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import orders, payments, references
from db.history import Cause
from db.pool import Pool
from payments.events import (
    CheckoutEnded,
    Observed,
    OrderEvent,
    PaymentAuthorised,
    PaymentFailed,
    PaymentNamed,
    PaymentPending,
    PaymentSucceeded,
    References,
    RefundTold,
)
from payments.failure import Failure, FailureCode
from payments.money import Money
from payments.order import Early, LateSuccess, Move, OrderStatus, Stale, Surplus
from payments.payment import PaymentStatus, Sighting, Standing
from payments.refund import RefundStatus
from tests.builders import BOOK, NOON, TEN, observed, paid, place_order
from tests.waiting import until_somebody_waits
from workers.apply import Applied, Book, Contradiction, Foreign, Unmatched, apply

CAUSE = Cause("webhook_event", "event-1")
DECLINED = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")


async def told(pool: Pool, fact: Observed, book: Book = BOOK) -> Applied | Foreign | Unmatched | Contradiction:
    async with pool.acquire() as connection, connection.transaction():
        return await apply(connection, fact, CAUSE, book)


async def count(pool: Pool, table: str) -> int:
    found: int = await pool.fetchval(f"SELECT count(*) FROM {table}")
    return found


async def status(pool: Pool, order_id: UUID) -> str:
    found: str = await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id)
    return found


async def test_the_first_payment_moves_grants_and_owes_each_effect_once(pool: Pool) -> None:
    order_id = await place_order(pool)

    applied = await told(pool, observed(order_id, paid(), "cs_1", "pi_1", session_id="cs_1"))

    assert isinstance(applied, Applied)
    assert applied.outcome == Move(OrderStatus.PAID)
    order = await pool.fetchrow("SELECT * FROM orders WHERE id = $1", order_id)
    assert order is not None
    assert (order["status"], order["paid_at"], order["session_id"]) == ("paid", NOON, "cs_1")
    assert (order["payment_intent_id"], order["gateway"]) == ("pi_1", "stripe")
    assert await pool.fetchval("SELECT active FROM entitlements WHERE order_id = $1", order_id) is True
    effects = await pool.fetch("SELECT kind, idempotency_key FROM effects ORDER BY kind")
    assert [(row["kind"], row["idempotency_key"]) for row in effects] == [
        ("analytics.payment_completed", f"analytics.payment_completed:{order_id}"),
        ("mail.payment_confirmed", f"mail.payment_confirmed:{order_id}"),
        ("notify.payment.completed", f"notify.payment.completed:{order_id}"),
    ]
    line = await pool.fetchrow("SELECT * FROM history")
    assert line is not None
    assert (line["subject_id"], line["from_status"], line["to_status"]) == (str(order_id), "pending", "paid")
    assert (line["cause"], line["cause_id"], line["at"]) == ("webhook_event", "event-1", NOON)
    assert line["detail"] == {"payment": "pi_1", "amount": 1000, "currency": "usd"}


async def test_f45_f51_one_payment_told_many_times_at_once_has_one_effect(pool: Pool) -> None:
    order_id = await place_order(pool)
    facts = [
        observed(order_id, paid(), "cs_1", "pi_1", session_id="cs_1"),
        observed(order_id, paid(), "pi_1"),
        Observed("stripe", References(objects=("pi_1",), order_ids=(str(order_id),)), paid()),
    ]

    outcomes = await asyncio.gather(*(told(pool, fact) for fact in facts * 4))

    moved = [o for o in outcomes if isinstance(o, Applied) and isinstance(o.outcome, Move)]
    assert len(moved) == 1
    assert [await count(pool, table) for table in ("payments", "entitlements", "effects", "history")] == [1, 1, 3, 1]
    assert await count(pool, "discrepancies") == 0


async def test_f70_a_second_payment_is_recorded_raised_and_grants_nothing(pool: Pool) -> None:
    order_id = await place_order(pool)
    await told(pool, observed(order_id, paid("pi_1")))

    applied = await told(pool, observed(order_id, paid("pi_2")))
    again = await told(pool, observed(order_id, paid("pi_2")))

    assert isinstance(applied, Applied)
    assert applied.outcome == Surplus(TEN)
    assert isinstance(again, Applied)
    assert isinstance(again.outcome, Stale)
    raised = await pool.fetch("SELECT kind, amount_at_risk, currency FROM discrepancies")
    assert [tuple(row) for row in raised] == [("duplicate_payment", 1000, "usd")]
    standings = await pool.fetch("SELECT standing FROM payments ORDER BY gateway_payment_id")
    assert [row["standing"] for row in standings] == ["accepted", "surplus"]
    assert await count(pool, "effects") == 3


async def test_f70_two_payments_at_once_pay_once(pool: Pool) -> None:
    order_id = await place_order(pool)

    await asyncio.gather(*(told(pool, observed(order_id, paid(f"pi_{n}"))) for n in range(8)))

    standings = await pool.fetch("SELECT standing, count(*) AS n FROM payments GROUP BY 1 ORDER BY 1")
    assert [(row["standing"], row["n"]) for row in standings] == [("accepted", 1), ("surplus", 7)]
    assert await count(pool, "effects") == 3


@pytest.mark.parametrize(
    ("money", "kind"),
    [
        (Money(999, "usd"), "amount_mismatch"),
        (Money(1001, "usd"), "amount_mismatch"),
        (Money(100_000, "usd"), "amount_mismatch"),
        (Money(1000, "inr"), "currency_mismatch"),
    ],
)
async def test_f62_money_that_is_not_what_was_owed_moves_nothing_and_is_raised_once(
    pool: Pool, money: Money, kind: str
) -> None:
    order_id = await place_order(pool)

    for _ in range(3):
        await told(pool, observed(order_id, paid("pi_1", money)))

    assert await status(pool, order_id) == "pending"
    raised = await pool.fetchrow("SELECT * FROM discrepancies")
    assert raised is not None
    assert (raised["kind"], raised["amount_at_risk"], raised["currency"]) == (kind, money.minor, money.currency)
    assert raised["evidence"]["ours"] == {"status": "pending", "amount": 1000, "currency": "usd"}
    assert raised["evidence"]["theirs"] == {"payment": "pi_1", "amount": money.minor, "currency": money.currency}
    assert await count(pool, "discrepancies") == 1
    assert await count(pool, "effects") == 0
    assert await pool.fetchval("SELECT standing FROM payments") == "mismatched"


async def test_f60_the_same_payment_with_another_amount_is_refused_and_raised(pool: Pool) -> None:
    order_id = await place_order(pool)
    await told(pool, observed(order_id, paid("pi_1")))

    await told(pool, observed(order_id, paid("pi_1", Money(1, "usd"))))

    assert await pool.fetchval("SELECT amount FROM payments") == 1000
    raised = await pool.fetchrow("SELECT kind, payment_id FROM discrepancies")
    assert raised is not None
    assert tuple(raised) == ("amount_mismatch", await pool.fetchval("SELECT id FROM payments"))
    assert await status(pool, order_id) == "paid"


async def test_f68_a_declined_attempt_is_shown_and_the_next_one_pays(pool: Pool) -> None:
    order_id = await place_order(pool)

    await told(pool, observed(order_id, PaymentFailed("pi_1", TEN, DECLINED)))
    shown = await pool.fetchrow("SELECT status, failure_reason FROM orders")
    await told(pool, observed(order_id, paid("pi_1")))

    assert shown is not None
    assert tuple(shown) == ("pending", "insufficient_funds")
    settled = await pool.fetchrow("SELECT status, failure_reason FROM orders")
    assert settled is not None
    assert tuple(settled) == ("paid", None)
    assert await pool.fetchval("SELECT status FROM payments") == "succeeded"


async def test_f37_the_failure_of_an_earlier_attempt_that_comes_late_reopens_nothing(pool: Pool) -> None:
    order_id = await place_order(pool)
    await told(pool, observed(order_id, paid("pi_2")))

    await told(pool, observed(order_id, PaymentFailed("pi_1", TEN, DECLINED, final=True)))

    shown = await pool.fetchrow("SELECT status, failure_reason, payment_intent_id FROM orders")
    assert shown is not None
    assert tuple(shown) == ("paid", None, "pi_2")


async def test_an_abandoned_session_ends_cancelled_and_a_declined_one_failed(pool: Pool) -> None:
    abandoned, failed = await place_order(pool), await place_order(pool)
    await told(pool, observed(failed, PaymentFailed("pi_2", TEN, DECLINED)))

    await told(pool, observed(abandoned, CheckoutEnded("cs_1"), "cs_1", session_id="cs_1"))
    await told(pool, observed(failed, CheckoutEnded("cs_2"), "cs_2", session_id="cs_2"))

    assert await status(pool, abandoned) == "cancelled"
    assert await status(pool, failed) == "failed"
    assert await pool.fetchval("SELECT failure_reason FROM orders WHERE id = $1", failed) == "insufficient_funds"


async def test_a_decline_that_is_told_after_the_end_still_says_why(pool: Pool) -> None:
    order_id = await place_order(pool)
    await told(pool, observed(order_id, CheckoutEnded("cs_1")))

    await told(pool, observed(order_id, PaymentFailed("pi_1", TEN, DECLINED)))

    shown = await pool.fetchrow("SELECT status, failure_reason FROM orders")
    assert shown is not None
    assert tuple(shown) == ("cancelled", "insufficient_funds")


async def test_f66_f67_a_delayed_method_stays_pending_until_the_bank_has_spoken(pool: Pool) -> None:
    pays, fails = await place_order(pool), await place_order(pool)
    for order_id, payment in ((pays, "pi_1"), (fails, "pi_2")):
        await told(pool, observed(order_id, PaymentPending(payment, TEN)))
    waiting = [await status(pool, pays), await status(pool, fails)]

    await told(pool, observed(pays, paid("pi_1")))
    await told(pool, observed(fails, PaymentFailed("pi_2", TEN, DECLINED, final=True)))

    assert waiting == ["pending", "pending"]
    assert [await status(pool, pays), await status(pool, fails)] == ["paid", "failed"]


async def test_f71_late_success_is_held_where_the_policy_says_so(pool: Pool) -> None:
    order_id = await place_order(pool)
    await told(pool, observed(order_id, CheckoutEnded("cs_1")))

    await told(pool, observed(order_id, paid()), Book("counterfoil", LateSuccess.HOLD, lambda: NOON))

    assert await status(pool, order_id) == "cancelled"
    assert await pool.fetchval("SELECT standing FROM payments") == "held"
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "late_success"
    assert await count(pool, "entitlements") == 0


async def test_f71_late_success_is_held_when_the_user_has_bought_the_plan_anew(pool: Pool) -> None:
    given_up = await place_order(pool)
    await told(pool, observed(given_up, CheckoutEnded("cs_1")))
    await place_order(pool)

    await told(pool, observed(given_up, paid()))

    assert await status(pool, given_up) == "cancelled"
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "late_success"


async def test_f71_an_older_order_of_the_plan_that_was_paid_meanwhile_holds_a_late_one(pool: Pool) -> None:
    older, newer = await place_order(pool), await place_order(pool)
    await told(pool, observed(newer, CheckoutEnded("cs_2")))
    await pool.execute("UPDATE orders SET created_at = $1::timestamptz - interval '1 hour'", NOON)
    await told(pool, observed(older, paid("pi_1")))

    await told(pool, observed(newer, paid("pi_2")))

    assert await status(pool, newer) == "cancelled"
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "late_success"


async def test_f71_a_plan_bought_long_before_holds_nothing(pool: Pool) -> None:
    long_ago, newer = await place_order(pool), await place_order(pool)
    await told(pool, observed(long_ago, paid("pi_1")))
    await pool.execute("UPDATE orders SET paid_at = created_at - interval '1 year' WHERE id = $1", long_ago)
    await told(pool, observed(newer, CheckoutEnded("cs_2")))

    await told(pool, observed(newer, paid("pi_2")))

    assert await status(pool, newer) == "paid"


async def test_f71_two_late_payments_of_one_plan_at_once_fulfil_one(pool: Pool) -> None:
    for number in range(8):
        orders_of_plan = [await place_order(pool, plan=f"plan-{number}") for _ in range(2)]
        for order_id in orders_of_plan:
            await told(pool, observed(order_id, CheckoutEnded(f"cs_{order_id}")))
        await pool.execute("UPDATE orders SET created_at = $1::timestamptz - interval '1 hour'", NOON)

        await asyncio.gather(*(told(pool, observed(order_id, paid(f"pi_{order_id}"))) for order_id in orders_of_plan))

        assert sorted([await status(pool, order_id) for order_id in orders_of_plan]) == ["cancelled", "paid"]


async def test_f71_late_success_fulfils_where_nothing_has_replaced_it(pool: Pool) -> None:
    given_up = await place_order(pool)
    await place_order(pool, plan="another-plan")
    await told(pool, observed(given_up, CheckoutEnded("cs_1")))

    await told(pool, observed(given_up, paid()))

    assert await status(pool, given_up) == "paid"
    moves = await pool.fetch("SELECT from_status, to_status FROM history ORDER BY id")
    assert [tuple(row) for row in moves] == [("pending", "cancelled"), ("cancelled", "paid")]


async def test_money_without_a_name_is_early_and_changes_nothing(pool: Pool) -> None:
    order_id = await place_order(pool)

    applied = await told(pool, observed(order_id, paid(None)))

    assert isinstance(applied, Applied)
    assert isinstance(applied.outcome, Early)
    assert await status(pool, order_id) == "pending"
    assert await count(pool, "payments") == 0


def facts(number: int) -> list[OrderEvent]:
    """All that can be told of one payment that went wrong first and well in the end."""
    payment = f"pi_{number}"
    return [
        PaymentPending(payment, TEN),
        PaymentAuthorised(payment, TEN),
        PaymentFailed(payment, TEN, DECLINED),
        PaymentSucceeded(payment, TEN),
        CheckoutEnded(f"cs_{number}"),
    ]


async def test_f26_f27_f31_f41_every_order_of_telling_ends_paid_once(pool: Pool) -> None:
    orderings = list(enumerate(itertools.permutations(range(5))))
    for number, ordering in orderings:
        order_id = await place_order(pool, plan=f"plan-{number}")

        for index in ordering:
            fact = observed(order_id, facts(number)[index], f"cs_{number}", f"pi_{number}", session_id=f"cs_{number}")
            await told(pool, fact)
            await told(pool, fact)

        assert await status(pool, order_id) == "paid", ordering
    payments = await pool.fetch("SELECT DISTINCT status, standing, amount FROM payments")
    assert [tuple(row) for row in payments] == [("succeeded", "accepted", 1000)]
    tables = ("payments", "entitlements", "discrepancies")
    assert [await count(pool, table) for table in tables] == [120, 120, 0]
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind <> 'gateway.capture_payment'") == 360


async def test_f31_a_decline_is_shown_in_any_order_of_telling_where_its_late_money_is_held(pool: Pool) -> None:
    book = Book("counterfoil", LateSuccess.HOLD, lambda: NOON)
    for number, ordering in enumerate(itertools.permutations(range(1, 5))):
        order_id = await place_order(pool, plan=f"plan-{number}")

        for index in ordering:
            await told(pool, observed(order_id, facts(number)[index], f"cs_{number}", f"pi_{number}"), book)

        order = await pool.fetchrow("SELECT status, failure_reason FROM orders WHERE id = $1", order_id)
        assert order is not None
        assert order["status"] == "paid" or order["failure_reason"] == "insufficient_funds", ordering


async def test_a_fact_is_matched_by_any_name_that_an_earlier_one_taught(pool: Pool) -> None:
    order_id = await place_order(pool)
    await told(pool, observed(order_id, PaymentPending(None, TEN), "plink_1", "order_9", session_id="plink_1"))

    applied = await told(pool, Observed("stripe", References(objects=("order_9", "pay_1")), paid("pay_1")))

    assert isinstance(applied, Applied)
    assert applied.order_id == order_id


async def test_a_session_written_by_checkout_is_enough_to_match(pool: Pool) -> None:
    order_id = await place_order(pool)
    await pool.execute("UPDATE orders SET session_id = 'cs_7' WHERE id = $1", order_id)

    applied = await told(pool, Observed("stripe", References(objects=("cs_7",)), paid()))

    assert isinstance(applied, Applied)
    assert applied.order_id == order_id


@pytest.mark.parametrize(
    "shape", ["", "42", "order-42", "'; DROP TABLE orders; --", "{" + "0" * 8, "x" * 5000, "٣" * 36, "0" * 32, "\u2028"]
)
async def test_a_foreign_order_id_of_any_shape_is_unmatched_and_never_cast(pool: Pool, shape: str) -> None:
    assert isinstance(await told(pool, Observed("stripe", References(order_ids=(shape,)), paid())), Unmatched)


async def test_another_applications_money_is_foreign_even_under_an_id_of_ours(pool: Pool) -> None:
    order_id = await place_order(pool)

    applied = await told(pool, observed(order_id, paid(), instance="another-instance"))

    assert isinstance(applied, Foreign)
    assert await status(pool, order_id) == "pending"


async def test_names_that_point_to_two_orders_move_neither_and_are_raised(pool: Pool) -> None:
    one, other = await place_order(pool), await place_order(pool)
    await pool.execute("UPDATE orders SET session_id = 'cs_1' WHERE id = $1", one)

    applied = await told(pool, observed(other, paid(), "cs_1"))

    assert isinstance(applied, Contradiction)
    assert [await status(pool, one), await status(pool, other)] == ["pending", "pending"]
    raised = await pool.fetchrow("SELECT kind, amount_at_risk, payment_id FROM discrepancies")
    assert raised is not None
    assert (raised["kind"], raised["amount_at_risk"]) == ("reference_conflict", 1000)
    money = await pool.fetchrow("SELECT id, order_id, amount, standing FROM payments")
    assert money is not None
    assert tuple(money) == (raised["payment_id"], None, 1000, "mismatched")


async def test_every_payment_under_contradicting_names_is_raised_with_its_own_amount(pool: Pool) -> None:
    one, other = await place_order(pool), await place_order(pool)
    await pool.execute("UPDATE orders SET session_id = 'cs_1' WHERE id = $1", one)

    for event in (PaymentPending(None, TEN), paid("pi_1"), paid("pi_1"), paid("pi_2", Money(5000, "usd"))):
        await told(pool, observed(other, event, "cs_1"))

    raised = await pool.fetch("SELECT amount_at_risk FROM discrepancies ORDER BY 1")
    assert [row["amount_at_risk"] for row in raised] == [0, 1000, 5000]


async def test_a_failure_in_the_middle_leaves_nothing_behind(pool: Pool) -> None:
    order_id = await place_order(pool)

    async def fail_in_the_middle() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await apply(connection, observed(order_id, paid(), "cs_1"), CAUSE, BOOK)
            await connection.execute("SELECT 1 / 0")

    with pytest.raises(asyncpg.PostgresError):
        await fail_in_the_middle()

    assert await status(pool, order_id) == "pending"
    tables = ("payments", "entitlements", "effects", "history", "gateway_references")
    assert [await count(pool, table) for table in tables] == [0, 0, 0, 0, 0]


async def test_the_orders_lock_keeps_a_second_fact_waiting(pool: Pool) -> None:
    order_id = await place_order(pool)

    async with pool.acquire() as holder, holder.transaction():
        await orders.lock(holder, order_id)
        second = asyncio.create_task(told(pool, observed(order_id, paid())))
        async with pool.acquire() as witness:
            await until_somebody_waits(witness, "transactionid")
        waited = not second.done()

    assert waited
    assert isinstance(await second, Applied)


async def test_a_name_under_lock_keeps_its_storing_waiting(pool: Pool) -> None:
    order_id = await place_order(pool)

    async with pool.acquire() as holder, holder.transaction():
        await references.lock(holder, ["cs_1"])
        storing = asyncio.create_task(pool.execute("UPDATE orders SET session_id = 'cs_1' WHERE id = $1", order_id))
        async with pool.acquire() as witness:
            await until_somebody_waits(witness, "advisory")
        waited = not storing.done()

    assert waited
    await storing


@pytest.mark.parametrize(
    "event", [PaymentSucceeded("pi_1", TEN), RefundTold("re_1", PaymentNamed("pi_1"), TEN, RefundStatus.SUCCEEDED)]
)
async def test_what_finds_its_order_while_it_waits_for_its_names_takes_the_order_first(
    pool: Pool, event: OrderEvent | RefundTold
) -> None:
    """Whoever holds an order goes for the names next; who held them meanwhile, and wanted the order, would end both."""
    order_id = await place_order(pool)

    async with pool.acquire() as witness, pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM orders WHERE id = $1 FOR NO KEY UPDATE", order_id)
        async with pool.acquire() as recorder, recorder.transaction():
            await references.lock(recorder, ["pi_1"])
            telling = asyncio.create_task(told(pool, Observed("stripe", References(objects=("pi_1",)), event)))
            await until_somebody_waits(witness, "advisory")
            seen = Sighting("pi_1", TEN, PaymentStatus.SUCCEEDED)
            await payments.record(
                recorder, "stripe", order_id, seen, status=seen.status, standing=Standing.ACCEPTED, failure=None
            )
        await until_somebody_waits(witness, "transactionid")
        await references.lock(other, ["pi_1"])

    answer = await telling
    assert isinstance(answer, Applied)
    assert answer.order_id == order_id


async def test_an_unknown_order_is_unmatched_under_all_its_names(pool: Pool) -> None:
    unknown = uuid4()

    applied = await told(pool, observed(unknown, paid(), "cs_1", "pi_1"))

    assert applied == Unmatched(("cs_1", f"order:{unknown}", "pi_1"))
