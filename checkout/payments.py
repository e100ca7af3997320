"""POST /create-payment: the order first, then the gateway, then its page.

The price is our table's, and nothing of it is read from the request. Without a key, there is one open page per user,
plan and gateway; a new key is a new order, whatever else is open (``checkout.opening``).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout.opening import Opener, Placed, Wish
from checkout.tokens import Caller
from db import attempts, catalogue, orders
from db.plans import Plan
from db.pool import Tx
from gateways.client import Client
from payments.money import Money
from web.problems import Problem
from workers.attempts import Opened, intend_first


@dataclass(frozen=True, slots=True)
class Payments:
    """What is paid once."""

    opener: Opener

    async def create_payment(self, request: Request) -> Response:
        return await self.opener.sell(request, "create-payment", self, self.opener.metrics.payments)

    async def find_or_place(self, tx: Tx, caller: Caller, wish: Wish) -> Placed:
        """The page that is open, or being opened, for the same wish of the same user; else a new order."""
        plan, client = await self._choose(tx, wish)
        await attempts.serialise(tx, user_id=caller.user_id, plan_id=plan.id, gateway=client.name)
        found = await attempts.find_open(
            tx, user_id=caller.user_id, plan_id=plan.id, gateway=client.name, now=self.opener.counter.book.clock()
        )
        return Placed(found, client.name) if found else await self._write(tx, caller, plan, client)

    async def place(self, tx: Tx, caller: Caller, wish: Wish) -> Placed:
        plan, client = await self._choose(tx, wish)
        return await self._write(tx, caller, plan, client)

    async def resume(self, tx: Tx, order_id: UUID) -> Placed | None:
        """At the gateway that it was made for."""
        attempt = await attempts.newest(tx, order_id)
        return Placed(attempt.order_id, attempt.gateway) if attempt else None

    def told(self, placed: Placed, opened: Opened) -> Response:
        return JSONResponse(
            {
                "orderId": str(opened.order_id),
                "sessionId": opened.session_id,
                "gateway": placed.gateway,
                "url": opened.url,
                "status": "pending",
            },
            201,
        )

    async def _choose(self, tx: Tx, wish: Wish) -> tuple[Plan, Client]:
        plan, client = self.opener.choose(await catalogue.find(tx, wish.plan_id), wish)
        if plan.interval is not None:
            raise Problem(400, "invalid_plan", "This plan is paid again and again: it is a subscription.")
        return plan, client

    async def _write(self, tx: Tx, caller: Caller, plan: Plan, client: Client) -> Placed:
        counter = self.opener.counter
        order_id = await orders.place(
            tx,
            user_id=caller.user_id,
            plan_id=plan.id,
            expected=Money(plan.price_cents, plan.currency),
            at=counter.book.clock(),
        )
        await intend_first(tx, client, counter, order_id, caller.user_id)
        return Placed(order_id, client.name)
