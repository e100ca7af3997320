"""Nothing that is asked under a lock, or for a support answer, reads a whole table: the plans of thousands of rows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest

from db import discrepancies, money_back, movement_lists, movements, payouts, timeline
from db.pool import Pool, Tx
from db.timeline import About
from tests.builders import NOON
from tests.stories import paid_order, refund

#: Thousands of other people's rows, in every table that grows with business.
FILL = """
    CREATE TEMP TABLE many ON COMMIT DROP AS
    SELECT i, md5('order' || i)::uuid AS o, md5('payment' || i)::uuid AS p, md5('event' || i)::uuid AS e
      FROM generate_series(1, 4000) AS i;
    INSERT INTO orders (id, user_id, amount, currency, status) SELECT o, 'u' || i, 1, 'usd', 'cancelled' FROM many;
    INSERT INTO payments (id, gateway, gateway_payment_id, order_id, amount, currency, status)
    SELECT p, 'stripe', 'pi_x' || i, o, 1, 'usd', 'failed' FROM many;
    INSERT INTO refunds (order_id, payment_id, gateway, gateway_refund_id, amount, currency, status, reason_code,
                         asked_by, created_at)
    SELECT o, p, 'stripe', 're_x' || i, 1, 'usd', 'pending', 'other', 'gateway', now() FROM many;
    INSERT INTO disputes (order_id, payment_id, gateway, gateway_dispute_id, amount, currency, status, gateway_status,
                          opened_at)
    SELECT o, p, 'stripe', 'dp_x' || i, 1, 'usd', 'inquiry', 'x', now() FROM many;
    INSERT INTO movements (id, gateway, payment_id, order_id, kind, amount, currency, cause, cause_id, fact, at)
    SELECT e, 'stripe', p, o, 'payment', 1, 'usd', 'api', 'shop', 'x' || i, now() - i * interval '1 minute' FROM many;
    INSERT INTO discrepancies (kind, gateway, order_id, payment_id, amount_at_risk, currency, evidence,
                               proposed_action, fingerprint, state, closed_at, closed_by)
    SELECT 'duplicate_payment', 'stripe', o, p, 1, 'usd', '{}', 'look', 'x' || i, 'resolved', now(), 'the clock'
      FROM many;
    INSERT INTO operator_actions (actor, via, action, target, reason)
    SELECT 'ann', 'cli', 'dead.retry', jsonb_build_object('ids', jsonb_build_array(e)), 'because' FROM many;
    INSERT INTO effects (kind, order_id, idempotency_key, detail) SELECT 'mail.x', o, 'x' || i, '{}' FROM many;
    INSERT INTO webhook_events (id, gateway, event_id, event_type, payload_hash, payload_raw)
    SELECT e, 'stripe', 'evt_x' || i, 't', 'h', '' FROM many;
    INSERT INTO history (id, subject, subject_id, from_status, to_status, cause, cause_id, at)
    SELECT e, 'order', o::text, 'pending', 'cancelled', 'api', 'shop', now() FROM many;
"""

#: Of what is divided by months, the part that the many went to: to read one of three rows whole is right.
GROWING = "orders|payments|refunds|disputes|movements|discrepancies|operator_actions|effects"
SCAN = re.compile(rf"Seq Scan on ({GROWING}|webhook_events_default|history_default)\b")


class Explained:
    """A connection that has every statement explained before it goes through, and keeps which tables are read whole."""

    def __init__(self, connection: Tx) -> None:
        self._connection = connection
        self.statements = 0
        self.read_whole: set[str] = set()

    async def _explain(self, statement: str, *args: object) -> None:
        lines = await self._connection.fetch("EXPLAIN " + statement, *args)
        self.statements += 1
        self.read_whole |= {found[1] for line in lines if (found := SCAN.search(line[0]))}

    async def fetch(self, statement: str, *args: object) -> list[asyncpg.Record]:
        await self._explain(statement, *args)
        return await self._connection.fetch(statement, *args)

    async def fetchrow(self, statement: str, *args: object) -> asyncpg.Record | None:
        await self._explain(statement, *args)
        return await self._connection.fetchrow(statement, *args)

    async def fetchval(self, statement: str, *args: object) -> Any:
        await self._explain(statement, *args)
        return await self._connection.fetchval(statement, *args)

    async def execute(self, statement: str, *args: object) -> str:
        await self._explain(statement, *args)
        return await self._connection.execute(statement, *args)

    async def cursor(self, statement: str, *args: object, prefetch: int) -> AsyncIterator[asyncpg.Record]:
        await self._explain(statement, *args)
        async for row in self._connection.cursor(statement, *args, prefetch=prefetch):
            yield row


@asynccontextmanager
async def explained(pool: Pool) -> AsyncIterator[tuple[Tx, Explained]]:
    async with pool.acquire() as connection, connection.transaction():
        watched = Explained(connection)
        yield cast("Tx", watched), watched


@pytest.fixture
async def busy(pool: Pool) -> UUID:
    """One order among thousands, with a refund of a part."""
    order = await paid_order(pool)
    await refund(pool, order, 100)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(FILL)
    await pool.execute("ANALYZE")
    return order


async def test_a_timeline_is_read_by_indexes_alone(pool: Pool, busy: UUID) -> None:
    async with explained(pool) as (tx, watched):
        page = await timeline.read(tx, About(orders=[busy]), limit=500, reveal=True)

    assert page.entries
    assert (watched.statements, watched.read_whole) == (1, set())


async def test_the_movements_of_an_order_are_found_by_indexes_alone(pool: Pool, busy: UUID) -> None:
    period = movement_lists.Period(NOON - timedelta(days=9999), NOON + timedelta(days=9999), None, busy)

    async with explained(pool) as (tx, watched):
        found = [booked.kind async for booked in movement_lists.stream(tx, period)]

    assert "payment" in found
    assert (watched.statements, watched.read_whole) == (1, set())


async def test_what_is_asked_while_an_order_is_locked_is_found_by_indexes_alone(pool: Pool, busy: UUID) -> None:
    payment = await pool.fetchval("SELECT id FROM payments WHERE order_id = $1", busy)

    async with explained(pool) as (tx, watched):
        await movements.times_refunded(tx, uuid4())
        await payouts.was_paid(tx, uuid4())
        await money_back.find_taken_of(tx, "stripe", busy)
        await money_back.find_payment(tx, "stripe", "pi_x1")
        await discrepancies.cure_about_payment(tx, payment, ["duplicate_payment"])
        await discrepancies.reopen_about_payment(tx, payment, ["duplicate_payment"])
        await payouts.match(tx, "stripe", ["ch_x1", "pi_x1"], is_payment=True)

    assert (watched.statements, watched.read_whole) == (7, set())
