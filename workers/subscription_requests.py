"""Change a subscription at its gateway: intent, call, record. Whoever asks for the same again goes on where it stopped.

1. The wish is a row before anything is asked, with its key, under a lease. A subscription has one at a time.
2. The gateway is asked outside any transaction. What is so already, it tells as it is, so that asking again after a
   lost answer is safe.
3. Its answer says how the subscription is now, and goes through the same rules as a webhook. The row that our caller
   reads has changed by then, or changes when the webhook comes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog

from db import attempts, catalogue, subscriptions
from db import subscription_requests as requests
from db.history import Cause
from db.pool import Pool, Tx
from db.subscription_requests import Request
from db.subscriptions import Locked
from gateways.client import (
    BACKGROUND,
    LIVE,
    Client,
    Gone,
    Patience,
    PlanChange,
    Refusal,
    Refused,
    SubscriptionState,
    Unknown,
)
from payments.events import Observed, SubscriptionTold
from payments.snapshot import ENDED, Snapshot, SubscriptionStatus, with_known_end
from workers.apply import Book, apply_answer
from workers.call_record import calls_kept

log = structlog.get_logger(__name__)

#: Longer than any call may take with its retries: a lease that ends early would let two callers at one request.
LEASE_SECONDS = 75.0

#: A subscription that is told of while we write how it is, is read again, so often.
READS = 3

#: These speak of the subscription and of what was wished for. The others are about our key.
ITS_STATE = frozenset({Refusal.STATE, Refusal.INVALID, Refusal.AMOUNT})


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to become of a subscription, in our words, whole: a repeat must meet the same request.

    ``kind``: cancel {"atPeriodEnd"}, pause, resume {"isSetToEnd", "keepsPeriod"}, change_plan {"planId", "priceId",
    "interval", "isImmediate"}.
    """

    kind: str
    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The gateway has done it. ``effects`` were written with it, and want a hint."""

    effects: tuple[UUID, ...] = ()


class Why(StrEnum):
    """Why something cannot be done to a subscription."""

    ENDED = "ended"
    INCOMPLETE = "incomplete"  # its page has not been paid
    PENDING = "pending"  # something else was asked for, and its answer is not here
    TAKEN = "taken"  # they have another one of the plan that is wished for
    TRIAL = "trial"  # it is on trial, and they have had that of the plan that is wished for
    GATEWAY = "gateway"  # which can do it to none of this kind, or not in this state


@dataclass(frozen=True, slots=True)
class Impossible:
    """Not to this subscription as it is; nothing has changed. ``reason`` is for people."""

    why: Why
    reason: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It may have been done or not. Asking again is safe, and recovery does so."""


@dataclass(frozen=True, slots=True)
class Unaskable:
    """The gateway does not take our word for anything: our key is wrong, or it knows nothing of the subscription."""


Ending = Done | Impossible | Unanswered | Unaskable


async def ask(
    pool: Pool, client: Client, book: Book, subscription_id: UUID, wish: Wish, caller: str, *, patience: Patience = LIVE
) -> Ending:
    """Bring the subscription to where it is wished. The caller has seen that it is theirs."""
    async with pool.acquire() as connection, connection.transaction():
        held = await subscriptions.lock(connection, subscription_id)
        taken = await _take(connection, held, wish, book.instance_id, caller)
    if not isinstance(taken, Request):
        return taken
    return await carry_out(pool, client, book, taken, Cause("api", caller), patience=patience)


async def carry_out(
    pool: Pool, client: Client, book: Book, request: Request, cause: Cause, *, patience: Patience = BACKGROUND
) -> Ending:
    """Call for a request that is ours to call, and write down what came of it."""
    until = time.monotonic() + patience.deadline_seconds
    async with pool.acquire() as connection, connection.transaction():
        held = await subscriptions.lock(connection, request.subscription_id)
        if held.subscription.status in ENDED:
            await requests.refuse(connection, request.id, "it has ended meanwhile")
            return Impossible(Why.ENDED, "This subscription has ended.")
    async with calls_kept(pool, "subscription_request", request.id):
        answer = await _call(client, held, request, patience)
    if isinstance(answer, SubscriptionState):
        return await _keep(pool, client, book, request, held.version, answer, cause, until)
    async with pool.acquire() as connection, connection.transaction():
        return await _record_end(connection, request, answer)


async def _take(tx: Tx, held: Locked, wish: Wish, instance_id: str, caller: str) -> Request | Ending:
    """The request that is ours to call, under lease; or what there is to say instead."""
    if held.subscription.status in ENDED:
        return Impossible(Why.ENDED, "This subscription has ended.")
    if held.subscription.snapshot is None or held.subscription.status is SubscriptionStatus.INCOMPLETE:
        return Impossible(Why.INCOMPLETE, "This subscription has not begun.")
    request = await requests.live(tx, held.id)
    if request is None:
        why_not = await _why_not_to(tx, held, wish.request["planId"]) if wish.kind == "change_plan" else None
        if why_not is not None:
            return why_not
        number = await requests.count(tx, held.id) + 1
        request = await requests.intend(
            tx,
            subscription_id=held.id,
            kind=wish.kind,
            request=wish.request,
            idempotency_key=f"{instance_id}:subscription:{held.id}:{number}",
            asked_by=caller,
        )
    elif (request.kind, dict(request.request)) != (wish.kind, dict(wish.request)):
        return Impossible(Why.PENDING, "Another change of this subscription waits for the gateway's answer.")
    elif request.is_being_called:
        return Unanswered()
    await requests.lease(tx, request.id, LEASE_SECONDS)
    return request


async def _why_not_to(tx: Tx, held: Locked, plan_id: str) -> Impossible | None:
    """What a user may have once: a plan that allows no more, and its trial. Under the turn that a purchase of it takes,
    so that of a change and a purchase of one moment the second sees the first."""
    await attempts.serialise(tx, user_id=held.user_id, plan_id=plan_id, gateway="")
    plan = await catalogue.find(tx, plan_id)
    if plan is None or plan_id == held.sold.plan_id:
        return None
    if not plan.many and await subscriptions.find_open(tx, held.user_id, plan_id, but=held.id) is not None:
        return Impossible(Why.TAKEN, "You have another subscription of this plan.")
    if held.subscription.status is not SubscriptionStatus.TRIALING:
        return None
    if plan.trial_days and not await subscriptions.has_had_trial(tx, held.user_id, plan_id, but=held.id):
        return None
    return Impossible(
        Why.TRIAL, "In its trial, a subscription can only go over to a plan with a trial that you have not had."
    )


async def _call(
    client: Client, held: Locked, request: Request, patience: Patience
) -> SubscriptionState | Gone | Refused | Unknown:
    snapshot = held.subscription.snapshot
    assert snapshot is not None, "only what the gateway knows is ever asked about"
    name, key, asked = snapshot.gateway_subscription_id, request.idempotency_key, request.request
    match request.kind:
        case "cancel":
            return await client.cancel_subscription(name, key, patience, at_period_end=asked["atPeriodEnd"])
        case "pause":
            return await client.pause_subscription(name, key, patience)
        case "resume":
            return await client.resume_subscription(
                name, key, patience, is_set_to_end=asked["isSetToEnd"], keeps_period=asked["keepsPeriod"]
            )
        case "change_plan":
            change = PlanChange(asked["priceId"], asked["interval"], asked["isImmediate"])
            return await client.change_plan(name, change, key, patience)
        case kind:
            raise RuntimeError(f"there is no request {kind}")


async def _keep(
    pool: Pool,
    client: Client,
    book: Book,
    request: Request,
    version: int,
    state: SubscriptionState,
    cause: Cause,
    until: float,
) -> Done | Unanswered:
    """Write how it is now. Told of meanwhile, it is read once more: the webhooks of our own change are quick."""
    answered = _snapshot(state)
    for _ in range(READS):
        async with pool.acquire() as connection, connection.transaction():
            effects = await apply_answer(connection, request.subscription_id, state.observed, version, cause, book)
            if effects is not None:
                await requests.finish(connection, request)
                return Done(effects)
            version = (await subscriptions.lock(connection, request.subscription_id)).version
        again = await client.fetch_subscription(state.id, Patience(max(until - time.monotonic(), 1.0)))
        if not isinstance(again, SubscriptionState):
            break
        state = _ending_as(answered, again)
    async with pool.acquire() as connection, connection.transaction():
        await subscriptions.lock(connection, request.subscription_id)
        if answered is not None and not answered.tells_end and answered.set_to_end is not None:
            # Only the answer to this request tells of the end: it has to be asked once more.
            await requests.leave_unknown(connection, request.id, "its answer could not be written")
            return Unanswered()
        # It is done; what our row lacks of it, the webhooks bring.
        await requests.finish(connection, request)
    return Done()


def _ending_as(answered: Snapshot | None, read: SubscriptionState) -> SubscriptionState:
    """What was read after the answer, with the end that only the answer tells of."""
    if answered is None:
        return read
    return SubscriptionState(read.id, tuple(_with_end(answered, each) for each in read.observed))


def _with_end(answered: Snapshot, observed: Observed) -> Observed:
    event = observed.event
    if not isinstance(event, SubscriptionTold) or event.snapshot is None or event.snapshot.status in ENDED:
        return observed
    return replace(observed, event=replace(event, snapshot=with_known_end(answered, event.snapshot)))


def _snapshot(state: SubscriptionState) -> Snapshot | None:
    told = (each.event for each in state.observed if isinstance(each.event, SubscriptionTold))
    return next((event.snapshot for event in told if event.snapshot is not None), None)


async def _record_end(tx: Tx, request: Request, answer: Gone | Refused | Unknown) -> Ending:
    await subscriptions.lock(tx, request.subscription_id)
    match answer:
        case Refused(code=code, reason=reason) if code in ITS_STATE:
            await requests.refuse(tx, request.id, f"{code}: {reason}")
            return Impossible(Why.GATEWAY, reason)
        case Refused(code=code, reason=reason):
            await _leave(tx, request, f"{code}: {reason}")
        case Gone():
            await _leave(tx, request, "the gateway does not know this subscription")
        case Unknown(reason=doubt):
            await requests.leave_unknown(tx, request.id, doubt.value)
            return Unanswered()
    log.error("subscription_request.unaskable", subscription_id=str(request.subscription_id), kind=request.kind)
    return Unaskable()


async def _leave(tx: Tx, request: Request, error: str) -> None:
    """Nothing was done by this call; by one before it, something may have been."""
    await (requests.refuse if request.calls == 0 else requests.leave_unknown)(tx, request.id, error)
