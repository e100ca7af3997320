"""A gateway's lists, read on in windows of time from where the last run has come to, and brought to the rules.

1. A list is read from where the last run has come to, less an overlap: what a gateway lists late is not missed (F110).
2. It ends a minute ago, since lists lag behind.
3. Windows of time follow each other, the oldest first. The cursor moves on when a window has been read to its end, and
   never past one that was cut short (F109). Nothing is skipped for being known: a hole lies behind known ones (F111).
   A cursor ahead of now says nothing: the list is read again as far back as it goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from db import cursors
from db.history import Cause
from db.pool import Pool
from gateways.client import Client, DisputeState, GatewayPayment, Patience, PayoutState, RefundState, Refused, Unknown
from gateways.gateway import Unhandled
from payments.events import Observed
from payments.order import Early, Stale
from workers.apply import Applied, Book, apply
from workers.hints import Hints
from workers.money_back import MISMATCH
from workers.queues import SEND_EFFECT

log = structlog.get_logger(__name__)

Item = TypeVar("Item")

#: What is listed besides events: the gateway's own objects.
Listed = GatewayPayment | RefundState | DisputeState | PayoutState | Unhandled

#: As far back as Stripe lists its events. What is older is gone there; recovery still asks about its orders.
KEPT_FOR = timedelta(days=30)

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
class Reading:
    """What reading one gateway's lists needs."""

    pool: Pool
    client: Client
    hints: Hints
    book: Book
    cause: Cause
    patience: Patience


#: Of these facts, those that say more than we know.
News = Callable[[Reading, Sequence[Observed]], Awaitable[list[Observed]]]


async def read_on(
    reading: Reading,
    what: str,
    overlap: timedelta,
    read: Callable[[datetime, datetime], Awaitable[Backfilled]],
    *,
    is_kept_for: timedelta = timedelta.max,
) -> Backfilled:
    """From where the last run has come to, up to a minute ago; no further than the first window that was cut short."""
    now, cursor = reading.book.clock(), f"{reading.client.name}.{what}"
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


async def apply_news(
    reading: Reading, listed: AsyncIterator[Listed | Refused | Unknown], choose_news: News
) -> Backfilled:
    """Apply what is listed as its webhook would have been."""
    total = Backfilled()
    async for batch in in_batches(listed):
        found = [each for each in batch if not isinstance(each, Refused | Unknown)]
        facts = [fact for each in found if (fact := _fact(each)) is not None]
        applied = [await _apply(reading, fact) for fact in await choose_news(reading, facts)]
        is_whole = len(found) == len(batch) and None not in applied
        total += Backfilled(len(found), sum(filter(None, applied)), complete=is_whole)
    return total


async def in_batches(items: AsyncIterator[Item]) -> AsyncIterator[list[Item]]:
    batch: list[Item] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _fact(listed: Listed) -> Observed | None:
    """None where nothing has come of it yet, or it is not ours to read."""
    observed = None if isinstance(listed, Unhandled) else listed.observed
    return observed if isinstance(observed, Observed) else None


async def _apply(reading: Reading, fact: Observed) -> bool | None:
    """Whether it was news of our money; None for an error of ours, which must not keep the others from us."""
    try:
        async with reading.pool.acquire() as connection, connection.transaction():
            applied = await apply(connection, fact, reading.cause, reading.book)
    except Exception as error:  # noqa: BLE001 - the cursor stays, so that it is tried again
        log.error("listed.not_applied", gateway=fact.gateway, error_class=type(error).__name__)  # noqa: TRY400
        return None
    if not isinstance(applied, Applied):
        return False
    for effect in applied.effects:
        reading.hints.offer(SEND_EFFECT, effect)
    # What builds on something that we do not hold yet is met again, for as long as the overlap.
    return not isinstance(applied.outcome, Early | Stale) and applied.outcome != MISMATCH


def _windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    while since < until:
        end = min(since + WINDOW, until)
        yield since, end
        since = end
