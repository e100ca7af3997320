"""Orders whose end nobody has told us: a look at each (``workers.looking``), the longest waiting first; then the
subscriptions that nobody has told us of (``workers.subscription_recovery``), and the money that goes back
(``workers.money_recovery``).

Which are due, ``db.orphans`` says. Each is put off as it is taken, by a pause that grows with every look that changed
nothing: so one that stays as it is keeps no other from its turn, and a run that dies leaves its orders to the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog

from db import orphans, overdue_money
from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool
from gateways.client import Client
from workers.answering import Answering
from workers.apply import Book
from workers.hints import Hints
from workers.looking import Look, Seen, look_at
from workers.money_recovery import Looked as LookedAtMoney
from workers.money_recovery import recover_money
from workers.queues import SEND_EFFECT
from workers.subscription_recovery import Looked, recover_subscriptions
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

#: How long one run may go on taking orders; what it leaves is still due.
RUN_SECONDS = 20 * 60.0

#: Orders asked about at once. The gateways' own rates are kept by their clients, which let live traffic go first.
AT_ONCE = 4

#: What came of a look that ended in an error of ours.
FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a run did. ``complete``: every order that was due has been asked about, and each got an answer.

    ``subscriptions``, ``refunds``, ``disputes``: how many of those were asked about. ``unasked`` names the gateways
    where orders or money wait for an answer, and that nobody has given us a key for any more.
    """

    asked: int
    paid: int
    closed: int
    unchanged: int
    unknown: int
    not_found: int
    failed: int
    subscriptions: int
    refunds: int
    disputes: int
    complete: bool
    unasked: str = ""


async def recover_orphans(
    pool: Pool, clients: Mapping[str, Client], hints: Hints, book: Book, run: str, *, seconds: float = RUN_SECONDS
) -> Recovered:
    """Ask about every order that is due, the longest waiting first. ``run`` names the run in the orders' history.

    Any number of runs at once: each order is taken by one of them. A gateway that does not answer holds up no other.
    """
    looks: Counter[str] = Counter()
    answering, cause = Answering(clients), Cause("reconciliation", run)
    until = time.monotonic() + seconds
    while is_in_time := time.monotonic() < until:
        askable = answering.askable()
        taken = await _claim(pool, askable, book)
        if not taken:
            break
        for orphan, seen in await _look_at_all(pool, askable, book, taken, cause):
            looks[seen.look if seen else FAILED] += 1
            if orphan.gateway is not None:
                answering.hear(orphan.gateway, seen.doubt if seen else None)
            _offer(hints, seen.effects if seen else ())
    subscriptions = await recover_subscriptions(pool, clients, book, cause)
    _offer(hints, subscriptions.effects)
    money = await recover_money(pool, answering, book, cause)
    _offer(hints, money.effects)
    unasked = await _unasked(pool, clients, book)
    recovered = _told(looks, subscriptions, money, unasked, is_in_time=is_in_time)
    if unasked:
        log.warning("orphans.unasked", run=run, gateways=unasked)
    if recovered.asked or recovered.subscriptions or recovered.refunds or recovered.disputes:
        others = {what: getattr(recovered, what) for what in ("subscriptions", "refunds", "disputes")}
        log.info("orphans.recovered", run=run, **looks, **others)
    return recovered


def _offer(hints: Hints, effects: Iterable[UUID]) -> None:
    for effect in effects:
        hints.offer(SEND_EFFECT, effect)


def _told(
    looks: Mapping[str, int], subscriptions: Looked, money: LookedAtMoney, unasked: str, *, is_in_time: bool
) -> Recovered:
    counts = {name: looks.get(name, 0) for name in (*Look, FAILED)}
    in_vain = counts[Look.UNKNOWN] + counts[FAILED] + subscriptions.in_vain + money.in_vain
    return Recovered(
        asked=sum(counts.values()),
        **counts,
        subscriptions=subscriptions.asked,
        refunds=money.refunds,
        disputes=money.disputes,
        complete=is_in_time and money.is_in_time and not in_vain and not unasked,
        unasked=unasked,
    )


async def _unasked(pool: Pool, clients: Mapping[str, Client], book: Book) -> str:
    async with pool.acquire() as connection:
        now = (await set_right(connection, book)).clock()
        of_orders = await orphans.unasked(connection, now, list(clients))
        return ", ".join(sorted({*of_orders, *await overdue_money.unasked(connection, now, list(clients))}))


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
