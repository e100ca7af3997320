"""Open a hosted page for an order: intent, call, record. Whoever calls it again goes on where it stopped.

1. The order and the attempt, with the whole request and its key, are committed before anything is asked. What begins a
   subscription is prepared first (``workers.preparing``): its request names a price and a customer of the gateway's.
2. The gateway is called outside any transaction (``workers.asking``). Every way the call can end is a value.
3. The outcome is written: the page (which wakes events that came first), the refusal, or that we do not know.

A caller that dies anywhere leaves a row that says how far it came: ``intended`` under a lease that runs out. The next
one sends the same request under the same key, so that the gateway makes one page.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from db import attempts, orders, subscriptions
from db.attempts import Attempt
from db.history import Cause
from db.orders import Locked
from db.pool import Pool, Tx
from gateways.client import (
    LIVE,
    Client,
    Created,
    Gone,
    Patience,
    Recurring,
    Refusal,
    SessionOrder,
    SessionState,
    SubscriptionState,
    Unknown,
)
from gateways.client import Refused as GatewayRefused
from payments.order import SETTLED, OrderStatus
from payments.subscription import ENDED, SubscriptionStatus
from workers import asking
from workers.apply import Book, apply_answer
from workers.call_record import calls_kept
from workers.customers import Waiting
from workers.preparing import prepare

#: Stripe refuses less than 30 minutes by its own clock, which is not ours; one more is for the difference.
SESSION_SECONDS = 31 * 60

#: Longer than any call may take with its retries: a lease that ends early would let two callers at one attempt.
LEASE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Counter:
    """What opening a page needs beside the gateway: the book to write in, and where customers come back to."""

    book: Book
    success_url: Callable[[UUID], str]
    cancel_url: str


@dataclass(frozen=True, slots=True)
class Opened:
    """The customer can go there now."""

    order_id: UUID
    session_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway will not, and nothing exists there. The order is kept; asking again makes a new attempt."""

    order_id: UUID
    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The answer was lost: the page may exist. Asking again finds it or makes it; the order is kept, and pending."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else is calling for this order this moment; their answer will be ours."""

    order_id: UUID


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing to open: the order is paid, refunded or disputed, or its last page has ended."""

    order_id: UUID
    status: OrderStatus


Opening = Opened | Refused | Lost | Busy | Over


async def open_page(
    pool: Pool, client: Client, counter: Counter, order_id: UUID, caller: str, *, patience: Patience = LIVE
) -> Opening:
    """Bring the order to a page that can be paid, from wherever it stands. Safe to call again after anything."""
    opening = await _open_once(pool, client, counter, order_id, caller, patience)
    if _wants_another_attempt(opening):
        opening = await _open_once(pool, client, counter, order_id, caller, patience)
    return opening


def _wants_another_attempt(opening: Opening) -> bool:
    """The last attempt is known to have made nothing, or its page is known to have ended unpaid."""
    match opening:
        case Refused(reason=reason):
            return reason == Refusal.OUTDATED
        case Over(status=status):
            return status in (OrderStatus.FAILED, OrderStatus.CANCELLED)
        case Opened() | Lost() | Busy():
            return False


@dataclass(frozen=True, slots=True)
class _Unprepared:
    """It begins a subscription, and the gateway has to be asked for what its page needs."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Its gateway has made the subscription, and its payment has failed: another page would make another subscription,
    which could never be this order's. This one has to be ended there, and another order placed."""

    subscription_id: UUID
    name: str


async def _open_once(
    pool: Pool, client: Client, counter: Counter, order_id: UUID, caller: str, patience: Patience
) -> Opening:
    async with pool.acquire() as connection, connection.transaction():
        taken = await _take(connection, client, counter, order_id, caller)
    until = time.monotonic() + patience.deadline_seconds
    if isinstance(taken, _Unprepared):
        prepared = await prepare(pool, client, counter.book, order_id, patience)
        async with pool.acquire() as connection, connection.transaction():
            if isinstance(prepared, Recurring):
                taken = await _take(connection, client, counter, order_id, caller, prepared)
            else:
                taken = await _stop(connection, client, counter, order_id, prepared, Cause("api", caller))
    assert not isinstance(taken, _Unprepared)
    left = replace(patience, deadline_seconds=max(until - time.monotonic(), 0.0))
    if isinstance(taken, Begun):
        return await end_begun(pool, client, counter.book, order_id, taken, Cause("api", caller), left)
    if not isinstance(taken, Attempt):
        return taken
    async with calls_kept(pool, "payment_attempt", taken.id):
        answer = await asking.ask(client, taken, left)
    async with pool.acquire() as connection, connection.transaction():
        return await _record(connection, taken, answer, counter, Cause("api", caller))


async def intend_first(tx: Tx, client: Client, counter: Counter, order_id: UUID, caller: str) -> None:
    """Write the first attempt with its order, in one transaction: neither is ever seen without the other."""
    await _intend(tx, client, counter, await orders.lock(tx, order_id), 1, caller)


async def _take(
    tx: Tx, client: Client, counter: Counter, order_id: UUID, caller: str, recurring: Recurring | None = None
) -> Attempt | _Unprepared | Begun | Opening:
    """The attempt that is ours to call, under lease; or what there is to say instead."""
    held = await orders.lock(tx, order_id)
    attempt = await attempts.newest(tx, order_id)
    begun = await subscriptions.lock_begun_by(tx, held.id) if held.order.begins_subscription else None
    if held.order.status in SETTLED or (begun is not None and begun.subscription.status in ENDED):
        # What has ended before it began is over: it is another order that begins another.
        return Over(order_id, held.order.status)
    if attempt is not None:
        if _can_be_paid(attempt, counter.book.clock()):
            assert attempt.session_id is not None
            assert attempt.url is not None
            return Opened(order_id, attempt.session_id, attempt.url)
        if attempt.is_being_called:
            return Busy(order_id)
        if attempt.status == "closed" and held.order.status is OrderStatus.PENDING:
            # The page is over and the order is not: money is on its way, or waits for a person.
            return Over(order_id, held.order.status)
    if attempt is None or not attempt.is_live:
        # The last page is known closed, or was never made: only then may there be another.
        if begun is not None and begun.subscription.snapshot is not None:
            if held.order.status is OrderStatus.PENDING or held.order.has_unreviewed_money:
                return Over(order_id, held.order.status)
            return Begun(begun.id, begun.subscription.snapshot.gateway_subscription_id)
        if held.order.begins_subscription and recurring is None:
            return _Unprepared()
        intended = await _intend(tx, client, counter, held, attempt.number + 1 if attempt else 1, caller, recurring)
        if not isinstance(intended, Attempt):
            return intended
        attempt = intended
    await attempts.lease(tx, attempt.id, LEASE_SECONDS)
    return attempt


async def end_begun(
    pool: Pool, client: Client, book: Book, order_id: UUID, begun: Begun, cause: Cause, patience: Patience
) -> Over | Lost | Busy | Refused:
    """Look first: it may have been paid, unheard. Our row follows the gateway's word alone."""
    until = time.monotonic() + patience.deadline_seconds
    async with pool.acquire() as connection, connection.transaction():
        version = (await subscriptions.lock(connection, begun.subscription_id)).version
    answer = await client.fetch_subscription(begun.name, patience)
    if not isinstance(answer, SubscriptionState):
        return _not_ended(order_id, answer)
    async with pool.acquire() as connection, connection.transaction():
        if await apply_answer(connection, begun.subscription_id, answer.observed, version, cause, book) is None:
            return Busy(order_id)
        stands = await subscriptions.lock(connection, begun.subscription_id)
        status = (await orders.lock(connection, order_id)).order.status
    if status in SETTLED or stands.subscription.status is not SubscriptionStatus.INCOMPLETE:
        return Over(order_id, status)
    key = f"{book.instance_id}:subscription:{begun.subscription_id}:unpaid"
    left = replace(patience, deadline_seconds=max(until - time.monotonic(), 0.0))
    answer = await client.cancel_subscription(begun.name, key, left, at_period_end=False)
    if not isinstance(answer, SubscriptionState):
        return _not_ended(order_id, answer)
    async with pool.acquire() as connection, connection.transaction():
        kept = await apply_answer(connection, begun.subscription_id, answer.observed, stands.version, cause, book)
    return Busy(order_id) if kept is None else Over(order_id, status)


def _not_ended(order_id: UUID, answer: Gone | GatewayRefused | Unknown) -> Lost | Refused:
    return Refused(order_id, answer.code.value) if isinstance(answer, GatewayRefused) else Lost(order_id)


async def _stop(
    tx: Tx, client: Client, counter: Counter, order_id: UUID, end: Waiting | GatewayRefused | Unknown, cause: Cause
) -> Opening:
    """There is no page to ask for yet. What the gateway has refused, nobody waits for."""
    held = await orders.lock(tx, order_id)
    match end:
        case Waiting():
            return Busy(order_id)
        case Unknown():
            return Lost(order_id)
        case GatewayRefused(code=code):
            if held.order.status is OrderStatus.PENDING:
                detail = {"refusal": code.value}
                await asking.fail_unmade(tx, held, client.name, cause, counter.book.clock(), detail)
            return Refused(order_id, code.value)


def _can_be_paid(attempt: Attempt, now: datetime) -> bool:
    """As far as we know. Past its expiry a page is asked about: it may have ended, or have been paid, unheard."""
    return attempt.status == "open" and attempt.expires_at is not None and attempt.expires_at > now


async def _intend(
    tx: Tx,
    client: Client,
    counter: Counter,
    held: Locked,
    number: int,
    caller: str,
    recurring: Recurring | None = None,
) -> Attempt | Opening:
    expires_at = counter.book.clock() + timedelta(seconds=SESSION_SECONDS)
    frozen = client.freeze(
        SessionOrder(
            order_id=held.order.id,
            plan_id=held.plan_id or "",
            plan_name=held.plan_name,
            description=held.plan_description,
            expected=held.order.expected,
            success_url=counter.success_url(held.id),
            cancel_url=counter.cancel_url,
            expires_at=expires_at,
            instance_id=counter.book.instance_id,
            email=held.email,
            attempt=number,
            recurring=recurring,
        )
    )
    refusal = frozen if isinstance(frozen, GatewayRefused) else None
    await attempts.intend(
        tx,
        order_id=held.id,
        number=number,
        gateway=client.name,
        idempotency_key=f"{counter.book.instance_id}:order:{held.id}:{number}",
        request={} if isinstance(frozen, GatewayRefused) else frozen,
        expires_at=expires_at,
    )
    attempt = await attempts.newest(tx, held.id)
    assert attempt is not None
    if refusal is not None:
        return await _record(tx, attempt, refusal, counter, Cause("api", caller))
    return attempt


async def _record(tx: Tx, attempt: Attempt, answer: asking.Answer, counter: Counter, cause: Cause) -> Opening:
    recorded = await asking.record(tx, attempt, answer, counter.book, cause)
    match answer:
        case GatewayRefused(code=code):
            return Refused(attempt.order_id, code.value)
        case Gone() | Unknown():
            return Lost(attempt.order_id)
        case Created() | SessionState():
            if recorded.page is None or recorded.page.url is None or recorded.status is not recorded.was:
                return Over(attempt.order_id, recorded.status)
            return Opened(attempt.order_id, recorded.page.id, recorded.page.url)
