"""Work done again because a person says so: dead letters retried or discarded, events replayed, or only rehearsed.

What is retried begins a new life in the queue of its own for that, spread over time by its row: nobody has to stay and
watch, live work goes first, and a second retry of the same finds nothing. Every act is written down with its reason.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from db import dead_letters, effects, event_search, operator_actions, story, webhook_events
from db.dead_letters import Letter, Selection
from db.operator_actions import Operator
from db.pool import Pool, Tx
from db.story import OrderStory
from db.work_attempts import TroubleClass
from workers.causes import trouble_with_event
from workers.hints import Hints
from workers.queues import BULK
from workers.webhook_events import WORK_SECONDS, Desk, Worked, work_claimed

#: So many at once unless more are asked for: a cause that is not mended after all should bury few again.
CAP = 500

#: So many a second unless asked otherwise: a share of what one worker does.
PER_SECOND = 50.0

#: How many ids the record of an act holds.
RECORDED = 500


@dataclass(frozen=True, slots=True)
class Batch:
    """What one act took. ``id`` is None after a dry run: nothing was changed."""

    id: UUID | None
    letters: tuple[Letter, ...]
    seconds: float = 0.0

    @property
    def messages(self) -> tuple[Letter, ...]:
        """Those that are sent through Redis, after the commit: see ``send_messages``."""
        return tuple(letter for letter in self.letters if letter.source == "message")


async def retry(
    tx: Tx,
    selection: Selection,
    *,
    by: Operator,
    reason: str,
    cap: int = CAP,
    per_second: float = PER_SECOND,
    dry_run: bool = False,
) -> Batch:
    """Give dead letters another life, the oldest first. Of several operators at once, each letter has one."""
    meant = [letter for letter in await dead_letters.find(tx, selection, limit=cap) if can_be_retried(letter)]
    if dry_run:
        return Batch(None, tuple(meant), len(meant) / per_second)
    held = await _hold_rows(tx, meant)
    closed = await dead_letters.close(tx, [each.id for each in held], state="retried", by=by.name, reason=reason)
    mine = [letter for letter in held if letter.id in closed]
    waits = {letter.id: place / per_second for place, letter in enumerate(mine)}
    events = [letter for letter in mine if letter.source == "webhook_event"]
    await webhook_events.replay(tx, _rows(events), [waits[each.id] for each in events], queue=BULK)
    owed = [letter for letter in mine if letter.source == "effect"]
    await effects.resend(tx, _rows(owed), [waits[each.id] for each in owed], queue=BULK)
    return await _record(tx, "dead.retry", selection, mine, by, reason, len(mine) / per_second)


async def discard(
    tx: Tx, selection: Selection, *, by: Operator, reason: str, cap: int = CAP, dry_run: bool = False
) -> Batch:
    """Close dead letters for good. Their rows stay dead; only a new delivery, or a replay, begins with them again."""
    meant = await dead_letters.find(tx, selection, limit=cap)
    if dry_run:
        return Batch(None, tuple(meant))
    closed = await dead_letters.close(tx, [each.id for each in meant], state="discarded", by=by.name, reason=reason)
    return await _record(tx, "dead.discard", selection, [each for each in meant if each.id in closed], by, reason)


def can_be_retried(letter: Letter) -> bool:
    """A message that nobody can read can only be discarded."""
    return letter.source != "message" or (letter.message is not None and "actor" in letter.message)


async def _hold_rows(tx: Tx, letters: Sequence[Letter]) -> list[Letter]:
    """Those whose row is nobody else's; a message has none. While we hold it, an open letter says that it is dead."""
    events = await webhook_events.hold(tx, _rows([each for each in letters if each.source == "webhook_event"]))
    owed = await effects.hold(tx, _rows([each for each in letters if each.source == "effect"]))
    ours = {str(row) for row in (*events, *owed)}
    return [each for each in letters if each.source == "message" or each.source_id in ours]


def _rows(letters: Sequence[Letter]) -> list[UUID]:
    return [UUID(letter.source_id) for letter in letters]


async def _record(
    tx: Tx,
    action: str,
    selection: Selection,
    letters: Sequence[Letter],
    by: Operator,
    reason: str,
    seconds: float = 0.0,
) -> Batch:
    batch = Batch(uuid4(), tuple(letters), seconds)
    await operator_actions.record(
        tx,
        by=by,
        action=action,
        target=selection.told(),
        reason=reason,
        before={"open": len(letters), "causes": dict(Counter(letter.fingerprint for letter in letters))},
        after={"closed": [str(letter.id) for letter in letters[:RECORDED]], "seconds": seconds},
        batch_id=batch.id,
    )
    return batch


async def send_messages(pool: Pool, hints: Hints, batch: Batch) -> int:
    """Send a batch's messages, once it is committed; returns how many went out. The others' letters are open again.

    A message is a hint: should we die in here, the row that it speaks of is owed all the same.
    """
    unsent = []
    for letter in batch.messages:
        content: Any = letter.message
        if not await hints.send_again(letter.queue, content["actor"], content["args"], content.get("kwargs", {})):
            unsent.append(letter.id)
    if unsent:
        async with pool.acquire() as connection:
            await dead_letters.reopen(connection, unsent)
    return len(batch.messages) - len(unsent)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One event that was named. ``refused`` says why it was left as it is."""

    id: UUID
    event_id: str
    was: str
    refused: str | None = None


async def replay(
    tx: Tx, names: Sequence[str], *, by: Operator, reason: str, force: bool = False, per_second: float = PER_SECOND
) -> list[Replayed]:
    """Owe these events again, by our ids or the gateway's; those that are done only with ``force`` (F147)."""
    found = await event_search.find(tx, names)
    held = await webhook_events.hold(tx, [event.id for event in found])
    told = [
        Replayed(event.id, event.event_id, held.get(event.id, event.status), _refusal(held.get(event.id), force))
        for event in found
    ]
    chosen = [each for each in told if each.refused is None]
    letters = await dead_letters.find(tx, Selection(ids=tuple(str(each.id) for each in chosen)), limit=len(chosen))
    if chosen:
        await dead_letters.close(tx, [each.id for each in letters], state="retried", by=by.name, reason=reason)
        waits = [place / per_second for place in range(len(chosen))]
        await webhook_events.replay(tx, [each.id for each in chosen], waits, queue=BULK)
        await operator_actions.record(
            tx,
            by=by,
            action="events.replay",
            target={"named": list(names)[:RECORDED], "force": force},
            reason=reason,
            before={str(each.id): each.was for each in chosen[:RECORDED]},
            after={"status": "retry", "count": len(chosen)},
            batch_id=uuid4(),
        )
    return told


def _refusal(status: str | None, force: bool) -> str | None:  # noqa: FBT001 - one flag, handed on
    match status:
        case None:
            return "a worker has it in hand"
        case "done" if not force:
            return "it is done"
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What working an event now would do. ``before`` and ``after`` tell of its order, where it has one."""

    event_id: UUID
    worked: Worked
    reason: str | None
    order_id: UUID | None = None
    before: OrderStory | None = None
    after: OrderStory | None = None


async def rehearse(pool: Pool, desk: Desk, event_id: UUID) -> Rehearsal | None:
    """The same work in a transaction that is rolled back; None where the event is gone, or in a worker's hands."""
    async with asyncio.timeout(WORK_SECONDS), pool.acquire() as connection:
        rehearsal = connection.transaction()
        await rehearsal.start()
        try:
            after = await _play(connection, desk, event_id)
        finally:
            await rehearsal.rollback()
        if after is None or after.order_id is None:
            return after
        before = await story.of_order(connection, after.order_id)
        return Rehearsal(event_id, after.worked, after.reason, after.order_id, before, after.after)


async def _play(tx: Tx, desk: Desk, event_id: UUID) -> Rehearsal | None:
    claimed = await webhook_events.seize(tx, event_id)
    if claimed is None:
        return None
    try:
        result = await work_claimed(tx, desk, claimed)
    except Exception as error:  # noqa: BLE001 - how it would fail is what was asked
        failed = trouble_with_event(error, claimed.event_type)
        ends = Worked.RETRY if failed.trouble_class is TroubleClass.TRANSIENT else Worked.DEAD
        return Rehearsal(event_id, ends, f"{failed.error_class}: {failed.error}")
    after = await story.of_order(tx, result.order_id) if result.order_id else None
    return Rehearsal(event_id, result.worked, result.reason, result.order_id, None, after)
