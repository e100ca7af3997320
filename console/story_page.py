"""A story as a person reads it: how things stand in a few lines, and below them the timeline."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta

import typer

from console import tables
from console.stories import Story, as_told
from console.tables import Revealed
from db.timeline_subjects import OrderStands, SubscriptionStands
from payments.telling import amount_of, say
from payments.timeline import Entry, Kind

#: What a glance should find: money, access, and what went wrong.
STYLES = {
    Kind.MOVE: "bold",
    Kind.ACCESS: "green",
    Kind.MOVEMENT: "cyan",
    Kind.REFUND: "cyan",
    Kind.PAYMENT: "cyan",
    Kind.DISPUTE: "magenta",
    Kind.DISCREPANCY: "yellow",
    Kind.WORK: "red",
    Kind.DEAD_LETTER: "red",
    Kind.ACT: "blue",
    Kind.CALL: "dim",
}

#: A development clock that was moved by less is not worth a column.
MOVED = timedelta(minutes=1)


def show_json(story: Story, *, reveal: bool) -> None:
    told = as_told(story)
    tables.show_json(_revealed(told) if reveal else told)


def _revealed(told: object) -> object:
    match told:
        case str():
            return Revealed(told)
        case dict():
            return {name: _revealed(value) for name, value in told.items()}
        case list() | tuple():
            return [_revealed(each) for each in told]
        case _:
            return told


def show(story: Story, *, reveal: bool) -> None:
    """On a terminal in colours, elsewhere a line each with tabs between."""
    show_text = Revealed if reveal else str
    if story.user is not None:
        known = (story.user.id, show_text(story.user.email or ""), ", ".join(story.user.customers))
        tables.show(("", "", ""), [known], nothing="", title="user")
    tables.show(("", "", "", ""), map(_order_row, story.orders), nothing="", title="order")
    tables.show(("", "", "", ""), map(_subscription_row, story.subscriptions), nothing="", title="subscription")
    _show_timeline(story, show_text)
    if reveal:
        hidden = ((e.kind, e.id, Revealed(json.dumps(e.hidden))) for e in story.page.entries if e.hidden)
        tables.show(("", "", ""), hidden, nothing="", title="revealed")


def _order_row(order: OrderStands) -> tuple[object, ...]:
    money = amount_of(order.amount, order.currency, order.gateway)
    if order.amount_refunded:
        money += f", {amount_of(order.amount_refunded, order.currency, order.gateway)} refunded"
    return order.id, order.status, money, "; ".join(_order_facts(order))


def _order_facts(order: OrderStands) -> Iterator[str]:
    yield f"{order.plan_name or order.plan_id or 'no plan'} for {order.user_id}"
    yield _access(has_access=order.has_access, reason=order.access_reason)
    yield from filter(None, (order.gateway, order.payment_intent_id or order.session_id, order.failure_reason))
    if order.subscription_id:
        yield f"began subscription {order.subscription_id}"
    if order.looks:
        yield f"looked at {order.looks} times by recovery, next {tables.plain(order.next_look_at)}"


def _subscription_row(subscription: SubscriptionStands) -> tuple[object, ...]:
    until = tables.plain(subscription.current_period_end)
    return subscription.id, subscription.status, f"period to {until}" if until else "", "; ".join(_facts(subscription))


def _facts(subscription: SubscriptionStands) -> Iterator[str]:
    yield f"{subscription.plan_id or 'no plan'} for {subscription.user_id}"
    yield _access(has_access=subscription.has_access, reason=subscription.access_reason)
    yield from filter(None, (subscription.gateway, subscription.gateway_subscription_id))
    if subscription.ends_at:
        yield f"ends {tables.plain(subscription.ends_at)}"
    if subscription.looks:
        yield f"looked at {subscription.looks} times by recovery"


def _access(*, has_access: bool, reason: str | None) -> str:
    return f"{'has' if has_access else 'no'} access{f' ({reason})' if reason else ''}"


def _show_timeline(story: Story, show_text: type[str]) -> None:
    """In the order, and with the time, in which it was written; business time beside it where that is another."""
    entries = story.page.entries
    clock_was_moved = any(abs(entry.at - entry.recorded_at) > MOVED for entry in entries)
    columns = [
        ("at", [entry.recorded_at for entry in entries]),
        *([("business time", [entry.at for entry in entries])] if clock_was_moved else []),
        ("what", [entry.kind.replace("_", " ") for entry in entries]),
        *([("of", [_whose(entry) for entry in entries])] if story.user else []),
        ("", [show_text(say(entry)) for entry in entries]),
    ]
    head, rows = [name for name, _ in columns], list(zip(*(cells for _, cells in columns), strict=True))
    if not sys.stdout.isatty():
        tables.show(head, rows, nothing="", title="timeline")
        return
    typer.secho("\ntimeline", bold=True)
    _draw(head, rows, entries)


def _whose(entry: Entry) -> str:
    return f"{entry.subject} {(entry.subject_id or '')[:8]}"


def _draw(head: Sequence[str], rows: Sequence[Sequence[object]], entries: Sequence[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in head:
        table.add_column(name, no_wrap=name != "", overflow="fold")
    for row, entry in zip(rows, entries, strict=True):
        table.add_row(*(Text(tables.plain(cell)) for cell in row), style=STYLES.get(entry.kind, ""))
    Console().print(table)
