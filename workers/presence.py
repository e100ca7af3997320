"""A worker process says in the record that it lives, every few seconds, and that it leaves. No work waits for it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from db import workers
from db.ids import new_id
from db.pool import Pool

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0

#: The next word follows soon; one that takes longer is not worth a connection.
SAY_SECONDS = 3.0


@dataclass(slots=True)
class Presence:
    """One process. ``in_hand`` tells how much it works on at this moment."""

    pool: Pool
    queues: Sequence[str]
    threads: int
    in_hand: Callable[[], int]
    id: UUID = field(default_factory=new_id)
    is_unheard: bool = False

    async def say_for_ever(self) -> None:
        while True:
            await self.say()
            await asyncio.sleep(EVERY_SECONDS)

    async def say(self) -> None:
        """Say it once; a database that is away is told of once."""
        try:
            async with asyncio.timeout(SAY_SECONDS), self.pool.acquire() as connection:
                if not await workers.say_alive(connection, self.id, in_hand=self.in_hand()):
                    host, queues = socket.gethostname(), sorted(self.queues)
                    await workers.register(
                        connection, self.id, host=host, pid=os.getpid(), queues=queues, threads=self.threads
                    )
            self.is_unheard = False
        except Exception as error:  # noqa: BLE001 - away, or without the right: neither is its work's business
            if not self.is_unheard:
                self.is_unheard = True
                log.warning("presence.not_said", error_class=type(error).__name__)

    async def leave(self) -> None:
        try:
            async with asyncio.timeout(SAY_SECONDS), self.pool.acquire() as connection:
                await workers.leave(connection, self.id)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("presence.left_unsaid", error_class=type(error).__name__)
