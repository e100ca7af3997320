"""What the schema itself refuses, whoever asks: each constraint alone."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime

import asyncpg
import pytest

from db.migrate import LOCK, MIGRATIONS, MigrationError, migrate
from db.pool import Pool
from local.postgres import Postgres
from payments.order import MOVES, OrderStatus
from payments.subscription import ENDED, SubscriptionStatus
from payments.subscription import MOVES as SUBSCRIPTION_MOVES
from tests.builders import place_order

PAYMENT = (
    "INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status, standing) "
    "SELECT 'stripe', $1, id, 1000, 'usd', 'succeeded', $2 FROM orders"
)


async def test_only_a_legal_move_can_be_written(pool: Pool) -> None:
    await pool.execute("INSERT INTO users (id) VALUES ('u')")

    written = set()
    for before, after in itertools.permutations(OrderStatus, 2):
        order = await pool.fetchval(
            "INSERT INTO orders (user_id, amount, status) VALUES ('u', 1, $1) RETURNING id", before.value
        )
        try:
            await pool.execute("UPDATE orders SET status = $2 WHERE id = $1", order, after.value)
        except asyncpg.CheckViolationError:
            continue
        written.add((before, after))

    assert written == MOVES


async def test_history_cannot_tell_an_illegal_move(pool: Pool) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute(
            "INSERT INTO history (id, subject, subject_id, from_status, to_status, cause, cause_id, at) "
            "VALUES (gen_random_uuid(), 'order', '1', 'paid', 'pending', 'api', 'test', now())"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE history SET cause_id = 'x'",
        "DELETE FROM history",
        "TRUNCATE history",
        "TRUNCATE history_default",
        f"TRUNCATE history_{datetime.now(UTC):%Y_%m}",
    ],
)
async def test_history_is_append_only(pool: Pool, statement: str) -> None:
    await pool.execute(
        "INSERT INTO history (id, subject, subject_id, to_status, cause, cause_id, at) "
        "VALUES (gen_random_uuid(), 'order', '1', 'pending', 'api', 'test', now())"
    )

    with pytest.raises(asyncpg.RestrictViolationError):
        await pool.execute(statement)


async def test_one_order_is_paid_by_one_payment(pool: Pool) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(PAYMENT, "pi_2", "accepted")
    await pool.execute(PAYMENT, "pi_3", "surplus")


async def test_one_gateway_payment_is_one_row(pool: Pool) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(PAYMENT, "pi_1", "surplus")


@pytest.mark.parametrize("refunded", [-1, 1001])
async def test_no_refund_goes_beyond_what_was_taken(pool: Pool, refunded: int) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")

    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute("UPDATE payments SET amount_refunded = $1", refunded)


REFUND = (
    "INSERT INTO refunds (payment_id, gateway, gateway_refund_id, amount, currency, status, reason_code, asked_by, "
    "created_at, settled_at) SELECT id, gateway, $1, $2::bigint, currency, $3::text, 'other', 'gateway', now(), "
    "CASE WHEN $3 IN ('succeeded', 'failed') THEN now() END FROM payments"
)


@pytest.mark.parametrize("statuses", [("succeeded", "succeeded"), ("pending", "succeeded"), ("pending", "pending")])
async def test_f98_refunds_that_together_are_more_than_was_taken_cannot_be_written(
    pool: Pool, statuses: tuple[str, str]
) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")
    await pool.execute(REFUND, "re_1", 600, statuses[0])

    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(REFUND, "re_2", 401, statuses[1])
    await pool.execute(REFUND, "re_2", 400, statuses[1])


async def test_a_refund_that_is_deleted_by_hand_leaves_its_payments_sums_right(pool: Pool) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")
    await pool.execute(REFUND, "re_1", 600, "succeeded")
    await pool.execute(REFUND, "re_2", 300, "pending")

    await pool.execute("DELETE FROM refunds WHERE gateway_refund_id = 're_1'")
    await pool.execute("DELETE FROM refunds WHERE gateway_refund_id = 're_2'")

    assert tuple(await pool.fetchrow("SELECT amount_refunded, amount_refunding FROM payments") or ()) == (0, 0)


async def test_f97_of_refunds_at_once_only_those_that_fit_are_written(pool: Pool) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")

    ends = await asyncio.gather(
        *(pool.execute(REFUND, f"re_{number}", 300, "pending") for number in range(8)), return_exceptions=True
    )

    assert sum(isinstance(end, asyncpg.CheckViolationError) for end in ends) == 5
    assert await pool.fetchval("SELECT amount_refunding FROM payments") == 900


async def test_only_a_legal_move_of_a_refund_can_be_written(pool: Pool) -> None:
    await place_order(pool)
    await pool.execute(PAYMENT, "pi_1", "accepted")
    await pool.execute(REFUND, "re_1", 600, "succeeded")

    with pytest.raises(asyncpg.CheckViolationError, match="may not move from succeeded to pending"):
        await pool.execute("UPDATE refunds SET status = 'pending', settled_at = NULL")
    await pool.execute("UPDATE refunds SET status = 'failed'")


@pytest.mark.parametrize(
    "statement", ["UPDATE movements SET amount = 0", "DELETE FROM movements", "TRUNCATE movements"]
)
async def test_movements_are_append_only(pool: Pool, statement: str) -> None:
    await pool.execute(MOVEMENT, "payment", 1000, "payment:1")

    with pytest.raises(asyncpg.RestrictViolationError):
        await pool.execute(statement)


MOVEMENT = (
    "INSERT INTO movements (id, gateway, kind, amount, currency, cause, cause_id, fact, at) "
    "VALUES (gen_random_uuid(), 'stripe', $1, $2, 'usd', 'webhook_event', 'e', $3, now())"
)


async def test_a_fact_is_booked_once_and_with_the_sign_of_its_kind(pool: Pool) -> None:
    await pool.execute(MOVEMENT, "refund", -300, "refund:1:1")

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(MOVEMENT, "refund", -300, "refund:1:1")
    for kind, amount in (("payment", -1), ("refund", 1), ("refund_reversal", -1), ("dispute", 1)):
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(MOVEMENT, kind, amount, kind)


async def test_only_a_legal_move_of_a_subscription_can_be_written(pool: Pool) -> None:
    await pool.execute("INSERT INTO users (id) VALUES ('u')")

    written = set()
    for before, after in itertools.permutations(SubscriptionStatus, 2):
        subscription = await pool.fetchval(
            "INSERT INTO subscriptions (user_id, status, ended_at) "
            "VALUES ('u', $1, CASE WHEN $2 THEN now() END) RETURNING id",
            before.value,
            before in ENDED,
        )
        try:
            await pool.execute(
                "UPDATE subscriptions SET status = $2, ended_at = CASE WHEN $3 THEN now() END WHERE id = $1",
                subscription,
                after.value,
                after in ENDED,
            )
        except asyncpg.CheckViolationError:
            continue
        written.add((before, after))

    assert written == SUBSCRIPTION_MOVES


SUBSCRIBE = "INSERT INTO subscriptions (user_id, plan_id, status, ended_at, exclusive) VALUES ('u', 'p', $1, $2, $3)"


async def test_of_one_plan_somebody_has_one_subscription_that_has_not_ended_unless_it_allows_many(pool: Pool) -> None:
    await pool.execute("INSERT INTO users (id) VALUES ('u')")
    await pool.execute("INSERT INTO plans (id, name, price_cents) VALUES ('p', 'P', 1)")
    await pool.execute(SUBSCRIBE, "active", None, True)

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(SUBSCRIBE, "incomplete", None, True)
    await pool.execute(SUBSCRIBE, "cancelled", datetime.now(UTC), True)
    await pool.execute(SUBSCRIBE, "active", None, False)


async def test_one_invoice_is_paid_by_one_payment(pool: Pool) -> None:
    await _with_invoice(pool)
    pay = (
        "INSERT INTO payments (gateway, gateway_payment_id, invoice_id, amount, currency, status, standing) "
        "SELECT 'stripe', $1, id, 1000, 'usd', 'succeeded', $2 FROM invoices"
    )
    await pool.execute(pay, "pi_1", "accepted")

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(pay, "pi_2", "accepted")
    await pool.execute(pay, "pi_3", "surplus")


async def _with_invoice(pool: Pool) -> None:
    await pool.execute("INSERT INTO users (id) VALUES ('u')")
    await pool.execute("INSERT INTO subscriptions (user_id) VALUES ('u')")
    await pool.execute(
        "INSERT INTO invoices (subscription_id, gateway, gateway_invoice_id, status, reason, amount, currency) "
        "SELECT id, 'stripe', 'in_1', 'open', 'first', 1000, 'usd' FROM subscriptions"
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE subscriptions SET status = 'cancelled'",
        "UPDATE subscriptions SET ended_at = now()",
        "UPDATE subscriptions SET status = 'sleeping'",
        "UPDATE invoices SET status = 'paid'",
        "UPDATE invoices SET paid_at = now()",
        "UPDATE invoices SET amount = -1",
        "UPDATE invoices SET reason = 'whim'",
        "UPDATE invoices SET advice = 'pray'",
    ],
)
async def test_ends_statuses_and_figures_of_subscriptions_are_checked(pool: Pool, statement: str) -> None:
    await _with_invoice(pool)

    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(statement)


async def test_one_request_of_a_subscription_is_under_way(pool: Pool) -> None:
    await _with_invoice(pool)
    ask = (
        "INSERT INTO subscription_requests (subscription_id, kind, request, idempotency_key, asked_by, status) "
        "SELECT id, 'cancel', '{}', $1, 'u', $2 FROM subscriptions"
    )
    await pool.execute(ask, "k1", "done")
    await pool.execute(ask, "k2", "unknown")

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(ask, "k3", "intended")


async def test_one_effect_of_a_kind_per_order(pool: Pool) -> None:
    owe = "INSERT INTO effects (kind, idempotency_key, detail) VALUES ('mail.payment_confirmed', 'key', '{}')"
    await pool.execute(owe)

    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute(owe)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders (user_id, amount) VALUES ('u', -1)",
        "INSERT INTO orders (user_id, amount, currency) VALUES ('u', 1, 'USD')",
        "INSERT INTO orders (user_id, amount, status) VALUES ('u', 1, 'shipped')",
        "INSERT INTO plans (name, price_cents) VALUES ('p', -1)",
    ],
)
async def test_amounts_currencies_and_statuses_are_checked(pool: Pool, statement: str) -> None:
    await pool.execute("INSERT INTO users (id) VALUES ('u')")

    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(statement)


async def test_an_insert_that_names_only_the_guides_columns_works(pool: Pool) -> None:
    await pool.execute("INSERT INTO users (id, email) VALUES ('u', 'u@example.com')")
    await pool.execute("INSERT INTO plans (id, name, price_cents, currency, active) VALUES ('p', 'P', 1, 'usd', true)")

    await pool.execute(
        "INSERT INTO orders (user_id, plan_id, amount, currency, status) VALUES ('u', 'p', 1, 'usd', 'pending')"
    )

    assert await pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_migrating_again_and_at_once_applies_nothing_more(database_url: str) -> None:
    applied = await asyncio.gather(*(migrate(database_url) for _ in range(4)))

    assert applied == [[], [], [], []]


async def test_migrations_at_once_on_an_empty_database_apply_each_file_once(pool: Pool, database_url: str) -> None:
    await pool.execute("DROP SCHEMA public CASCADE")
    await pool.execute("CREATE SCHEMA public")

    applied = await asyncio.gather(*(migrate(database_url) for _ in range(4)))

    assert sorted(name for names in applied for name in names) == sorted(path.name for path in MIGRATIONS.glob("*.sql"))


async def test_a_migration_does_not_wait_for_ever_for_a_frozen_one(pool: Pool, database_url: str) -> None:
    async with pool.acquire() as frozen:
        await frozen.execute("SELECT pg_advisory_lock($1)", LOCK)

        with pytest.raises(MigrationError, match="another migration has held the lock"):
            await migrate(database_url, turn_seconds=1)


async def test_a_migration_that_was_changed_afterwards_is_refused(pool: Pool, database_url: str) -> None:
    await pool.execute("UPDATE schema_migrations SET checksum = 'another' WHERE name LIKE '0001%'")

    with pytest.raises(MigrationError, match=r"0001_orders\.sql was changed"):
        await migrate(database_url)


TRACEBACK = """Traceback (most recent call last):
  File "/srv/payments/workers/webhook_events.py", line 88, in _work
    await _apply(tx, observed, email="buyer@example.com")
ValueError: no such currency: xyz

"""


async def test_what_died_before_there_were_letters_gets_one_when_they_come(own_postgres: Postgres) -> None:
    connection = await asyncpg.connect(own_postgres.url_of("postgres"))
    for path in sorted(MIGRATIONS.glob("000[1-5]_*.sql")):
        await connection.execute(path.read_text(encoding="utf-8"))
    await connection.execute(
        "INSERT INTO webhook_events (id, gateway, event_id, event_type, payload_raw, payload_hash, status, "
        "                            next_attempt_at, last_error) "
        "VALUES (gen_random_uuid(), 'stripe', 'evt_1', 'a.dead.one', '', '', 'dead', NULL, $1), "
        "       (gen_random_uuid(), 'stripe', 'evt_2', 'an.untold.one', '', '', 'dead', NULL, NULL)",
        TRACEBACK,
    )
    await connection.execute(
        "INSERT INTO effects (kind, status, idempotency_key, detail, next_attempt_at, last_error) "
        "VALUES ('mail.dead_too', 'dead', 'k', '{}', NULL, $1)",
        TRACEBACK + "SMTPError: " + "x" * 1000,
    )

    await connection.execute((MIGRATIONS / "0006_work.sql").read_text(encoding="utf-8"))

    letters = await connection.fetch("SELECT what, state, error FROM dead_letters ORDER BY what")
    assert [tuple(letter) for letter in letters] == [
        ("a.dead.one", "open", "ValueError: no such currency: xyz"),
        ("an.untold.one", "open", ""),
        ("mail.dead_too", "open", "SMTPError: " + "x" * (500 - len("SMTPError: "))),
    ]
    await connection.close()
