"""The story of an order, a subscription or a user, gathered for one screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from db import operator_actions, timeline, timeline_subjects
from db.operator_actions import Operator
from db.pool import Pool, Tx
from db.timeline import About
from db.timeline_subjects import OrderStands, SubscriptionStands, UserKnown
from gateways.dashboards import with_page
from gateways.registry import GATEWAYS
from payments.telling import say
from payments.timeline import Entry, Mark, Page


class Untold(Exception):
    """There is no such thing, or there are several. The message is for the person at the desk."""


@dataclass(frozen=True, slots=True)
class Question:
    """``what`` is order, subscription or user. ``because``: why what is hidden is to be shown; None: it is not."""

    what: str
    name: str
    limit: int
    after: Mark | None
    by: Operator
    because: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """One page of a timeline, and how that which it is about stands now."""

    user: UserKnown | None
    orders: Sequence[OrderStands]
    subscriptions: Sequence[SubscriptionStands]
    page: Page


async def tell(pool: Pool, asked: Question) -> Story:
    """Raises ``Untold``. What is revealed is recorded in the transaction that shows it."""
    async with pool.acquire() as connection, connection.transaction():
        user, about = await FINDS[asked.what](connection, asked.name)
        if asked.because is not None:
            await _record_reveal(connection, asked, user, about, asked.because)
        return await _gather(connection, asked, user, about)


async def _gather(tx: Tx, asked: Question, user: UserKnown | None, about: About) -> Story:
    page = await timeline.read(tx, about, limit=asked.limit, after=asked.after, reveal=asked.because is not None)
    return Story(
        user=user,
        orders=await timeline_subjects.orders_stand(tx, about.orders),
        subscriptions=await timeline_subjects.subscriptions_stand(tx, about.subscriptions),
        page=replace(page, entries=tuple(map(with_page, page.entries))),
    )


async def _record_reveal(tx: Tx, asked: Question, user: UserKnown | None, about: About, because: str) -> None:
    found = {"user": user.id} if user else {"orders": [str(order) for order in about.orders]}
    await operator_actions.record(
        tx, by=asked.by, action="explain.reveal", target={asked.what: asked.name, **found}, reason=because
    )


# --- whose ---


async def _order(tx: Tx, name: str) -> tuple[UserKnown | None, About]:
    order = _the_one(await timeline_subjects.find_orders(tx, name, list(GATEWAYS)), "order", name)
    [stands] = await timeline_subjects.orders_stand(tx, [order])
    return None, About([order], [stands.subscription_id] if stands.subscription_id else [])


async def _subscription(tx: Tx, name: str) -> tuple[UserKnown | None, About]:
    found = _the_one(await timeline_subjects.find_subscriptions(tx, name, list(GATEWAYS)), "subscription", name)
    [stands] = await timeline_subjects.subscriptions_stand(tx, [found])
    return None, About([stands.order_id] if stands.order_id else [], [found])


async def _user(tx: Tx, name: str) -> tuple[UserKnown | None, About]:
    users = {user.id: user for user in await timeline_subjects.find_users(tx, name)}
    user = users[_the_one(list(users), "user", name)]
    return user, About(*await timeline_subjects.of_user(tx, user.id), user_id=user.id)


FINDS: Mapping[str, Callable[[Tx, str], Awaitable[tuple[UserKnown | None, About]]]] = {
    "order": _order,
    "subscription": _subscription,
    "user": _user,
}


Id = TypeVar("Id", UUID, str)


def _the_one(found: Sequence[Id], what: str, name: str) -> Id:
    if not found:
        raise Untold(f"There is no {what} {name}.")
    if len(found) > 1:
        raise Untold(f"{name} names several: {what} {', '.join(map(str, found))}. Ask for one of them.")
    return found[0]


# --- for programs ---


def as_told(story: Story) -> dict[str, Any]:
    """The story, for programs."""
    return {
        "user": asdict(story.user) if story.user else None,
        "orders": [asdict(order) for order in story.orders],
        "subscriptions": [asdict(subscription) for subscription in story.subscriptions],
        "timeline": [line_told(entry) for entry in story.page.entries],
        "next": str(story.page.next) if story.page.next else None,
    }


def line_told(entry: Entry) -> dict[str, Any]:
    """One line, for programs: the sentence that a person reads, and all that stands behind it."""
    return {
        "recorded_at": entry.recorded_at,
        "at": entry.at,
        "kind": entry.kind.value,
        "id": entry.id,
        "subject": entry.subject,
        "subject_id": entry.subject_id,
        "says": say(entry),
        "detail": dict(entry.detail),
        "hidden": dict(entry.hidden) if entry.hidden is not None else None,
    }
