"""One line to build a user, a plan, an order, an event; everything else is what a test wants to talk about."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db import orders, plans, users, webhook_events
from db.ids import new_id
from db.plans import Plan
from db.pool import Pool, Tx
from db.webhook_events import Arrival
from db.work_attempts import Trouble, TroubleClass
from payments.events import Observed, OrderEvent, PaymentSucceeded, References
from payments.money import Money
from payments.order import LateSuccess
from workers.apply import Book

TEN = Money(1000, "usd")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TROUBLE = Trouble(TroubleClass.PERMANENT, "unknown_shape", "amount_total is missing", "0123456789abcdef")
BOOK = Book("counterfoil", LateSuccess.FULFIL, lambda: NOON)


async def place_order(tx: Tx | Pool, *, expected: Money = TEN, user: str = "user-1", plan: str = "plan-1") -> UUID:
    """A pending order, with its user and its plan where they are missing."""
    if not hasattr(tx, "acquire"):
        return await _place(tx, expected, user, plan)
    async with tx.acquire() as connection, connection.transaction():
        return await _place(connection, expected, user, plan)


async def _place(tx: Tx, expected: Money, user: str, plan: str) -> UUID:
    await users.know(tx, user, f"{user}@example.com")
    await plans.upsert(tx, Plan(plan, "A plan", "For tests", expected.minor, expected.currency))
    return await orders.place(tx, user_id=user, plan_id=plan, expected=expected, at=NOON)


def observed(order_id: UUID | str, event: OrderEvent, *objects: str, **names: Any) -> Observed:
    """A fact about an order, told by Stripe, with the order's id and the given objects as its names."""
    return Observed("stripe", References(order_ids=(str(order_id),), objects=objects, **names), event)


def paid(payment_id: str | None = "pi_1", amount: Money = TEN) -> PaymentSucceeded:
    return PaymentSucceeded(payment_id, amount)


def arrival(event: dict[str, Any] | bytes, **more: Any) -> Arrival:
    """A verified delivery, as the ingress hands it to the record."""
    import hashlib

    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    digest = hashlib.sha256(raw).hexdigest()
    event_id = more.pop("event_id", f"evt_{uuid.uuid4().hex}")
    return Arrival(
        **{
            "gateway": "stripe",
            "account": "",
            "livemode": False,
            "event_id": event_id,
            "event_key": event_id,
            "event_type": "checkout.session.completed",
            "api_version": None,
            "raw": raw,
            "payload_hash": digest,
            "signature_headers": {},
            "secret_id": "test",
            "gateway_created_at": None,
            "id": new_id(),
            **more,
        }
    )


async def keep(pool: Pool, event: dict[str, Any] | bytes, **more: Any) -> UUID:
    """A kept event, ready to be worked."""
    made = arrival(event, **more)
    async with pool.acquire() as connection, connection.transaction():
        assert made.id in await webhook_events.keep(connection, [made])
    return made.id


def session(order_id: UUID | str, payment_status: str = "paid", **more: Any) -> dict[str, Any]:
    """A Stripe checkout session event about an order; what is paid is ten dollars unless said otherwise."""
    about = {
        "id": f"cs_{order_id}",
        "object": "checkout.session",
        "mode": "payment",
        "status": "complete",
        "payment_status": payment_status,
        "payment_intent": f"pi_{order_id}",
        "amount_total": TEN.minor,
        "currency": TEN.currency,
        "client_reference_id": str(order_id),
        "metadata": {"order_id": str(order_id)},
        **more,
    }
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "checkout.session.completed",
        "livemode": False,
        "created": int(NOON.timestamp()),
        "data": {"object": about},
    }
