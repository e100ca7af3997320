"""Subscriptions for tests: one that is placed, and what a gateway may tell of it, in our words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from db import orders, plan_prices, plans, subscriptions, users
from db.history import Cause
from db.plans import Plan
from db.pool import Pool, Tx
from payments.dunning import DEFAULT, Policy
from payments.events import Event, Observed, References, SubscriptionTold
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.order import LateSuccess
from payments.subscription import Snapshot, SubscriptionStatus
from workers.apply import Applied, Book, Contradiction, Foreign, Unmatched, apply

BEGIN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MONTH = timedelta(days=30)
PRICE = Money(1000, "usd")
NOTHING = Money(0, "usd")

SUB, CUSTOMER, SESSION = "sub_1", "cus_1", "cs_1"


@dataclass(frozen=True, slots=True)
class Placed:
    """Our ids of a subscription and of the order that begins it."""

    order: UUID
    subscription: UUID


async def place(
    pool: Pool, *, user: str = "user-1", plan: str = "monthly", trial_days: int = 0, many: bool = False
) -> Placed:
    """An incomplete subscription with its pending order, and the plan as its gateway knows it."""
    async with pool.acquire() as tx, tx.transaction():
        return await _place(tx, user, plan, trial_days, many=many)


async def _place(tx: Tx, user: str, plan_id: str, trial_days: int, *, many: bool) -> Placed:
    await users.know(tx, user, f"{user}@example.com")
    await sell(tx, plan_id, PRICE, trial_days=trial_days, many=many)
    expected = NOTHING if trial_days else PRICE
    order = await orders.place(tx, user_id=user, plan_id=plan_id, expected=expected, at=BEGIN)
    subscription = await subscriptions.place(
        tx, user_id=user, order_id=order, gateway="stripe", plan_id=plan_id, trial_days=trial_days, at=BEGIN
    )
    return Placed(order, subscription)


async def sell(tx: Tx, plan_id: str, price: Money, *, trial_days: int = 0, many: bool = False) -> None:
    """A plan on sale, under the price ``price_<plan>``."""
    plan = Plan(
        plan_id, plan_id.title(), "", price.minor, price.currency, interval="month", trial_days=trial_days, many=many
    )
    await plans.upsert(tx, plan)
    await plan_prices.remember(tx, plan, "stripe", product_id=f"prod_{plan_id}", price_id=f"price_{plan_id}")


def snapshot(status: SubscriptionStatus = SubscriptionStatus.ACTIVE, **more: Any) -> Snapshot:
    """In its first month, unless said otherwise."""
    known: dict[str, Any] = {
        "customer_id": CUSTOMER,
        "price_id": "price_monthly",
        "period_start": BEGIN,
        "period_end": BEGIN + MONTH,
        **more,
    }
    return Snapshot(SUB, status, **known)


def invoice(number: int = 1, status: InvoiceStatus = InvoiceStatus.PAID, **more: Any) -> InvoiceSighting:
    """The subscription's first, second ... invoice of a month each, paid by a payment of its own."""
    begins = BEGIN + (number - 1) * MONTH
    is_paid = status is InvoiceStatus.PAID
    due = more.pop("due", PRICE)
    known: dict[str, Any] = {
        "reason": InvoiceReason.FIRST if number == 1 else InvoiceReason.RENEWAL,
        "due": due,
        "paid": due if is_paid else replace(due, minor=0),
        "period_start": begins,
        "period_end": begins + MONTH,
        "number": f"A-{number}",
        "hosted_url": f"https://pay.example/in_{number}",
        "attempts": 1 if is_paid else 0,
        "payment": InvoicePayment(f"pi_{number}", due) if is_paid and due.minor else None,
        **more,
    }
    return InvoiceSighting(f"in_{number}", status, **known)


def telling(
    at: datetime | None = BEGIN, of: Snapshot | None = None, bill: InvoiceSighting | None = None, **more: Any
) -> SubscriptionTold:
    return SubscriptionTold(at, snapshot=of, invoice=bill, **more)


def observed(placed: Placed, event: Event, *objects: str, **names: Any) -> Observed:
    """As Stripe tells it: with the order's id, and the ids of the subscription, its invoice and its payment."""
    told = [*objects]
    if isinstance(event, SubscriptionTold):
        told += [event.snapshot.gateway_subscription_id if event.snapshot else SUB]
        told += [event.invoice.gateway_invoice_id] if event.invoice else []
        told += [event.invoice.payment.gateway_payment_id] if event.invoice and event.invoice.payment else []
    return Observed("stripe", References(order_ids=(str(placed.order),), objects=tuple(told), **names), event)


def book(now: datetime = BEGIN, policy: Policy = DEFAULT) -> Book:
    return Book("counterfoil", LateSuccess.FULFIL, lambda: now, dunning=policy)


async def tell(
    pool: Pool, placed: Placed, *events: Event, now: datetime = BEGIN, policy: Policy = DEFAULT
) -> Applied | Foreign | Unmatched | Contradiction:
    """Each event in a transaction of its own; what the last one did."""
    applied: Applied | Foreign | Unmatched | Contradiction = Foreign()
    for event in events:
        async with pool.acquire() as connection, connection.transaction():
            applied = await apply(
                connection, observed(placed, event), Cause("webhook_event", "event-1"), book(now, policy)
            )
    return applied
