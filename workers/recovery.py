"""Orders whose end nobody has told us: a look at each (``workers.looking``), the longest waiting first; and then the
subscriptions that nobody has told us of (``workers.subscription_recovery``).

Which are due, ``db.orphans`` says. Each is put off as it is taken, by a pause that grows with every look that changed
nothing: so one that stays as it is keeps no other from its turn, and a run that dies leaves its orders to the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from db import orphans
from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool
from gateways.client import Client, Doubt
from workers.apply import Book
from workers.hints import Hints
from workers.looking import Look, Seen, look_at
from workers.queues import SEND_EFFECT
from workers.subscription_recovery import Looked, recover_subscriptions
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

#: How long one run may go on taking orders; what it leaves is still due.
RUN_SECONDS = 20 * 60.0

#: Orders asked about at once. The gateways' own rates are kept by their clients, which let live traffic go first.
AT_ONCE = 4

#: A gateway that gave no answer so often in a row, for one of these reasons, is left alone until the next run. Others
#: are about single orders, of which even many must keep no other from its turn.
AWAY_AFTER = 3
OUTAGE = frozenset({Doubt.TIMED_OUT, Doubt.CONNECTION_LOST, Doubt.SERVER_ERROR, Doubt.RATE_LIMITED, Doubt.BUSY})

#: What came of a look that ended in an error of ours.
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a run did. ``complete``: every order that was due has been asked about, and each got an answer.

    ``subscriptions``: how many of those were asked about. ``unasked`` names the gateways where orders wait for an
    answer, and that nobody has given us a key for any more.
    """

    asked: int
    paid: int
    closed: int
    unchanged: int
    unknown: int
    not_found: int
    failed: int
    subscriptions: int
    complete: bool
    unasked: str = ""


async def recover_orphans(
    pool: Pool, clients: Mapping[str, Client], hints: Hints, book: Book, run: str, *, seconds: float = RUN_SECONDS
) -> Recovered:
    """Ask about every order that is due, the longest waiting first. ``run`` names the run in the orders' history.

    Any number of runs at once: each order is taken by one of them. A gateway that does not answer holds up no other.
    """
    looks: Counter[str] = Counter()
    in_vain = dict.fromkeys(clients, 0)
    until = time.monotonic() + seconds
    while is_in_time := time.monotonic() < until:
        askable = {name: client for name, client in clients.items() if in_vain[name] < AWAY_AFTER}
        taken = await _claim(pool, askable, book)
        if not taken:
            break
        for orphan, seen in await _look_at_all(pool, askable, book, taken, Cause("reconciliation", run)):
            looks[seen.look if seen else FAILED] += 1
            if orphan.gateway is not None:
                in_vain[orphan.gateway] = in_vain[orphan.gateway] + 1 if _is_in_vain(seen) else 0
            for effect in seen.effects if seen else ():
                hints.offer(SEND_EFFECT, effect)
    looked = await recover_subscriptions(pool, clients, book, Cause("reconciliation", run))
    for effect in looked.effects:
        hints.offer(SEND_EFFECT, effect)
    unasked = await _unasked(pool, clients, book)
    recovered = _told(looks, looked, unasked, is_in_time=is_in_time)
    if unasked:
        log.warning("orphans.unasked", run=run, gateways=unasked)
    if recovered.asked or recovered.subscriptions:
        log.info("orphans.recovered", run=run, **looks, subscriptions=recovered.subscriptions)
    return recovered


def _told(looks: Mapping[str, int], looked: Looked, unasked: str, *, is_in_time: bool) -> Recovered:
    counts = {name: looks.get(name, 0) for name in (*Look, FAILED)}
    has_answers = not counts[Look.UNKNOWN] and not counts[FAILED]
    is_complete = is_in_time and has_answers and not looked.in_vain and not unasked
    return Recovered(
        asked=sum(counts.values()), **counts, subscriptions=looked.asked, complete=is_complete, unasked=unasked
    )


async def _unasked(pool: Pool, clients: Mapping[str, Client], book: Book) -> str:
    async with pool.acquire() as connection:
        now = (await set_right(connection, book)).clock()
        return ", ".join(await orphans.unasked(connection, now, list(clients)))


async def _claim(pool: Pool, askable: Mapping[str, Client], book: Book) -> list[Orphan]:
    if not askable:
        return []
    late_for = {name: client.late_for for name, client in askable.items()}
    async with pool.acquire() as connection, connection.transaction():
        now = (await set_right(connection, book)).clock()
        return await orphans.claim(connection, now, late_for, limit=AT_ONCE)


async def _look_at_all(
    pool: Pool, clients: Mapping[str, Client], book: Book, taken: list[Orphan], cause: Cause
) -> list[tuple[Orphan, Seen | None]]:
    async with asyncio.TaskGroup() as group:
        looking = [group.create_task(_look_safely(pool, clients, book, orphan, cause)) for orphan in taken]
    return [(orphan, look.result()) for orphan, look in zip(taken, looking, strict=True)]


async def _look_safely(
    pool: Pool, clients: Mapping[str, Client], book: Book, orphan: Orphan, cause: Cause
) -> Seen | None:
    """None for an error of ours."""
    try:
        return await look_at(pool, clients, book, orphan, cause)
    except Exception as error:  # noqa: BLE001 - one order must not end the look at the others; its turn comes again
        log.error("orphan.look_failed", order_id=str(orphan.order_id), error_class=type(error).__name__)  # noqa: TRY400
        return None


def _is_in_vain(seen: Seen | None) -> bool:
    return seen is not None and seen.doubt in OUTAGE
