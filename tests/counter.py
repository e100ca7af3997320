"""The checkout for tests: opened in this loop, with users' tokens, plans on sale and gateways that do as they are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette

from checkout.app import Values, build
from checkout.limiting import rule
from checkout.page_tokens import PageTokens
from checkout.tokens import Caller, SharedSecret, Tokens, issue
from db import plans
from db.plans import Plan
from db.pool import Pool
from payments.order import LateSuccess
from tests.fake_client import FakeClient
from workers.apply import Book

SECRET = b"a secret of the tests, longer than it needs to be"
PAGES = PageTokens.of(None, SECRET.decode())
APP_URL = "https://pay.example.test"

#: Nothing listens there: each process then counts for itself.
NO_REDIS = "redis://127.0.0.1:1/0"

LIFETIME = Plan("lifetime", "Lifetime", "Paid once.", 4900, "usd")
PLANS = (
    LIFETIME,
    Plan("cheap", "Cheap", "", 100, "usd"),
    Plan("indian", "Indian", "", 9900, "inr", gateways=("razorpay",)),
    Plan("elsewhere", "Elsewhere", "", 500, "usd", gateways=("paypal",)),
    Plan("pro", "Pro", "", 1900, "usd", interval="month"),
    Plan("gone", "Gone", "", 700, "usd", active=False),
    Plan("odd", "Odd", "", 666, "usd"),
)


def token(user: str = "anna", *, scopes: frozenset[str] = frozenset(), lifetime_seconds: int = 600) -> str:
    return issue(SECRET, Caller(user, f"{user}@example.com", scopes), lifetime_seconds=lifetime_seconds)


def bearer(user: str = "anna", **more: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, **more)}"}


@dataclass
class Shop:
    """The application's frontend: it has its users' tokens, and nothing else."""

    app: Starlette
    http: httpx.AsyncClient
    stripe: FakeClient
    razorpay: FakeClient
    now: list[datetime] = field(default_factory=list)

    async def buy(
        self, plan: str = "lifetime", *, user: str = "anna", key: str | None = None, **more: Any
    ) -> httpx.Response:
        headers = bearer(user) | ({"Idempotency-Key": key} if key is not None else {})
        return await self.http.post("/create-payment", json={"planId": plan, **more}, headers=headers)

    async def get(self, path: str, *, user: str = "anna", **more: Any) -> httpx.Response:
        return await self.http.get(path, headers=bearer(user, **more))

    async def metric(self, line: str) -> float:
        """The value of a sample by its name and labels, as Prometheus reads it."""
        exposed = (await self.http.get("/metrics")).text
        return float(next((row.split()[-1] for row in exposed.splitlines() if row.startswith(f"{line} ")), "0"))


async def put_on_sale(pool: Pool, *more: Plan) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for plan in (*PLANS, *more):
            await plans.upsert(connection, plan)


def values(
    database_url: str, redis_url: str = NO_REDIS, *, clients: Mapping[str, FakeClient] | None = None, **more: Any
) -> Values:
    """As the root would make them; a test names what it wants otherwise."""
    usual: dict[str, Any] = {
        "tokens": Tokens(SharedSecret(SECRET)),
        "page_tokens": PAGES,
        "rate_limit": rule("10000/minute"),
        "book": Book("counterfoil", LateSuccess.FULFIL, lambda: datetime.now(UTC)),
        "app_url": APP_URL,
        "production": False,
    }
    return Values(database_url=database_url, redis_url=redis_url, make_clients=lambda: clients or {}, **usual | more)


@asynccontextmanager
async def counter(database_url: str, redis_url: str = NO_REDIS, **more: Any) -> AsyncIterator[Shop]:
    """The application with its lifespan, spoken to without sockets."""
    stripe, razorpay = FakeClient("stripe"), FakeClient("razorpay")
    clients = more.pop("clients", {"stripe": stripe, "razorpay": razorpay})
    address = more.pop("address", "203.0.113.7")
    app = build(values(database_url, redis_url, clients=clients, **more))
    transport = httpx.ASGITransport(app, client=(address, 5))
    scheme = "https" if more.get("production") else "http"
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=f"{scheme}://pay.test", timeout=30) as http,
    ):
        yield Shop(app, http, stripe, razorpay)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which must be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = json.loads(answer.content)
    assert document["status"] == answer.status_code
    return answer.status_code, document["code"]
