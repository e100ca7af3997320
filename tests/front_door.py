"""The ingress for tests: opened in this loop, with signed deliveries as the gateways send them."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from redis.asyncio import Redis
from starlette.applications import Starlette

from gateways.gateway import Secret
from gateways.registry import GATEWAYS
from ingress.app import build
from ingress.webhooks import BODY_SECONDS
from tests.prompt import PromptServer
from tests.signed import razorpay_headers, stripe_headers
from web.protocol import LimitedProtocol
from web.serving import config
from workers.hints import Hints
from workers.queues import NAMESPACE, WEBHOOKS

STRIPE_SECRET = "whsec_for_tests"
RAZORPAY_SECRET = "for tests"
SECRETS = {"stripe": (Secret(STRIPE_SECRET.encode()),), "razorpay": (Secret(RAZORPAY_SECRET.encode()),)}

#: Nothing listens there: port 1 is reserved, and a connection to it is refused at once.
NO_REDIS = "redis://127.0.0.1:1/0"


@dataclass(frozen=True, slots=True)
class Door:
    """A client that is not logged in anywhere: what it may do, it may do by its signatures."""

    app: Starlette
    http: httpx.AsyncClient
    hints: Hints

    async def stripe(self, body: bytes, *, secret: str = STRIPE_SECRET, timestamp: int | None = None) -> httpx.Response:
        headers = stripe_headers(body, secret, int(time.time()) if timestamp is None else timestamp)
        return await self.http.post("/webhooks/stripe", content=body, headers=headers)

    async def razorpay(
        self, body: bytes, *, secret: str = RAZORPAY_SECRET, event_id: str | None = None
    ) -> httpx.Response:
        headers = razorpay_headers(body, secret, event_id)
        return await self.http.post("/webhooks/razorpay", content=body, headers=headers)

    async def metric(self, line: str) -> float:
        """The value of a sample by its name and labels, as Prometheus reads it."""
        exposed = (await self.http.get("/metrics")).text
        return float(next((row.split()[-1] for row in exposed.splitlines() if row.startswith(f"{line} ")), "0"))


@asynccontextmanager
async def front_door(
    database_url: str,
    redis_url: str = NO_REDIS,
    *,
    secrets: dict[str, tuple[Secret, ...]] | None = None,
    production: bool = False,
    body_seconds: float = BODY_SECONDS,
) -> AsyncIterator[Door]:
    """The application with its lifespan, spoken to without sockets."""
    hints = Hints(redis_url)
    app = build(
        database_url=database_url,
        hints=hints,
        gateways=GATEWAYS,
        secrets=SECRETS if secrets is None else secrets,
        production=production,
        body_seconds=body_seconds,
    )
    transport = httpx.ASGITransport(app)
    base = "https://ingress.test" if production else "http://ingress.test"
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=base) as http,
    ):
        yield Door(app, http, hints)


@asynccontextmanager
async def listening(
    app: Starlette, *, head_seconds: float = LimitedProtocol.head_seconds, trusted_proxies: str = ""
) -> AsyncIterator[tuple[str, int]]:
    """A real server on a free port, with every setting of the real process; its lifespan is the caller's."""
    settings = config(app, host="127.0.0.1", port=0, trusted_proxies=trusted_proxies)
    settings.lifespan = "off"
    settings.http = type("Impatient", (LimitedProtocol,), {"head_seconds": head_seconds})
    server = PromptServer(settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    await serving


async def hinted(door: Door, redis_url: str) -> list[UUID]:
    """The rows that workers were told of, in order."""
    await door.hints.flush()
    async with Redis.from_url(redis_url) as redis:
        keys = await redis.lrange(f"{NAMESPACE}:{WEBHOOKS}", 0, -1)
        messages = await redis.hgetall(f"{NAMESPACE}:{WEBHOOKS}.msgs")
    return [UUID(json.loads(messages[key])["args"][0]) for key in keys]


def stripe_event(**more: Any) -> dict[str, Any]:
    """A Stripe event of some type; its id is new unless given."""
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "payment_intent.succeeded",
        "api_version": "2026-10-28.endive",
        "created": 1_700_000_000,
        "livemode": False,
        "pending_webhooks": 1,
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 1000, "currency": "usd"}},
        **more,
    }


def razorpay_event(**more: Any) -> dict[str, Any]:
    """A Razorpay event, which has no id in its body; the payment's id makes it differ from others."""
    payment = {"entity": {"id": f"pay_{uuid.uuid4().hex[:14]}", "amount": 1000, "currency": "INR"}}
    return {
        "entity": "event",
        "account_id": "acc_1",
        "event": "payment.captured",
        "contains": ["payment"],
        "payload": {"payment": payment},
        "created_at": 1_700_000_000,
        **more,
    }


def raw(event: object) -> bytes:
    return json.dumps(event).encode()
