"""POST /create-subscription: an order that begins a subscription, and the page where it is begun.

Whoever has a subscription of the plan that has not ended is told so; whoever has begun one and not paid gets its page
again, whatever key they come with. A plan may allow several (``many``); then it is sold as anything else is.

There is one trial per user and plan: whoever has had it pays at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout.opening import Opener, Placed, Wish
from checkout.tokens import Caller
from db import attempts, catalogue, orders, own_subscriptions, subscriptions
from db.own_subscriptions import OwnSubscription
from db.plans import Plan
from db.pool import Tx
from gateways.client import Client
from payments.money import Money
from payments.order import SETTLED
from payments.subscription import ENDED, SubscriptionStatus
from web.problems import Problem
from workers.attempts import Opened


@dataclass(frozen=True, slots=True)
class Subscribing:
    """What is paid again and again."""

    opener: Opener

    async def create_subscription(self, request: Request) -> Response:
        return await self.opener.sell(request, "create-subscription", self, self.opener.metrics.subscriptions)

    async def find_or_place(self, tx: Tx, caller: Caller, wish: Wish) -> Placed:
        """The page that is open, or being opened, for the same wish of the same user; else a new order."""
        plan, client = await self._choose(tx, caller, wish)
        found = await attempts.find_open(
            tx,
            user_id=caller.user_id,
            plan_id=plan.id,
            gateway=client.name,
            now=self.opener.counter.book.clock(),
            begins_subscription=True,
        )
        begun = await own_subscriptions.begun_by(tx, found, self.opener.counter.book.clock()) if found else None
        return _resumed(begun) or await self._place(tx, caller, wish, plan, client)

    async def place(self, tx: Tx, caller: Caller, wish: Wish) -> Placed:
        plan, client = await self._choose(tx, caller, wish)
        return await self._place(tx, caller, wish, plan, client)

    async def resume(self, tx: Tx, order_id: UUID) -> Placed | None:
        """Of one that has ended before it began, nothing can be resumed."""
        return _resumed(await own_subscriptions.begun_by(tx, order_id, self.opener.counter.book.clock()))

    def told(self, placed: Placed, opened: Opened) -> Response:
        return JSONResponse(
            {
                "subscriptionId": str(placed.subscription_id),
                "orderId": str(opened.order_id),
                "sessionId": opened.session_id,
                "gateway": placed.gateway,
                "url": opened.url,
                "status": SubscriptionStatus.INCOMPLETE.value,
            },
            201,
        )

    async def _choose(self, tx: Tx, caller: Caller, wish: Wish) -> tuple[Plan, Client]:
        """One click of this user for this plan at a time, at whichever gateway."""
        plan, client = self.opener.choose(await catalogue.find(tx, wish.plan_id), wish)
        if plan.interval is None:
            raise Problem(400, "invalid_plan", "This plan is paid once: it is no subscription.")
        await attempts.serialise(tx, user_id=caller.user_id, plan_id=plan.id, gateway="")
        return plan, client

    async def _place(self, tx: Tx, caller: Caller, wish: Wish, plan: Plan, client: Client) -> Placed:
        now = self.opener.counter.book.clock()
        open_one = None if plan.many else await subscriptions.find_open(tx, caller.user_id, plan.id)
        if open_one is not None:
            begun = await own_subscriptions.find_of_user(tx, caller.user_id, open_one, now)
            return _again(begun, wish)
        return await self._write(tx, caller, plan, client)

    async def _write(self, tx: Tx, caller: Caller, plan: Plan, client: Client) -> Placed:
        """With a trial nothing is due yet. Row, order and page agree about it whatever becomes of the plan."""
        at = self.opener.counter.book.clock()
        has_had_trial = await subscriptions.has_had_trial(tx, caller.user_id, plan.id)
        trial_days = 0 if has_had_trial else plan.trial_days
        due = Money(0 if trial_days else plan.price_cents, plan.currency)
        order_id = await orders.place(tx, user_id=caller.user_id, plan_id=plan.id, expected=due, at=at)
        subscription_id = await subscriptions.place(
            tx,
            user_id=caller.user_id,
            order_id=order_id,
            gateway=client.name,
            plan_id=plan.id,
            trial_days=trial_days,
            at=at,
        )
        return Placed(order_id, client.name, subscription_id)


def _resumed(begun: OwnSubscription | None) -> Placed | None:
    if begun is None or begun.order_id is None or begun.gateway is None or begun.status in ENDED:
        return None
    return Placed(begun.order_id, begun.gateway, begun.id)


def _again(begun: OwnSubscription | None, wish: Wish) -> Placed:
    """The page of the one that has not been paid. Raises ``Problem`` where it has."""
    placed = _resumed(begun)
    assert begun is not None, "it was found under the same lock"
    if placed is None or begun.is_living or begun.order_status in SETTLED:
        raise Problem(409, "already_subscribed", "You have a subscription of this plan.")
    if wish.gateway not in (None, placed.gateway):
        detail = f"A subscription of this plan waits to be paid at {placed.gateway}: pay it there, or cancel it."
        raise Problem(409, "already_subscribed", detail)
    return placed
