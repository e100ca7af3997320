"""What a user may use: one row per order, which says why."""

from __future__ import annotations

from uuid import UUID

from db.pool import Tx


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
