"""What a user may use: one row per order or subscription, which says why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Tx
from payments.access import Access, AccessReason


async def grant_for_order(tx: Tx, *, order_id: UUID, user_id: str, plan_id: str | None) -> None:
    """Access from a paid order. Granting again changes nothing that is already granted."""
    await tx.execute(
        """
        INSERT INTO entitlements (user_id, plan_id, order_id, active, reason) VALUES ($1, $2, $3, true, 'paid')
        ON CONFLICT (order_id) DO UPDATE SET active = true, reason = 'paid', updated_at = now()
            WHERE NOT entitlements.active
        """,
        user_id,
        plan_id,
        order_id,
    )


async def change_for_order(tx: Tx, order_id: UUID, *, active: bool, reason: str) -> bool:
    """What an order gives after a move of it; whether that lets somebody in, or out. One that never gave anything, or
    that began a subscription, has no row to change."""
    was: bool | None = await tx.fetchval(
        """
        UPDATE entitlements e SET active = $2, reason = $3, updated_at = now()
          FROM entitlements before WHERE before.id = e.id AND e.order_id = $1
        RETURNING before.active
        """,
        order_id,
        active,
        reason,
    )
    return was is not None and was != active


@dataclass(frozen=True, slots=True)
class Given:
    """What a subscription gives, as it was decided last, and when that ends without another word; None: at no time."""

    access: Access
    lapses_at: datetime | None


async def of_subscription(tx: Tx, subscription_id: UUID) -> Given | None:
    """None before it was ever decided."""
    row = await tx.fetchrow(
        "SELECT active, until, reason, lapses_at FROM entitlements WHERE subscription_id = $1", subscription_id
    )
    if row is None:
        return None
    return Given(Access(row["active"], row["until"], AccessReason(row["reason"])), row["lapses_at"])


async def set_for_subscription(
    tx: Tx, *, subscription_id: UUID, user_id: str, plan_id: str | None, given: Given
) -> None:
    """What the subscription gives from now on. Each has a row of its own: the end of one takes nothing from another."""
    await tx.execute(
        """
        INSERT INTO entitlements (user_id, plan_id, subscription_id, active, until, reason, lapses_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (subscription_id) DO UPDATE
            SET plan_id = excluded.plan_id, active = excluded.active, until = excluded.until, reason = excluded.reason,
                lapses_at = excluded.lapses_at, updated_at = now()
        """,
        user_id,
        plan_id,
        subscription_id,
        given.access.active,
        given.access.until,
        given.access.reason,
        given.lapses_at,
    )
