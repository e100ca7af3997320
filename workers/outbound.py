"""The sends that are under way in this process, by channel: a receiver that never answers holds up nobody but its own.

No worker thread waits for a receiver. A hint starts a send and is done; the send's own lease, time limit and row see to
the rest. Where a channel is full the hint is dropped, before anything is claimed: the sweep brings it again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from uuid import UUID

from db import effects
from db.pool import Pool
from workers.alone import ALONE, Alone
from workers.delivery.sender import Sender
from workers.effects import Outcome, send_effect

#: Sends of one channel at once: what a slow receiver may hold of us, and more than a quick one ever needs.
AT_ONCE = 16


class Outbound:
    """Belongs to one event loop; ``drain`` it before its pool and its senders are closed."""

    def __init__(
        self,
        pool: Pool,
        senders: Sender,
        alone: Alone = ALONE,
        tell: Callable[[str, Outcome], None] = lambda _kind, _outcome: None,
    ) -> None:
        self._pool = pool
        self._senders = senders
        self._alone = alone
        self._tell = tell
        self._under_way: defaultdict[str, set[asyncio.Task[object]]] = defaultdict(set)

    @property
    def under_way(self) -> int:
        return sum(map(len, self._under_way.values()))

    async def send(self, effect_id: UUID) -> bool:
        """Begin to send this effect if it is owed and its channel has room; does not wait for how it ends."""
        async with self._pool.acquire() as connection:
            kind = await effects.due_kind(connection, effect_id)
        if kind is None:
            return False
        channel = self._under_way[kind.partition(".")[0]]
        if len(channel) >= AT_ONCE:
            return False
        task: asyncio.Task[object] = asyncio.create_task(self._send(kind, effect_id))
        channel.add(task)
        task.add_done_callback(channel.discard)
        return True

    async def _send(self, kind: str, effect_id: UUID) -> None:
        self._tell(kind, await send_effect(self._pool, self._senders, effect_id, alone=self._alone))

    async def drain(self, seconds: float) -> None:
        """Let what is under way end, for so long; what does not is taken up by its lease."""
        tasks = [task for channel in self._under_way.values() for task in channel]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=seconds)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
