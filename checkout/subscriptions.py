"""GET /subscriptions, and what their owner can do to one: cancel, pause, resume, change its plan, and how it is paid.

What is asked of a gateway is a row before the call (``workers.subscription_requests``): 200 says how it is now, 202
that the gateway's answer was lost and is being asked for, 409 that the gateway, or the state that it is in, forbids it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout import paging
from checkout.callers import Callers
from checkout.opening import BODY_BYTES, BODY_SECONDS, OPEN_SECONDS, RECORD_SECONDS
from checkout.plan_changes import PlanChanges
from checkout.record import Record, answering_when_away
from checkout.standing import order_id_of
from checkout.tokens import Caller
from db import own_subscriptions
from db.own_subscriptions import OwnSubscription
from gateways.client import Client, Gone, Patience, Portal, Refused, Unknown
from gateways.gateway import Json
from gateways.reading import NotAnEvent, parse
from payments.subscription import ENDED, SubscriptionStatus
from web import bodies
from web.problems import Problem
from workers import subscription_requests as requests
from workers.apply import Book
from workers.giving_up import Closing, give_up
from workers.subscription_requests import Done, Ending, Impossible, Unanswered, Unaskable, Why, Wish

#: What is to become of it, from what it is and what the request says.
MakeWish = Callable[[OwnSubscription, Json], Awaitable[Wish]]


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """``return_url``: where the gateway's page for cards leads back to."""

    record: Record
    callers: Callers
    clients: Mapping[str, Client]
    book: Book
    changes: PlanChanges
    return_url: str

    async def list_subscriptions(self, request: Request) -> Response:
        caller = await self.callers.identify(request)
        limit, after = paging.size(request), paging.after(request)
        async with self.record.transaction() as tx:
            found = await own_subscriptions.page_of_user(
                tx, caller.user_id, self.book.clock(), after=after, limit=limit + 1
            )
        page, cursor = paging.cut(found, limit)
        return JSONResponse({"data": [describe(each) for each in page], "nextCursor": cursor})

    async def show_subscription(self, request: Request) -> Response:
        caller = await self.callers.identify(request)
        return JSONResponse(describe(await self._find(request, caller)))

    async def cancel(self, request: Request) -> Response:
        """Now, or with what is paid for. One that has not begun has no period to wait for: its page is closed."""

        async def wish(_: OwnSubscription, said: Json) -> Wish:
            return Wish("cancel", {"atPeriodEnd": _flag(said, "atPeriodEnd", default=True)})

        return await self._change(request, wish)

    async def pause(self, request: Request) -> Response:
        async def wish(_own: OwnSubscription, _said: Json) -> Wish:
            return Wish("pause", {})

        return await self._change(request, wish)

    async def resume(self, request: Request) -> Response:
        async def wish(own: OwnSubscription, _: Json) -> Wish:
            keeps_period = own.current_period_end is not None and own.current_period_end > self.book.clock()
            return Wish("resume", {"isSetToEnd": own.cancel_at_period_end, "keepsPeriod": keeps_period})

        return await self._change(request, wish)

    async def change_plan(self, request: Request) -> Response:
        return await self._change(request, self.changes.make_wish)

    async def update_payment_method(self, request: Request) -> Response:
        """The address of the gateway's own page: card data never comes here."""
        caller = await self.callers.identify(request)
        own = await self._find(request, caller)
        if own.status in ENDED or own.status == SubscriptionStatus.INCOMPLETE or own.gateway_subscription_id is None:
            why = Why.ENDED if own.status in ENDED else Why.INCOMPLETE
            raise _refusal(why, "There is no running subscription whose card could be changed.")
        opened = await self._client(own).open_portal(
            own.gateway_subscription_id, self.return_url, Patience(OPEN_SECONDS - RECORD_SECONDS)
        )
        match opened:
            case Portal(url=url):
                return JSONResponse({"url": url})
            case Unknown():
                raise Problem(504, "gateway_unknown", "The payment provider has not answered. Please try again.")
            case Refused() | Gone():
                raise Problem(502, "gateway_refused", "The payment provider refused. Please try again later.")

    async def _change(self, request: Request, make_wish: MakeWish) -> Response:
        caller = await self.callers.identify(request)
        said = _read(await bodies.read(request, limit_bytes=BODY_BYTES, limit_seconds=BODY_SECONDS))
        own = await self._find(request, caller)
        wish = await make_wish(own, said)
        ending = await self._ask(own, wish, caller)
        now = await self._find(request, caller)
        match ending:
            case Done():
                return JSONResponse(describe(now))
            case Unanswered():
                return JSONResponse(describe(now), 202)
            case Impossible(why=why, reason=reason):
                raise _refusal(why, reason)
            case Unaskable():
                raise Problem(502, "gateway_refused", "The payment provider refused. Please try again later.")

    async def _ask(self, own: OwnSubscription, wish: Wish, caller: Caller) -> Ending:
        """By the deadline. A call that has not ended by then goes on under its lease, and recovery takes it up."""
        client, patience = self._client(own), Patience(OPEN_SECONDS - RECORD_SECONDS)
        bound = asyncio.timeout(OPEN_SECONDS)
        try:
            with answering_when_away():
                async with bound:
                    if wish.kind == "cancel" and own.status == SubscriptionStatus.INCOMPLETE:
                        return await self._give_up(own, client, caller, patience)
                    return await requests.ask(
                        self.record.pool, client, self.book, own.id, wish, caller.user_id, patience=patience
                    )
        except TimeoutError:
            if bound.expired():
                return Unanswered()
            raise

    async def _give_up(self, own: OwnSubscription, client: Client, caller: Caller, patience: Patience) -> Ending:
        assert own.order_id is not None, "only what an order began can be incomplete"
        closing = await give_up(self.record.pool, client, self.book, own.order_id, caller.user_id, patience=patience)
        # Paid at this moment: the next request finds it running, and can cancel that.
        return Done() if closing is Closing.CLOSED else Unanswered()

    async def _find(self, request: Request, caller: Caller) -> OwnSubscription:
        """Raises ``Problem`` 404: the same for another user's as for one that never was."""
        subscription_id = order_id_of(request.path_params["subscription_id"])
        if subscription_id is not None:
            async with self.record.transaction() as tx:
                own = await own_subscriptions.find_of_user(tx, caller.user_id, subscription_id, self.book.clock())
            if own is not None:
                return own
        raise Problem(404, "subscription_not_found", "You have no such subscription.")

    def _client(self, own: OwnSubscription) -> Client:
        client = self.clients.get(own.gateway or "")
        if client is None:
            raise Problem(502, "gateway_refused", "Its gateway is no longer set up here.")
        return client


def describe(own: OwnSubscription) -> dict[str, Any]:
    """As the API gives it; what is not known is null."""
    return {
        "subscriptionId": str(own.id),
        "orderId": str(own.order_id) if own.order_id else None,
        "planId": own.plan_id,
        "planName": own.plan_name,
        "gateway": own.gateway,
        "status": own.status,
        "amount": own.amount,
        "currency": own.currency,
        "interval": own.interval,
        "currentPeriodStart": _written(own.current_period_start),
        "currentPeriodEnd": _written(own.current_period_end),
        "trialEnd": _written(own.trial_end),
        "cancelAtPeriodEnd": own.cancel_at_period_end,
        "endsAt": _written(own.ends_at),
        "cancelledAt": _written(own.cancelled_at),
        "endedAt": _written(own.ended_at),
        "pendingPlanId": own.pending_plan_id,
        "changePending": own.is_being_changed or own.has_pending_change,
        "access": {
            "active": own.access_active,
            "until": _written(own.access_until),
            "reason": own.access_reason or SubscriptionStatus.INCOMPLETE.value,
        },
        "createdAt": own.created_at.isoformat(),
    }


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _refusal(why: Why, reason: str) -> Problem:
    match why:
        case Why.ENDED:
            return Problem(409, "subscription_ended", reason)
        case Why.INCOMPLETE:
            return Problem(409, "subscription_incomplete", reason)
        case Why.PENDING:
            return Problem(409, "change_pending", reason)
        case Why.TAKEN:
            return Problem(409, "already_subscribed", reason)
        case Why.TRIAL:
            return Problem(409, "trial_running", reason)
        case Why.GATEWAY:
            return Problem(409, "gateway_cannot", reason)


def _read(body: bytes) -> Json:
    """An empty body says nothing, which most of these need not be told."""
    try:
        return parse(body or b"{}")
    except NotAnEvent as error:
        raise Problem(400, "malformed_body", str(error)) from None


def _flag(said: Json, name: str, *, default: bool) -> bool:
    value = said.get(name, default)
    if not isinstance(value, bool):
        raise Problem(400, "malformed_body", f"{name} must be true or false.")
    return value
