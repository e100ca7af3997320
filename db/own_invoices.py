"""A user's own invoices, newest first. Read without a lock, by their owner's id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.own_orders import Mark
from db.pool import Tx


@dataclass(frozen=True, slots=True)
class OwnInvoice:
    """An invoice as its owner sees it. ``hosted_url`` is the gateway's page: to pay it on; once paid, its receipt.
    ``plan_id`` is the plan that it bills; that of now, where its price is not known. ``is_over``: its subscription has
    ended, and paying it would buy nothing."""

    id: UUID
    subscription_id: UUID
    plan_id: str | None
    plan_name: str | None
    gateway: str
    number: str | None
    status: str
    reason: str
    amount: int
    amount_paid: int
    currency: str
    period_start: datetime | None
    period_end: datetime | None
    hosted_url: str | None
    next_attempt_at: datetime | None
    failure_code: str | None
    created_at: datetime
    paid_at: datetime | None
    is_over: bool


async def page_of_user(tx: Tx, user_id: str, *, after: Mark | None, limit: int) -> list[OwnInvoice]:
    """Drafts are left out: the gateway still adds to them."""
    rows = await tx.fetch(
        """
        SELECT i.id, i.subscription_id, p.id AS plan_id, p.name AS plan_name, i.gateway, i.number, i.status, i.reason,
               i.amount, i.amount_paid, i.currency, i.period_start, i.period_end, i.hosted_url, i.next_attempt_at,
               i.failure_code, i.created_at, i.paid_at, s.status IN ('cancelled', 'expired') AS is_over
          FROM invoices i
          JOIN subscriptions s ON s.id = i.subscription_id
          LEFT JOIN plan_prices b ON b.gateway = i.gateway AND b.price_id = i.price_id
          LEFT JOIN plans p ON p.id = coalesce(b.plan_id, s.plan_id)
         WHERE s.user_id = $1 AND i.status <> 'draft'
           AND ($2::timestamptz IS NULL OR (i.created_at, i.id) < ($2, $3::uuid))
         ORDER BY i.created_at DESC, i.id DESC LIMIT $4
        """,
        user_id,
        after.created_at if after else None,
        after.id if after else None,
        limit,
    )
    return [OwnInvoice(**row) for row in rows]
