"""What working an event once more would change, told as differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from db.event_search import Listed
from db.story import OrderStory
from workers.replays import Rehearsal

IN_HAND = "a worker has it in hand"


def rows(event: Listed, rehearsal: Rehearsal | None) -> Iterator[tuple[object, ...]]:
    """One line for each thing that would change, at least one for the event."""
    head = (event.id, event.event_id, event.status)
    if rehearsal is None:
        yield *head, "?", IN_HAND
        return
    would_be = f"{rehearsal.worked}: {rehearsal.reason}" if rehearsal.reason else str(rehearsal.worked)
    for change in changes(rehearsal) or ["nothing else"]:
        yield *head, would_be, change


def as_told(event: Listed, rehearsal: Rehearsal | None) -> dict[str, Any]:
    """The same for programs, with the order before and after."""
    told: dict[str, Any] = {"id": event.id, "event_id": event.event_id, "is": event.status}
    if rehearsal is None:
        return {**told, "would_be": None, "reason": IN_HAND}
    return {
        **told,
        "would_be": rehearsal.worked,
        "reason": rehearsal.reason,
        "order_id": rehearsal.order_id,
        "changes": changes(rehearsal),
        "before": asdict(rehearsal.before) if rehearsal.before else None,
        "after": asdict(rehearsal.after) if rehearsal.after else None,
    }


def changes(rehearsal: Rehearsal) -> list[str]:
    """What would become of the order that it names; nothing where it names none."""
    if rehearsal.before is None or rehearsal.after is None:
        return []
    return list(_differences(str(rehearsal.order_id), rehearsal.before, rehearsal.after))


def _differences(order: str, before: OrderStory, after: OrderStory) -> Iterator[str]:
    if after.status != before.status:
        yield f"order {order}: {before.status} -> {after.status}"
    if after.failure_reason != before.failure_reason:
        yield f"failure: {before.failure_reason} -> {after.failure_reason}"
    if after.has_access != before.has_access:
        yield "access is granted" if after.has_access else "access ends"
    yield from _changed("payment", before.payments, after.payments)
    yield from _changed("effect", before.effects, after.effects)
    yield from (f"history: {move}" for move in after.moves[len(before.moves) :])
    yield from (f"discrepancy: {kind}" for kind in Counter(after.discrepancies) - Counter(before.discrepancies))


def _changed(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name, status in after.items():
        if before.get(name) != status:
            yield f"{what} {name}: {before.get(name, 'none')} -> {status}"
