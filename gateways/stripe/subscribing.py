"""Stripe's subscriptions: read whole, changed step by step under keys of ours, and told as their webhooks tell them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from stripe import RequestOptions

from gateways.calling import Answer, Deadline, Denial, is_gone, told
from gateways.client import (
    BACKGROUND,
    LIVE,
    Absent,
    Doubt,
    Gone,
    Patience,
    PlanChange,
    Portal,
    Refusal,
    Refused,
    SubscriptionState,
    Unknown,
)
from gateways.customers import Customer, NewCustomer
from gateways.gateway import Json
from gateways.reading import as_id, as_object, as_text
from gateways.stripe import changes
from gateways.stripe.account import Account, window
from gateways.stripe.answers import Send, read_page
from gateways.stripe.changes import Step
from gateways.stripe.subscription_objects import EXPAND_INVOICES, read_subscription, unexplained
from gateways.translating import needed


class Subscribing(Account):
    """The part of an account that bills again and again."""

    async def make_customer(
        self, wanted: NewCustomer, idempotency_key: str, patience: Patience = LIVE
    ) -> Customer | Refused | Unknown:
        """Marked first and addressed afterwards: a key must meet the same request, and an address may have changed."""
        deadline = Deadline.of(patience)
        marks: Any = {"metadata": _marks(wanted)}
        create = partial(self._sdk.v1.customers.create_async, marks, {"idempotency_key": idempotency_key})
        made = told(await self._ask("make_customer", create, deadline), _read_customer)
        return await self._address(made, wanted, deadline) if isinstance(made, Customer) else made

    async def find_customer(
        self, wanted: NewCustomer, patience: Patience = LIVE
    ) -> Customer | Absent | Refused | Unknown:
        """By its marks: it may never have been addressed."""
        deadline = Deadline.of(patience)
        search = partial(self._sdk.v1.customers.search_async, {"query": _marked(wanted)})
        found = told(await self._ask("find_customer", search, deadline), read_page)
        if isinstance(found, Refused | Unknown):
            return found
        theirs = next((customer for customer in found[0] if _is_marked(customer, wanted)), None)
        return Absent() if theirs is None else await self._address(_read_customer(theirs), wanted, deadline)

    async def _address(self, made: Customer, wanted: NewCustomer, deadline: Deadline) -> Customer | Refused | Unknown:
        if wanted.email is None:
            return made
        update = partial(self._sdk.v1.customers.update_async, made.id, {"email": wanted.email})
        return told(await self._ask("make_customer", update, deadline), _read_customer)

    async def fetch_subscription(
        self, subscription_id: str, patience: Patience = BACKGROUND
    ) -> SubscriptionState | Gone | Refused | Unknown:
        return await self._fetch_subscription(subscription_id, Deadline.of(patience))

    async def cancel_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE, *, at_period_end: bool
    ) -> SubscriptionState | Gone | Refused | Unknown:
        decide = partial(changes.to_cancel, at_period_end=at_period_end)
        return await self._change(subscription_id, decide, idempotency_key, patience)

    async def pause_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = LIVE
    ) -> SubscriptionState | Gone | Refused | Unknown:
        return await self._change(subscription_id, changes.to_pause, idempotency_key, patience)

    async def resume_subscription(
        self,
        subscription_id: str,
        idempotency_key: str,
        patience: Patience = LIVE,
        *,
        is_set_to_end: bool,
        keeps_period: bool,
    ) -> SubscriptionState | Gone | Refused | Unknown:
        del is_set_to_end
        decide = partial(changes.to_resume, keeps_period=keeps_period)
        return await self._change(subscription_id, decide, idempotency_key, patience)

    async def change_plan(
        self, subscription_id: str, change: PlanChange, idempotency_key: str, patience: Patience = LIVE
    ) -> SubscriptionState | Gone | Refused | Unknown:
        decide = partial(changes.to_change_plan, change=change)
        return await self._change(subscription_id, decide, idempotency_key, patience)

    async def open_portal(
        self, subscription_id: str, return_url: str, patience: Patience = LIVE
    ) -> Portal | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        held = await self._retrieve(subscription_id, deadline)
        if is_gone(held):
            return Gone()
        customer = told(held, lambda subscription: needed(as_id(subscription.get("customer")), "customer"))
        if isinstance(customer, Refused | Unknown):
            return customer
        asked: Any = {
            "customer": customer,
            "return_url": return_url,
            "flow_data": {"type": "payment_method_update"},
        }
        opened = await self._ask(
            "open_portal", partial(self._sdk.v1.billing_portal.sessions.create_async, asked), deadline
        )
        return told(opened, _read_portal)

    async def list_subscriptions(
        self, since: datetime, until: datetime, patience: Patience = BACKGROUND
    ) -> AsyncIterator[SubscriptionState | Refused | Unknown]:
        # Without a status, those that have ended are left out.
        parameters = {"created": window(since, until), "status": "all"}
        async for found in self._list(
            "list_subscriptions", self._sdk.v1.subscriptions.list_async, parameters, lambda: Deadline.of(patience)
        ):
            state = (
                found
                if isinstance(found, Refused | Unknown)
                else told(Answer(found), partial(_read_state, invoices=()))
            )
            yield state
            if isinstance(state, Refused | Unknown):
                return

    async def _fetch_subscription(
        self, subscription_id: str, deadline: Deadline
    ) -> SubscriptionState | Gone | Refused | Unknown:
        """With all its invoices, not the newest alone: what was not told for months is made up for by one look."""
        held = await self._retrieve(subscription_id, deadline)
        if is_gone(held):
            return Gone()
        invoices: list[Json] = []
        asked = {"subscription": subscription_id, "expand": EXPAND_INVOICES}
        async for invoice in self._list(
            "fetch_subscription", self._sdk.v1.invoices.list_async, asked, lambda: deadline
        ):
            if isinstance(invoice, Refused | Unknown):
                return invoice
            invoices.append(invoice)
        intents = await self._explain(unexplained(invoices), deadline)
        return told(held, partial(_read_state, invoices=invoices, intents=intents))

    async def _explain(self, intent_ids: Sequence[str], deadline: Deadline) -> list[Json]:
        """Why they have failed, where Stripe says so now: a reason for the customer, on which nothing else depends."""
        asked = [partial(self._sdk.v1.payment_intents.retrieve_async, intent_id) for intent_id in intent_ids]
        answers = [await self._ask("fetch_subscription", retrieve, deadline) for retrieve in asked]
        return [answer.body for answer in answers if isinstance(answer, Answer)]

    async def _retrieve(self, subscription_id: str, deadline: Deadline) -> Answer | Denial | Unknown:
        retrieve = partial(self._sdk.v1.subscriptions.retrieve_async, subscription_id)
        return await self._ask("fetch_subscription", retrieve, deadline)

    async def _change(
        self, subscription_id: str, decide: Callable[[Json], Sequence[Step] | Refused], key: str, patience: Patience
    ) -> SubscriptionState | Gone | Refused | Unknown:
        deadline = Deadline.of(patience)
        held = await self._retrieve(subscription_id, deadline)
        if is_gone(held):
            return Gone()
        steps = told(held, decide)
        if isinstance(steps, Refused | Unknown):
            return steps
        for step in steps:
            taken = told(await self._take(subscription_id, step, key, deadline), dict)
            if isinstance(taken, Refused | Unknown):
                return _about_its_state(taken)
        return await self._fetch_subscription(subscription_id, deadline)

    async def _take(self, subscription_id: str, step: Step, key: str, deadline: Deadline) -> Answer | Denial | Unknown:
        """One step, under a part of the key that is its own."""
        if isinstance(step, changes.Schedule):
            return await self._schedule(subscription_id, step, key, deadline)
        return await self._ask("change_subscription", self._sending(subscription_id, step, key), deadline)

    def _sending(
        self,
        subscription_id: str,
        step: changes.Release | changes.Update | changes.Cancel | changes.Pause | changes.Resume,
        key: str,
    ) -> Send:
        subscriptions, schedules = self._sdk.v1.subscriptions, self._sdk.v1.subscription_schedules
        match step:
            case changes.Release(schedule_id=schedule_id):
                return partial(schedules.release_async, schedule_id, {}, _under(key, f"release:{schedule_id}"))
            case changes.Update(parameters=parameters):
                changed: Any = parameters
                return partial(subscriptions.update_async, subscription_id, changed, _under(key, "update"))
            case changes.Cancel():
                unpaid: Any = {"invoice_now": False, "prorate": False}
                return partial(subscriptions.cancel_async, subscription_id, unpaid, _under(key, "cancel"))
            case changes.Pause():
                uncredited: Any = changes.PAUSED
                return partial(subscriptions.pause_async, subscription_id, uncredited, _under(key, "pause"))
            case changes.Resume(parameters=parameters):
                resumed: Any = parameters
                return partial(subscriptions.resume_async, subscription_id, resumed, _under(key, "resume"))

    async def _schedule(
        self, subscription_id: str, step: changes.Schedule, key: str, deadline: Deadline
    ) -> Answer | Denial | Unknown:
        """A schedule that begins with the subscription as it is, and then its next phase.

        Where the second answer was lost, a repeat has let go of the schedule that it would be given again under one
        key: each has a key of its own.
        """
        part = f"schedule:{step.instead_of}" if step.instead_of else "schedule"
        schedules, begun = self._sdk.v1.subscription_schedules, {"from_subscription": subscription_id}
        create = partial(schedules.create_async, begun, _under(key, part))  # type: ignore[arg-type]
        made = await self._ask("change_subscription", create, deadline)
        if not isinstance(made, Answer):
            return made
        phases: Any = told(made, partial(changes.next_phase, price_id=step.price_id))
        if isinstance(phases, Refused | Unknown):
            return Unknown(Doubt.UNREADABLE)
        made_id = str(made.body.get("id"))
        update = partial(schedules.update_async, made_id, phases, _under(key, f"phases:{made_id}"))
        return await self._ask("change_subscription", update, deadline)


def _under(key: str, step: str) -> RequestOptions:
    return {"idempotency_key": f"{key}:{step}"}


def _about_its_state(end: Refused | Unknown) -> Refused | Unknown:
    """What Stripe finds wrong with a change speaks of the subscription: our own words in it are always the same."""
    if isinstance(end, Refused) and end.code is Refusal.INVALID:
        return Refused(Refusal.STATE, end.reason)
    return end


def _marks(wanted: NewCustomer) -> dict[str, str]:
    return {"user_id": wanted.user_id, "counterfoil": wanted.instance_id}


def _is_marked(customer: Json, wanted: NewCustomer) -> bool:
    """Letter by letter: a search may be kinder than that, and bring another user's customer."""
    marks = as_object(customer.get("metadata"))
    return all(marks.get(name) == value for name, value in _marks(wanted).items())


def _marked(wanted: NewCustomer) -> str:
    """In the words of Stripe's searches. A user's id is whatever the application says, quotes included."""
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in _marks(wanted).items()}
    return " AND ".join(f'metadata["{name}"]:"{value}"' for name, value in quoted.items())


def _read_customer(customer: Json) -> Customer:
    return Customer(needed(as_text(customer.get("id")), "id"))


def _read_portal(portal: Json) -> Portal:
    # A URL is longer than our other texts, and is passed on, not stored as a name.
    return Portal(needed(portal["url"] if isinstance(portal.get("url"), str) else None, "url"))


def _read_state(subscription: Json, invoices: Sequence[Json], intents: Sequence[Json] = ()) -> SubscriptionState:
    return SubscriptionState(
        needed(as_text(subscription.get("id")), "id"), read_subscription(subscription, invoices, intents)
    )
