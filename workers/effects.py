"""Send one effect of a committed move: claim by lease, send outside any transaction, write down how it went.

The life of an effect:
1. It is written in the transaction of its move, so it exists if and only if the move does.
2. Claiming counts the attempt and pushes the row away by the lease. A worker that dies now changes nothing: the lease
   runs out, the sweep hints it again, and the repeat carries the same idempotency key.
3. Sending has a time limit well below the lease, so two workers never send one effect at once.
4. What can heal is owed again after a growing, spread delay; what cannot, and a spent budget, is dead for a person.
A failure here never touches the order: the money is as it is, whether or not the mail went out.
"""

from __future__ import annotations

import asyncio
import traceback
from enum import StrEnum
from uuid import UUID

import structlog

from db import effects
from db.effects import Effect
from db.pool import UNAVAILABLE, Pool
from workers.delivery.sender import NeverAgain, NotNow, Sender, Settled
from workers.retrying import delay_seconds

log = structlog.get_logger(__name__)

LEASE_SECONDS = 120.0
SEND_SECONDS = 30.0

#: The first wait after a failure, and the longest. Twenty attempts take about a day: longer than a receiver's bad
#: night, and still news when the last one arrives.
FIRST_DELAY_SECONDS = 10.0
MOST_DELAY_SECONDS = 6 * 3600.0
BUDGET = 20

ERROR_LIMIT = 2000


class Outcome(StrEnum):
    """What one call did with its effect."""

    NOT_OWED = "not_owed"  # settled already, not due, or in another worker's hands
    SENT = "sent"
    RETRY = "retry"
    DEAD = "dead"


async def send_effect(pool: Pool, senders: Sender, effect_id: UUID, *, limit_seconds: float = SEND_SECONDS) -> Outcome:
    """Send this effect if it is owed. Never raises for what a receiver can do to us; the row says how it went."""
    try:
        effect = await _claim(pool, effect_id)
        if effect is None:
            return Outcome.NOT_OWED
        return await _send(pool, senders, effect, limit_seconds)
    except UNAVAILABLE as error:
        # Still owed, or sent and not written down: the lease runs out, and the sweep brings it back either way.
        log.warning("effect.database_away", effect_id=str(effect_id), error_class=type(error).__name__)
        return Outcome.RETRY


async def _claim(pool: Pool, effect_id: UUID) -> Effect | None:
    async with pool.acquire() as connection, connection.transaction():
        return await effects.claim(connection, effect_id, lease_seconds=LEASE_SECONDS)


async def _send(pool: Pool, senders: Sender, effect: Effect, limit_seconds: float) -> Outcome:
    if effect.attempts > BUDGET:
        return await _bury(pool, effect, "every attempt ended without a word: the worker died, or lost the database")
    try:
        async with asyncio.timeout(limit_seconds):
            settled = await senders.send(effect)
    except TimeoutError:
        return await _come_back(pool, effect, NotNow(f"sending took longer than {limit_seconds:g} s"))
    except NotNow as not_now:
        return await _come_back(pool, effect, not_now)
    except NeverAgain as never:
        return await _bury(pool, effect, str(never))
    except Exception as error:  # noqa: BLE001 - a bug: it is dead at once, and must not take the worker along
        return await _bury(pool, effect, _where(error))
    return await _settle(pool, effect, settled)


async def _settle(pool: Pool, effect: Effect, settled: Settled) -> Outcome:
    async with pool.acquire() as connection:
        await effects.mark_sent(connection, effect.id, note=settled.note)
    log.info("effect.sent", **_named(effect), note=settled.note)
    return Outcome.SENT


async def _come_back(pool: Pool, effect: Effect, not_now: NotNow) -> Outcome:
    if effect.attempts >= BUDGET:
        return await _bury(pool, effect, str(not_now))
    delay = _delay(effect.attempts, not_now)
    async with pool.acquire() as connection:
        await effects.postpone(connection, effect.id, attempt=effect.attempts, delay_seconds=delay, error=str(not_now))
    log.warning("effect.postponed", **_named(effect), seconds=round(delay), error=str(not_now))
    return Outcome.RETRY


def _delay(attempts: int, not_now: NotNow) -> float:
    """Ours, or the receiver's wish where that is later; nobody may wish us away for more than our longest wait."""
    ours = delay_seconds(attempts - 1, first=FIRST_DELAY_SECONDS, most=MOST_DELAY_SECONDS)
    return max(ours, min(not_now.retry_after_seconds or 0.0, MOST_DELAY_SECONDS))


async def _bury(pool: Pool, effect: Effect, error: str) -> Outcome:
    async with pool.acquire() as connection:
        await effects.bury(connection, effect.id, attempt=effect.attempts, error=error)
    log.error("effect.dead", **_named(effect), error=error)
    return Outcome.DEAD


def _named(effect: Effect) -> dict[str, object]:
    return {
        "effect_id": str(effect.id),
        "kind": effect.kind,
        "order_id": str(effect.order_id) if effect.order_id else None,
        "attempt": effect.attempts,
    }


def _where(error: Exception) -> str:
    """The class and the lines where it arose; not its text, which may quote an address or a URL."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames[-ERROR_LIMIT:]}".replace("\0", "")
