"""What no webhook has told us, from the gateways' own lists: events into the same inbox, objects to the same rules.

How a list is read, ``workers.listed`` says. Every insert can be repeated: what we hold already stays as it is. A second
run finds nothing new (F108).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from db import backfilled, disputes, money_back, orphans, payouts, webhook_events
from db.history import Cause
from db.pool import Pool
from db.webhook_events import Arrival
from gateways.client import BACKGROUND, Client, DisputeState, Patience, Refused, Unknown
from gateways.gateway import Json, Unhandled
from gateways.registry import GATEWAYS
from payments.disputing import ask_at, merge
from payments.events import DisputeTold, Observed, PayoutTold, RefundTold
from payments.payment import Sighting, advance, payment_told
from payments.refunding import may_move
from workers.apply import Book
from workers.fetched_events import as_arrival
from workers.hints import Hints
from workers.listed import KEPT_FOR, TAIL, Backfilled, Reading, apply_news, in_batches, read_on
from workers.queues import WORK_WEBHOOK_EVENT
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

#: How late an event may appear in its list.
EVENTS_OVERLAP = timedelta(minutes=10)

#: An object is listed by when it was begun, which says nothing of what became of it. Where money may come late, the
#: overlap is as long as that: a payment that was listed as begun, and then taken without a word, is met again.
OBJECTS_OVERLAP = timedelta(hours=1)


async def backfill_events(
    pool: Pool, clients: Mapping[str, Client], hints: Hints, book: Book, run: str, *, patience: Patience = BACKGROUND
) -> Backfilled:
    """Read every gateway's lists since the last run. ``run`` names the run where a history begins with it."""
    total = Backfilled()
    async with pool.acquire() as connection:
        book = await set_right(connection, book)
    for client in clients.values():
        reading = Reading(pool, client, hints, book, Cause("reconciliation", run), patience)
        total += await (_read_events(reading) if client.lists_events else _read_objects(reading))
    if total.kept or not total.complete:
        log.info("events.backfilled", run=run, seen=total.seen, kept=total.kept, complete=total.complete)
    return total


# --- events ---


async def _read_events(reading: Reading) -> Backfilled:
    """What came since the last run; and, in case of doubt, whatever the gateway could not deliver."""

    async def read(since: datetime, until: datetime) -> Backfilled:
        return await _keep_events(reading, reading.client.list_events(since, until, reading.patience))

    now = reading.book.clock()
    recent = await read_on(reading, "events", EVENTS_OVERLAP, read, is_kept_for=KEPT_FOR)
    undelivered = reading.client.list_events(now - KEPT_FOR, now - TAIL, reading.patience, only_undelivered=True)
    return recent + await _keep_events(reading, undelivered)


async def _keep_events(reading: Reading, listed: AsyncIterator[Json | Refused | Unknown]) -> Backfilled:
    """Keep what is new. Stripe lists the newest first (docs.stripe.com/api/events/list); we work the oldest first."""
    gateway = GATEWAYS[reading.client.name]
    total, new = Backfilled(), list[UUID]()
    async for batch in in_batches(listed):
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


async def _keep(reading: Reading, arrivals: Sequence[Arrival]) -> list[UUID]:
    """Those that are new to us, in the order of the list."""
    async with reading.pool.acquire() as connection, connection.transaction():
        new = await webhook_events.keep(connection, arrivals)
        await backfilled.mark(connection, new)
    return [arrival.id for arrival in arrivals if arrival.id in new]


# --- objects, where a gateway lists no events ---


async def _read_objects(reading: Reading) -> Backfilled:
    """Payments first: what goes back, or is disputed, is theirs."""
    client, patience = reading.client, reading.patience

    async def read_payments(since: datetime, until: datetime) -> Backfilled:
        return await apply_news(reading, client.list_payments(since, until, patience), _news_of_payments)

    async def read_refunds(since: datetime, until: datetime) -> Backfilled:
        return await apply_news(reading, client.list_refunds(since, until, patience), _news_of_refunds)

    async def read_disputes(since: datetime, until: datetime) -> Backfilled:
        listed = _asked_at(reading.book.clock(), client.list_disputes(since, until, patience))
        return await apply_news(reading, listed, _news_of_disputes)

    async def read_payouts(since: datetime, until: datetime) -> Backfilled:
        return await apply_news(reading, client.list_payouts(since, until, patience), _news_of_payouts)

    lists = {"payments": read_payments, "refunds": read_refunds, "disputes": read_disputes, "payouts": read_payouts}
    total, overlap = Backfilled(), max(OBJECTS_OVERLAP, client.late_for)
    for what, read in lists.items():
        total += await read_on(reading, what, overlap, read)
    return total


async def _asked_at(
    at: datetime, listed: AsyncIterator[DisputeState | Unhandled | Refused | Unknown]
) -> AsyncIterator[DisputeState | Unhandled | Refused | Unknown]:
    """A list says how disputes stand now, and no second of it."""
    async for each in listed:
        yield replace(each, observed=ask_at(each.observed, at)) if isinstance(each, DisputeState) else each


async def _news_of_payments(reading: Reading, facts: Sequence[Observed]) -> list[Observed]:
    """Those that take a payment further than we know it to be."""
    told = [(fact, seen) for fact in facts if (seen := payment_told(fact.event)) is not None]
    async with reading.pool.acquire() as connection:
        known = await orphans.known(connection, reading.client.name, [seen for _, seen in told])

    def is_news(seen: Sighting) -> bool:
        before = known.get(seen.gateway_payment_id)
        return before is None or advance(before, seen.status) is not before

    return [fact for fact, seen in told if is_news(seen)]


async def _news_of_payouts(reading: Reading, facts: Sequence[Observed]) -> list[Observed]:
    """Those that we do not know in this state. One that is on its way is nobody's news."""
    told = [(fact, fact.event) for fact in facts if isinstance(fact.event, PayoutTold)]
    async with reading.pool.acquire() as connection:
        names = [payout.gateway_payout_id for _, payout in told]
        known = await payouts.known(connection, reading.client.name, names)

    def is_news(payout: PayoutTold) -> bool:
        before = known.get(payout.gateway_payout_id)
        return (payout.is_paid and before not in {"paid", "failed"}) or (payout.has_failed and before != "failed")

    return [fact for fact, payout in told if is_news(payout)]


async def _news_of_refunds(reading: Reading, facts: Sequence[Observed]) -> list[Observed]:
    """Those that we do not know by their name, or that have come further."""
    told = [(fact, fact.event) for fact in facts if isinstance(fact.event, RefundTold)]
    async with reading.pool.acquire() as connection:
        names = [refund.gateway_refund_id for _, refund in told]
        known = await money_back.known(connection, reading.client.name, names)

    def is_news(refund: RefundTold) -> bool:
        before = known.get(refund.gateway_refund_id)
        return before is None or may_move(before, refund.status)

    return [fact for fact, refund in told if is_news(refund)]


async def _news_of_disputes(reading: Reading, facts: Sequence[Observed]) -> list[Observed]:
    """Those that would change what we hold of them, the second of it aside."""
    told = [(fact, fact.event) for fact in facts if isinstance(fact.event, DisputeTold)]
    async with reading.pool.acquire() as connection:
        names = [dispute.gateway_dispute_id for _, dispute in told]
        known = await disputes.known(connection, reading.client.name, names)

    def is_news(dispute: DisputeTold) -> bool:
        before = known.get(dispute.gateway_dispute_id)
        if before is None:
            return True
        after = merge(before, dispute, before.amount.currency)
        return replace(after, told_at=before.told_at) != before

    return [fact for fact, dispute in told if is_news(dispute)]
