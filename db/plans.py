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
