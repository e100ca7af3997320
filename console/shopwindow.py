"""Show the plans that are on sale in the catalogues of the gateways that we have a key for, and remember the prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg

from db import plan_prices
from db.plans import Plan
from gateways.catalogue import Catalogue, NotKept, PlanOnSale, Published
from gateways.client import Client, Refused, Unknown
from payments.money import Money


@dataclass(frozen=True, slots=True)
class Shown:
    """How one plan stands in one gateway's catalogue; ``problem`` is None where all is well."""

    plan_id: str
    gateway: str
    price_id: str | None = None
    is_new: bool = False
    problem: str | None = None

    def __str__(self) -> str:
        if self.problem is not None:
            return f"{self.plan_id}: not in {self.gateway}'s catalogue: {self.problem}"
        return f"{self.plan_id}: {self.gateway} {self.price_id}{' (new)' if self.is_new else ''}"


async def publish(url: str, plans: Sequence[Plan], clients: Mapping[str, Client], instance_id: str) -> list[Shown]:
    """Every active plan at each of its gateways that keeps a catalogue. Safe to repeat: what is there is found."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=30)
    try:
        return [
            shown
            for plan in plans
            for name, client in clients.items()
            if plan.active and name in plan.gateways and isinstance(client, Catalogue)
            if (shown := await _publish(connection, plan, name, client, instance_id)) is not None
        ]
    finally:
        await connection.close()


async def _publish(
    connection: asyncpg.Connection[asyncpg.Record], plan: Plan, name: str, catalogue: Catalogue, instance_id: str
) -> Shown | None:
    price = Money(plan.price_cents, plan.currency)
    on_sale = PlanOnSale(plan.id, plan.name, plan.description, price, plan.interval, instance_id)
    match await catalogue.publish_plan(on_sale):
        case Published(product_id=product_id, price_id=price_id):
            is_new = await plan_prices.remember(connection, plan, name, product_id=product_id, price_id=price_id)
            return Shown(plan.id, name, price_id, is_new=is_new)
        case NotKept():
            return None
        case Refused(reason=reason):
            return Shown(plan.id, name, problem=reason)
        case Unknown(reason=reason):
            return Shown(plan.id, name, problem=f"its answer is unknown ({reason}); sync again")
