"""Subscriptions under lock, and the only statement that changes one.

Who takes both locks the order first, then its subscription.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from db import entitlements, invoices
from db.entitlements import Given
from db.pool import Tx
from payments.access import NONE_YET
from payments.money import Money
from payments.order import SETTLED, OrderStatus
from payments.subscription import ENDED, Snapshot, Subscription, SubscriptionStatus


@dataclass(frozen=True, slots=True)
class Sold:
    """What is subscribed, and what it costs each time that it renews; as far as either is known."""

    plan_id: str | None
    name: str
    price: Money | None


@dataclass(frozen=True, slots=True)
class Locked:
    """A subscription under lock: what the rules see, and what is needed to write what follows.

    ``invoices`` are our ids by the gateway's. ``version`` counts what was written before.
    """

    subscription: Subscription
    id: UUID
    version: int
    order_id: UUID | None
    user_id: str
    sold: Sold
    trial_days: int
    next_step_at: datetime | None
    given: Given | None
    invoices: dict[str, UUID]


async def place(
    tx: Tx, *, user_id: str, order_id: UUID, gateway: str, plan_id: str, trial_days: int, at: datetime
) -> UUID:
    """Write an incomplete subscription beside the order that begins it. Raises ``UniqueViolationError`` where the user
    has one of the plan that has not ended, unless the plan allows many. ``at`` is business time."""
    placed: UUID = await tx.fetchval(
        """
        INSERT INTO subscriptions (user_id, order_id, gateway, plan_id, exclusive, trial_days, created_at)
        SELECT $1, $2, $3, p.id, NOT p.many, $5, $6 FROM plans p WHERE p.id = $4 RETURNING id
        """,
        user_id,
        order_id,
        gateway,
        plan_id,
        trial_days,
        at,
    )
    return placed


async def find_open(tx: Tx, user_id: str, plan_id: str, *, but: UUID | None = None) -> UUID | None:
    """The one that keeps the user from subscribing to this plan a second time: it is on it, or on its way to it.

    However it came there: our limit is for what we sell, and ``exclusive`` only keeps two clicks of one moment apart.
    """
    found: UUID | None = await tx.fetchval(
        """
        SELECT s.id FROM subscriptions s
         WHERE s.user_id = $1 AND s.status NOT IN ('cancelled', 'expired') AND s.id IS DISTINCT FROM $3
           AND ($2 IN (s.plan_id, s.pending_plan_id) OR EXISTS (
               SELECT FROM subscription_requests r
                WHERE r.subscription_id = s.id AND r.status IN ('intended', 'unknown') AND r.request ->> 'planId' = $2))
         ORDER BY s.status = 'incomplete', s.created_at LIMIT 1
        """,
        user_id,
        plan_id,
        but,
    )
    return found


async def has_had_trial(tx: Tx, user_id: str, plan_id: str, *, but: UUID | None = None) -> bool:
    """Whether a trial of this plan has been this user's, at whichever gateway, or may be yet: of a subscription that
    began with the plan, or went over to it in its trial. One whose page nobody paid has used none up."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM subscriptions s LEFT JOIN orders o ON o.id = s.order_id
             WHERE s.user_id = $1 AND s.id IS DISTINCT FROM $3
               AND ((coalesce(o.plan_id, s.plan_id) = $2 AND s.trial_days > 0
                     AND (s.status NOT IN ('cancelled', 'expired')
                          OR o.id IS NULL OR o.status IN ('paid', 'refunded', 'disputed')))
                    OR EXISTS (
                        SELECT FROM history h
                         WHERE h.subject = 'subscription' AND h.subject_id = s.id::text
                           AND h.to_status = 'trialing' AND h.detail ->> 'plan' = $2)
                    OR (s.status = 'trialing' AND (s.pending_plan_id = $2 OR EXISTS (
                        SELECT FROM subscription_requests r
                         WHERE r.subscription_id = s.id AND r.status IN ('intended', 'unknown')
                           AND r.request ->> 'planId' = $2)))))
        """,
        user_id,
        plan_id,
        but,
    )
    return found


async def lock(tx: Tx, subscription_id: UUID) -> Locked:
    """The subscription and its order, under lock until the transaction ends. It must exist: look it up first."""
    await tx.execute(
        "SELECT FROM orders WHERE id = (SELECT order_id FROM subscriptions WHERE id = $1) FOR UPDATE", subscription_id
    )
    await tx.execute("SELECT FROM subscriptions WHERE id = $1 FOR UPDATE", subscription_id)
    return await _read(tx, subscription_id)


async def lock_begun_by(tx: Tx, order_id: UUID) -> Locked | None:
    """The subscription that this order began, under lock. The caller holds the order's."""
    found = await tx.fetchval("SELECT id FROM subscriptions WHERE order_id = $1 FOR UPDATE", order_id)
    return await _read(tx, found) if found else None


async def _read(tx: Tx, subscription_id: UUID) -> Locked:
    """Read after the lock was had: a statement that waited for it would still see the past around it."""
    row = await tx.fetchrow(
        """
        SELECT s.*, o.status AS order_status, o.amount AS first_due, o.currency AS first_currency,
               coalesce(p.name, 'Subscription ' || s.id) AS plan_name,
               coalesce(b.amount, p.price_cents) AS price, coalesce(b.currency, p.currency) AS currency
          FROM subscriptions s LEFT JOIN orders o ON o.id = s.order_id LEFT JOIN plans p ON p.id = s.plan_id
               LEFT JOIN plan_prices b ON b.gateway = s.gateway AND b.price_id = s.price_id
         WHERE s.id = $1
        """,
        subscription_id,
    )
    if row is None:
        raise LookupError(f"subscription {subscription_id} is gone")
    known = await invoices.of_subscription(tx, subscription_id)
    given = await entitlements.of_subscription(tx, subscription_id)
    sold = Sold(row["plan_id"], row["plan_name"], _as_money(row["price"], row["currency"]))
    subscription = Subscription(
        id=str(subscription_id),
        status=SubscriptionStatus(row["status"]),
        gateway=row["gateway"] or "",
        plan_id=row["plan_id"],
        price=sold.price,
        first_due=_as_money(row["first_due"], row["first_currency"]),
        has_trial=row["trial_days"] > 0,
        snapshot=_as_snapshot(row) if row["gateway_subscription_id"] else None,
        told_at=row["told_at"],
        is_settled=row["is_settled"],
        invoices=tuple(known.values()),
        access=given.access if given else NONE_YET,
        order_is_settled=row["order_status"] is None or OrderStatus(row["order_status"]) in SETTLED,
        ended_at=row["ended_at"],
    )
    return Locked(
        subscription,
        subscription_id,
        row["version"],
        row["order_id"],
        row["user_id"],
        sold,
        row["trial_days"],
        row["next_step_at"],
        given,
        {invoice.gateway_invoice_id: invoice_id for invoice_id, invoice in known.items()},
    )


def _as_money(minor: int | None, currency: str | None) -> Money | None:
    return None if minor is None or currency is None else Money(minor, currency)


def _as_snapshot(row: asyncpg.Record) -> Snapshot:
    return Snapshot(
        gateway_subscription_id=row["gateway_subscription_id"],
        status=SubscriptionStatus(row["status"]),
        customer_id=row["gateway_customer_id"],
        price_id=row["price_id"],
        period_start=row["current_period_start"],
        period_end=row["current_period_end"],
        trial_end=row["trial_end"],
        cancel_at_period_end=row["cancel_at_period_end"],
        ends_at=row["ends_at"],
        ended_at=row["ended_at"],
        has_pending_change=row["has_pending_change"],
    )


async def sold_under(tx: Tx, gateway: str, price_id: str) -> Sold | None:
    """The plan that is billed by this price of the gateway's; None where the price is none of our catalogue's."""
    row = await tx.fetchrow(
        """
        SELECT p.id, p.name, b.amount, b.currency FROM plan_prices b JOIN plans p ON p.id = b.plan_id
         WHERE b.gateway = $1 AND b.price_id = $2
        """,
        gateway,
        price_id,
    )
    return Sold(row["id"], row["name"], Money(row["amount"], row["currency"])) if row else None


async def write(
    tx: Tx,
    held: Locked,
    after: Subscription,
    *,
    gateway: str,
    plan_id: str | None,
    next_step_at: datetime | None,
    at: datetime,
) -> None:
    """What the rules have made of it. ``at`` is business time.

    Guarded by the version, although the lock already holds it: said twice, on two paths. A gateway may bring somebody
    to a second subscription of a plan, by a change there; that is a fact, and our limit is for what we sell. The pauses
    between recovery's looks begin anew with a new status or period: they were about the one before.
    """
    told = after.snapshot or Snapshot("", after.status)
    written = await tx.execute(
        """
        UPDATE subscriptions s
           SET status = $3, gateway = coalesce(s.gateway, $4), gateway_subscription_id = $5,
               gateway_customer_id = $6, price_id = $7, current_period_start = $8, current_period_end = $9,
               trial_end = $10, cancel_at_period_end = $11::boolean, ends_at = $12::timestamptz,
               ended_at = CASE WHEN $17::boolean THEN coalesce($13::timestamptz, s.ended_at, $20::timestamptz) END,
               cancelled_at = CASE WHEN $17 OR $11 OR $12 IS NOT NULL THEN coalesce(s.cancelled_at, $13, $20) END,
               has_pending_change = $14::boolean,
               pending_plan_id = CASE WHEN s.pending_plan_id = $16 OR (s.has_pending_change AND NOT $14) THEN NULL
                                      ELSE s.pending_plan_id END,
               plan_id = $16::text,
               exclusive = CASE WHEN s.plan_id IS NOT DISTINCT FROM $16 THEN s.exclusive ELSE
                   NOT EXISTS (SELECT FROM plans p WHERE p.id = $16 AND p.many)
                   AND NOT EXISTS (
                       SELECT FROM subscriptions other
                        WHERE other.user_id = s.user_id AND other.plan_id = $16 AND other.id <> s.id
                          AND other.exclusive AND other.status NOT IN ('cancelled', 'expired')) END,
               looks = CASE WHEN (s.status, s.current_period_end) IS NOT DISTINCT FROM ($3::text, $8::timestamptz)
                            THEN s.looks ELSE 0 END,
               next_look_at = CASE WHEN (s.status, s.current_period_end) IS NOT DISTINCT FROM ($3, $8)
                                   THEN s.next_look_at ELSE '-infinity' END,
               told_at = $15, is_settled = $18, next_step_at = $19, version = s.version + 1, updated_at = now()
         WHERE s.id = $1 AND s.version = $2
        """,
        held.id,
        held.version,
        after.status.value,
        gateway,
        told.gateway_subscription_id or None,
        told.customer_id,
        told.price_id,
        told.period_start,
        told.period_end,
        told.trial_end,
        told.cancel_at_period_end,
        told.ends_at,
        told.ended_at,
        told.has_pending_change,
        after.told_at,
        plan_id,
        after.status in ENDED,
        after.is_settled,
        next_step_at,
        at,
    )
    if written != "UPDATE 1":
        raise RuntimeError(f"subscription {held.id} was changed although it was locked")


async def due(tx: Tx, now: datetime, *, after: tuple[datetime, UUID] | None, limit: int) -> list[tuple[datetime, UUID]]:
    """Those with which our clock has something to do by ``now``, business time, the longest due first; those beyond
    ``after``, so that one which cannot be worked keeps no other from its turn."""
    rows = await tx.fetch(
        """
        SELECT next_step_at, id FROM subscriptions
         WHERE next_step_at <= $1 AND ($2::timestamptz IS NULL OR (next_step_at, id) > ($2, $3::uuid))
         ORDER BY next_step_at, id LIMIT $4
        """,
        now,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [(row["next_step_at"], row["id"]) for row in rows]
