"""What a gateway in memory says of customers and subscriptions: a part of each of the fakes. Written by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from gateways.catalogue import NotKept, PlanOnSale, Published
from gateways.client import (
    BACKGROUND,
    LIVE,
    Absent,
    Doubt,
    Gone,
    Patience,
    PlanChange,
    Portal,
    Refused,
    SubscriptionState,
    Unknown,
)
from gateways.customers import Customer, NewCustomer

Answer = SubscriptionState | Gone | Refused | Unknown


@dataclass(kw_only=True)
class FakeBilling:
    """Keeps what it was asked, in order. What was prepared is answered; else a change is done, and shows nothing."""

    #: How subscriptions are, by the gateway's id.
    subscriptions: dict[str, SubscriptionState] = field(default_factory=dict)
    #: What is answered to the next changes.
    change_answers: list[Answer] = field(default_factory=list)
    #: Every change that was asked for: what, of which, under which key, how.
    changes: list[tuple[str, str, str, object]] = field(default_factory=list)
    #: Reads of subscriptions.
    reads: list[str] = field(default_factory=list)
    #: Customers by the key that made them; and what is answered to the next wishes for one.
    customers: dict[str, Customer] = field(default_factory=dict)
    customer_answers: list[Refused | Unknown] = field(default_factory=list)
    customer_calls: int = 0
    #: What is found of a user whose customer was made unheard.
    unheard: dict[str, Customer | Refused | Unknown] = field(default_factory=dict)
    customer_searches: int = 0
    customer_seconds: float = 0.0
    published: list[PlanOnSale] = field(default_factory=list)
    portal: Portal | Gone | Refused | Unknown = field(default_factory=lambda: Portal("https://portal.example/1"))
    #: What happens while a change is being answered.
    meanwhile: Callable[[], Awaitable[None]] | None = None
    #: No subscription is told of, whatever is asked.
    is_deaf: bool = False

    async def make_customer(
        self, wanted: NewCustomer, idempotency_key: str, patience: Patience = LIVE
    ) -> Customer | Refused | Unknown:
        del patience
        self.customer_calls += 1
        await asyncio.sleep(self.customer_seconds)
        if self.customer_answers:
            return self.customer_answers.pop(0)
        return self.customers.setdefault(idempotency_key, Customer(f"cus_{len(self.customers) + 1}_{wanted.user_id}"))

    async def find_customer(
        self, wanted: NewCustomer, patience: Patience = LIVE
    ) -> Customer | Absent | Refused | Unknown:
        del patience
        self.customer_searches += 1
        await asyncio.sleep(0)
        return self.unheard.get(wanted.user_id, Absent())

    async def publish_plan(
        self, plan: PlanOnSale, patience: Patience = BACKGROUND
    ) -> Published | NotKept | Refused | Unknown:
        del patience
        self.published.append(plan)
        return Published(f"prod_{plan.plan_id}", f"price_{plan.plan_id}_{plan.price.minor}")

    async def fetch_subscription(self, subscription_id: str, patience: Patience = BACKGROUND) -> Answer:
        del patience
        self.reads.append(subscription_id)
        await asyncio.sleep(0)
        return Unknown(Doubt.TIMED_OUT) if self.is_deaf else self.subscriptions.get(subscription_id, Gone())

    async def cancel_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE, *, at_period_end: bool
    ) -> Answer:
        del patience
        return await self._change("cancel", subscription_id, idempotency_key, at_period_end)

    async def pause_subscription(self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE) -> Answer:
        del patience
        return await self._change("pause", subscription_id, idempotency_key, None)

    async def resume_subscription(
        self,
        subscription_id: str,
        idempotency_key: str,
        patience: Patience = LIVE,
        *,
        is_set_to_end: bool,
        keeps_period: bool,
    ) -> Answer:
        del patience
        return await self._change("resume", subscription_id, idempotency_key, (is_set_to_end, keeps_period))

    async def change_plan(
        self, subscription_id: str, change: PlanChange, idempotency_key: str, patience: Patience = LIVE
    ) -> Answer:
        del patience
        return await self._change("change_plan", subscription_id, idempotency_key, change)

    async def open_portal(
        self, subscription_id: str, return_url: str, patience: Patience = LIVE
    ) -> Portal | Gone | Refused | Unknown:
        del subscription_id, return_url, patience
        return self.portal

    async def list_subscriptions(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[SubscriptionState | Refused | Unknown]:
        del since, until, patience
        for state in self.subscriptions.values():
            yield state

    async def _change(self, kind: str, subscription_id: str, key: str, how: object) -> Answer:
        self.changes.append((kind, subscription_id, key, how))
        await (self.meanwhile() if self.meanwhile else asyncio.sleep(0))
        if self.change_answers:
            return self.change_answers.pop(0)
        return await self.fetch_subscription(subscription_id)
