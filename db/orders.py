"""Orders under lock, and the only statement that moves one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db import payments
from db.pool import Tx
from payments.money import Money
from payments.order import Order, OrderStatus


@dataclass(frozen=True, slots=True)
class Locked:
    """An order under lock: what the rules see, and what is needed to write what follows."""

    order: Order
    id: UUID
    user_id: str
    plan_id: str | None
    plan_name: str
    plan_description: str
    email: str | None


async def place(tx: Tx, *, user_id: str, plan_id: str, expected: Money, at: datetime) -> UUID:
    """Write a pending order, before anything is asked of a gateway. The price comes from the plan, never a request.

    ``at`` is business time, as ``paid_at`` will be: the two are compared.
    """
    order_id: UUID = await tx.fetchval(
        """
        INSERT INTO orders (user_id, plan_id, amount, currency, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING id
        """,
        user_id,
        plan_id,
        expected.minor,
        expected.currency,
        at,
    )
    return order_id


async def lock(tx: Tx, order_id: UUID) -> Locked:
    """The order with all its payments, under lock until the transaction ends. It must exist: look it up first.

    Locked first and read afterwards: a statement that waited for the lock would still see the past around it. Of the
    orders that a user has given up for one plan, one at a time: each must see what has become of the others.
    """
    await tx.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order_id)
    await tx.execute(
        """
        SELECT pg_advisory_xact_lock(hashtextextended(jsonb_build_array('late', user_id, plan_id)::text, 0))
          FROM orders WHERE id = $1 AND status IN ('failed', 'cancelled')
        """,
        order_id,
    )
    row = await tx.fetchrow(
        """
        SELECT o.user_id, o.plan_id, o.amount, o.currency, o.status, o.session_id, o.payment_intent_id,
               o.failure_reason, u.email,
               coalesce(p.name, 'Order ' || o.id) AS plan_name, coalesce(p.description, '') AS plan_description,
               EXISTS (SELECT FROM payment_attempts a
                        WHERE a.order_id = o.id AND a.status IN ('intended', 'unknown', 'open')) AS page_is_open,
               EXISTS (SELECT FROM effects f
                        WHERE f.order_id = o.id AND f.kind = 'gateway.capture_payment' AND f.status = 'pending')
                   AS is_being_captured,
               EXISTS (SELECT FROM subscriptions s WHERE s.order_id = o.id) AS begins_subscription,
               EXISTS (SELECT FROM orders other
                        WHERE other.user_id = o.user_id AND other.plan_id = o.plan_id AND other.id <> o.id
                          AND (other.status = 'pending' OR (other.status = 'paid' AND other.paid_at >= o.created_at)
                               OR (other.status IN ('failed', 'cancelled') AND EXISTS (
                                   SELECT FROM payment_attempts a
                                    WHERE a.order_id = other.id AND a.status IN ('intended', 'unknown', 'open'))))
                      ) AS replaced
          FROM orders o JOIN users u ON u.id = o.user_id LEFT JOIN plans p ON p.id = o.plan_id
         WHERE o.id = $1
        """,
        order_id,
    )
    if row is None:
        raise LookupError(f"order {order_id} is gone")
    order = Order(
        id=str(order_id),
        status=OrderStatus(row["status"]),
        expected=Money(row["amount"], row["currency"]),
        payments=await payments.of_order(tx, order_id),
        session_id=row["session_id"],
        payment_intent_id=row["payment_intent_id"],
        attempt_failed=row["failure_reason"] is not None,
        page_is_open=row["page_is_open"],
        is_being_captured=row["is_being_captured"],
        replaced=row["replaced"],
        begins_subscription=row["begins_subscription"],
    )
    return Locked(
        order, order_id, row["user_id"], row["plan_id"], row["plan_name"], row["plan_description"], row["email"]
    )


async def move(
    tx: Tx,
    order_id: UUID,
    *,
    from_status: OrderStatus,
    to_status: OrderStatus,
    at: datetime,
    gateway: str,
    payment_id: str | None,
    failure_code: str | None,
) -> None:
    """Write a legal move; the caller holds the lock and writes the history with it.

    Guarded by the status it leaves, although the lock already holds it: said twice, on two paths.
    """
    moved = await tx.execute(
        """
        UPDATE orders
           SET status = $3, updated_at = now(), gateway = coalesce(gateway, $5),
               paid_at = CASE WHEN $3 = 'paid' THEN coalesce(paid_at, $4) ELSE paid_at END,
               payment_intent_id = CASE WHEN $3 = 'paid' THEN coalesce($6, payment_intent_id)
                                        ELSE payment_intent_id END,
               failure_reason = CASE WHEN $3 = 'paid' THEN NULL ELSE coalesce($7, failure_reason) END
         WHERE id = $1 AND status = $2
        """,
        order_id,
        from_status.value,
        to_status.value,
        at,
        gateway,
        payment_id,
        failure_code,
    )
    if moved != "UPDATE 1":
        raise RuntimeError(f"order {order_id} was not {from_status} although it was locked")


async def note_refunds(tx: Tx, order_id: UUID, *, refunded: int, gateway_refund_id: str | None) -> None:
    """What has gone back of its money in all, and by which refund last. The caller holds the lock."""
    await tx.execute(
        """
        UPDATE orders SET amount_refunded = $2, refund_id = $3, updated_at = now()
         WHERE id = $1 AND (amount_refunded, coalesce(refund_id, '')) IS DISTINCT FROM ($2, coalesce($3, ''))
        """,
        order_id,
        refunded,
        gateway_refund_id,
    )


async def note_failure(tx: Tx, order_id: UUID, failure_code: str) -> None:
    """A declined attempt: shown to the customer, who may try again; or told late, of an order that was given up."""
    await tx.execute(
        """
        UPDATE orders SET failure_reason = $2, updated_at = now()
         WHERE id = $1 AND status IN ('pending', 'cancelled', 'failed')
        """,
        order_id,
        failure_code,
    )


async def store_session(tx: Tx, order_id: UUID, gateway: str, session_id: str) -> None:
    """The page that we have just opened; a trigger wakes the events that came before we could say so."""
    await tx.execute(
        "UPDATE orders SET session_id = $3, gateway = $2, updated_at = now() WHERE id = $1",
        order_id,
        gateway,
        session_id,
    )


async def learn_session(tx: Tx, order_id: UUID, gateway: str, session_id: str) -> None:
    """Keep the session of an order whose maker died before storing it. Another session is never overwritten."""
    await tx.execute(
        """
        UPDATE orders SET session_id = $3, gateway = coalesce(gateway, $2), updated_at = now()
         WHERE id = $1 AND session_id IS NULL
        """,
        order_id,
        gateway,
        session_id,
    )
