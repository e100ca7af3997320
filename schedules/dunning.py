"""What becomes due for subscriptions by our own clock: reminders, notices, the end of a grace, a cancellation.

Each is worked in a transaction of its own, under its locks, by the same rules as what a gateway tells. A step is owed
once, whoever comes to it first and however late: what was missed while no clock ran is made up for in one run.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from db import subscriptions
from db.history import Cause
from db.pool import UNAVAILABLE, Pool
from schedules.job import Report
from workers.apply import Book
from workers.hints import Hints
from workers.queues import SEND_EFFECT
from workers.subscription_effects import Line
from workers.subscriptions import keep_its_time
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

#: Of one run; the next comes in a minute.
MOST = 5000
BATCH = 100


async def keep_time(pool: Pool, hints: Hints, book: Book, run: str, *, most: int = MOST) -> Report:
    """Work what is due, the longest due first. One that cannot be worked keeps no other from its turn."""
    async with pool.acquire() as connection:
        book = await set_right(connection, book)
    now, reached, kept, failed = book.clock(), None, 0, 0
    while kept + failed < most:
        async with pool.acquire() as connection:
            due = await subscriptions.due(connection, now, after=reached, limit=min(BATCH, most - kept - failed))
        if not due:
            break
        for _, subscription_id in due:
            if await _keep(pool, hints, book, run, subscription_id):
                kept += 1
            else:
                failed += 1
        reached = due[-1]
    counts = {"kept": kept, **({"failed": failed} if failed else {})}
    return Report(counts, complete=not failed and kept < most)


async def _keep(pool: Pool, hints: Hints, book: Book, run: str, subscription_id: UUID) -> bool:
    try:
        async with pool.acquire() as connection, connection.transaction():
            held = await subscriptions.lock(connection, subscription_id)
            now = book.clock()
            if held.next_step_at is None or held.next_step_at > now:
                return True  # told of meanwhile, and put off
            line = Line(held.subscription.gateway, Cause("schedule", run), now)
            written = await keep_its_time(connection, held, line, book.dunning)
    except UNAVAILABLE:
        raise
    except Exception as error:  # noqa: BLE001 - it is due again in a minute, and the run says that it was not kept
        log.error("subscription.not_kept", subscription_id=str(subscription_id), error_class=type(error).__name__)  # noqa: TRY400
        return False
    for effect in written.effects:
        hints.offer(SEND_EFFECT, effect)
    return True
