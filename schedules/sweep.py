"""The sweep: whatever is owed and late is found by its row and hinted again. Redis may forget; this does not.

Any number of sweeps may run at once: each row is taken by one of them (FOR UPDATE SKIP LOCKED) and left alone for a
while afterwards.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from db import effects, webhook_events
from db.pool import Pool, Tx
from workers.hints import Hints
from workers.queues import REPLAY_WEBHOOK_EVENT, RESEND_EFFECT, SEND_EFFECT, WORK_WEBHOOK_EVENT, Route

#: A queue this deep is not short of hints: more of them would only multiply a backlog that is being worked.
DEEP_ENOUGH = 1000

#: How long a hint may take to be worked before the sweep repeats it.
AGAIN_SECONDS = 5.0

Overdue = Callable[[Tx, int, str], Awaitable[list[UUID]]]


@dataclass(frozen=True, slots=True)
class Debt:
    """One kind of row that may be owed, and the route its hint takes."""

    route: Route
    overdue: Overdue


async def _overdue_events(tx: Tx, limit: int, queue: str) -> list[UUID]:
    return await webhook_events.overdue(tx, limit=limit, again_seconds=AGAIN_SECONDS, queue=queue)


async def _overdue_effects(tx: Tx, limit: int, queue: str) -> list[UUID]:
    return await effects.overdue(tx, limit=limit, again_seconds=AGAIN_SECONDS, queue=queue)


#: A row is hinted to the queue that it stands in; what a person asked to be worked again stands in one of its own.
DEBTS = (
    Debt(WORK_WEBHOOK_EVENT, _overdue_events),
    Debt(SEND_EFFECT, _overdue_effects),
    Debt(REPLAY_WEBHOOK_EVENT, _overdue_events),
    Debt(RESEND_EFFECT, _overdue_effects),
)


async def sweep_once(pool: Pool, hints: Hints) -> int:
    """Hint what is owed and late; returns how many hints went out. Raises when Postgres is away.

    Redis is asked first, how deep the queue is: while it is away no row is touched, so that all are due at once when
    it is back.
    """
    sent = 0
    for debt in DEBTS:
        depth = await hints.depth(debt.route.queue)
        if depth is None or depth >= DEEP_ENOUGH:
            continue
        room = DEEP_ENOUGH - depth
        async with pool.acquire() as connection, connection.transaction():
            owed = await debt.overdue(connection, room, debt.route.queue)
        if owed and await hints.send(debt.route, owed):
            sent += len(owed)
    return sent
