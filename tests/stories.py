"""An order with a story: asked for, opened, paid, partly refunded and disputed, as the real functions write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from db import attempts, history, orders
from db.history import Cause
from db.ids import new_id
from db.pool import Pool
from gateways.registry import GATEWAYS
from tests.builders import BOOK, NOON, keep, place_order, session
from workers.webhook_events import Desk, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)


async def open_page(pool: Pool, order: UUID, *, number: int = 1) -> str:
    """The order's page at Stripe; returns its id there."""
    name = f"cs_{order}" if number == 1 else f"cs_{order}_{number}"
    async with pool.acquire() as tx, tx.transaction():
        attempt = await attempts.intend(
            tx,
            order_id=order,
            number=number,
            gateway="stripe",
            idempotency_key=f"checkout_{order}_{number}",
            request={"customer_email": "anna.b@example.org"},
            expires_at=datetime.now(UTC) + timedelta(minutes=31),
        )
        await attempts.lease(tx, attempt, 30)
    async with pool.acquire() as tx, tx.transaction():
        await orders.store_session(tx, order, "stripe", name)
        await attempts.mark_open(
            tx,
            attempt,
            session_id=name,
            url=f"https://pay.example/{name}",
            expires_at=datetime.now(UTC) + timedelta(minutes=31),
            is_over=False,
        )
    return name


async def pay(pool: Pool, order: UUID, **more: Any) -> UUID:
    """The webhook that says so, worked; returns our id of it."""
    event = await keep(pool, session(order, **more))
    await work_webhook_event(pool, DESK, event)
    return event


async def paid_order(pool: Pool, *, user: str = "user-1", plan: str = "plan-1") -> UUID:
    order = await place_order(pool, user=user, plan=plan)
    await open_page(pool, order)
    await pay(pool, order)
    return order


async def payment_of(pool: Pool, order: UUID) -> UUID:
    found: UUID = await pool.fetchval("SELECT id FROM payments WHERE order_id = $1 ORDER BY created_at LIMIT 1", order)
    return found


async def refund(pool: Pool, order: UUID, minor: int, name: str = "re_1") -> UUID:
    """A refund that has succeeded, with its history and its movement."""
    made, payment = uuid4(), await payment_of(pool, order)
    async with pool.acquire() as tx, tx.transaction():
        await tx.execute(
            """
            INSERT INTO refunds (id, order_id, payment_id, gateway, gateway_refund_id, amount, currency, status,
                                 reason_code, asked_by, note, idempotency_key, created_at, settled_at)
            VALUES ($1, $2, $3, 'stripe', $4, $5, 'usd', 'succeeded', 'duplicate', 'operator:ada', 'on the phone',
                    $6, $7, $7)
            """,
            made,
            order,
            payment,
            name,
            minor,
            f"refund_{made}",
            NOON,
        )
        cause = Cause("effect", "e-1")
        await history.write(
            tx, subject="refund", subject_id=made, from_status="pending", to_status="succeeded", cause=cause, at=NOON
        )
        await book(tx, "refund", -minor, order=order, payment=payment, fact=f"refund:{made}:1")
    return made


async def dispute(pool: Pool, order: UUID, name: str = "dp_1", *, due: datetime | None = None, **more: Any) -> UUID:
    """One that waits for evidence."""
    made: UUID = await pool.fetchval(
        """
        INSERT INTO disputes (order_id, payment_id, gateway, gateway_dispute_id, amount, currency, status,
                              gateway_status, reason, evidence_due_at, opened_at)
        VALUES ($1, $2, $3, $4, 1000, 'usd', $5, 'needs_response', 'fraudulent', $6, $7) RETURNING id
        """,
        order,
        await payment_of(pool, order),
        more.get("gateway", "stripe"),
        name,
        more.get("status", "needs_response"),
        due,
        NOON,
    )
    return made


async def book(
    tx: Any,
    kind: str,
    minor: int,
    *,
    gateway: str = "stripe",
    currency: str = "usd",
    at: datetime = NOON,
    order: UUID | None = None,
    payment: UUID | None = None,
    fact: str | None = None,
) -> UUID:
    """A movement, as the record writes it."""
    made = new_id()
    await tx.execute(
        """
        INSERT INTO movements (id, gateway, payment_id, order_id, kind, amount, currency, cause, cause_id, fact, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'reconciliation', 'a run', $8, $9)
        """,
        made,
        gateway,
        payment,
        order,
        kind,
        minor,
        currency,
        fact or f"{kind}:{made}",
        at,
    )
    return made
