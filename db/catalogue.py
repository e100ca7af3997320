"""The plans as they are read: by who wants to buy one, and by who keeps the list."""

from __future__ import annotations

import asyncpg

from db.plans import Plan
from db.pool import Tx

_PLANS = """
    SELECT id, name, description, price_cents, currency, interval, trial_days, gateways, active, many FROM plans
"""


async def on_sale(tx: Tx) -> list[Plan]:
    """What can be bought now, cheapest first within a currency."""
    return [_plan(row) for row in await tx.fetch(_PLANS + "WHERE active ORDER BY currency, price_cents, id")]


async def all_plans(tx: Tx) -> list[Plan]:
    """Those that are no longer sold, too: old orders are of them."""
    return [_plan(row) for row in await tx.fetch(_PLANS + "ORDER BY id")]


async def find(tx: Tx, plan_id: str) -> Plan | None:
    """The plan, sold or not."""
    row = await tx.fetchrow(_PLANS + "WHERE id = $1", plan_id)
    return _plan(row) if row else None


async def hold_list(tx: Tx) -> None:
    """Keep other hands off the list until the transaction ends; who only reads it does not wait."""
    await tx.execute("LOCK TABLE plans IN SHARE ROW EXCLUSIVE MODE")


def _plan(row: asyncpg.Record) -> Plan:
    return Plan(**{**row, "gateways": tuple(row["gateways"])})
