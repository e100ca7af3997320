"""Send one effect of a committed move: claim by lease, send outside any transaction, write down how it went.

The life of an effect:
1. It is written in the transaction of its move, so it exists if and only if the move does.
2. Claiming counts the attempt and pushes the row away by the lease. A worker that dies now changes nothing: the lease
   runs out, the sweep hints it again, and the repeat carries the same idempotency key.
3. Sending has a time limit well below the lease, so two workers never send one effect at once.
4. What can heal is owed again after a growing, spread delay; what cannot, and a spent budget, is dead for a person.
5. One whose claims end without a word, twice in a row, is sent from a process of its own (``workers.alone``).
A failure here never touches the order: the money is as it is, whether or not the mail went out.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from uuid import UUID

import structlog

from db import effects, work_attempts
from db.effects import Effect
from db.pool import UNAVAILABLE, Pool, Tx
from db.work_attempts import Trouble, TroubleClass
from workers.alone import ALONE, MOST_CRASHES, SILENT_ATTEMPTS, Alone, Ending, when_back
from workers.alone import LEASE_SECONDS as ALONE_LEASE_SECONDS
from workers.causes import TRANSIENT, WORKER_CRASH, trouble, trouble_with_effect
from workers.delivery.sender import NotNow, Sender, Settled
from workers.retrying import delay_seconds
from workers.whoami import this_process

log = structlog.get_logger(__name__)

#: An effect that was in the hands of a worker that was killed waits for so long.
LEASE_SECONDS = 60.0
SEND_SECONDS = 30.0

#: The first wait after a failure, and the longest. Twenty attempts take about a day: longer than a receiver's bad
#: night, and still news when the last one arrives.
FIRST_DELAY_SECONDS = 10.0
MOST_DELAY_SECONDS = 6 * 3600.0
BUDGET = 20


class Outcome(StrEnum):
    """What one call did with its effect."""

    NOT_OWED = "not_owed"  # settled already, not due, or in another worker's hands
    SENT = "sent"
    RETRY = "retry"
    DEAD = "dead"


async def send_effect(
    pool: Pool, senders: Sender, effect_id: UUID, *, limit_seconds: float = SEND_SECONDS, alone: Alone = ALONE
) -> Outcome:
    """Send this effect if it is owed. Never raises for what a receiver can do to us; the row says how it went."""
    try:
        effect = await _claim(pool, effect_id)
        if effect is None:
            return Outcome.NOT_OWED
        if effect.crashes >= MOST_CRASHES:
            return await _bury(pool, effect, _crash(effect, "nobody saw how"))
        if effect.crashes > 0 or effect.begun > SILENT_ATTEMPTS:
            return await _send_away(pool, alone, effect)
        return await _send(pool, senders, effect, limit_seconds)
    except UNAVAILABLE as error:
        # Still owed, or sent and not written down: the lease runs out, and the sweep brings it back either way.
        log.warning("effect.database_away", effect_id=str(effect_id), error_class=type(error).__name__)
        return Outcome.RETRY


async def send_alone(pool: Pool, senders: Sender, effect_id: UUID) -> None:
    """What the effect's own process does: count the crash that this may be, and then the same as anywhere."""
    async with pool.acquire() as connection:
        effect = await effects.claim_alone(connection, effect_id, lease_seconds=ALONE_LEASE_SECONDS)
    if effect is not None:
        await _send(pool, senders, effect, SEND_SECONDS, alone=True)


async def _claim(pool: Pool, effect_id: UUID) -> Effect | None:
    async with pool.acquire() as connection, connection.transaction():
        return await effects.claim(connection, effect_id, lease_seconds=LEASE_SECONDS)


async def _send_away(pool: Pool, alone: Alone, effect: Effect) -> Outcome:
    """Give it a process of its own (``workers.alone``). It waits for room: no thread waits with it."""
    async with alone.room:
        async with pool.acquire() as connection:
            if not await effects.renew(connection, effect, lease_seconds=ALONE_LEASE_SECONDS):
                return Outcome.NOT_OWED
        log.warning("effect.runs_alone", **_named(effect), begun=effect.begun, crashes=effect.crashes)
        ending = await alone.run("effect", effect.id)
    return await when_back(lambda: _after_its_end(pool, effect, ending))


async def _after_its_end(pool: Pool, effect: Effect, ending: Ending) -> Outcome:
    """What the row says now that its own process has ended, and what has to be added to it."""
    async with pool.acquire() as connection, connection.transaction():
        now = await effects.look(connection, effect.id)
        if now is None or now.epoch != effect.epoch or now.status != "pending":
            return ENDED.get(now.status, Outcome.RETRY) if now else Outcome.NOT_OWED
        if now.crashes <= effect.crashes:
            if not ending.said_its_last_word:
                # It ended before the sending began, by no fault of the effect's: a release being replaced, say.
                log.error("effect.not_begun_alone", **_named(effect), ending=ending.told)
            return Outcome.RETRY
        if ending.said_its_last_word:
            # It lived to its end, and could not write it down: the database was away.
            await effects.take_back_crash(connection, effect)
            return Outcome.RETRY
        log.error("effect.crashed", **_named(effect), crashes=now.crashes, ending=ending.told)
    crash = _crash(effect, ending.told)
    if now.crashes >= MOST_CRASHES:
        return await _bury(pool, effect, crash)
    return await _postpone(pool, effect, crash, _delay(effect.attempts), outcome="crashed")


#: What a row's status says that was done with it.
ENDED = {"sent": Outcome.SENT, "dead": Outcome.DEAD}


def _crash(effect: Effect, how: str) -> Trouble:
    error = f"it ended the process that sent it: {how}"
    return trouble(TroubleClass.CRASH, WORKER_CRASH, error, "effect", effect.kind)


async def _send(pool: Pool, senders: Sender, effect: Effect, limit_seconds: float, *, alone: bool = False) -> Outcome:
    if effect.attempts > BUDGET:
        error = "every attempt ended without a word: the worker died, or lost the database"
        return await _bury(pool, effect, trouble(TroubleClass.CRASH, WORKER_CRASH, error, "effect", effect.kind))
    try:
        async with asyncio.timeout(limit_seconds):
            settled = await senders.send(effect)
    except TimeoutError:
        not_now = NotNow(f"sending took longer than {limit_seconds:g} s")
        return await _come_back(pool, effect, not_now, alone=alone)
    except Exception as error:  # noqa: BLE001 - for a person, or a bug: dead at once, and must not take the worker along
        if isinstance(error, TRANSIENT):
            return await _come_back(pool, effect, error, alone=alone)
        return await _bury(pool, effect, trouble_with_effect(error, effect.kind), alone=alone)
    return await _settle(pool, effect, settled, alone=alone)


async def _settle(pool: Pool, effect: Effect, settled: Settled, *, alone: bool) -> Outcome:
    async with pool.acquire() as connection, connection.transaction():
        await effects.mark_sent(connection, effect.id, note=settled.note)
        if effect.epoch > 0 or effect.attempts > 1:
            await _record_attempt(connection, effect, "sent")
        if alone:
            await effects.take_back_crash(connection, effect)
    log.info("effect.sent", **_named(effect), note=settled.note)
    return Outcome.SENT


async def _come_back(pool: Pool, effect: Effect, error: Exception, *, alone: bool) -> Outcome:
    failed = trouble_with_effect(error, effect.kind)
    if effect.attempts >= BUDGET:
        return await _bury(pool, effect, failed, alone=alone)
    wish = error.retry_after_seconds if isinstance(error, NotNow) else None
    return await _postpone(pool, effect, failed, _delay(effect.attempts, wish), alone=alone)


def _delay(attempts: int, wish_seconds: float | None = None) -> float:
    """Ours, or the receiver's wish where that is later; nobody may wish us away for more than our longest wait."""
    ours = delay_seconds(attempts - 1, first=FIRST_DELAY_SECONDS, most=MOST_DELAY_SECONDS)
    return max(ours, min(wish_seconds or 0.0, MOST_DELAY_SECONDS))


async def _postpone(
    pool: Pool, effect: Effect, failed: Trouble, delay: float, *, outcome: str = "retry", alone: bool = False
) -> Outcome:
    async with pool.acquire() as connection, connection.transaction():
        await effects.postpone(connection, effect, delay_seconds=delay, error=failed.error)
        await _record_attempt(connection, effect, outcome, failed)
        if alone:
            await effects.take_back_crash(connection, effect)
    log.warning("effect.postponed", **_named(effect), seconds=round(delay), error=failed.error)
    return Outcome.RETRY


async def _bury(pool: Pool, effect: Effect, failed: Trouble, *, alone: bool = False) -> Outcome:
    async with pool.acquire() as connection, connection.transaction():
        await effects.bury(connection, effect, failed)
        await _record_attempt(connection, effect, "dead", failed)
        if alone:
            await effects.take_back_crash(connection, effect)
    log.error("effect.dead", **_named(effect), error=failed.error, fingerprint=failed.fingerprint)
    return Outcome.DEAD


async def _record_attempt(tx: Tx, effect: Effect, outcome: str, failed: Trouble | None = None) -> None:
    await work_attempts.record(
        tx,
        source="effect",
        source_id=effect.id,
        epoch=effect.epoch,
        worker=this_process(),
        started_at=effect.claimed_at,
        outcome=outcome,
        trouble=failed,
    )


def _named(effect: Effect) -> dict[str, object]:
    return {
        "effect_id": str(effect.id),
        "kind": effect.kind,
        "order_id": str(effect.order_id) if effect.order_id else None,
        "attempt": effect.attempts,
    }
