"""Waiting for a condition, with a bound that says when it has failed; never for a number of seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from db.pool import Tx


async def until(look: Callable[[], Awaitable[bool]], *, seconds: float = 30.0) -> None:
    """Look again and again until it is so; less often after a while, as looks take from what is waited for."""
    begun = time.monotonic()
    while not await look():
        waited = time.monotonic() - begun
        assert waited < seconds, "the condition did not come"
        await asyncio.sleep(min(0.1, max(0.02, waited / 20)))


async def until_somebody_waits(witness: Tx, kind: str, *, seconds: float = 10.0) -> None:
    """Until a session of this database waits for a lock: ``advisory``, or ``transactionid`` for a row's."""

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = $1 AND datname = current_database()"
        return bool(await witness.fetchval(waiting, kind))

    await until(waits, seconds=seconds)
