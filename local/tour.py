"""A guided look at a running stack: place orders, speak as the gateways, and see what became of it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from checkout.tokens import Caller, issue
from db import orders, story, users
from db.pool import Pool
from local.voices import Razorpay, Spoken, Stripe
from payments.money import Money, written

PLAN = "lifetime"
PRICE = Money(4900, "usd")

#: The demo plans that renew: at once, and after a trial.
RENEWS, TRIES = "pro-monthly", "team-monthly"

HOUR_SECONDS = 3600

#: Everything here takes well under a second; a machine under load gets this long before we say that it failed.
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A customer of their own, the subscription that they began, and the page where it is paid."""

    gateway: str
    subscription_id: str
    session_id: str
    bearer: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tour:
    """The stack as scenarios use it: its database, its front door, and the secrets that its gateways sign with."""

    pool: Pool
    http: httpx.AsyncClient
    secrets: dict[str, str]
    counter: httpx.AsyncClient
    sandbox: httpx.AsyncClient
    data_dir: Path

    async def place_order(self) -> UUID:
        async with self.pool.acquire() as connection, connection.transaction():
            await users.know(connection, "demo-user", "demo@example.com")
            return await orders.place(
                connection, user_id="demo-user", plan_id=PLAN, expected=PRICE, at=datetime.now(UTC)
            )

    def stripe(self, order_id: UUID, *, amount: int = PRICE.minor) -> Stripe:
        return Stripe(self.secrets["stripe_webhook"], order_id, amount, PRICE.currency)

    def razorpay(self, order_id: UUID) -> Razorpay:
        return Razorpay(self.secrets["razorpay_webhook"], order_id, PRICE.minor, PRICE.currency)

    async def post(self, spoken: Spoken) -> int:
        """Deliver it once; returns the HTTP status of the answer."""
        answer = await self.http.post(f"/webhooks/{spoken.gateway}", content=spoken.body, headers=spoken.headers)
        return answer.status_code

    async def buy(self, gateway: str) -> tuple[UUID, str]:
        """As the application's frontend does; returns the order and its session at the gateway."""
        answer = await self.counter.post(
            "/create-payment",
            json={"planId": PLAN, "gateway": gateway},
            headers={**self._bearer(), "Idempotency-Key": str(uuid4())},
        )
        created = answer.raise_for_status().json()
        return UUID(created["orderId"]), str(created["sessionId"])

    async def subscribe(self, gateway: str, plan: str) -> Subscriber:
        """As the application's frontend does, for somebody new."""
        bearer = self._bearer()
        wish = {"planId": plan, "gateway": gateway}
        created = (await self.counter.post("/create-subscription", json=wish, headers=bearer)).raise_for_status().json()
        return Subscriber(gateway, created["subscriptionId"], created["sessionId"], bearer)

    async def subscription(self, whose: Subscriber) -> str:
        """A subscription in one line, as its owner is told: status, access and why, what was paid."""
        asked = await self.counter.get(f"/subscriptions/{whose.subscription_id}", headers=whose.bearer)
        shown = asked.raise_for_status().json()
        paid = sum(invoice["amountPaid"] for invoice in await self._invoices(whose))
        access = "access" if shown["access"]["active"] else "no access"
        money = written(paid, PRICE.currency, exponent=2)
        return f"{shown['status']}, {access} ({shown['access']['reason']}), {money} paid"

    async def wait_for_renewal(self, whose: Subscriber) -> None:
        """Until two hours after it: Stripe charges within one, and no gateway tries again so soon."""
        shown = (await self.counter.get(f"/subscriptions/{whose.subscription_id}", headers=whose.bearer)).json()
        end = shown["trialEnd"] if shown["status"] == "trialing" else shown["currentPeriodEnd"]
        now = (await self.sandbox.get("/_control/clock")).raise_for_status().json()["now"]
        await self.wait(int(datetime.fromisoformat(end).timestamp() - now) + 2 * HOUR_SECONDS)

    async def run_out_of_money(self, whose: Subscriber) -> None:
        """What is charged next, the bank declines. The gateway's newest subscription is theirs: we go one by one."""
        kind = {"gateway": whose.gateway, "type": "subscription"}
        known = (await self.sandbox.get("/_control/objects", params=kind)).raise_for_status().json()["data"]
        order = {"subscription": known[-1]["id"], "nextPayment": "fail"}
        (await self.sandbox.post("/_control/subscription", json=order)).raise_for_status()

    async def pay_what_is_open(self, whose: Subscriber, card: str) -> str:
        """By the link that the customer's mail has, too."""
        links = [invoice["payUrl"] for invoice in await self._invoices(whose) if "payUrl" in invoice]
        return await self.pay(links[0].rpartition("/")[2], card) if links else "nothing to pay"

    async def _invoices(self, whose: Subscriber) -> list[dict[str, Any]]:
        answer = await self.counter.get("/invoices", headers=whose.bearer)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
        return found

    async def pay(self, session_id: str, card: str) -> str:
        """As a customer does on the hosted page; returns what came of it."""
        answer = await self.sandbox.post("/_control/pay", json={"session": session_id, "card": card})
        return str(answer.raise_for_status().json()["outcome"])

    async def give_back(self, order_id: UUID) -> int:
        """As the application's backend does, by its own token; returns the HTTP status of the answer."""
        wish = {"orderId": str(order_id), "reason": "requested_by_customer"}
        answer = await self.counter.post("/refunds", json=wish, headers=self._bearer("refunds"))
        return answer.status_code

    async def have_the_bank(self, session_id: str, stage: str) -> None:
        """What a customer's bank does with what they have paid on this page."""
        order = {"payment": session_id, "stage": stage}
        (await self.sandbox.post("/_control/dispute", json=order)).raise_for_status()

    async def lose_webhooks(self, *, rate: float) -> None:
        """So many of them never leave the gateways from now on."""
        (await self.sandbox.post("/_control/faults", json={"drop": rate} if rate else {})).raise_for_status()

    async def run_job(self, name: str) -> None:
        """As an operator does; if the clock is at it this moment, it is done all the same."""
        words = ("-m", "local", "jobs", "run", name, "--data-dir", str(self.data_dir))
        job = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.DEVNULL)
        await job.wait()

    async def wait(self, seconds: int) -> None:
        """Let time pass, for the gateways and for us."""
        (await self.sandbox.post("/_control/clock", json={"advance": seconds})).raise_for_status()

    def _bearer(self, *scopes: str) -> dict[str, str]:
        """Of somebody new."""
        caller = Caller(f"demo-{uuid4()}", "demo@example.com", frozenset(scopes))
        token = issue(self.secrets["auth_jwt"].encode(), caller, lifetime_seconds=600)
        return {"Authorization": f"Bearer {token}"}

    async def order(self, order_id: UUID) -> str:
        """An order in one line: status, failure, access, effects, what a person must look at."""
        async with self.pool.acquire() as connection:
            told = await story.of_order(connection, order_id)
        # A capture at the gateway comes before the payment or not at all; here is what others are told of it.
        effects = [status for kind, status in told.effects.items() if not kind.startswith("gateway.")]
        parts = [
            told.status,
            told.failure_reason or "",
            "access" if told.has_access else "",
            f"{effects.count('sent')} of {len(effects)} effects sent" if effects else "",
            *told.discrepancies,
        ]
        return ", ".join(part for part in parts if part)

    async def event(self, spoken: Spoken) -> str:
        """An event in one line: its status, its reason, how often it was delivered."""
        async with self.pool.acquire() as connection:
            rows = await story.of_event(connection, spoken.event_id)
        return "; ".join(f"{row.status} ({row.reason}), {row.deliveries} delivered" for row in rows) or "no row"


async def until(look: Callable[[], Awaitable[str]], wanted: str) -> str:
    """What is seen once it is as wanted; when our patience ends, what is seen instead."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (seen := await look()) != wanted and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    return seen
