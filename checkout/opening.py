"""From a request for something on sale to the page where it is paid: what every kind of sale has in common.

The order is committed before the gateway is called (``workers.attempts``). So whatever happens after that can be taken
up again:

| with a key    | one order per key; a gateway's failure is no answer, and the same key goes on with the same order |
| without a key | a second click, even of the same moment, gets the page that the first one has opened              |
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from prometheus_client import Counter as Outcomes
from starlette.requests import Request
from starlette.responses import Response

from checkout import idempotency
from checkout.callers import Callers
from checkout.idempotency import Question
from checkout.limiting import Limiter, tell
from checkout.metrics import Metrics
from checkout.problems import OrderProblem
from checkout.record import Record, answering_when_away
from checkout.tokens import Caller
from db import users
from db.idempotency_keys import Claimed
from db.plans import Plan
from db.pool import Tx
from gateways.client import Client, Patience
from gateways.gateway import Json
from gateways.reading import NotAnEvent, as_text, parse
from web import bodies
from web.problems import Problem
from workers.attempts import Busy, Counter, Lost, Opened, Opening, Over, Refused, open_page

#: Two short texts, and room for what is ignored.
BODY_BYTES = 16 * 1024
BODY_SECONDS = 10.0

#: From a whole request to an answer, whatever the gateway does: 25 seconds are promised, the rest is for our database.
OPEN_SECONDS = 22.0
#: The call gives up this much earlier, so that "nobody knows" is still written down.
RECORD_SECONDS = 2.0

#: How often we look whether another request has opened the page that we wait for.
LOOK_SECONDS_MIN, LOOK_SECONDS_MAX = 0.05, 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """All that is read of the request. ``gateway`` None: the first one that can be had."""

    plan_id: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Placed:
    """An order to open a page for; ``subscription_id`` is what it begins, if it does."""

    order_id: UUID
    gateway: str
    subscription_id: UUID | None = None


class Sale(Protocol):
    """One kind of thing that is sold: how an order for it is found or written, and how its page is told."""

    async def find_or_place(self, tx: Tx, caller: Caller, wish: Wish) -> Placed:
        """For a click without a key."""
        ...

    async def place(self, tx: Tx, caller: Caller, wish: Wish) -> Placed:
        """For a key that is new."""
        ...

    async def resume(self, tx: Tx, order_id: UUID) -> Placed | None:
        """What an earlier request made under the key; None where that has ended, and another is to be made."""
        ...

    def told(self, placed: Placed, opened: Opened) -> Response: ...


@dataclass(frozen=True, slots=True)
class Opener:
    """What opening pages needs. ``clients`` are in the order of preference."""

    record: Record
    callers: Callers
    limiter: Limiter
    clients: Mapping[str, Client]
    counter: Counter
    metrics: Metrics
    open_seconds: float = OPEN_SECONDS
    body_seconds: float = BODY_SECONDS

    async def sell(self, request: Request, route: str, sale: Sale, outcomes: Outcomes) -> Response:
        """``answer``, limited, and counted by what came of it."""
        outcome = "failed"
        try:
            verdict = await self.limiter.admit(request, route)
            response = await tell(verdict, self.answer(request, sale))
        except Problem as problem:
            outcome = problem.code
            raise
        else:
            outcome = "replayed" if "idempotent-replayed" in response.headers else "opened"
            return response
        finally:
            outcomes.labels(outcome).inc()

    async def answer(self, request: Request, sale: Sale) -> Response:
        caller = await self.callers.identify(request)
        body = await bodies.read(request, limit_bytes=BODY_BYTES, limit_seconds=self.body_seconds)
        asked = idempotency.question(request, body, caller.user_id)
        wish = _read(body)
        deadline = asyncio.get_running_loop().time() + self.open_seconds

        async def go_on() -> Response | tuple[Placed, Opening]:
            if asked is None:
                return await self._click(caller, wish, sale, deadline)
            return await self._go_on_under_key(caller, wish, asked, sale, deadline)

        brought = await go_on()
        if not isinstance(brought, Response) and isinstance(brought[1], Over):
            # It ended, paid or unpaid, before its page could be had; the next order is the customer's own wish. A key
            # whose own order was paid is told so once more.
            brought = await go_on()
        return brought if isinstance(brought, Response) else _told(sale, *brought)

    def choose(self, plan: Plan | None, wish: Wish) -> tuple[Plan, Client]:
        """The plan, if it is on sale, and the gateway that it is to be paid at. Raises ``Problem``."""
        if wish.gateway is not None and wish.gateway not in self.clients:
            raise Problem(400, "invalid_gateway", "There is no such gateway here.")
        if plan is None or not plan.active:
            raise Problem(400, "invalid_plan", "There is no such plan on sale.")
        if wish.gateway is not None and wish.gateway not in plan.gateways:
            raise Problem(400, "invalid_plan", "This plan is not sold at this gateway.")
        for name, client in self.clients.items():
            if name in plan.gateways and wish.gateway in (None, name):
                return plan, client
        raise Problem(400, "invalid_gateway", "This plan is not sold at any gateway that can be reached from here.")

    async def _click(self, caller: Caller, wish: Wish, sale: Sale, deadline: float) -> tuple[Placed, Opening]:
        async with self.record.transaction() as tx:
            await users.know(tx, caller.user_id, caller.email)
            placed = await sale.find_or_place(tx, caller, wish)
        return placed, await self._open(placed, caller, deadline)

    async def _go_on_under_key(
        self, caller: Caller, wish: Wish, asked: Question, sale: Sale, deadline: float
    ) -> Response | tuple[Placed, Opening]:
        """The first answer, where the key has had one."""
        async with self.record.transaction() as tx:
            await users.know(tx, caller.user_id, caller.email)
            claimed = await idempotency.claim(tx, asked)
            if not isinstance(claimed, Claimed):
                return claimed
            resumed = await sale.resume(tx, claimed.order_id) if claimed.order_id else None
            placed = resumed or await sale.place(tx, caller, wish)
            await idempotency.keep_order(tx, asked, placed.order_id)
        opening = await self._open(placed, caller, deadline)
        async with self.record.transaction() as tx:
            if isinstance(opening, Opened):
                await idempotency.keep_answer(tx, asked, sale.told(placed, opening))
            else:
                await idempotency.release(tx, asked, claimed.held_until)
        return placed, opening

    async def _open(self, placed: Placed, caller: Caller, deadline: float) -> Opening:
        """Bring the order to its page, or to the reason why there is none yet, by the deadline."""
        client = self.clients.get(placed.gateway)
        if client is None:
            raise OrderProblem(502, "gateway_refused", "Its gateway is no longer set up here.", placed.order_id)
        with self.metrics.opening_seconds.labels(client.name).time(), answering_when_away():
            bound = asyncio.timeout_at(deadline)
            try:
                async with bound:
                    return await self._wait_for_page(placed, client, caller, deadline)
            except TimeoutError:
                if bound.expired():
                    return Lost(placed.order_id)
                raise

    async def _wait_for_page(self, placed: Placed, client: Client, caller: Caller, deadline: float) -> Opening:
        now = asyncio.get_running_loop().time
        pause = LOOK_SECONDS_MIN
        while True:
            opening = await open_page(
                self.record.pool,
                client,
                self.counter,
                placed.order_id,
                caller.user_id,
                patience=Patience(max(deadline - now() - RECORD_SECONDS, RECORD_SECONDS)),
            )
            if not isinstance(opening, Busy):
                return opening
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK_SECONDS_MAX)


def _read(body: bytes) -> Wish:
    """Whatever else the request says, an amount or a status among it, is not even looked at."""
    try:
        wish: Json = parse(body)
    except NotAnEvent as error:
        raise Problem(400, "malformed_body", str(error)) from None
    plan_id, gateway = as_text(wish.get("planId")), wish.get("gateway")
    if plan_id is None:
        raise Problem(400, "invalid_plan", "planId must be the id of a plan.")
    if gateway is not None and as_text(gateway) is None:
        raise Problem(400, "invalid_gateway", "gateway must be the name of a gateway.")
    return Wish(plan_id, gateway)


def _told(sale: Sale, placed: Placed, opening: Opening) -> Response:
    match opening:
        case Opened():
            return sale.told(placed, opening)
        case Refused(order_id=order_id):
            raise OrderProblem(502, "gateway_refused", "The payment provider refused. Please try again.", order_id)
        case Lost(order_id=order_id) | Busy(order_id=order_id):
            detail = "The payment provider has not answered. Ask again: nothing will be done twice."
            raise OrderProblem(504, "gateway_unknown", detail, order_id)
        case Over(order_id=order_id):
            raise OrderProblem(409, "order_over", "This order takes no payment any more: see its status.", order_id)
