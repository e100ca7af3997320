"""Kept events as a person looks for them: by any id, or by what they are; never their payload unless asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.ids import first_id_of
from db.pool import Tx


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are meant: those that fit every field that is given. ``order_id`` is of the order it concerns."""

    gateway: str | None = None
    event_type: str | None = None
    status: str | None = None
    reason: str | None = None
    queue: str | None = None
    order_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One event, in a line."""

    id: UUID
    gateway: str
    account: str
    livemode: bool | None
    event_id: str
    event_type: str
    api_version: str | None
    source: str
    status: str
    reason: str | None
    queue: str
    epoch: int
    retry_count: int
    crashes: int
    deliveries: int
    created_at: datetime
    last_delivery_at: datetime
    processed_at: datetime | None
    next_attempt_at: datetime | None
    error_class: str | None
    payload_hash: str


async def find(tx: Tx, names: Sequence[str]) -> list[Listed]:
    """Events by our id or the gateway's, the oldest first. One gateway id may name several: two modes, two contents."""
    rows = await tx.fetch(
        """
        SELECT id, gateway, account, livemode, event_id, event_type, api_version, source, status, reason, queue, epoch,
               retry_count, crashes, deliveries, created_at, last_delivery_at, processed_at, next_attempt_at,
               error_class, payload_hash
          FROM webhook_events WHERE event_id = ANY ($1::text[]) OR id = ANY ($2::uuid[]) ORDER BY id
        """,
        list(names),
        _ours(names),
    )
    return [Listed(**row) for row in rows]


async def newest(tx: Tx, wanted: EventFilter, *, limit: int = 50, before: UUID | None = None) -> list[Listed]:
    """The latest events that are meant, the newest first; those before one that was shown already."""
    rows = await tx.fetch(
        """
        SELECT id, gateway, account, livemode, event_id, event_type, api_version, source, status, reason, queue, epoch,
               retry_count, crashes, deliveries, created_at, last_delivery_at, processed_at, next_attempt_at,
               error_class, payload_hash
          FROM webhook_events
         WHERE ($1::text IS NULL OR gateway = $1)
           AND ($2::text IS NULL OR event_type = $2)
           AND ($3::text IS NULL OR status = $3)
           AND ($4::text IS NULL OR reason = $4)
           AND ($5::text IS NULL OR queue = $5)
           AND ($6::uuid IS NULL OR id IN (
                SELECT id FROM webhook_events WHERE order_id = $6
                UNION ALL
                SELECT cause_id::uuid FROM history
                 WHERE subject = 'order' AND subject_id = $6::text AND cause = 'webhook_event'))
           AND ($7::uuid IS NULL OR id >= $7) AND ($8::uuid IS NULL OR id < $8) AND ($9::uuid IS NULL OR id < $9)
         ORDER BY id DESC LIMIT $10
        """,
        wanted.gateway,
        wanted.event_type,
        wanted.status,
        wanted.reason,
        wanted.queue,
        wanted.order_id,
        first_id_of(wanted.since) if wanted.since else None,
        first_id_of(wanted.until) if wanted.until else None,
        before,
        limit,
    )
    return [Listed(**row) for row in rows]


def _ours(names: Sequence[str]) -> list[UUID]:
    """Those that have the shape of our ids: no other text may reach a cast."""
    ours = []
    for name in names:
        try:
            ours.append(UUID(name))
        except ValueError:
            continue
    return ours
