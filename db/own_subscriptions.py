"""A user's own subscriptions, as they may see them. Read without a lock, by their owner's id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.access import GIVES
from db.own_orders import Mark
from db.pool import Tx
from payments.subscription import LIVING


@dataclass(frozen=True, slots=True)
class OwnSubscription:
    """A subscription as its owner sees it. ``amount`` is what a period costs, as far as we know. ``order_status`` is
    that of the order that began it.

    ``is_being_changed``: something was asked of the gateway, and its answer is not here yet.
    """

    id: UUID
    user_id: str
    order_id: UUID | None
    order_status: str | None
    plan_id: str | None
    plan_name: str | None
    gateway: str | None
    gateway_subscription_id: str | None
    price_id: str | None
    status: str
    amount: int | None
    currency: str | None
    interval: str | None
    current_period_start: datetime | None
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    ends_at: datetime | None
    cancelled_at: datetime | None
    ended_at: datetime | None
    has_pending_change: bool
    pending_plan_id: str | None
    created_at: datetime
    is_being_changed: bool
    access_active: bool
    access_until: datetime | None
    access_reason: str | None

    @property
    def is_living(self) -> bool:
        return self.status in LIVING


_SEEN = f"""
    SELECT s.id, s.user_id, s.order_id, o.status AS order_status, s.plan_id, p.name AS plan_name, s.gateway,
           s.gateway_subscription_id, s.price_id, s.status,
           coalesce(b.amount, p.price_cents) AS amount, coalesce(b.currency, p.currency) AS currency,
           coalesce(b.interval, p.interval) AS interval, s.current_period_start, s.current_period_end, s.trial_end,
           s.cancel_at_period_end, s.ends_at, s.cancelled_at, s.ended_at, s.has_pending_change, s.pending_plan_id,
           s.created_at,
           EXISTS (SELECT FROM subscription_requests r
                    WHERE r.subscription_id = s.id AND r.status IN ('intended', 'unknown')) AS is_being_changed,
           coalesce(now.active, false) AS access_active, e.until AS access_until, now.reason AS access_reason
      FROM subscriptions s
      LEFT JOIN orders o ON o.id = s.order_id
      LEFT JOIN plans p ON p.id = s.plan_id
      LEFT JOIN plan_prices b ON b.gateway = s.gateway AND b.price_id = s.price_id
      LEFT JOIN entitlements e ON e.subscription_id = s.id
      LEFT JOIN {GIVES} ON true
"""  # noqa: S608 - two texts of ours


async def page_of_user(tx: Tx, user_id: str, now: datetime, *, after: Mark | None, limit: int) -> list[OwnSubscription]:
    """Newest first, ended ones too; ``now`` is business time, since an end may be reached unnoticed."""
    rows = await tx.fetch(
        _SEEN
        + """
        WHERE s.user_id = $2 AND ($3::timestamptz IS NULL OR (s.created_at, s.id) < ($3, $4::uuid))
        ORDER BY s.created_at DESC, s.id DESC LIMIT $5
        """,
        now,
        user_id,
        after.created_at if after else None,
        after.id if after else None,
        limit,
    )
    return [OwnSubscription(**row) for row in rows]


async def find_of_user(tx: Tx, user_id: str, subscription_id: UUID, now: datetime) -> OwnSubscription | None:
    """None for another user's subscription, as for one that does not exist."""
    row = await tx.fetchrow(_SEEN + "WHERE s.user_id = $2 AND s.id = $3", now, user_id, subscription_id)
    return OwnSubscription(**row) if row else None


async def begun_by(tx: Tx, order_id: UUID, now: datetime) -> OwnSubscription | None:
    """The subscription that this order began, for who has shown that the order is theirs."""
    row = await tx.fetchrow(_SEEN + "WHERE s.order_id = $2", now, order_id)
    return OwnSubscription(**row) if row else None
