"""Apply one observed fact to our record: find its order, lock, decide, write.

The webhook, the poll, the reconciliation and the operator all come through here, so that the same fact has the same
outcome whoever brings it (F119).

The caller holds the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from db import attempts, orders, references, subscriptions
from db.history import Cause
from db.money_back import Whose
from db.orders import Locked
from db.pool import Tx
from db.subscriptions import Locked as Begun
from payments import dunning
from payments.dunning import Policy
from payments.events import (
    CheckoutEnded,
    Event,
    MoneyBack,
    Observed,
    OrderEvent,
    PaymentFailed,
    PaymentSucceeded,
    PayoutTold,
    References,
    SubscriptionTold,
)
from payments.order import Early, LateSuccess, Move, Outcome, Stale, decide
from payments.payment import invoiced, payment_told
from payments.subscription import Followed, another, is_doubtful
from workers.beginnings import apply_telling, is_of_a_renewal, late_policy, tell_subscription
from workers.clock import real_time
from workers.money_back import Booked, apply_to_payment, find_whose, payment_names
from workers.orders import write_outcome
from workers.payouts import tell_payout
from workers.raising import raise_contradiction
from workers.subscription_effects import Line

#: Business time: the development clock moves it, SQL's now() never stands in for it.
Clock = Callable[[], datetime]

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Book:
    """What an application of facts needs beside the transaction: who we are, our policy, and what time it is.

    ``host``: what ``clock`` would say if no time had been skipped.
    """

    instance_id: str
    late_success: LateSuccess
    clock: Clock
    host: Clock = real_time
    dunning: Policy = dunning.DEFAULT


@dataclass(frozen=True, slots=True)
class NotSubscribed:
    """It tells of a subscription, and names an order that began none."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The fact met its order, or a payment that no order has; ``effects`` were written and may be hinted once the
    transaction has committed."""

    order_id: UUID | None
    outcome: Outcome | Followed | NotSubscribed | Booked
    effects: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another application's money on the same account: stored, counted, never alarmed."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """No order of ours bears any of these names, and the names are locked until the transaction ends."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The names point to different orders of ours. Nothing was moved; a discrepancy is open."""

    order_ids: tuple[UUID, ...]


async def apply(
    tx: Tx, observed: Observed, cause: Cause, book: Book, *, is_read: bool = False
) -> Applied | Foreign | Unmatched | Contradiction:
    """Write what this fact means, or say why it means nothing here. Safe to call again with the same fact.

    ``is_read``: see ``apply_answer``.
    """
    event, names = observed.event, observed.references
    if isinstance(event, PayoutTold):
        # Of every application on the account, and no order's: never foreign, and nothing to wait for.
        owed = await tell_payout(tx, event, Line(observed.gateway, cause, book.clock()))
        return Applied(None, Booked("payout_booked"), owed)
    if names.instance is not None and names.instance != book.instance_id:
        return Foreign()
    if isinstance(event, MoneyBack):
        return await _apply_money_back(tx, observed, event, cause, book, is_read=is_read)

    async def find() -> set[UUID] | None:
        return await _find_orders(tx, observed.gateway, names) or None

    found = await _find_or_hold_names(tx, parking_names(names), find)
    if found is None:
        return Unmatched(parking_names(names))
    if len(found) > 1:
        await raise_contradiction(tx, observed, found, Line(observed.gateway, cause, book.clock()))
        return Contradiction(tuple(sorted(found)))

    # The order first, then its subscription, then its names, all at once and sorted: everybody takes them so.
    held = await orders.lock(tx, found.pop())
    begun = await subscriptions.lock_begun_by(tx, held.id) if held.order.begins_subscription else None
    if begun is not None and isinstance(event, SubscriptionTold) and not is_read:
        observed, event = _as_far_as_certain(begun, observed, event)
    await references.lock(tx, _names_to_store(observed))
    applied = await _apply(tx, held, begun, event, observed, cause, book, is_read=is_read)
    if not isinstance(applied.outcome, NotSubscribed) and not _is_of_another(begun, observed):
        await _learn_names(tx, held, observed)
    return applied


async def apply_answer(
    tx: Tx, subscription_id: UUID, observed: Iterable[Observed], version: int, cause: Cause, book: Book
) -> tuple[UUID, ...] | None:
    """Write how its gateway holds a subscription, as an authenticated answer said it; returns the effects to hint.

    None, and nothing is written, where the subscription is no longer of the ``version`` that it had before the call:
    what was written meanwhile may be newer than the answer, and only another read can tell.
    """
    if (await subscriptions.lock(tx, subscription_id)).version != version:
        return None
    applied = [await apply(tx, fact, cause, book, is_read=True) for fact in observed]
    return tuple(effect for each in applied if isinstance(each, Applied) for effect in each.effects)


async def _find_or_hold_names(
    tx: Tx, names: Sequence[str], find: Callable[[], Awaitable[Found | None]]
) -> Found | None:
    """What is looked for; or None with its names locked, so that nobody can store one of them between this look and the
    parking that follows it. What is found behind the lock gives the names back: they come after the order."""
    if (found := await find()) is not None:
        return found
    look = tx.transaction()
    await look.start()
    await references.lock(tx, names)
    found = await find()
    await (look.commit() if found is None else look.rollback())
    return found


def parking_names(names: References) -> tuple[str, ...]:
    """Every name that, once stored, wakes an event: our own ids under ``order:``, the gateway's objects as given."""
    return tuple(sorted({*(f"order:{order_id}" for order_id in _own_ids(names)), *names.objects}))


async def _find_orders(tx: Tx, gateway: str, names: References) -> set[UUID]:
    return await references.find_orders(tx, gateway, objects=names.objects, order_ids=_own_ids(names))


def _own_ids(names: References) -> list[UUID]:
    """Those that have the shape of our ids. A foreign id of any other shape must never reach a cast in SQL."""
    ours = []
    for text in names.order_ids:
        with suppress(ValueError):
            ours.append(UUID(text))
    return ours


def _names_to_store(observed: Observed) -> tuple[str, ...]:
    """Those that it may be parked under, and that of its payment: whoever stores one wakes what waits for it."""
    seen = payment_told(observed.event)
    return (*parking_names(observed.references), *([seen.gateway_payment_id] if seen else []))


def _as_far_as_certain(begun: Begun, observed: Observed, told: SubscriptionTold) -> tuple[Observed, SubscriptionTold]:
    """What leaves open what its money was for is a reason to look. The payment's name is left out: learnt before it is
    recorded, it would make second money of the payment's own event."""
    if not is_doubtful(begun.subscription, told) or _is_of_another(begun, observed):
        return observed, told
    known = {begun.subscription.snapshot.gateway_subscription_id} if begun.subscription.snapshot else set()
    certain = replace(observed.references, objects=tuple(name for name in observed.references.objects if name in known))
    told = SubscriptionTold(told.told_at)
    return replace(observed, references=certain, event=told), told


def _is_of_another(begun: Begun | None, observed: Observed) -> bool:
    """Of a subscription that this order did not begin: its names would lead all that is told of it to ours."""
    told, name = observed.event, observed.references.subscription_id
    return (
        begun is not None and isinstance(told, SubscriptionTold) and another(begun.subscription, told, name) is not None
    )


async def _apply(
    tx: Tx,
    held: Locked,
    begun: Begun | None,
    event: OrderEvent | SubscriptionTold,
    observed: Observed,
    cause: Cause,
    book: Book,
    *,
    is_read: bool,
) -> Applied:
    line = Line(observed.gateway, cause, book.clock(), observed.references.subscription_id)
    match event:
        case SubscriptionTold() as told if begun is None:
            if invoiced(told) is not None:
                await raise_contradiction(tx, observed, {held.id}, line)
            return Applied(held.id, NotSubscribed())
        case SubscriptionTold() as told:
            assert begun is not None
            return Applied(
                held.id,
                *await apply_telling(tx, held, begun, told, line, book.dunning, book.late_success, is_read=is_read),
            )
        case told if begun is not None and await is_of_a_renewal(tx, observed.gateway, told):
            return Applied(held.id, Stale("this payment is a later invoice's"))
        case told:
            outcome = decide(held.order, told, late_policy(begun, book.late_success))
            written = await write_outcome(tx, held, told, outcome, line)
            if begun is not None and isinstance(outcome, Move):
                written += await tell_subscription(tx, begun, told, outcome, line, book.dunning)
            return Applied(held.id, outcome, written)


async def _apply_money_back(
    tx: Tx, observed: Observed, event: MoneyBack, cause: Cause, book: Book, *, is_read: bool
) -> Applied | Unmatched:
    names = tuple(sorted({*parking_names(observed.references), *payment_names(event.payment)}))

    async def find() -> Whose | Early | None:
        return await find_whose(tx, observed.gateway, event.payment, await _find_orders_of_money(tx, observed, names))

    whose: Whose | Early | None = await _find_or_hold_names(tx, names, find)
    if whose is None:
        return Unmatched(names)
    if isinstance(whose, Early):
        return Applied(None, whose)
    line = Line(observed.gateway, cause, book.clock())
    outcome, owed = await apply_to_payment(tx, whose, event, observed, line, names, book.dunning, is_read=is_read)
    return Applied(whose.order_id, outcome, owed)


async def _find_orders_of_money(tx: Tx, observed: Observed, names: tuple[str, ...]) -> set[UUID]:
    objects = [name for name in names if not name.startswith("order:")]
    return await references.find_orders(tx, observed.gateway, objects=objects, order_ids=_own_ids(observed.references))


async def _learn_names(tx: Tx, held: Locked, observed: Observed) -> None:
    """What this event called the order's objects, so that the next event may name any one of them alone."""
    if observed.references.objects:
        await references.store(tx, observed.gateway, held.id, observed.references.objects)
    event = observed.event
    session_id = event.session_id if isinstance(event, CheckoutEnded) else observed.references.session_id
    if session_id is None:
        return
    if _ends_its_page(event):
        await attempts.close(tx, held.id, session_id)
    if not isinstance(event, CheckoutEnded):
        await orders.learn_session(tx, held.id, observed.gateway, session_id)


def _ends_its_page(event: Event) -> bool:
    """Whether nobody can pay through the page any more that this event names."""
    return isinstance(event, CheckoutEnded | PaymentSucceeded) or (isinstance(event, PaymentFailed) and event.final)
