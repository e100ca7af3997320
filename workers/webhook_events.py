"""Work one kept event: claim, translate, lock, decide, write, finish. One transaction, no network inside it.

The life of an event that fails:
1. The transaction rolls back: nothing of the attempt remains.
2. ``_after_failure`` writes the failure on the row, in a transaction of its own.
3. What time can heal (a lost connection, a deadlock, an ``Early``) is owed again after a growing delay, in Postgres.
4. What time cannot heal (a shape that we do not know, a bug) is dead at once, with its error; so is a spent budget.
5. A worker that dies in between leaves the row owed: the sweep brings it back.
"""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import asyncpg
import structlog

from db import webhook_events
from db.history import Cause
from db.pool import UNAVAILABLE, Pool, Tx
from db.webhook_events import Claimed
from gateways import reading
from gateways.gateway import Gateway, TranslationError, Unhandled
from payments.order import Capture, Early, Held, Mismatch, Move, Outcome, Record, Stale, Surplus
from workers.apply import Applied, Book, Contradiction, Foreign, Unmatched, apply
from workers.retrying import delay_seconds

log = structlog.get_logger(__name__)

#: The first wait after a failure, and the longest. Sixteen attempts spread over an hour and a half at most: longer than
#: a failover or a deploy. An outage of Postgres spends none of them, since it cannot be written down.
FIRST_DELAY_SECONDS = 1.0
MOST_DELAY_SECONDS = 900.0
BUDGET = 16

#: Longer than any statement may run (db.pool). Dramatiq's own limit cannot stop async work; this cancels it, and the
#: transaction rolls back.
WORK_SECONDS = 30.0

#: Texts of errors are for a person to read; the whole of a runaway one is not.
ERROR_LIMIT = 4000

#: Failures that time heals. Everything else is a bug or a shape that a person must look at.
TRANSIENT: tuple[type[BaseException], ...] = (
    *UNAVAILABLE,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,  # two workers met on a row that neither had; the second sees it next time
)


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
    """All that working an event needs: the gateways by name, our accounts there, and the book to write in."""

    gateways: dict[str, Gateway]
    accounts: dict[str, Account]
    book: Book


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the event, and the effects that were committed with it and want a hint."""

    worked: Worked
    effects: tuple[UUID, ...] = ()


async def work_webhook_event(pool: Pool, desk: Desk, event_id: UUID) -> Result:
    """Work this event if it is owed. Never raises for what an event can do to us: the row says how it went."""
    retry_count = 0
    try:
        async with asyncio.timeout(WORK_SECONDS), pool.acquire() as connection, connection.transaction():
            claimed = await webhook_events.claim(connection, event_id)
            if claimed is None:
                return Result(Worked.NOT_OWED)
            retry_count = claimed.retry_count
            return await _work(connection, desk, claimed)
    except Exception as error:  # noqa: BLE001 - sorted by kind in there; none may end the worker or be forgotten
        return await _after_failure(pool, event_id, retry_count, error)


async def _work(tx: Tx, desk: Desk, claimed: Claimed) -> Result:
    gateway = desk.gateways.get(claimed.gateway)
    if gateway is None:
        return await _ignore(tx, claimed, "unknown_gateway")
    if reason := _not_ours(claimed, desk.accounts.get(claimed.gateway, Account())):
        return await _ignore(tx, claimed, reason)

    observed = gateway.translate(reading.parse(claimed.raw))
    if isinstance(observed, Unhandled):
        return await _ignore(tx, claimed, observed.reason)

    match await apply(tx, observed, Cause("webhook_event", str(claimed.id)), desk.book):
        case Foreign():
            return await _ignore(tx, claimed, "foreign")
        case Unmatched(names=names):
            await webhook_events.park(tx, claimed.id, names)
            return Result(Worked.IGNORED)
        case Contradiction():
            await webhook_events.finish(tx, claimed.id, "reference_conflict")
            return Result(Worked.DONE)
        case Applied(outcome=Early(reason=reason)):
            return await _come_back(tx, claimed.id, claimed.retry_count, "early", reason)
        case Applied(order_id=order_id, outcome=outcome, effects=effects):
            await webhook_events.finish(tx, claimed.id, told(outcome))
            log.info("order.told", order_id=str(order_id), event_id=str(claimed.id), outcome=told(outcome))
            return Result(Worked.DONE, effects)


def _not_ours(claimed: Claimed, ours: Account) -> str | None:
    """Why this account or mode is not ours, if so. Stripe names an account only where it is another than its own."""
    if claimed.livemode is not None and ours.livemode is not None and claimed.livemode != ours.livemode:
        return "other_mode"
    if ours.account is not None and claimed.account not in ("", ours.account):
        return "other_account"
    if ours.account is None and claimed.gateway == "stripe" and claimed.account:
        return "other_account"
    return None


def told(outcome: Outcome) -> str:
    """One word for what an event did, as its row and the log say it."""
    match outcome:
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
        case Stale():
            return "stale"
        case Early():
            return "early"


async def _ignore(tx: Tx, claimed: Claimed, reason: str) -> Result:
    await webhook_events.ignore(tx, claimed.id, reason)
    return Result(Worked.IGNORED)


async def _after_failure(pool: Pool, event_id: UUID, retry_count: int, error: Exception) -> Result:
    # The traceback goes to the row, which is under the same care as the payload; the log holds no values.
    log.warning("webhook_event.failed", event_id=str(event_id), error_class=type(error).__name__)
    try:
        async with pool.acquire() as connection, connection.transaction():
            if isinstance(error, TRANSIENT):
                return await _come_back(connection, event_id, retry_count, type(error).__name__, _text(error))
            await webhook_events.bury(connection, event_id, error_class=_class(error), error=_text(error))
            return Result(Worked.DEAD)
    except UNAVAILABLE as away:
        # The row is still owed, as it was: the sweep brings it back when the database does.
        log.warning("webhook_event.failure_unwritten", event_id=str(event_id), error_class=type(away).__name__)
        return Result(Worked.RETRY)


async def _come_back(tx: Tx, event_id: UUID, retry_count: int, error_class: str, error: str) -> Result:
    if retry_count + 1 >= BUDGET:
        await webhook_events.bury(tx, event_id, error_class=error_class, error=error)
        return Result(Worked.DEAD)
    delay = delay_seconds(retry_count, first=FIRST_DELAY_SECONDS, most=MOST_DELAY_SECONDS)
    await webhook_events.postpone(tx, event_id, delay_seconds=delay, error_class=error_class, error=error)
    return Result(Worked.RETRY)


def _class(error: Exception) -> str:
    return "unknown_shape" if isinstance(error, TranslationError) else type(error).__name__


def _text(error: Exception) -> str:
    """The error and where it arose. It may quote a value, as the database's errors do: it stays with the payload."""
    written = "".join(traceback.format_exception(error))
    return written[-ERROR_LIMIT:].replace("\0", "")
