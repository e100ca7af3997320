"""What no webhook has told us, from the gateways' own lists: events into the same inbox, payments to the same rules.

1. A list is read from where the last run has come to, less an overlap: what a gateway lists late is not missed (F110).
2. It ends a minute ago, since lists lag behind.
3. Windows of time follow each other, the oldest first. The cursor moves on when a window has been read to its end, and
   never past one that was cut short (F109). Nothing is skipped for being known: a hole lies behind known ones (F111).
   A cursor ahead of now says nothing: the list is read again as far back as it goes.
4. Every insert can be repeated: what we hold already stays as it is. A second run finds nothing new (F108).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

import structlog

from db import backfilled, cursors, orphans, webhook_events
from db.history import Cause
from db.pool import Pool
from db.webhook_events import Arrival
from gateways.client import BACKGROUND, Client, GatewayPayment, Patience, Refused, Unknown
from gateways.gateway import Json
from gateways.registry import GATEWAYS
from payments.events import Observed
from payments.payment import Sighting, advance
from workers.apply import Applied, Book, apply, payment_told
from workers.fetched_events import as_arrival
from workers.hints import Hints
from workers.queues import SEND_EFFECT, WORK_WEBHOOK_EVENT
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

Item = TypeVar("Item")

#: As far back as Stripe lists its events. What is older is gone there; recovery still asks about its orders.
KEPT_FOR = timedelta(days=30)

#: How late an event may appear in its list.
EVENTS_OVERLAP = timedelta(minutes=10)

#: A payment is listed by when it was begun, which says nothing of when it is paid. Where money may come late, the
#: overlap is as long as that: what was listed as begun, and then paid without a word, is met again.
PAYMENTS_OVERLAP = timedelta(hours=1)

TAIL = timedelta(minutes=1)
WINDOW = timedelta(days=1)

#: Rows that share one transaction.
BATCH = 100


@dataclass(frozen=True, slots=True)
class Backfilled:
    """``seen`` were listed, ``kept`` are new to us. ``complete``: every list was read to its end, without a hole."""

    seen: int = 0
    kept: int = 0
    complete: bool = True

    def __add__(self, other: Backfilled) -> Backfilled:
        return Backfilled(self.seen + other.seen, self.kept + other.kept, self.complete and other.complete)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading one gateway's lists needs."""

    pool: Pool
    client: Client
    hints: Hints
    book: Book
    cause: Cause
    patience: Patience


async def backfill_events(
    pool: Pool, clients: Mapping[str, Client], hints: Hints, book: Book, run: str, *, patience: Patience = BACKGROUND
) -> Backfilled:
    """Read every gateway's list since the last run. ``run`` names the run where a payment's history begins with it."""
    total = Backfilled()
    async with pool.acquire() as connection:
        book = await set_right(connection, book)
    for client in clients.values():
        reading = _Reading(pool, client, hints, book, Cause("reconciliation", run), patience)
        total += await (_read_events(reading) if client.lists_events else _read_payments(reading))
    if total.kept or not total.complete:
        log.info("events.backfilled", run=run, seen=total.seen, kept=total.kept, complete=total.complete)
    return total


# --- events ---


async def _read_events(reading: _Reading) -> Backfilled:
    """What came since the last run; and, in case of doubt, whatever the gateway could not deliver."""

    async def read(since: datetime, until: datetime) -> Backfilled:
        return await _keep_events(reading, reading.client.list_events(since, until, reading.patience))

    now = reading.book.clock()
    recent = await _read_on(reading, f"{reading.client.name}.events", EVENTS_OVERLAP, read, is_kept_for=KEPT_FOR)
    undelivered = reading.client.list_events(now - KEPT_FOR, now - TAIL, reading.patience, only_undelivered=True)
    return recent + await _keep_events(reading, undelivered)


async def _keep_events(reading: _Reading, listed: AsyncIterator[Json | Refused | Unknown]) -> Backfilled:
    """Keep what is new. Stripe lists the newest first (docs.stripe.com/api/events/list); we work the oldest first."""
    gateway = GATEWAYS[reading.client.name]
    total, new = Backfilled(), list[UUID]()
    async for batch in _batches(listed):
        events = [event for event in batch if not isinstance(event, Refused | Unknown)]
        arrivals = [as_arrival(gateway, event) for event in events]
        # An endpoint is not subscribed to what nobody works; its list cannot be told so.
        wanted = [arrival for arrival in arrivals if arrival.event_type in gateway.event_types]
        kept = await _keep(reading, wanted)
        new += kept
        total += Backfilled(len(events), len(kept), complete=len(events) == len(batch))
    for event in reversed(new):
        reading.hints.offer(WORK_WEBHOOK_EVENT, event)
    return total


async def _keep(reading: _Reading, arrivals: Sequence[Arrival]) -> list[UUID]:
    """Those that are new to us, in the order of the list."""
    async with reading.pool.acquire() as connection, connection.transaction():
        new = await webhook_events.keep(connection, arrivals)
        await backfilled.mark(connection, new)
    return [arrival.id for arrival in arrivals if arrival.id in new]


# --- payments, where a gateway lists no events ---


async def _read_payments(reading: _Reading) -> Backfilled:
    async def read(since: datetime, until: datetime) -> Backfilled:
        return await _apply_payments(reading, reading.client.list_payments(since, until, reading.patience))

    overlap = max(PAYMENTS_OVERLAP, reading.client.late_for)
    return await _read_on(reading, f"{reading.client.name}.payments", overlap, read)


async def _apply_payments(reading: _Reading, listed: AsyncIterator[GatewayPayment | Refused | Unknown]) -> Backfilled:
    total = Backfilled()
    async for batch in _batches(listed):
        payments = [payment for payment in batch if isinstance(payment, GatewayPayment)]
        facts = [payment.observed for payment in payments if isinstance(payment.observed, Observed)]
        applied = [await _apply(reading, fact) for fact in await _news(reading, facts)]
        is_whole = len(payments) == len(batch) and None not in applied
        total += Backfilled(len(payments), sum(filter(None, applied)), complete=is_whole)
    return total


async def _news(reading: _Reading, facts: Sequence[Observed]) -> list[Observed]:
    """Those that take a payment further than we know it to be."""
    told = [(fact, seen) for fact in facts if (seen := payment_told(fact.event)) is not None]
    async with reading.pool.acquire() as connection:
        known = await orphans.known(connection, reading.client.name, [seen for _, seen in told])

    def is_news(seen: Sighting) -> bool:
        before = known.get(seen.gateway_payment_id)
        return before is None or advance(before, seen.status) is not before

    return [fact for fact, seen in told if is_news(seen)]


async def _apply(reading: _Reading, fact: Observed) -> bool | None:
    """Whether it was about an order of ours; None for an error of ours, which must not keep the others from us."""
    try:
        async with reading.pool.acquire() as connection, connection.transaction():
            applied = await apply(connection, fact, reading.cause, reading.book)
    except Exception as error:  # noqa: BLE001 - the cursor stays, so that it is tried again
        log.error("payment.not_applied", gateway=fact.gateway, error_class=type(error).__name__)  # noqa: TRY400
        return None
    if not isinstance(applied, Applied):
        return False
    for effect in applied.effects:
        reading.hints.offer(SEND_EFFECT, effect)
    return True


# --- windows of time ---


async def _read_on(
    reading: _Reading,
    cursor: str,
    overlap: timedelta,
    read: Callable[[datetime, datetime], Awaitable[Backfilled]],
    *,
    is_kept_for: timedelta = timedelta.max,
) -> Backfilled:
    """From where the last run has come to, up to a minute ago; no further than the first window that was cut short."""
    now = reading.book.clock()
    async with reading.pool.acquire() as connection:
        reached = await cursors.read(connection, cursor)
        is_ahead = reached is not None and reached > now
        begins = now - KEPT_FOR if reached is None or is_ahead else reached
        if reached is not None and is_ahead:
            # Written while a clock was ahead. How far the list had been read by then, nobody knows.
            await cursors.set_back(connection, cursor, reached, begins)
            log.warning("backfill.cursor_was_ahead", cursor=cursor, reached=reached.isoformat())
    is_gap = now - begins > is_kept_for
    if is_gap:
        log.warning("backfill.gap", cursor=cursor, since=begins.isoformat())
    total = Backfilled(complete=not is_gap and not is_ahead)
    for since, until in _windows(begins - overlap, now - TAIL):
        window = await read(since, until)
        total += window
        if not window.complete:
            break
        async with reading.pool.acquire() as connection:
            await cursors.advance(connection, cursor, until)
    return total


def _windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + WINDOW, until)
        yield since, end
        since = end


async def _batches(items: AsyncIterator[Item]) -> AsyncIterator[list[Item]]:
    batch: list[Item] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
