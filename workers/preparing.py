"""What a subscription's page needs at its gateway before it can be asked for: a price to bill by, and a customer.

Each is made once and then found. Whoever asks for the page again after a lost answer goes on where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from db import catalogue, orders, plan_prices, subscriptions
from db.plans import Plan
from db.pool import Pool
from gateways.catalogue import Catalogue, NotKept, PlanOnSale, Published
from gateways.client import Client, Patience, Recurring, Refusal, Refused, Unknown
from gateways.customers import NewCustomer
from payments.money import Money
from workers import customers
from workers.apply import Book
from workers.customers import Waiting


@dataclass(frozen=True, slots=True)
class _Beginning:
    """An order that begins a subscription, as far as its page depends on it. ``price`` is that of every period."""

    subscription_id: UUID
    user_id: str
    email: str | None
    plan: Plan
    price: Money
    price_id: str | None
    trial_days: int


async def prepare(
    pool: Pool, client: Client, book: Book, order_id: UUID, patience: Patience
) -> Recurring | Waiting | Refused | Unknown:
    """All that the page needs. The order must begin a subscription of a plan."""
    until = time.monotonic() + patience.deadline_seconds
    beginning = await _look(pool, client.name, order_id)
    price_id = beginning.price_id or await publish(
        pool, client, beginning.plan, beginning.price, book.instance_id, patience
    )
    if not isinstance(price_id, str):
        return price_id
    wanted = NewCustomer(beginning.user_id, book.instance_id, beginning.email)
    left = replace(patience, deadline_seconds=max(until - time.monotonic(), 0.0))
    customer = await customers.find_or_make(pool, client, wanted, left)
    if isinstance(customer, Waiting | Refused | Unknown):
        return customer
    return Recurring(
        subscription_id=str(beginning.subscription_id),
        price_id=price_id,
        price=beginning.price,
        interval=beginning.plan.interval or "",
        trial_days=beginning.trial_days,
        trial_ends_at=book.clock() + timedelta(days=beginning.trial_days) if beginning.trial_days else None,
        customer_id=customer,
    )


async def _look(pool: Pool, gateway: str, order_id: UUID) -> _Beginning:
    async with pool.acquire() as connection, connection.transaction():
        held = await orders.lock(connection, order_id)
        begun = await subscriptions.lock_begun_by(connection, order_id)
        plan = await catalogue.find(connection, held.plan_id or "")
        assert begun is not None, "the order begins a subscription"
        assert plan is not None, "a subscription is of a plan, and plans stay"
        # The price that was ordered, whatever the plan costs by now; with a trial, nothing was.
        price = Money(plan.price_cents, plan.currency) if begun.trial_days else held.order.expected
        price_id = await plan_prices.find(connection, plan.id, gateway, price, plan.interval or "")
    return _Beginning(begun.id, held.user_id, held.email, plan, price, price_id, begun.trial_days)


async def publish(
    pool: Pool, client: Client, plan: Plan, price: Money, instance_id: str, patience: Patience
) -> str | Refused | Unknown:
    """The gateway's price for a plan that nobody has shown it yet; ``counterfoil plans sync`` does so beforehand."""
    assert isinstance(client, Catalogue), "every gateway that bills again and again has a catalogue"
    on_sale = PlanOnSale(plan.id, plan.name, plan.description, price, plan.interval, instance_id)
    match await client.publish_plan(on_sale, patience):
        case Published(product_id=product_id, price_id=price_id):
            async with pool.acquire() as connection, connection.transaction():
                await plan_prices.remember(
                    connection, plan, client.name, price=price, product_id=product_id, price_id=price_id
                )
            return price_id
        case NotKept():
            return Refused(Refusal.INVALID, f"{client.name} has no entry for this plan")
        case Refused() | Unknown() as end:
            return end
