"""One customer's subscription over years, on the sandbox's clock: our own services in one process, told by real webhooks
and asking by the official SDKs.

A webhook is worked before it is answered, so that everything happens at its own moment, however fast the years go by.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db import plans
from db.plans import Plan
from db.pool import Pool
from gateways.client import Client
from gateways.gateway import Secret
from gateways.registry import GATEWAYS
from ingress.app import build
from payments.order import LateSuccess
from schedules import dunning
from tests.contract.accounts import Account
from tests.counter import Shop, bearer, counter
from tests.front_door import NO_REDIS, listening
from tests.sandboxes import PAYS, RAZORPAY_SECRET, STRIPE_SECRET, running_sandbox
from tests.waiting import until
from workers.apply import Book
from workers.clock import business_clock
from workers.delivery.senders import Senders
from workers.effects import Outcome, send_effect
from workers.errands import Errands
from workers.hints import Hints
from workers.recovery import recover_orphans
from workers.webhook_events import Desk, Worked, work_webhook_event

Json = dict[str, Any]

SECRETS = {"stripe": (Secret(STRIPE_SECRET.encode()),), "razorpay": (Secret(RAZORPAY_SECRET.encode()),)}

#: As far as the sandbox moves its clock at once.
STRIDE = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Prompt:
    """An application whose answers leave when what they set off has been worked."""

    app: ASGIApp
    work: Callable[[], Awaitable[None]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self.app(scope, receive, keep)
        await self.work()
        for message in answer:
            await send(message)


@dataclass(frozen=True, slots=True)
class Works:
    """What our workers and our clock do, without waiting for a hint."""

    pool: Pool
    client: Client
    book: Book
    hints: Hints
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def work_all(self) -> None:
        """Every webhook that is owed, and all that has to be asked of the gateway because of it."""
        async with self.turn:
            await self._work_all()

    async def _work_all(self) -> None:
        desk = Desk(GATEWAYS, {}, self.book)
        owed = "SELECT id FROM webhook_events WHERE status IN ('received', 'retry') AND next_attempt_at <= now()"
        for row in await self.pool.fetch(f"{owed} ORDER BY created_at"):
            result = await work_webhook_event(self.pool, desk, row["id"])
            assert result.worked in {Worked.DONE, Worked.IGNORED}, result
        senders = Senders({"gateway": Errands.of(self.pool, self._clients, self.book)})
        for row in await self.pool.fetch("SELECT id FROM effects WHERE kind LIKE 'gateway.%' AND status = 'pending'"):
            assert await send_effect(self.pool, senders, row["id"]) is Outcome.SENT

    async def keep_time(self) -> None:
        report = await dunning.keep_time(self.pool, self.hints, self.book, "test")
        assert report.complete
        if report.counts["kept"]:
            await self.work_all()

    async def recover(self) -> None:
        """As an operator does, or the clock every half hour."""
        assert (await recover_orphans(self.pool, self._clients, self.hints, self.book, "test")).complete
        await self.work_all()

    @property
    def _clients(self) -> dict[str, Client]:
        return {self.client.name: self.client}


@dataclass
class Life:
    """A customer at our counter and at the gateway's pages; and time, which is moved for both."""

    works: Works
    shop: Shop
    gateway: httpx.AsyncClient
    subscription_id: str = ""
    name: str = ""
    is_silent: bool = False

    # --- time ---

    async def pass_to(self, moment: datetime) -> None:
        """Everything on the way happens, and each webhook is worked at the moment of which it tells."""
        while (left := moment - self.works.book.clock()) > timedelta(0):
            await self.order("clock", advance=min(left, STRIDE).total_seconds())

    async def keep_time(self) -> None:
        """Our own clock does what is due by now, if it runs."""
        if not self.is_silent:
            await self.works.keep_time()

    # --- what goes wrong, and is mended ---

    async def lose_webhooks(self) -> None:
        """Nothing that the gateway sends arrives."""
        await self.order("faults", drop=1)

    async def fall_silent(self) -> None:
        """And our own clock stands still; the counter alone serves."""
        await self.lose_webhooks()
        self.is_silent = True

    async def mend(self) -> None:
        """All runs again; what was lost is not sent a second time, and recovery asks."""
        await self.order("faults")
        self.is_silent = False
        await self.works.recover()

    # --- the customer ---

    async def subscribe(self, plan: str, gateway: str) -> None:
        answer = await self.shop.http.post(
            "/create-subscription", json={"planId": plan, "gateway": gateway}, headers=bearer()
        )
        assert answer.status_code == 201, answer.text
        self.subscription_id = answer.json()["subscriptionId"]
        assert (await self.order("pay", session=answer.json()["sessionId"], card=PAYS))["outcome"] == "paid"
        await self._until_told()
        self.name = str(await self.works.pool.fetchval("SELECT gateway_subscription_id FROM subscriptions"))

    async def ask(self, what: str, **said: Any) -> None:
        """Of us, as the owner of the subscription."""
        path = f"/subscriptions/{self.subscription_id}/{what}"
        answer = await self.shop.http.post(path, json=said, headers=bearer())
        assert answer.status_code == 200, answer.text
        await self._until_told()

    async def use_card(self, number: str) -> None:
        """What pays by now, though nobody was told."""
        await self.order("subscription", subscription=self.name, card=number)

    async def access(self) -> list[Json]:
        return list((await self.shop.get("/access")).json())

    # --- the gateway ---

    async def order(self, what: str, **fields: Any) -> Json:
        answer = await self.gateway.post(f"/_control/{what}", json=fields)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def objects(self, gateway: str, kind: str) -> list[Json]:
        answer = await self.gateway.get("/_control/objects", params={"gateway": gateway, "type": kind})
        return list(answer.json()["data"])

    async def _until_told(self) -> None:
        """All webhooks have been answered, and so worked."""
        await until(self._is_quiet)

    async def _is_quiet(self) -> bool:
        return not (await self.gateway.get("/_control/deliveries", params={"state": "pending"})).json()["data"]


@asynccontextmanager
async def a_life(pool: Pool, database_url: str, account: Account, folder: Path, *on_sale: Plan) -> AsyncIterator[Life]:
    """The counter, the front door and the gateway, all listening."""
    async with pool.acquire() as tx, tx.transaction():
        for plan in on_sale:
            await plans.upsert(tx, plan)
    book = Book("counterfoil", LateSuccess.FULFIL, business_clock(folder / "sandbox" / "clock"))
    working: list[Works] = []

    async def work() -> None:
        for works in working:
            await works.work_all()

    hints = Hints(NO_REDIS)
    ingress = build(database_url=database_url, hints=hints, gateways=GATEWAYS, secrets=SECRETS, production=False)
    door = Starlette(routes=[Mount("/", Prompt(ingress, work))])
    async with ingress.router.lifespan_context(ingress), listening(door) as (host, port):
        with running_sandbox(folder / "sandbox", webhooks=f"http://{host}:{port}/webhooks") as sandbox:
            client = account.build_for(sandbox)
            working.append(Works(pool, client, book, hints))
            async with (
                counter(database_url, clients={account.name: client}, book=book) as shop,
                httpx.AsyncClient(base_url=sandbox.url, timeout=60, trust_env=False) as gateway,
            ):
                yield Life(working[0], shop, gateway)
