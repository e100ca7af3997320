"""Whose timeline is meant, by any name that it has, here or at a gateway; and how it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class OrderStands:
    """An order as it is now, in a line or two. ``looks``: how often recovery has asked its gateway about it."""

    id: UUID
    user_id: str
    plan_id: str | None
    plan_name: str | None
    status: str
    amount: int
    amount_refunded: int
    currency: str
    gateway: str | None
    session_id: str | None
    payment_intent_id: str | None
    failure_reason: str | None
    subscription_id: UUID | None
    has_access: bool
    access_reason: str | None
    looks: int
    next_look_at: datetime | None
    created_at: datetime
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionStands:
    """A subscription as it is now."""

    id: UUID
    user_id: str
    order_id: UUID | None
    plan_id: str | None
    status: str
    gateway: str | None
    gateway_subscription_id: str | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    ends_at: datetime | None
    has_access: bool
    access_reason: str | None
    access_until: datetime | None
    looks: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UserKnown:
    """A user, and what the gateways call them. The address is the caller's to mask."""

    id: str
    email: str | None
    customers: Sequence[str]
    created_at: datetime


async def find_orders(tx: Tx, name: str, gateways: Sequence[str]) -> list[UUID]:
    """Every order that the name points to: ours, or that of a session, a payment, a refund, a dispute, a subscription
    or an invoice, ours or the gateway's."""
    rows = await tx.fetch(
        """
        WITH paid AS (
            SELECT id, order_id, invoice_id FROM payments WHERE gateway = ANY ($2) AND gateway_payment_id = $1
            UNION SELECT id, order_id, invoice_id FROM payments WHERE id = $3
            UNION SELECT p.id, p.order_id, p.invoice_id FROM refunds r JOIN payments p ON p.id = r.payment_id
                   WHERE r.id = $3 OR (r.gateway = ANY ($2) AND r.gateway_refund_id = $1)
            UNION SELECT p.id, p.order_id, p.invoice_id FROM disputes d JOIN payments p ON p.id = d.payment_id
                   WHERE d.id = $3 OR (d.gateway = ANY ($2) AND d.gateway_dispute_id = $1)
        )
        SELECT id FROM orders WHERE id = $3
        UNION SELECT id FROM orders WHERE session_id = $1
        UNION SELECT id FROM orders WHERE payment_intent_id = $1
        UNION SELECT order_id FROM gateway_references WHERE gateway = ANY ($2) AND reference = $1
        UNION SELECT order_id FROM payment_attempts WHERE session_id = $1
        UNION SELECT order_id FROM paid WHERE order_id IS NOT NULL
        UNION SELECT s.order_id FROM paid JOIN invoices i ON i.id = paid.invoice_id
               JOIN subscriptions s ON s.id = i.subscription_id WHERE s.order_id IS NOT NULL
        UNION SELECT order_id FROM subscriptions
               WHERE order_id IS NOT NULL AND (id = $3 OR gateway_subscription_id = $1)
        UNION SELECT s.order_id FROM invoices i JOIN subscriptions s ON s.id = i.subscription_id
               WHERE s.order_id IS NOT NULL AND (i.id = $3 OR (i.gateway = ANY ($2) AND i.gateway_invoice_id = $1))
         ORDER BY 1
        """,
        name,
        list(gateways),
        _ours(name),
    )
    return [row["id"] for row in rows]


async def find_subscriptions(tx: Tx, name: str, gateways: Sequence[str]) -> list[UUID]:
    """Every subscription that the name points to; any name of the order that began it is one of its own."""
    rows = await tx.fetch(
        """
        SELECT id FROM subscriptions WHERE id = $2 OR gateway_subscription_id = $1 OR order_id = ANY ($3::uuid[])
         ORDER BY id
        """,
        name,
        _ours(name),
        await find_orders(tx, name, gateways),
    )
    return [row["id"] for row in rows]


async def find_users(tx: Tx, name: str) -> list[UserKnown]:
    """By the application's id, the address, or a gateway's customer; several may share the latter two."""
    rows = await tx.fetch(
        """
        SELECT u.id, u.email, u.created_at,
               ARRAY(SELECT c.customer_id FROM gateway_customers c
                      WHERE c.user_id = u.id AND c.customer_id IS NOT NULL ORDER BY c.gateway) AS customers
          FROM users u
         WHERE u.id = $1 OR (NOT EXISTS (SELECT FROM users WHERE id = $1) AND (
               u.email = $1 OR u.stripe_customer_id = $1
               OR u.id IN (SELECT user_id FROM gateway_customers WHERE customer_id = $1)))
         ORDER BY u.id LIMIT 20
        """,
        name,
    )
    return [UserKnown(**row) for row in rows]


async def orders_stand(tx: Tx, ids: Sequence[UUID]) -> list[OrderStands]:
    rows = await tx.fetch(
        """
        SELECT o.id, o.user_id, o.plan_id, p.name AS plan_name, o.status, o.amount, o.amount_refunded, o.currency,
               o.gateway, o.session_id, o.payment_intent_id, o.failure_reason, s.id AS subscription_id,
               coalesce(e.active, false) AS has_access, e.reason AS access_reason, o.looks,
               CASE WHEN o.looks > 0 THEN o.next_look_at END AS next_look_at, o.created_at, o.paid_at
          FROM orders o
          LEFT JOIN plans p ON p.id = o.plan_id
          LEFT JOIN subscriptions s ON s.order_id = o.id
          LEFT JOIN entitlements e ON e.order_id = o.id OR e.subscription_id = s.id
         WHERE o.id = ANY ($1::uuid[]) ORDER BY o.created_at, o.id
        """,
        list(ids),
    )
    return [OrderStands(**row) for row in rows]


async def subscriptions_stand(tx: Tx, ids: Sequence[UUID]) -> list[SubscriptionStands]:
    rows = await tx.fetch(
        """
        SELECT s.id, s.user_id, s.order_id, s.plan_id, s.status, s.gateway, s.gateway_subscription_id,
               s.current_period_start, s.current_period_end, s.trial_end, s.cancel_at_period_end, s.ends_at,
               coalesce(e.active, false) AS has_access, e.reason AS access_reason, e.until AS access_until, s.looks,
               s.created_at
          FROM subscriptions s LEFT JOIN entitlements e ON e.subscription_id = s.id
         WHERE s.id = ANY ($1::uuid[]) ORDER BY s.created_at, s.id
        """,
        list(ids),
    )
    return [SubscriptionStands(**row) for row in rows]


#: Of one user; who has more is told so.
MOST_OF_A_USER = 500


async def of_user(tx: Tx, user_id: str) -> tuple[list[UUID], list[UUID]]:
    """The user's orders and subscriptions, the newest first."""
    orders = await tx.fetch(
        "SELECT id FROM orders WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2", user_id, MOST_OF_A_USER
    )
    subscriptions = await tx.fetch(
        "SELECT id FROM subscriptions WHERE user_id = $1 ORDER BY created_at DESC, id LIMIT $2", user_id, MOST_OF_A_USER
    )
    return [row["id"] for row in orders], [row["id"] for row in subscriptions]


def _ours(name: str) -> UUID | None:
    """None for what was never an id of ours: no other text may reach a cast."""
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name.lower() else None
