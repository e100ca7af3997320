"""Three plans to try things with: one sold once, one that renews, one that begins with a trial."""

from __future__ import annotations

import asyncpg

from db import plans
from db.plans import Plan

DEMO_PLANS = (
    Plan("lifetime", "Lifetime", "Paid once, yours for good.", 4900, "usd"),
    Plan("pro-monthly", "Pro", "Everything, month by month.", 1900, "usd", interval="month"),
    Plan("team-monthly", "Team", "For everybody you work with.", 4900, "usd", interval="month", trial_days=14),
)


async def put_on_sale(database_url: str) -> None:
    """Safe to repeat."""
    connection = await asyncpg.connect(database_url, timeout=10)
    try:
        async with connection.transaction():
            for plan in DEMO_PLANS:
                await plans.upsert(connection, plan)
    finally:
        await connection.close()
