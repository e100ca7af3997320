"""What must never be: silent on healthy data, and each one seen when it is broken by force."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from db import invariants, queue_controls
from db.invariants import Invariant, load
from db.pool import Pool
from gateways.registry import GATEWAYS
from payments.effects import FOLLOWS
from payments.events import PaymentSucceeded
from payments.order import LateSuccess, OrderStatus
from payments.refund import RefundStatus
from payments.subscription import SubscriptionStatus
from schedules.invariants import check
from tests.builders import keep, place_order, session
from tests.money_told import sold
from tests.tellings import BEGIN, MONTH, PRICE, invoice, place, snapshot, tell, telling
from workers.apply import Book
from workers.webhook_events import Desk, work_webhook_event

BOOK = Book("counterfoil", LateSuccess.HOLD, lambda: datetime.now(UTC))
DESK = Desk(GATEWAYS, {}, BOOK)
NAMES = [invariant.name for invariant in load()]


async def work(pool: Pool, *events: dict[str, object]) -> None:
    for event in events:
        await work_webhook_event(pool, DESK, await keep(pool, event))


async def pay(pool: Pool, plan: str = "plan-1") -> UUID:
    """An order that was paid as orders are. The invariants speak of real time, so it was placed just now."""
    order_id = await place_order(pool, plan=plan)
    await pool.execute("UPDATE orders SET created_at = now() WHERE id = $1", order_id)
    await work(pool, session(order_id))
    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id) == "paid"
    return order_id


async def do_business(pool: Pool) -> None:
    """A little of everything that may happen to orders and events."""
    paid = await pay(pool)
    await work(
        pool,
        session(paid),
        session(paid, id="cs_second", payment_intent="pi_second"),
        session("nobody"),
        {"id": "evt_unhandled", "type": "customer.created", "data": {"object": {}}},
        {"id": "evt_unknown", "type": "checkout.session.completed", "data": {}},
    )
    pending, short, cancelled = [await place_order(pool, plan=f"plan-{n}", user=f"user-{n}") for n in range(2, 5)]
    await work(
        pool,
        session(pending, payment_status="unpaid"),
        session(short, amount_total=999),
        {**session(cancelled, payment_status="unpaid", status="expired"), "type": "checkout.session.expired"},
    )
    late = session(cancelled, id="cs_late", payment_intent="pi_late")
    await work(pool, late)


async def by_force(pool: Pool, *statements: str) -> None:
    """As somebody might who is the database's superuser, and knows nothing of our rules."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await connection.execute(statement)


async def broken(pool: Pool) -> set[str]:
    await check(pool)
    rows = await pool.fetch("SELECT DISTINCT kind FROM discrepancies WHERE state = 'open' AND kind LIKE 'invariant%'")
    return {row["kind"].removeprefix("invariant_") for row in rows}


# --- healthy ---


async def test_on_an_empty_database_nothing_is_broken(pool: Pool) -> None:
    report = await check(pool)

    assert report.counts == {"asked": len(NAMES), "broken": 0, "news": 0, "cured": 0}
    assert report.complete


async def test_after_real_work_nothing_is_broken(pool: Pool) -> None:
    await do_business(pool)

    assert await broken(pool) == set()
    statuses = await pool.fetch("SELECT status, count(*) FROM webhook_events GROUP BY status")
    assert {row["status"] for row in statuses} >= {"done", "ignored", "dead"}
    kinds = {row["kind"] for row in await pool.fetch("SELECT kind FROM discrepancies")}
    assert kinds == {"duplicate_payment", "amount_mismatch", "late_success"}


# --- each of them broken ---

PAYOUT = (
    "INSERT INTO payouts (gateway, gateway_payout_id, amount, currency, status, updated_at) "
    "VALUES ('stripe', 'po_1', 1, 'usd', '{}', now())"
)

BREAKS: list[tuple[str, str, set[str]]] = [
    ("paid_without_money", "UPDATE payments SET amount = 999", {"paid_without_money", "movements_do_not_add_up"}),
    ("paid_without_money", "UPDATE payments SET currency = 'inr'", {"paid_without_money", "movements_do_not_add_up"}),
    ("paid_without_money", "DELETE FROM payments", {"paid_without_money"}),
    (
        "money_without_paid",
        "UPDATE orders SET status = 'cancelled'",
        {"money_without_paid", "access_without_payment", "history_does_not_add_up"},
    ),
    ("paid_without_time", "UPDATE orders SET paid_at = NULL", {"paid_without_time"}),
    (
        "access_without_payment",
        "UPDATE orders SET status = 'refunded'",
        {"access_without_payment", "history_does_not_add_up", "status_without_cause"},
    ),
    (
        "status_without_cause",
        "UPDATE payments SET amount_refunded = amount",
        {"status_without_cause", "refunds_beyond_the_payment", "order_refunded_otherwise"},
    ),
    ("movements_do_not_add_up", "DELETE FROM movements", {"movements_do_not_add_up"}),
    ("movements_do_not_add_up", "UPDATE movements SET currency = 'inr'", {"movements_do_not_add_up"}),
    (
        "movements_do_not_add_up",
        (
            "INSERT INTO movements (id, gateway, payment_id, kind, amount, currency, cause, cause_id, fact, at) "
            "SELECT gen_random_uuid(), 'stripe', id, 'refund', -5, 'inr', 'api', '', 'refund:x', now() FROM payments"
        ),
        {"movements_do_not_add_up"},
    ),
    (
        "dispute_without_its_money",
        (
            "INSERT INTO disputes (payment_id, gateway, gateway_dispute_id, amount, currency, status, gateway_status, "
            "withdrawn, reinstated, kept, opened_at, closed_at) SELECT id, 'razorpay', 'disp_1', 5, 'usd', 'lost', "
            "'lost', 5, 5, 0, now(), now() FROM payments"
        ),
        {"dispute_without_its_money"},
    ),
    (
        "refunds_beyond_the_payment",
        (
            "INSERT INTO refunds (payment_id, gateway, amount, currency, status, reason_code, asked_by, "
            "idempotency_key, created_at) SELECT id, gateway, amount + 1, currency, 'requested', 'other', 'api:shop', "
            "'key', now() FROM payments"
        ),
        {"refunds_beyond_the_payment", "history_does_not_add_up"},
    ),
    (
        "refund_without_errand",
        (
            "INSERT INTO refunds (payment_id, gateway, amount, currency, status, reason_code, asked_by, "
            "idempotency_key, created_at, updated_at) SELECT id, gateway, 1, currency, 'sent', 'other', 'api:shop', "
            "'key', now(), now() - interval '2 hours' FROM payments"
        ),
        {"refund_without_errand", "refunds_beyond_the_payment", "history_does_not_add_up"},
    ),
    ("order_refunded_otherwise", "UPDATE orders SET amount_refunded = 7", {"order_refunded_otherwise"}),
    (
        "movements_do_not_add_up",
        (
            "INSERT INTO movements SELECT gen_random_uuid(), gateway, payment_id, order_id, refund_id, dispute_id, "
            "payout_id, 'refund', -amount, 'inr', cause, cause_id, 'refund:x', at FROM movements"
        ),
        {"movements_do_not_add_up"},
    ),
    ("payout_without_movement", PAYOUT.format("paid"), {"payout_without_movement"}),
    (
        "payout_without_movement",
        (
            f"WITH made AS ({PAYOUT.format('failed')} RETURNING id) "
            "INSERT INTO movements (id, gateway, payout_id, kind, amount, currency, cause, cause_id, fact, at) "
            "SELECT gen_random_uuid(), 'stripe', id, 'payout', -1, 'usd', 'api', 'x', 'x', now() FROM made"
        ),
        {"payout_without_movement"},
    ),
    ("paid_without_access", "UPDATE entitlements SET active = false", {"paid_without_access"}),
    ("paid_without_access", "DELETE FROM entitlements", {"paid_without_access"}),
    ("paid_without_effects", "DELETE FROM effects WHERE kind LIKE 'mail.%'", {"paid_without_effects"}),
    (
        "uncounted_money_untold",
        (
            "INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status, standing) "
            "SELECT 'stripe', 'pi_x', id, 5, 'usd', 'succeeded', 'surplus' FROM orders"
        ),
        {"uncounted_money_untold", "movements_do_not_add_up"},
    ),
    ("history_does_not_add_up", "DELETE FROM history", {"history_does_not_add_up"}),
    (
        "history_does_not_add_up",
        (
            "INSERT INTO history SELECT gen_random_uuid(), subject, subject_id, 'refunded', 'disputed', 'api', '', '{}', at "
            "FROM history"
        ),
        {"history_does_not_add_up"},
    ),
    ("dead_without_letter", "UPDATE effects SET status = 'dead', next_attempt_at = NULL", {"dead_without_letter"}),
    (
        "dead_without_letter",
        "UPDATE webhook_events SET status = 'dead', processed_at = NULL, epoch = 1",
        {"dead_without_letter"},
    ),
    (
        "owed_and_unworked",
        "UPDATE effects SET next_attempt_at = now() - interval '61 minutes'",
        {"owed_and_unworked"},
    ),
    (
        "owed_and_unworked",
        "UPDATE webhook_events SET status = 'retry', processed_at = NULL, next_attempt_at = now() - interval '2 hours'",
        {"owed_and_unworked"},
    ),
    (
        "letter_without_dead",
        (
            "INSERT INTO dead_letters (source, source_id, queue, what, class, error_class, error, fingerprint, attempts) "
            "SELECT 'effect', id, 'effects', kind, 'permanent', '', '', '', 1 FROM effects LIMIT 1"
        ),
        {"letter_without_dead"},
    ),
    (
        "letter_without_dead",
        (
            "INSERT INTO dead_letters (source, source_id, queue, what, class, error_class, error, fingerprint, attempts) "
            "SELECT 'webhook_event', gen_random_uuid(), 'webhooks', '', 'permanent', '', '', '', 1"
        ),
        {"letter_without_dead"},
    ),
]


@pytest.mark.parametrize(("name", "statement", "seen"), BREAKS)
async def test_what_is_broken_by_force_is_seen(pool: Pool, name: str, statement: str, seen: set[str]) -> None:
    await pay(pool)
    assert await broken(pool) == set()

    await by_force(pool, statement)

    assert name in seen
    assert await broken(pool) == seen


SUBSCRIPTION_BREAKS: list[tuple[str, str, set[str]]] = [
    (
        "paid_without_money",
        "DELETE FROM payments WHERE order_id IS NOT NULL",
        {"paid_without_money", "invoice_without_payment"},
    ),
    ("invoice_without_payment", "DELETE FROM payments WHERE order_id IS NULL", {"invoice_without_payment"}),
    (
        "money_without_paid",
        "UPDATE invoices SET status = 'open', paid_at = NULL WHERE gateway_invoice_id = 'in_2'",
        {"money_without_paid"},
    ),
    (
        "access_without_claim",
        "UPDATE invoices SET status = 'open', paid_at = NULL",
        {"access_without_claim", "money_without_paid"},
    ),
    ("access_without_claim", "UPDATE invoices SET taken_back = 'refunded'", {"access_without_claim"}),
    ("access_without_claim", "UPDATE invoices SET taken_back = 'refunded'", {"access_without_claim"}),
    (
        "access_after_the_end",
        "UPDATE subscriptions SET status = 'cancelled', ended_at = now()",
        {"access_after_the_end", "history_does_not_add_up"},
    ),
    (
        "access_after_the_end",
        "UPDATE subscriptions SET status = 'expired', ended_at = current_period_end - interval '1 day'",
        {"access_after_the_end", "history_does_not_add_up"},
    ),
    (
        "history_does_not_add_up",
        "UPDATE subscriptions SET status = 'expired', ended_at = current_period_end",
        {"history_does_not_add_up"},
    ),
    ("living_without_access_row", "DELETE FROM entitlements", {"living_without_access_row"}),
    ("history_does_not_add_up", "DELETE FROM history WHERE subject = 'subscription'", {"history_does_not_add_up"}),
    ("paid_without_effects", "DELETE FROM effects WHERE kind LIKE 'notify.payment%'", {"paid_without_effects"}),
]


@pytest.mark.parametrize(("name", "statement", "seen"), SUBSCRIPTION_BREAKS)
async def test_what_is_broken_of_a_subscription_by_force_is_seen(
    pool: Pool, name: str, statement: str, seen: set[str]
) -> None:
    placed = await place(pool)
    renewed = telling(BEGIN + MONTH, snapshot(period_end=BEGIN + 2 * MONTH), invoice(2))
    await tell(pool, placed, PaymentSucceeded(None, PRICE), telling(BEGIN, snapshot(), invoice()), renewed)
    await pool.execute("UPDATE orders SET created_at = now(), updated_at = now() - interval '2 hours'")
    await pool.execute("UPDATE subscriptions SET created_at = now()")
    await pool.execute("UPDATE invoices SET updated_at = now() - interval '2 hours'")
    assert await broken(pool) == set()

    await by_force(pool, statement)

    assert name in seen
    assert await broken(pool) == seen


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM history WHERE subject = 'refund'",
        "UPDATE refunds SET status = 'failed'",
        "UPDATE refunds SET status = 'cancelled'",
    ],
)
async def test_a_refund_whose_history_does_not_lead_to_it_is_seen(pool: Pool, statement: str) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 400, RefundStatus.PENDING))
    await sale.tell(sale.refund(1, 400))
    assert "history_does_not_add_up" not in await broken(pool)

    await by_force(pool, statement)

    assert "history_does_not_add_up" in await broken(pool)


async def test_the_money_of_a_first_invoice_may_come_within_the_hour(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, PaymentSucceeded(None, PRICE), telling(BEGIN, snapshot(), invoice(payment=None)))

    assert await broken(pool) == set()


async def test_a_trial_needs_no_money_and_no_thanks_for_it(pool: Pool) -> None:
    placed = await place(pool, trial_days=14)
    ends = BEGIN + MONTH

    await tell(pool, placed, telling(BEGIN, snapshot(SubscriptionStatus.TRIALING, trial_end=ends)))

    assert await broken(pool) == set()


async def test_two_live_attempts_are_seen(pool: Pool) -> None:
    order_id = await place_order(pool)
    await by_force(pool, "DROP INDEX one_live_attempt_per_order")

    for number in (1, 2):
        await pool.execute(
            "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, request) "
            "VALUES ($1, $2, 'stripe', $3, '{}')",
            order_id,
            number,
            f"key-{number}",
        )

    assert await broken(pool) == {"two_live_attempts"}


@pytest.mark.parametrize(
    ("parked_under", "bears"),
    [
        ("cs_1", "UPDATE orders SET session_id = 'cs_1'"),
        ("pi_1", "UPDATE orders SET payment_intent_id = 'pi_1'"),
        (
            "cs_1",
            "INSERT INTO gateway_references (gateway, reference, order_id) SELECT 'stripe', 'cs_1', id FROM orders",
        ),
        (
            "pi_1",
            (
                "INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status) "
                "SELECT 'stripe', 'pi_1', id, 5, 'usd', 'pending' FROM orders"
            ),
        ),
        ("order:5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a", "UPDATE orders SET id = '5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a'"),
    ],
)
async def test_an_event_that_waits_under_a_name_we_know_is_seen(pool: Pool, parked_under: str, bears: str) -> None:
    await place_order(pool)
    await work(pool, session(uuid4()))
    await by_force(pool, f"UPDATE unmatched_references SET reference = '{parked_under}' WHERE reference LIKE 'cs_%'")
    assert await broken(pool) == set()

    await by_force(pool, bears)

    assert await broken(pool) == {"parked_though_known"}


async def test_a_name_that_another_gateway_knows_is_no_ones_fault(pool: Pool) -> None:
    await place_order(pool)
    await work(pool, session(uuid4(), id="cs_1"))

    await by_force(
        pool,
        "INSERT INTO gateway_references (gateway, reference, order_id) SELECT 'razorpay', 'cs_1', id FROM orders",
    )

    assert await broken(pool) == set()


def test_every_invariant_has_been_broken_here() -> None:
    broken_here = {name for name, _, _ in BREAKS + SUBSCRIPTION_BREAKS} | {"two_live_attempts", "parked_though_known"}

    assert broken_here == set(NAMES)


# --- what may look like it and is not ---


async def test_a_free_order_needs_no_payment(pool: Pool) -> None:
    await pay(pool)

    await by_force(pool, "DELETE FROM payments", "UPDATE orders SET amount = 0")

    assert await broken(pool) == set()


async def test_what_a_person_has_paused_may_wait(pool: Pool) -> None:
    await pay(pool)
    async with pool.acquire() as tx:
        await queue_controls.pause(tx, "effects", by="anna", reason="the mail server moves")

    await by_force(pool, "UPDATE effects SET next_attempt_at = now() - interval '2 hours'")

    assert await broken(pool) == set()


async def test_moves_of_one_millisecond_may_be_told_in_any_order(pool: Pool) -> None:
    order_id = await pay(pool)

    await by_force(
        pool,
        "DELETE FROM history",
        *(
            "INSERT INTO history (id, subject, subject_id, from_status, to_status, cause, cause_id, at) "
            f"VALUES (gen_random_uuid(), 'order', '{order_id}', '{before}', '{after}', 'api', '', now())"
            for before, after in (("failed", "paid"), ("pending", "failed"))
        ),
    )

    assert await broken(pool) == set()


async def test_an_order_from_before_the_oldest_kept_month_may_have_lost_its_history(pool: Pool) -> None:
    await pay(pool)

    await by_force(
        pool, "DELETE FROM history", "UPDATE orders SET created_at = date_trunc('month', now()) - interval '1 day'"
    )

    assert await broken(pool) == set()


def test_the_effects_that_are_asked_for_are_those_that_follow_a_payment() -> None:
    [asked] = [invariant for invariant in load() if invariant.name == "paid_without_effects"]

    assert all(f"'{kind.value}'" in asked.statement for kind in FOLLOWS[OrderStatus.PAID])
    assert asked.statement.count("'mail.") + asked.statement.count("'analytics.") + asked.statement.count(
        "'notify."
    ) == len(FOLLOWS[OrderStatus.PAID])


# --- what becomes of a violation ---


async def states(pool: Pool) -> list[tuple[str, str | None]]:
    rows = await pool.fetch("SELECT state, closed_by FROM discrepancies ORDER BY created_at")
    return [(row["state"], row["closed_by"]) for row in rows]


async def test_a_violation_is_told_once_closed_when_cured_and_told_again_when_it_is_back(pool: Pool) -> None:
    order_id = await pay(pool)
    break_it, mend_it = "UPDATE orders SET paid_at = NULL", "UPDATE orders SET paid_at = now()"

    await by_force(pool, break_it)
    first, second = await check(pool), await check(pool)
    told = await pool.fetchrow("SELECT * FROM discrepancies")
    await by_force(pool, mend_it)
    third = await check(pool)
    cured = await states(pool)
    await by_force(pool, break_it)
    fourth = await check(pool)

    assert [(r.counts["broken"], r.counts["news"], r.counts["cured"]) for r in (first, second, third, fourth)] == [
        (1, 1, 0),
        (1, 0, 0),
        (0, 0, 1),
        (1, 1, 0),
    ]
    assert told is not None
    assert (told["kind"], told["order_id"], told["state"]) == ("invariant_paid_without_time", order_id, "open")
    assert told["evidence"]["never"] == "An order is never paid without saying when."
    assert cured == [("resolved", "the clock")]
    assert await states(pool) == [("open", None)]


async def test_what_a_person_has_closed_stays_closed(pool: Pool) -> None:
    await pay(pool)
    await by_force(pool, "UPDATE orders SET paid_at = NULL")
    await check(pool)
    await pool.execute("UPDATE discrepancies SET state = 'dismissed', closed_at = now(), closed_by = 'anna'")

    report = await check(pool)

    assert (report.counts["broken"], report.counts["news"]) == (1, 0)
    assert await states(pool) == [("dismissed", "anna")]


async def test_of_too_many_a_hundred_are_told_and_none_is_called_cured(pool: Pool) -> None:
    await place_order(pool)
    await by_force(
        pool,
        "INSERT INTO orders (user_id, amount, status) "
        f"SELECT 'user-1', 0, 'paid' FROM generate_series(1, {invariants.MOST + 10})",
    )
    [asked] = [invariant for invariant in load() if invariant.name == "paid_without_time"]
    await check(pool, [asked])
    mend_one = "UPDATE orders SET paid_at = now() WHERE id = (SELECT order_id FROM discrepancies LIMIT 1)"
    await by_force(pool, mend_one)

    again = await check(pool, [asked])

    assert again.counts == {"asked": 1, "broken": invariants.MOST, "news": 1, "cured": 0}
    assert len(await states(pool)) == invariants.MOST + 1


async def test_a_question_that_cannot_be_answered_is_named_and_keeps_no_other_from_being_asked(pool: Pool) -> None:
    odd = Invariant("odd", "Nothing.", "SELECT no_such_column FROM orders")
    others = load()

    report = await check(pool, [odd, *others])

    assert not report.complete
    assert report.counts["unanswered"] == "odd"
    assert report.counts["asked"] == len(others)


async def test_a_question_cannot_change_anything(pool: Pool) -> None:
    await pool.execute("CREATE SEQUENCE changed")
    asked = "SELECT nextval('changed')::text AS subject, NULL::uuid AS order_id, '{}'::jsonb AS evidence"

    report = await check(pool, [Invariant("changes", "Nothing.", asked)])

    assert report.counts["unanswered"] == "changes"
    assert not await pool.fetchval("SELECT is_called FROM changed")
