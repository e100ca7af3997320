"""What is for sale, and for how much: the only source of a price."""

from __future__ import annotations

from dataclasses import dataclass

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan on sale. ``price_cents`` are minor units of ``currency``; ``interval`` None means sold once.

    ``many``: a user may hold several subscriptions of it.
    """

    id: str
    name: str
    description: str
    price_cents: int
    currency: str
    interval: str | None = None
    trial_days: int = 0
    gateways: tuple[str, ...] = ("stripe", "razorpay")
    active: bool = True
    many: bool = False


async def upsert(tx: Tx, plan: Plan) -> None:
    """Put the plan on sale as given. Orders keep the amount they were written with."""
    allowed_many = await tx.fetchval("SELECT many FROM plans WHERE id = $1", plan.id)
    await tx.execute(
        """
        INSERT INTO plans (id, name, description, price_cents, currency, interval, trial_days, gateways, active, many)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (id) DO UPDATE
            SET name = excluded.name, description = excluded.description, price_cents = excluded.price_cents,
                currency = excluded.currency, interval = excluded.interval, trial_days = excluded.trial_days,
                gateways = excluded.gateways, active = excluded.active, many = excluded.many
        """,
        plan.id,
        plan.name,
        plan.description,
        plan.price_cents,
        plan.currency,
        plan.interval,
        plan.trial_days,
        list(plan.gateways),
        plan.active,
        plan.many,
    )
    if allowed_many not in (None, plan.many):
        await _limit_again(tx, plan)


async def _limit_again(tx: Tx, plan: Plan) -> None:
    """Whoever has several of a plan that allows one from now on keeps them; the oldest stands for the limit."""
    await tx.execute(
        """
        UPDATE subscriptions s SET exclusive = NOT $2 AND s.id = (
                   SELECT first.id FROM subscriptions first
                    WHERE first.user_id = s.user_id AND first.plan_id = $1
                      AND first.status NOT IN ('cancelled', 'expired')
                    ORDER BY first.exclusive DESC, first.created_at, first.id LIMIT 1)
         WHERE s.plan_id = $1 AND s.status NOT IN ('cancelled', 'expired')
        """,
        plan.id,
        plan.many,
    )
