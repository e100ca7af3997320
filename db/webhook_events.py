"""What the gateways told us: keep it once, claim it, finish it, and find what is still owed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from db.ids import new_id
from db.pool import Tx

#: A hint that was lost is repeated by the sweep after this long; long enough for a busy queue to reach it first.
FIRST_HINT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """One verified delivery, ready to be kept: ``event_key`` recognises it, ``event_id`` is what the gateway says."""

    gateway: str
    account: str
    livemode: bool | None
    event_id: str
    event_key: str
    event_type: str
    api_version: str | None
    raw: bytes
    payload_hash: str
    signature_headers: dict[str, str]
    secret_id: str
    gateway_created_at: datetime | None
    ignored_because: str | None = None
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Twin:
    """A row we already hold under the same key or with the same bytes. ``raw`` is None once it was pruned."""

    id: UUID
    same_body: bool
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A counted repeat; ``owed`` says that its work is not done, so that the caller wakes it again."""

    id: UUID
    owed: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event under lock until the transaction ends."""

    id: UUID
    gateway: str
    account: str
    livemode: bool | None
    event_id: str
    event_type: str
    raw: bytes
    retry_count: int


async def keep(tx: Tx, arrivals: Sequence[Arrival]) -> set[UUID]:
    """Write what is new, in one statement; returns the ids that were. The others are already held: see ``twins``.

    Keys are inserted sorted, so that two batches that share keys wait for each other in one order only.
    """
    rows = sorted(arrivals, key=lambda a: (a.gateway, a.account, a.event_key, a.payload_hash))
    kept = await tx.fetch(
        """
        WITH arrived AS (
            SELECT * FROM unnest(
                $1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::bytea[], $10::text[], $11::jsonb[], $12::text[], $13::timestamptz[], $14::text[]
            ) AS a (id, gateway, account, livemode, event_id, event_key, event_type, api_version,
                    raw, hash, headers, secret_id, created, ignored_because)
        ), keyed AS (
            INSERT INTO webhook_keys (gateway, account, livemode, event_key, payload_hash, webhook_event_id)
            SELECT gateway, account, livemode, event_key, hash, id FROM arrived
            ON CONFLICT DO NOTHING
            RETURNING webhook_event_id
        )
        INSERT INTO webhook_events (id, gateway, account, livemode, event_id, event_type, api_version, status, reason,
                                    payload, payload_raw, payload_hash, signature_headers, secret_id,
                                    gateway_created_at, next_attempt_at, next_hint_at)
        SELECT id, gateway, account, livemode, event_id, event_type, api_version,
               CASE WHEN ignored_because IS NULL THEN 'received' ELSE 'ignored' END, ignored_because,
               jsonb_or_null(raw), raw, hash, headers, secret_id, created,
               CASE WHEN ignored_because IS NULL THEN now() END, now() + $15::interval
          FROM arrived JOIN keyed ON webhook_event_id = id
        RETURNING id
        """,
        [r.id for r in rows],
        [r.gateway for r in rows],
        [r.account for r in rows],
        [r.livemode for r in rows],
        [r.event_id for r in rows],
        [r.event_key for r in rows],
        [r.event_type for r in rows],
        [r.api_version for r in rows],
        [r.raw for r in rows],
        [r.payload_hash for r in rows],
        [r.signature_headers for r in rows],
        [r.secret_id for r in rows],
        [r.gateway_created_at for r in rows],
        [r.ignored_because for r in rows],
        timedelta(seconds=FIRST_HINT_SECONDS),
    )
    return {row["id"] for row in kept}


async def twin(tx: Tx, arrival: Arrival) -> Twin | None:
    """What we hold that this delivery repeats or contradicts; the same bytes before the same id."""
    row = await tx.fetchrow(
        """
        SELECT k.webhook_event_id, k.payload_hash = $5 AS same_body, e.payload_raw
          FROM webhook_keys k LEFT JOIN webhook_events e ON e.id = k.webhook_event_id
         WHERE k.gateway = $1
           AND (k.payload_hash = $5 OR (k.account = $2 AND k.livemode IS NOT DISTINCT FROM $3 AND k.event_key = $4))
         ORDER BY same_body DESC LIMIT 1
        """,
        arrival.gateway,
        arrival.account,
        arrival.livemode,
        arrival.event_key,
        arrival.payload_hash,
    )
    return Twin(row["webhook_event_id"], row["same_body"], row["payload_raw"]) if row else None


async def count_delivery(tx: Tx, event: UUID) -> Delivery:
    """Count a repeat, and make an event that is not done owed again: we dedupe on done, never on seen.

    A dead one is woken too: a person who resends it from the gateway's dashboard wants it worked.
    """
    row = await tx.fetchrow(
        """
        UPDATE webhook_events
           SET deliveries = deliveries + 1, last_delivery_at = now(),
               status = CASE WHEN status <> 'received' AND is_wakeable(status, reason) THEN 'retry' ELSE status END,
               reason = CASE WHEN is_wakeable(status, reason) THEN NULL ELSE reason END,
               next_attempt_at = CASE WHEN is_wakeable(status, reason) THEN now() END,
               next_hint_at = now() + $2::interval
         WHERE id = $1
        RETURNING status IN ('received', 'retry') AS owed
        """,
        event,
        timedelta(seconds=FIRST_HINT_SECONDS),
    )
    return Delivery(event, owed=bool(row and row["owed"]))


async def claim(tx: Tx, event: UUID) -> Claimed | None:
    """Take the event for this transaction, or None: done, not due yet, or in another worker's hands."""
    row = await tx.fetchrow(
        """
        SELECT id, gateway, account, livemode, event_id, event_type, payload_raw, retry_count
          FROM webhook_events
         WHERE id = $1 AND status IN ('received', 'retry') AND next_attempt_at <= now()
           FOR UPDATE SKIP LOCKED
        """,
        event,
    )
    if row is None:
        return None
    return Claimed(
        id=row["id"],
        gateway=row["gateway"],
        account=row["account"],
        livemode=row["livemode"],
        event_id=row["event_id"],
        event_type=row["event_type"],
        raw=row["payload_raw"],
        retry_count=row["retry_count"],
    )


async def finish(tx: Tx, event: UUID, reason: str) -> None:
    """Worked: written in the same transaction as its effects, so that done means done."""
    await tx.execute(
        """
        UPDATE webhook_events
           SET status = 'done', reason = $2, processed_at = now(), next_attempt_at = NULL,
               error_class = NULL, last_error = NULL
         WHERE id = $1
        """,
        event,
        reason,
    )


async def ignore(tx: Tx, event: UUID, reason: str) -> None:
    """Kept, and nothing to do for it, for a reason that stands in the row."""
    await tx.execute(
        "UPDATE webhook_events SET status = 'ignored', reason = $2, next_attempt_at = NULL WHERE id = $1",
        event,
        reason,
    )


async def park(tx: Tx, event: UUID, names: Sequence[str]) -> None:
    """Ignored as ``unmatched``, to be woken by the transaction that stores one of these names.

    The caller holds ``references.lock`` on the names and has looked them up under it.
    """
    await tx.execute(
        "INSERT INTO unmatched_references (reference, webhook_event_id) SELECT n, $2 FROM unnest($1::text[]) AS n "
        "ON CONFLICT DO NOTHING",
        list(names),
        event,
    )
    await ignore(tx, event, "unmatched")


async def postpone(tx: Tx, event: UUID, *, delay_seconds: float, error_class: str, error: str) -> None:
    """Owed again after a delay. Counts an attempt."""
    await tx.execute(
        """
        UPDATE webhook_events
           SET status = 'retry', retry_count = retry_count + 1, error_class = $3, last_error = $4,
               next_attempt_at = now() + $2::interval, next_hint_at = now() + $2::interval
         WHERE id = $1 AND status IN ('received', 'retry')
        """,
        event,
        timedelta(seconds=delay_seconds),
        error_class,
        error,
    )


async def bury(tx: Tx, event: UUID, *, error_class: str, error: str) -> None:
    """Dead: nobody tries again until a person, or a new delivery, says so. Open dead letters never expire."""
    await tx.execute(
        """
        UPDATE webhook_events
           SET status = 'dead', reason = $2, retry_count = retry_count + 1, error_class = $2, last_error = $3,
               next_attempt_at = NULL
         WHERE id = $1 AND status IN ('received', 'retry')
        """,
        event,
        error_class,
        error,
    )


async def overdue(tx: Tx, *, limit: int, again_seconds: float) -> list[UUID]:
    """Events that are owed and whose last hint has come to nothing; each is left alone for ``again_seconds``."""
    rows = await tx.fetch(
        """
        UPDATE webhook_events SET next_hint_at = now() + $2::interval
         WHERE id IN (
            SELECT id FROM webhook_events
             WHERE status IN ('received', 'retry') AND next_hint_at <= now() AND next_attempt_at <= now()
             ORDER BY next_hint_at LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        limit,
        timedelta(seconds=again_seconds),
    )
    return [row["id"] for row in rows]


async def long_owed(tx: Tx, *, limit: int, seconds: float) -> list[UUID]:
    """Events that have been owed for so long that no hint can have reached a worker; the longest owed first."""
    rows = await tx.fetch(
        """
        SELECT id FROM webhook_events
         WHERE status IN ('received', 'retry') AND next_attempt_at <= now() - $2::interval
         ORDER BY next_attempt_at LIMIT $1
        """,
        limit,
        timedelta(seconds=seconds),
    )
    return [row["id"] for row in rows]
