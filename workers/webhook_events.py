"""Work one kept event: claim, translate, lock, decide, write, finish. One transaction, no network inside it.

The life of an event that fails:
1. The transaction rolls back: nothing of the attempt remains.
2. ``_after_failure`` writes the attempt and its failure, in a transaction of its own.
3. What time can heal (a lost connection, a deadlock, an ``Early``) is owed again after a growing delay, in Postgres.
4. What time cannot heal (a shape that we do not know, a bug) is dead at once, with its letter; so is a spent budget.
5. A worker that dies in between leaves the row owed: the sweep brings it back. What comes back is worked carefully,
   marked before it begins: it may be what the worker died of (``workers.alone``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

import structlog

from db import effects, references, webhook_events, work_attempts
from db.history import Cause
from db.pool import UNAVAILABLE, Pool, Tx
from db.webhook_events import Claimed
from db.work_attempts import Trouble, TroubleClass
from gateways import reading
from gateways.gateway import Elsewhere, Gateway, TranslationError, Unhandled
from payments.effects import EffectKind, idempotency_key
from payments.order import Capture, Early, Held, Mismatch, Move, Outcome, Record, Returned, Stale, Surplus
from payments.subscription import Followed, FollowOutcome
from workers.alone import ALONE, LEASE_SECONDS, MOST_CRASHES, SILENT_ATTEMPTS, Alone, Ending, when_back
from workers.apply import Applied, Book, Contradiction, Foreign, NotSubscribed, Unmatched, apply
from workers.causes import WORKER_CRASH, trouble, trouble_with_event
from workers.money_back import Booked
from workers.retrying import delay_seconds
from workers.whoami import this_process

log = structlog.get_logger(__name__)

#: The first wait after a failure, and the longest. Sixteen attempts spread over an hour and a half at most: longer than
#: a failover or a deploy. An outage of Postgres spends none of them, since it cannot be written down.
FIRST_DELAY_SECONDS = 1.0
MOST_DELAY_SECONDS = 900.0
BUDGET = 16

#: Longer than any statement may run (db.pool). Dramatiq's own limit cannot stop async work; this cancels it, and the
#: transaction rolls back.
WORK_SECONDS = 30.0


class Worked(StrEnum):
    """What one call did with its event."""

    NOT_OWED = "not_owed"  # done already, not due, or in another worker's hands
    DONE = "done"
    IGNORED = "ignored"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Account:
    """Which of a gateway's accounts and modes are ours; None accepts either mode, or any account."""

    livemode: bool | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """All that working an event needs: the gateways by name, our accounts there, the book to write in, how to work what
    must be alone, and for how long one attempt may take."""

    gateways: dict[str, Gateway]
    accounts: dict[str, Account]
    book: Book
    alone: Alone = field(default=ALONE, repr=False)
    limit_seconds: float = WORK_SECONDS


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the event, in a word where it has one, for which order; the effects that were committed with it
    and want a hint; and of a failure, what it takes to get over it."""

    worked: Worked
    effects: tuple[UUID, ...] = ()
    reason: str | None = None
    order_id: UUID | None = None
    trouble_class: TroubleClass | None = None


NOT_OWED = Result(Worked.NOT_OWED)
STILL_OWED = Result(Worked.RETRY)


async def work_webhook_event(pool: Pool, desk: Desk, event_id: UUID, *, careful: bool = False) -> Result:
    """Work this event if it is owed. Never raises for what an event can do to us: the row says how it went.

    An event that nobody has hinted twice is worked in one transaction; any other, or ``careful``, is marked first.
    """
    try:
        result = None if careful else await _work_once(pool, desk, event_id)
        return result or await _work_carefully(pool, desk, event_id)
    except UNAVAILABLE as error:
        # The row is still owed, as it was: the sweep brings it back when the database does.
        log.warning("webhook_event.database_away", event_id=str(event_id), error_class=type(error).__name__)
        return STILL_OWED


async def _work_once(
    pool: Pool, desk: Desk, event_id: UUID, *, reserved_by: Tx | None = None, alone: bool = False
) -> Result | None:
    """One attempt; None where it must be marked first. Raises only where the event could not be claimed or written."""
    claimed: Claimed | None = None
    is_reserved = reserved_by is not None
    try:
        async with (
            asyncio.timeout(desk.limit_seconds),
            _a_connection(pool, reserved_by) as connection,
            connection.transaction(),
        ):
            claimed = await webhook_events.claim(connection, event_id, leased=alone, reserved=is_reserved)
            if claimed is None:
                if is_reserved:
                    await webhook_events.take_back_begun(connection, event_id)
                return NOT_OWED
            if claimed.hint_count > 0 and not (is_reserved or alone):
                return None
            result = await work_claimed(connection, desk, claimed)
            if alone:
                await webhook_events.take_back_crash(connection, event_id, epoch=claimed.epoch)
            if result.worked in (Worked.DONE, Worked.IGNORED) and _has_failed_before(claimed):
                await _record_attempt(connection, claimed, result.worked)
    except Exception as error:
        if claimed is None:
            raise
        async with _a_connection(pool, reserved_by) as connection, connection.transaction():
            return await _after_failure(connection, claimed, error, alone=alone)
    if result.worked is Worked.DONE and result.order_id is not None:
        log.info("order.told", order_id=str(result.order_id), event_id=str(event_id), outcome=result.reason)
    return result


@asynccontextmanager
async def _a_connection(pool: Pool, reserved_by: Tx | None) -> AsyncIterator[Tx]:
    """The one that has the event reserved, as long as it lives: what marked an attempt also writes its end."""
    is_alive = False
    with suppress(*UNAVAILABLE):  # asyncpg takes a dead one back into the pool at once, and it answers nothing
        is_alive = reserved_by is not None and not reserved_by.is_closed()
    if reserved_by is not None and is_alive:
        yield reserved_by
        return
    async with pool.acquire() as connection:
        yield connection


def _has_failed_before(claimed: Claimed) -> bool:
    return claimed.epoch > 0 or claimed.retry_count > 0 or claimed.crashes > 0


async def _work_carefully(pool: Pool, desk: Desk, event_id: UUID) -> Result:
    """Mark the attempt before it begins, or give the event a process of its own, or bury what has ended those too."""
    async with pool.acquire() as connection:
        # From before the mark to the end of the work: a second mark on the same attempt would look like a dead worker.
        if not await webhook_events.reserve(connection, event_id):
            return NOT_OWED
        async with connection.transaction():
            claimed = await webhook_events.claim(connection, event_id)
            if claimed is None:
                return NOT_OWED
            if claimed.crashes >= MOST_CRASHES:
                return await _bury(connection, claimed, _crash(claimed, "nobody saw how"))
            must_be_alone = claimed.crashes > 0 or claimed.begun >= SILENT_ATTEMPTS
            if not must_be_alone:
                await webhook_events.mark_begun(connection, event_id)
        if not must_be_alone:
            return await _work_once(pool, desk, event_id, reserved_by=connection) or STILL_OWED
    return await _send_away(pool, desk, event_id)


async def _send_away(pool: Pool, desk: Desk, event_id: UUID) -> Result:
    if desk.alone.room.locked():
        return STILL_OWED  # No thread waits for room: the event is hinted again in seconds.
    async with desk.alone.room:
        async with pool.acquire() as connection, connection.transaction():
            claimed = await webhook_events.claim(connection, event_id)
            if claimed is None:
                return NOT_OWED
            await webhook_events.lease(connection, event_id, seconds=LEASE_SECONDS)
        log.warning("webhook_event.runs_alone", event_id=str(event_id), begun=claimed.begun, crashes=claimed.crashes)
        ending = await desk.alone.run("webhook_event", event_id)
    return await when_back(lambda: _after_its_end(pool, claimed, ending))


async def work_alone(pool: Pool, desk: Desk, event_id: UUID) -> None:
    """What the event's own process does: count the crash that this may be, and then the same work as anywhere."""
    async with pool.acquire() as connection:
        if not await webhook_events.count_crash(connection, event_id):
            return
    await _work_once(pool, desk, event_id, alone=True)


async def _after_its_end(pool: Pool, claimed: Claimed, ending: Ending) -> Result:
    """What the row says now that its own process has ended, and what has to be added to it."""
    async with pool.acquire() as connection, connection.transaction():
        now = await webhook_events.look(connection, claimed.id)
        if now is None or now.epoch != claimed.epoch or now.status not in OWED:
            return Result(WORKED.get(now.status, Worked.RETRY) if now else Worked.NOT_OWED)
        if now.crashes <= claimed.crashes:
            if ending.said_its_last_word:
                await webhook_events.give_back(connection, claimed)
            else:
                # It ended before the work began, by no fault of the event's: a release that is being replaced, say.
                log.error("webhook_event.not_begun_alone", event_id=str(claimed.id), ending=ending.told)
            return STILL_OWED
        if ending.said_its_last_word:
            # It lived to its end, and could not write it down: the database was away.
            await webhook_events.take_back_crash(connection, claimed.id, epoch=claimed.epoch)
            await webhook_events.give_back(connection, claimed)
            return STILL_OWED
        log.error("webhook_event.crashed", event_id=str(claimed.id), crashes=now.crashes, ending=ending.told)
        crash = _crash(claimed, ending.told)
        if now.crashes >= MOST_CRASHES:
            return await _bury(connection, claimed, crash)
        await _record_attempt(connection, claimed, "crashed", crash)
        await _postpone(connection, claimed, crash)
        return Result(Worked.RETRY, trouble_class=TroubleClass.CRASH)


OWED = ("received", "retry")

#: What a row's status says that was done with it.
WORKED = {"done": Worked.DONE, "ignored": Worked.IGNORED, "dead": Worked.DEAD}


def _crash(claimed: Claimed, how: str) -> Trouble:
    error = f"it ended the process that worked it: {how}"
    return trouble(TroubleClass.CRASH, WORKER_CRASH, error, "webhook_event", claimed.event_type)


async def work_claimed(tx: Tx, desk: Desk, claimed: Claimed) -> Result:
    """The work itself, on an event that this transaction holds."""
    gateway = desk.gateways.get(claimed.gateway)
    if gateway is None:
        return await _ignore(tx, claimed, "unknown_gateway")
    if reason := _not_ours(claimed, desk.accounts.get(claimed.gateway, Account())):
        return await _ignore(tx, claimed, reason)

    observed = gateway.translate(reading.parse(claimed.raw))
    if isinstance(observed, Unhandled):
        if await references.are_known(tx, claimed.gateway, observed.names):
            raise TranslationError(f"{claimed.event_type}: it is about money of ours, and lacks a field")
        return await _ignore(tx, claimed, observed.reason)
    if isinstance(observed, Elsewhere):
        return await _owe_fetching(tx, claimed, observed)

    match await apply(tx, observed, Cause("webhook_event", str(claimed.id)), desk.book):
        case Foreign():
            return await _ignore(tx, claimed, "foreign")
        case Unmatched(names=names):
            await webhook_events.park(tx, claimed.id, names)
            return Result(Worked.IGNORED, reason="unmatched")
        case Contradiction():
            await webhook_events.finish(tx, claimed.id, "reference_conflict")
            return Result(Worked.DONE, reason="reference_conflict")
        case Applied(order_id=order_id, outcome=Early(reason=reason)):
            early = trouble(TroubleClass.TRANSIENT, "early", reason, "webhook_event", claimed.event_type)
            return await _come_back(tx, claimed, early, order_id)
        case Applied(order_id=order_id, outcome=outcome, effects=effects):
            await webhook_events.finish(tx, claimed.id, told(outcome), order_id=order_id)
            return Result(Worked.DONE, effects, told(outcome), order_id)


def _not_ours(claimed: Claimed, ours: Account) -> str | None:
    """Why this account or mode is not ours, if so. Stripe names an account only where it is another than its own."""
    if claimed.livemode is not None and ours.livemode is not None and claimed.livemode != ours.livemode:
        return "other_mode"
    if ours.account is not None and claimed.account not in ("", ours.account):
        return "other_account"
    if ours.account is None and claimed.gateway == "stripe" and claimed.account:
        return "other_account"
    return None


def told(outcome: Outcome | Followed | NotSubscribed | Booked) -> str:
    """One word for what an event did, as its row and the log say it."""
    match outcome:
        case Followed(outcome=FollowOutcome.MOVED, after=after):
            return f"moved_to_{after.status}"
        case Followed(outcome=followed):
            return followed.value
        case NotSubscribed():
            return "not_a_subscription"
        case Booked(what=what):
            return what
        case Move(to=to):
            return f"moved_to_{to}"
        case Record():
            return "recorded"
        case Capture():
            return "capturing"
        case Surplus():
            return "surplus"
        case Mismatch():
            return "mismatch"
        case Held():
            return "held"
        case Returned():
            return "returned"
        case Stale():
            return "stale"
        case Early():
            return "early"


async def _owe_fetching(tx: Tx, claimed: Claimed, elsewhere: Elsewhere) -> Result:
    """What happened is asked for outside this transaction, and kept as an event of its own. Worked again, this asks
    again for what could not be fetched."""
    kind = EffectKind.GATEWAY_FETCH_EVENT
    key = idempotency_key(kind, claimed.gateway, elsewhere.event_id)
    detail = {"gateway": claimed.gateway, "eventId": elsewhere.event_id}
    owed = await effects.add(tx, kind=kind.value, idempotency_key=key, detail=detail) or await effects.revive(tx, key)
    await webhook_events.finish(tx, claimed.id, "fetching")
    return Result(Worked.DONE, (owed,) if owed else (), "fetching")


async def _ignore(tx: Tx, claimed: Claimed, reason: str) -> Result:
    await webhook_events.ignore(tx, claimed.id, reason)
    return Result(Worked.IGNORED, reason=reason)


async def _after_failure(tx: Tx, claimed: Claimed, error: Exception, *, alone: bool) -> Result:
    # The traceback goes to the row, which is under the same care as the payload; the log holds no values.
    log.warning("webhook_event.failed", event_id=str(claimed.id), error_class=type(error).__name__)
    failed = trouble_with_event(error, claimed.event_type)
    if alone:
        await webhook_events.take_back_crash(tx, claimed.id, epoch=claimed.epoch)
    if failed.trouble_class is TroubleClass.TRANSIENT:
        return await _come_back(tx, claimed, failed)
    return await _bury(tx, claimed, failed)


async def _come_back(tx: Tx, claimed: Claimed, failed: Trouble, order_id: UUID | None = None) -> Result:
    if claimed.retry_count + 1 >= BUDGET:
        return await _bury(tx, claimed, failed, order_id)
    await _record_attempt(tx, claimed, Worked.RETRY, failed)
    await _postpone(tx, claimed, failed, order_id)
    return Result(Worked.RETRY, reason=failed.error_class, order_id=order_id, trouble_class=failed.trouble_class)


async def _postpone(tx: Tx, claimed: Claimed, failed: Trouble, order_id: UUID | None = None) -> None:
    await webhook_events.postpone(
        tx,
        claimed.id,
        delay_seconds=delay_seconds(claimed.retry_count, first=FIRST_DELAY_SECONDS, most=MOST_DELAY_SECONDS),
        error_class=failed.error_class,
        error=failed.traceback or failed.error,
        order_id=order_id,
    )


async def _bury(tx: Tx, claimed: Claimed, failed: Trouble, order_id: UUID | None = None) -> Result:
    await _record_attempt(tx, claimed, Worked.DEAD, failed)
    await webhook_events.bury(tx, claimed.id, failed, order_id=order_id)
    log.error(
        "webhook_event.dead", event_id=str(claimed.id), error_class=failed.error_class, fingerprint=failed.fingerprint
    )
    return Result(Worked.DEAD, reason=failed.error_class, trouble_class=failed.trouble_class)


async def _record_attempt(tx: Tx, claimed: Claimed, outcome: str, failed: Trouble | None = None) -> None:
    await work_attempts.record(
        tx,
        source="webhook_event",
        source_id=claimed.id,
        epoch=claimed.epoch,
        worker=this_process(),
        started_at=claimed.claimed_at,
        outcome=outcome,
        trouble=failed,
    )
