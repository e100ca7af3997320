"""What nobody tries again until a person says so: found by cause, closed with a name and a reason, never forgotten.

Events and effects write their letters with their death (``bury``). Messages that Dramatiq gave up are written here by
``dead_messages``. Whoever takes rows and letters takes the rows first: a redelivery closes the letter of its row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from db.pool import Tx

State = Literal["open", "retried", "discarded"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those that fit every field that is given.

    ``ids`` are ours, of the letter or of its row, or a gateway's event id. ``what`` is an event's type, an effect's
    kind or an actor's name. ``since`` and ``until`` speak of the death.
    """

    ids: tuple[str, ...] = ()
    source: str | None = None
    gateway: str | None = None
    what: str | None = None
    trouble_class: str | None = None
    fingerprint: str | None = None
    queue: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_everything(self) -> bool:
        """Nothing is named, so that every open letter is meant: the desk asks once more."""
        return self == Selection()

    def told(self) -> dict[str, Any]:
        """What was given, as JSON."""
        given = {name: value for name, value in asdict(self).items() if value}
        return {name: v.isoformat() if isinstance(v, datetime) else v for name, v in given.items()}


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. ``message`` is what it takes to send a message again; None for events and effects."""

    id: UUID
    source: str
    source_id: str
    epoch: int
    queue: str
    what: str
    gateway: str | None
    order_id: UUID | None
    trouble_class: str
    error_class: str
    error: str
    fingerprint: str
    attempts: int
    message: Mapping[str, Any] | None = field(repr=False)
    state: State
    created_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    closed_reason: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """Open letters with one cause. ``sample`` is the newest of them."""

    fingerprint: str
    source: str
    what: str
    trouble_class: str
    error_class: str
    error: str
    count: int
    first_at: datetime
    last_at: datetime
    sample: UUID


async def find(
    tx: Tx, selection: Selection, *, limit: int, state: State | None = "open", after: UUID | None = None
) -> list[Letter]:
    """The letters that are meant, the oldest first; those after a letter that was shown before. Locks nothing."""
    rows = await tx.fetch(
        """
        SELECT id, source, source_id, epoch, queue, what, gateway, order_id, class AS trouble_class, error_class,
               error, fingerprint, attempts, message, state, created_at, closed_at, closed_by, closed_reason
          FROM dead_letters l
         WHERE ($1::text IS NULL OR state = $1)
           AND (cardinality($2::text[]) = 0 OR id::text = ANY ($2) OR source_id = ANY ($2)
                OR (source = 'webhook_event'
                    AND source_id IN (SELECT e.id::text FROM webhook_events e WHERE e.event_id = ANY ($2))))
           AND ($3::text IS NULL OR source = $3)
           AND ($4::text IS NULL OR gateway = $4)
           AND ($5::text IS NULL OR what = $5)
           AND ($6::text IS NULL OR class = $6)
           AND ($7::text IS NULL OR fingerprint = $7)
           AND ($8::text IS NULL OR queue = $8)
           AND ($9::timestamptz IS NULL OR created_at >= $9)
           AND ($10::timestamptz IS NULL OR created_at < $10)
           AND ($11::uuid IS NULL
                OR (created_at, id) > (SELECT a.created_at, a.id FROM dead_letters a WHERE a.id = $11))
         ORDER BY created_at, id LIMIT $12
        """,
        state,
        list(selection.ids),
        selection.source,
        selection.gateway,
        selection.what,
        selection.trouble_class,
        selection.fingerprint,
        selection.queue,
        selection.since,
        selection.until,
        after,
        limit,
    )
    return [Letter(**row) for row in rows]


async def group(tx: Tx, *, limit: int = 100) -> list[Group]:
    """The open letters by cause, the most frequent first."""
    rows = await tx.fetch(
        """
        SELECT fingerprint, source, what, class AS trouble_class, error_class, count(*) AS count,
               min(created_at) AS first_at, max(created_at) AS last_at,
               (array_agg(id ORDER BY created_at DESC, id))[1] AS sample,
               (array_agg(error ORDER BY created_at DESC, id))[1] AS error
          FROM dead_letters WHERE state = 'open'
         GROUP BY fingerprint, source, what, class, error_class
         ORDER BY count DESC, last_at DESC, fingerprint LIMIT $1
        """,
        limit,
    )
    return [Group(**row) for row in rows]


async def show(tx: Tx, name: str) -> Letter | None:
    """One letter by any id that ``Selection`` takes, open or closed; of several the newest."""
    letters = await find(tx, Selection(ids=(name,)), limit=1000, state=None)
    return letters[-1] if letters else None


async def count_open(tx: Tx) -> int:
    """How many wait for a person."""
    count: int = await tx.fetchval("SELECT count(*) FROM dead_letters WHERE state = 'open'")
    return count


async def close(tx: Tx, letters: Sequence[UUID], *, state: State, by: str, reason: str) -> set[UUID]:
    """Close those of them that are open and in nobody else's hands; returns which."""
    rows = await tx.fetch(
        """
        UPDATE dead_letters SET state = $2, closed_at = now(), closed_by = $3, closed_reason = $4
         WHERE id IN (SELECT id FROM dead_letters WHERE id = ANY ($1::uuid[]) AND state = 'open'
                       ORDER BY id FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        list(letters),
        state,
        by,
        reason,
    )
    return {row["id"] for row in rows}


async def reopen(tx: Tx, letters: Sequence[UUID]) -> None:
    """What was to be done with them could not be: they wait for a person as before."""
    await tx.execute(
        """
        UPDATE dead_letters SET state = 'open', closed_at = NULL, closed_by = NULL, closed_reason = NULL
         WHERE id = ANY ($1::uuid[]) AND state = 'retried'
        """,
        list(letters),
    )
