"""Razorpay's subscriptions: read whole, changed where they may be, and told as their webhooks tell them.

There are no keys here: whether an answer that was lost has done something, shows on the subscription.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from gateways.calling import Answer, Deadline, Denial, is_gone, told
from gateways.catalogue import NotKept, PlanOnSale, Published
from gateways.client import (
    BACKGROUND,
    LIVE,
    Gone,
    Patience,
    PlanChange,
    Portal,
    Refusal,
    Refused,
    SubscriptionState,
    Unknown,
)
from gateways.gateway import Json
from gateways.razorpay import catalogue, changes
from gateways.razorpay.beginning import Beginning
from gateways.razorpay.changes import Step
from gateways.razorpay.subscription_objects import read_subscription
from gateways.reading import as_text
from gateways.translating import Unreadable, needed
from payments.events import Observed, SubscriptionTold


class Subscribing(Beginning):
    """The part of an account that bills again and again."""

    async def fetch_subscription(
        self, subscription_id: str, patience: Patience = BACKGROUND
    ) -> SubscriptionState | Gone | Refused | Unknown:
        return await self._fetch_subscription(subscription_id, Deadline.of(patience))

    async def cancel_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE, *, at_period_end: bool
    ) -> SubscriptionState | Gone | Refused | Unknown:
        del idempotency_key
        decide = partial(changes.to_cancel, at_period_end=at_period_end)
        state = await self._change(subscription_id, decide, patience)
        return _set_to_end(state) if at_period_end and isinstance(state, SubscriptionState) else state

    async def pause_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE
    ) -> SubscriptionState | Gone | Refused | Unknown:
        del idempotency_key
        return await self._change(subscription_id, changes.to_pause, patience)

    async def resume_subscription(
        self,
        subscription_id: str,
        idempotency_key: str,
        patience: Patience = LIVE,
        *,
        is_set_to_end: bool,
        keeps_period: bool,
    ) -> SubscriptionState | Gone | Refused | Unknown:
        """Its cycles are Razorpay's own affair: they keep their dates."""
        del idempotency_key, keeps_period
        return await self._change(subscription_id, partial(changes.to_resume, is_set_to_end=is_set_to_end), patience)

    async def change_plan(
        self, subscription_id: str, change: PlanChange, idempotency_key: str, patience: Patience = LIVE
    ) -> SubscriptionState | Gone | Refused | Unknown:
        del idempotency_key
        return await self._change(subscription_id, partial(changes.to_change_plan, change=change), patience)

    async def open_portal(
        self, subscription_id: str, return_url: str, patience: Patience = LIVE
    ) -> Portal | Gone | Refused | Unknown:
        """The subscription's own page, on which another card can be given for as long as it lives."""
        del return_url
        held = await self._retrieve(subscription_id, Deadline.of(patience))
        return Gone() if is_gone(held) else told(held, _read_portal)

    async def list_subscriptions(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[SubscriptionState | Refused | Unknown]:
        async for found in self._list_window(
            "list_subscriptions",
            lambda sdk, asked: sdk.subscription.all(asked),
            since,
            until,
            lambda: Deadline.of(patience),
        ):
            state = found if isinstance(found, Refused | Unknown) else told(Answer(found), _read_listed)
            yield state
            if isinstance(state, Refused | Unknown):
                return

    async def publish_plan(
        self, plan: PlanOnSale, patience: Patience = BACKGROUND
    ) -> Published | NotKept | Refused | Unknown:
        """What is sold once has no entry here. A plan is found by our mark on it, since it has no name of ours."""
        wanted = catalogue.plan(plan)
        if wanted is None:
            return NotKept()
        deadline = Deadline.of(patience)
        async for found in self._list("publish_plan", lambda sdk, asked: sdk.plan.all(asked), {}, lambda: deadline):
            if isinstance(found, Refused | Unknown):
                return found
            if catalogue.is_same(wanted, found):
                return told(Answer(found), catalogue.read_plan)
        made = await self._send("publish_plan", lambda sdk: sdk.plan.create(dict(wanted)), deadline)
        return told(made, catalogue.read_plan)

    async def _fetch_subscription(
        self, subscription_id: str, deadline: Deadline
    ) -> SubscriptionState | Gone | Refused | Unknown:
        return await self._fetch_whole(subscription_id, _read_state, deadline)

    async def _change(
        self, subscription_id: str, decide: Callable[[Json], Sequence[Step] | Refused], patience: Patience
    ) -> SubscriptionState | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        held = await self._retrieve(subscription_id, deadline)
        if is_gone(held):
            return Gone()
        steps = told(held, decide)
        if isinstance(steps, Refused | Unknown):
            return steps
        for step in steps:
            taken = told(await self._take(subscription_id, step, deadline), dict)
            if isinstance(taken, Refused | Unknown) and not await self._is_so(subscription_id, decide, deadline):
                return _about_its_state(taken)
        return await self._fetch_subscription(subscription_id, deadline)

    async def _take(self, subscription_id: str, step: Step, deadline: Deadline) -> Answer | Denial | Unknown:
        def request(sdk: Any) -> object:
            return getattr(sdk.subscription, step.verb)(subscription_id, dict(step.body))

        return await self._send("change_subscription", request, deadline)

    async def _is_so(
        self, subscription_id: str, decide: Callable[[Json], Sequence[Step] | Refused], deadline: Deadline
    ) -> bool:
        """Whether nothing is left to do: an answer that was lost, or a no to what had been done already."""
        return told(await self._retrieve(subscription_id, deadline), decide) == ()


def _about_its_state(end: Refused | Unknown) -> Refused | Unknown:
    """What Razorpay finds wrong with a change speaks of the subscription: our own words in it are always the same."""
    if isinstance(end, Refused) and end.code is Refusal.INVALID:
        return Refused(Refusal.STATE, end.reason)
    return end


def _set_to_end(state: SubscriptionState) -> SubscriptionState:
    """Razorpay has taken it, and shows it nowhere (razorpay-node, issue 330)."""
    return SubscriptionState(state.id, tuple(_ending(each) for each in state.observed))


def _ending(observed: Observed) -> Observed:
    event = observed.event
    if not isinstance(event, SubscriptionTold) or event.snapshot is None or event.snapshot.ended_at is not None:
        return observed
    ends = replace(event.snapshot, cancel_at_period_end=True, ends_at=event.snapshot.period_end)
    return replace(observed, event=replace(event, snapshot=ends))


def _read_portal(subscription: Json) -> Portal:
    if as_text(subscription.get("status")) in changes.ENDED or not isinstance(subscription.get("short_url"), str):
        raise Unreadable("short_url of a living subscription is missing")
    return Portal(subscription["short_url"])


def _read_listed(subscription: Json) -> SubscriptionState:
    return _read_state(subscription, ())


def _read_state(subscription: Json, invoices: Sequence[Json], payments: Sequence[Json] = ()) -> SubscriptionState:
    return SubscriptionState(
        needed(as_text(subscription.get("id")), "subscription.id"),
        read_subscription(subscription, invoices, payments),
    )
