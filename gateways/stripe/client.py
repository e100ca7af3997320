"""Stripe's API through its official SDK: asynchronous, every call with a time limit, and all retries ours.

Hosted pages, payments, events and the catalogue are here; subscriptions in ``gateways.stripe.subscribing``; refunds,
disputes and payouts in ``.giving_back``; how a call is made, in ``.account``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from gateways.calling import Answer, Deadline, Line, is_gone, told
from gateways.catalogue import NotKept, PlanOnSale, Published
from gateways.client import (
    BACKGROUND,
    LIVE,
    Absent,
    Captured,
    Closed,
    Created,
    Doubt,
    Endpoint,
    GatewayPayment,
    Gone,
    Paid,
    Patience,
    Refusal,
    Refused,
    SessionOrder,
    SessionState,
    SubscriptionState,
    Unknown,
)
from gateways.closing import judge_closed
from gateways.gateway import Json
from gateways.pacing import Bucket
from gateways.reading import as_id, as_object, as_text
from gateways.stripe import catalogue
from gateways.stripe.account import window
from gateways.stripe.answers import read_endpoint, read_page
from gateways.stripe.freezing import freeze
from gateways.stripe.giving_back import GivingBack
from gateways.stripe.objects import EXPAND_SESSION, read_payment, read_session, read_state
from gateways.stripe.settings import StripeSettings
from gateways.stripe.subscribing import Subscribing
from gateways.translating import needed
from payments.events import Observed, PaymentSucceeded
from payments.money import Money

#: Requests a second that Stripe lets an account make (docs.stripe.com/rate-limits).
LIVE_RATE, TEST_RATE = 100, 25

#: A session expires between 30 minutes and 24 hours after it was made, so its expiry tells when that can have been.
EXPIRES_AFTER_MIN, EXPIRES_AFTER_MAX = timedelta(minutes=30), timedelta(hours=24)

#: How far Stripe's clock may be from ours.
CLOCK_SLACK = timedelta(minutes=5)


def build(settings: StripeSettings, line: Line | None = None) -> Stripe | None:
    """A client for the account in the settings, to be used in this event loop alone; None without a key."""
    if settings.secret_key is None:
        return None
    line = line or Line("stripe", Bucket(LIVE_RATE if settings.livemode else TEST_RATE))
    api_base = str(settings.api_base) if settings.api_base else None
    return Stripe(settings.secret_key.get_secret_value(), line, api_base=api_base)


class Stripe(Subscribing, GivingBack):
    """One Stripe account."""

    name = "stripe"
    lists_events = True
    #: A session that has expired takes its unfinished payment with it.
    late_for = timedelta(0)

    def freeze(self, order: SessionOrder) -> Json | Refused:
        return freeze(order)

    async def create_session(
        self, frozen: Json, idempotency_key: str, patience: Patience = LIVE
    ) -> Created | Refused | Unknown:
        parameters: Any = dict(frozen)
        create = self._sdk.v1.checkout.sessions.create_async
        send = partial(create, parameters, {"idempotency_key": idempotency_key})
        answer = await self._ask("create_session", send, Deadline.of(patience))
        return told(answer, lambda session: Created(read_session(session)))

    async def find_session(
        self, frozen: Json, patience: Patience = BACKGROUND, *, since: datetime | None = None
    ) -> SessionState | Absent | Refused | Unknown:
        """By listing: a key tells for a day only, and might make what it is asked about."""
        deadline = Deadline.of(patience)
        parameters = {"created": _when_made(frozen, since)}
        async for found in self._list(
            "find_session", self._sdk.v1.checkout.sessions.list_async, parameters, lambda: deadline
        ):
            if isinstance(found, Refused | Unknown):
                return found
            if _was_made_by(frozen, found):
                state = await self._fetch_session(str(found["id"]), deadline)
                return Unknown(Doubt.UNREADABLE) if isinstance(state, Gone) else state
        return Absent()

    async def fetch_session(
        self, session_id: str, patience: Patience = BACKGROUND
    ) -> SessionState | Gone | Refused | Unknown:
        return await self._fetch_session(session_id, Deadline.of(patience))

    async def close_session(
        self, session_id: str, patience: Patience = LIVE
    ) -> Closed | Paid | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        send = partial(self._sdk.v1.checkout.sessions.expire_async, session_id)
        expired = await self._ask("close_session", send, deadline)
        return judge_closed(expired, await self._fetch_session(session_id, deadline))

    async def fetch_payment(
        self, payment_id: str, patience: Patience = BACKGROUND
    ) -> GatewayPayment | Gone | Refused | Unknown:
        send = partial(self._sdk.v1.payment_intents.retrieve_async, payment_id)
        answer = await self._ask("fetch_payment", send, Deadline.of(patience))
        return Gone() if is_gone(answer) else told(answer, read_payment)

    async def capture_payment(
        self, payment_id: str, amount: Money, patience: Patience = BACKGROUND
    ) -> Captured | Gone | Refused | Unknown:
        """Our sessions capture by themselves, so this only looks."""
        del amount
        match await self.fetch_payment(payment_id, patience):
            case GatewayPayment(observed=Observed(event=PaymentSucceeded()) as observed):
                return Captured(observed)
            case GatewayPayment():
                return Refused(Refusal.INVALID, "Stripe captures by itself, and has not")
            case Gone() | Refused() | Unknown() as end:
                return end

    async def list_payments(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[GatewayPayment | Refused | Unknown]:
        parameters = {"created": window(since, until)}
        async for found in self._list(
            "list_payments", self._sdk.v1.payment_intents.list_async, parameters, lambda: Deadline.of(patience)
        ):
            payment = found if isinstance(found, Refused | Unknown) else told(Answer(found), read_payment)
            yield payment
            if isinstance(payment, Refused | Unknown):
                return

    async def list_events(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND, *, only_undelivered: bool = False
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """Stripe keeps them for 30 days."""
        undelivered = {"delivery_success": False} if only_undelivered else {}
        parameters = {"created": window(since, until), **undelivered}
        async for found in self._list(
            "list_events", self._sdk.v1.events.list_async, parameters, lambda: Deadline.of(patience)
        ):
            yield found

    async def fetch_snapshot(self, event_id: str, patience: Patience = BACKGROUND) -> Json | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        thin = await self._ask("fetch_snapshot", partial(self._sdk.v2.core.events.retrieve_async, event_id), deadline)
        if is_gone(thin):
            return Gone()
        beside = told(thin, lambda event: needed(as_text(event.get("snapshot_event")), "snapshot_event"))
        if isinstance(beside, Refused | Unknown):
            return beside
        whole = await self._ask("fetch_snapshot", partial(self._sdk.v1.events.retrieve_async, beside), deadline)
        return Gone() if is_gone(whole) else told(whole, dict)

    async def list_endpoints(self, patience: Patience = BACKGROUND) -> tuple[Endpoint, ...] | Refused | Unknown | None:
        found = []
        async for each in self._list(
            "list_endpoints", self._sdk.v1.webhook_endpoints.list_async, {}, lambda: Deadline.of(patience)
        ):
            endpoint = each if isinstance(each, Refused | Unknown) else told(Answer(each), read_endpoint)
            if isinstance(endpoint, Refused | Unknown):
                return endpoint
            found.append(endpoint)
        return tuple(found)

    async def publish_plan(
        self, plan: PlanOnSale, patience: Patience = BACKGROUND
    ) -> Published | NotKept | Refused | Unknown:
        """The product first, made or brought up to date; then the price, found by its lookup key or made."""
        deadline = Deadline.of(patience)
        product_id = catalogue.product_id(plan)
        shown: Any = catalogue.product(plan)
        update = partial(self._sdk.v1.products.update_async, product_id, shown)
        kept = await self._ask("publish_product", update, deadline)
        if is_gone(kept):
            whole: Any = {"id": product_id, **shown}
            kept = await self._ask("publish_product", partial(self._sdk.v1.products.create_async, whole), deadline)
        made = told(kept, dict)
        if isinstance(made, Refused | Unknown):
            return made
        return await self._publish_price(plan, product_id, deadline)

    async def _publish_price(
        self, plan: PlanOnSale, product_id: str, deadline: Deadline
    ) -> Published | NotKept | Refused | Unknown:
        key = catalogue.lookup_key(plan)
        look = partial(self._sdk.v1.prices.list_async, {"lookup_keys": [key], "limit": 1})
        found = told(await self._ask("publish_price", look, deadline), read_page)
        if isinstance(found, Refused | Unknown):
            return found
        prices, _ = found
        if prices:
            return Published(product_id, str(prices[0]["id"]))
        whole: Any = catalogue.price(plan)
        create = partial(self._sdk.v1.prices.create_async, whole, {"idempotency_key": key})
        return told(
            await self._ask("publish_price", create, deadline), lambda price: Published(product_id, str(price["id"]))
        )

    async def _fetch_session(self, session_id: str, deadline: Deadline) -> SessionState | Gone | Refused | Unknown:
        send = partial(self._sdk.v1.checkout.sessions.retrieve_async, session_id, {"expand": EXPAND_SESSION})
        answer = await self._ask("fetch_session", send, deadline)
        if is_gone(answer):
            return Gone()
        state = told(answer, read_state)
        begun = as_id(answer.body.get("subscription")) if isinstance(answer, Answer) else None
        return await self._with_begun(state, begun, deadline) if isinstance(state, SessionState) and begun else state

    async def _with_begun(self, state: SessionState, subscription_id: str, deadline: Deadline) -> SessionState:
        """And how that stands which was begun on the page: whoever looks at it may have heard of neither."""
        begun = await self._fetch_subscription(subscription_id, deadline)
        if not isinstance(begun, SubscriptionState):
            return state
        return replace(state, observed=(*state.observed, *begun.observed))


def _when_made(frozen: Json, since: datetime | None) -> Json:
    expires_at = datetime.fromtimestamp(frozen["expires_at"], UTC)
    first = max(expires_at - EXPIRES_AFTER_MAX, since or expires_at - EXPIRES_AFTER_MAX)
    return window(first - CLOCK_SLACK, expires_at - EXPIRES_AFTER_MIN + CLOCK_SLACK)


def _was_made_by(frozen: Json, session: Json) -> bool:
    """The same order and instance, and the same expiry, in which two attempts at one order differ."""
    kept = as_object(session.get("metadata"))
    return (
        session.get("client_reference_id") == frozen["client_reference_id"]
        and session.get("expires_at") == frozen["expires_at"]
        and all(kept.get(name) == value for name, value in frozen["metadata"].items())
    )
