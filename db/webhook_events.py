"""What the gateways told us: keep it once, claim it, finish it, and find what is still owed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from db.ids import new_id
from db.pool import Tx
from db.work_attempts import Life, Trouble

#: A hint that was lost is repeated by the sweep after this long; long enough for a busy queue to reach it first.
FIRST_HINT_SECONDS = 2.0

#: Where an event is worked unless somebody puts it elsewhere.
HOME_QUEUE = "webhooks"


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
    """An event under lock until the transaction ends. ``claimed_at`` is the database's time.

    ``hint_count`` counts how often the sweep has repeated its hint, ``begun`` the attempts since the last one that
    came to an end, ``crashes`` the processes that it has ended while it was alone in them.
    """

    id: UUID
    gateway: str
    account: str
    livemode: bool | None
    event_id: str
    event_type: str
    raw: bytes = field(repr=False)
    epoch: int
    retry_count: int
    hint_count: int
    begun: int
    crashes: int
    claimed_at: datetime


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

    A dead one is woken too, to a new life: a person who resends it from the gateway's dashboard wants it worked.
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


async def reserve(tx: Tx, event: UUID) -> bool:
    """Keep the event to this connection across several transactions; False: another has it.

    Held until the connection goes back to its pool, whose reset frees it, or ends: a worker that dies keeps nothing.
    """
    ours = "SELECT pg_try_advisory_lock(hashtextextended('webhook event ' || $1::uuid, 20261122))"
    return bool(await tx.fetchval(ours, event))


async def claim(tx: Tx, event: UUID, *, leased: bool = False, reserved: bool = False) -> Claimed | None:
    """Take the event for this transaction, or None: done, not due yet, paused, or in another worker's hands.

    ``leased``: it is claimed under a lease of our own, which is why it is not due. ``reserved``: it is ours, so whoever
    has its row (a sweep, a redelivery) is waited for.
    """
    row = await tx.fetchrow(
        f"""
        SELECT id, gateway, account, livemode, event_id, event_type, payload_raw AS raw, epoch, retry_count,
               hint_count, begun, crashes, clock_timestamp() AS claimed_at
          FROM webhook_events
         WHERE id = $1 AND status IN ('received', 'retry') AND (next_attempt_at <= now() OR $2)
           AND NOT is_paused(queue)
           FOR UPDATE {"" if reserved else "SKIP LOCKED"}
        """,  # noqa: S608 - one of two words of ours
        event,
        leased,
    )
    return Claimed(**row) if row else None


async def seize(tx: Tx, event: UUID) -> Claimed | None:
    """Take the event whatever has become of it, to try its work once more; None: in other hands, or gone."""
    row = await tx.fetchrow(
        """
        SELECT id, gateway, account, livemode, event_id, event_type, payload_raw AS raw, epoch, retry_count,
               hint_count, begun, crashes, clock_timestamp() AS claimed_at
          FROM webhook_events WHERE id = $1 FOR UPDATE SKIP LOCKED
        """,
        event,
    )
    return Claimed(**row) if row else None


async def mark_begun(tx: Tx, event: UUID) -> None:
    """Say that an attempt begins; committed before it does, since one that ends its process says nothing more."""
    await tx.execute("UPDATE webhook_events SET begun = begun + 1 WHERE id = $1", event)


async def take_back_begun(tx: Tx, event: UUID) -> None:
    """The attempt did not begin after all."""
    await tx.execute("UPDATE webhook_events SET begun = greatest(begun - 1, 0) WHERE id = $1", event)


async def lease(tx: Tx, event: UUID, *, seconds: float) -> None:
    """Leave the claimed event to one process alone, for so long. If nobody says how it went, it is owed again then."""
    await tx.execute(
        """
        UPDATE webhook_events SET next_attempt_at = now() + $2::interval, next_hint_at = now() + $2::interval
         WHERE id = $1
        """,
        event,
        timedelta(seconds=seconds),
    )


async def give_back(tx: Tx, claimed: Claimed) -> None:
    """End its lease, where nothing else has been written since: it is owed again at once."""
    await tx.execute(
        """
        UPDATE webhook_events SET next_attempt_at = now(), next_hint_at = now()
         WHERE id = $1 AND epoch = $2 AND retry_count = $3 AND status IN ('received', 'retry')
        """,
        claimed.id,
        claimed.epoch,
        claimed.retry_count,
    )


async def count_crash(tx: Tx, event: UUID) -> bool:
    """Count an attempt alone as a crash before it begins, or False: nothing is owed any more.

    Taken back when it ends. So it is counted even where the whole machine ends with it, and nobody is left to look.
    """
    counted = await tx.execute(
        "UPDATE webhook_events SET crashes = crashes + 1 WHERE id = $1 AND status IN ('received', 'retry')", event
    )
    return counted == "UPDATE 1"


async def take_back_crash(tx: Tx, event: UUID, *, epoch: int) -> None:
    """The attempt alone came to an end, whichever."""
    await tx.execute(
        "UPDATE webhook_events SET crashes = greatest(crashes - 1, 0) WHERE id = $1 AND epoch = $2", event, epoch
    )


async def look(tx: Tx, event: UUID) -> Life | None:
    """How it stands now, under lock until the transaction ends; None once it was pruned."""
    row = await tx.fetchrow("SELECT status, epoch, crashes FROM webhook_events WHERE id = $1 FOR UPDATE", event)
    return Life(**row) if row else None


async def finish(tx: Tx, event: UUID, reason: str, *, order_id: UUID | None = None) -> None:
    """Worked: written in the same transaction as its effects, so that done means done."""
    await tx.execute(
        """
        UPDATE webhook_events
           SET status = 'done', reason = $2, processed_at = now(), next_attempt_at = NULL, begun = 0,
               error_class = NULL, last_error = NULL, order_id = coalesce($3, order_id)
         WHERE id = $1
        """,
        event,
        reason,
        order_id,
    )


async def ignore(tx: Tx, event: UUID, reason: str) -> None:
    """Kept, and nothing to do for it, for a reason that stands in the row."""
    await tx.execute(
        """
        UPDATE webhook_events
           SET status = 'ignored', reason = $2, processed_at = NULL, next_attempt_at = NULL, begun = 0 WHERE id = $1
        """,
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


async def postpone(
    tx: Tx, event: UUID, *, delay_seconds: float, error_class: str, error: str, order_id: UUID | None = None
) -> None:
    """Owed again after a delay. Counts an attempt, which came to an end."""
    await tx.execute(
        """
        UPDATE webhook_events
           SET status = 'retry', retry_count = retry_count + 1, begun = 0, error_class = $3, last_error = $4,
               next_attempt_at = now() + $2::interval, next_hint_at = now() + $2::interval,
               order_id = coalesce($5, order_id)
         WHERE id = $1 AND status IN ('received', 'retry')
        """,
        event,
        timedelta(seconds=delay_seconds),
        error_class,
        error,
        order_id,
    )


async def bury(tx: Tx, event: UUID, trouble: Trouble, *, order_id: UUID | None = None) -> None:
    """Dead, with its letter: nobody tries again until a person, or a new delivery, says so."""
    await tx.execute(
        """
        WITH buried AS (
            UPDATE webhook_events
               SET status = 'dead', reason = $3, retry_count = retry_count + 1, begun = 0, error_class = $3,
                   last_error = coalesce($6, $4), next_attempt_at = NULL, order_id = coalesce($7, order_id)
             WHERE id = $1 AND status IN ('received', 'retry')
            RETURNING id, epoch, queue, event_type, gateway, retry_count
        )
        INSERT INTO dead_letters (source, source_id, epoch, queue, what, gateway, order_id, class, error_class, error,
                                  fingerprint, attempts)
        SELECT 'webhook_event', id::text, epoch, queue, event_type, gateway, $7, $2, $3, $4, $5, retry_count
          FROM buried
        """,
        event,
        trouble.trouble_class.value,
        trouble.error_class,
        trouble.error,
        trouble.fingerprint,
        trouble.traceback,
        order_id,
    )


async def hold(tx: Tx, events: Sequence[UUID]) -> dict[UUID, str]:
    """Those of them that are in nobody else's hands, each with its status, under lock until the transaction ends."""
    rows = await tx.fetch(
        "SELECT id, status FROM webhook_events WHERE id = ANY ($1::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED",
        list(events),
    )
    return {row["id"]: row["status"] for row in rows}


async def replay(tx: Tx, events: Sequence[UUID], waits: Sequence[float], *, queue: str) -> None:
    """Owed again, each after its wait in seconds, in a new life and in this queue: whatever had become of them."""
    await tx.execute(
        """
        UPDATE webhook_events e
           SET status = 'retry', reason = NULL, processed_at = NULL, queue = $3, epoch = epoch + 1, retry_count = 0,
               hint_count = 0, begun = 0, crashes = 0, next_attempt_at = now() + r.wait * interval '1 s',
               next_hint_at = now() + r.wait * interval '1 s'
          FROM unnest($1::uuid[], $2::float8[]) AS r (id, wait)
         WHERE e.id = r.id
        """,
        list(events),
        list(waits),
        queue,
    )


async def overdue(tx: Tx, *, limit: int, again_seconds: float, queue: str = HOME_QUEUE) -> list[UUID]:
    """Events that are owed and whose last hint has come to nothing; each is left alone for ``again_seconds``.

    Counted: what has been hinted before may be what ended the process that took it.
    """
    rows = await tx.fetch(
        """
        UPDATE webhook_events SET next_hint_at = now() + $2::interval, hint_count = hint_count + 1
         WHERE id IN (
            SELECT id FROM webhook_events
             WHERE queue = $3 AND NOT is_paused($3)
               AND status IN ('received', 'retry') AND next_hint_at <= now() AND next_attempt_at <= now()
             ORDER BY next_hint_at LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        limit,
        timedelta(seconds=again_seconds),
        queue,
    )
    return [row["id"] for row in rows]


async def long_owed(tx: Tx, *, limit: int, seconds: float, queue: str = HOME_QUEUE) -> list[UUID]:
    """Events that have been owed for so long that no hint can have reached a worker; the longest owed first."""
    rows = await tx.fetch(
        """
        SELECT id FROM webhook_events
         WHERE queue = $3 AND NOT is_paused($3)
           AND status IN ('received', 'retry') AND next_attempt_at <= now() - $2::interval
         ORDER BY next_attempt_at LIMIT $1
        """,
        limit,
        timedelta(seconds=seconds),
        queue,
    )
    return [row["id"] for row in rows]
