"""Under which price each gateway's catalogue shows a plan; every price that ever was stays known."""

from __future__ import annotations

from db.plans import Plan
from db.pool import Tx
from payments.money import Money


async def remember(
    tx: Tx, plan: Plan, gateway: str, *, product_id: str, price_id: str, price: Money | None = None
) -> bool:
    """Write the price down, which is the plan's unless another is named; whether it was new to us."""
    written = await tx.execute(
        """
        INSERT INTO plan_prices (gateway, price_id, product_id, plan_id, amount, currency, interval)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
        """,
        gateway,
        price_id,
        product_id,
        plan.id,
        price.minor if price else plan.price_cents,
        price.currency if price else plan.currency,
        plan.interval,
    )
    return written == "INSERT 0 1"


async def find(tx: Tx, plan_id: str, gateway: str, price: Money, interval: str) -> str | None:
    """The gateway's id of the plan at this price; None where its catalogue does not show it."""
    found: str | None = await tx.fetchval(
        """
        SELECT price_id FROM plan_prices
         WHERE plan_id = $1 AND gateway = $2 AND amount = $3 AND currency = $4 AND interval = $5
         ORDER BY created_at DESC, price_id LIMIT 1
        """,
        plan_id,
        gateway,
        price.minor,
        price.currency,
        interval,
    )
    return found
