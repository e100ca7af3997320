"""Under which price each gateway's catalogue shows a plan; every price that ever was stays known."""

from __future__ import annotations

from db.plans import Plan
from db.pool import Tx


async def remember(tx: Tx, plan: Plan, gateway: str, *, product_id: str, price_id: str) -> bool:
    """Write the price down; whether it was new to us."""
    written = await tx.execute(
        """
        INSERT INTO plan_prices (gateway, price_id, product_id, plan_id, amount, currency, interval)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """,
        gateway,
        price_id,
        product_id,
        plan.id,
        plan.price_cents,
        plan.currency,
        plan.interval,
    )
    return written == "INSERT 0 1"
