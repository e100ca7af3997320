"""A worker process for one row alone: it works it once, in the same way as any worker, says its last word and ends."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Coroutine
from contextlib import suppress
from uuid import UUID

import structlog

from db.pool import UNAVAILABLE, open_pool
from gateways.clients import build_clients
from workers.alone import LAST_WORD, LIMIT_SECONDS
from workers.delivery.senders import build
from workers.effects import send_alone
from workers.errands import Errands
from workers.services import WorkerValues
from workers.webhook_events import work_alone

log = structlog.get_logger(__name__)

#: Of address space. A row that wants more gets an error, which can be written down, before the machine gets into need.
MEMORY_BYTES = 1 << 30


def run(values: WorkerValues, source: str, row: UUID) -> int:
    """Work it, within our limits; the exit code is the last word."""
    limit_ourselves()
    return end_with_last_word(_work(values, source, row))


def end_with_last_word(work: Coroutine[None, None, None]) -> int:
    """Says that the attempt came to an end, whichever, and that this process lived to see it."""
    try:
        asyncio.run(work)
    except UNAVAILABLE as error:
        log.warning("alone.database_away", error_class=type(error).__name__)
    return LAST_WORD


def limit_ourselves() -> None:
    """Time and memory, by the kernel."""
    # The kernel's own alarm: it ends us where nobody is left to do it, and where Python would never get round to it.
    signal.alarm(int(LIMIT_SECONDS) + 5)
    with suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))


async def _work(values: WorkerValues, source: str, row: UUID) -> None:
    async with await open_pool(values.database_url, name="worker alone", max_size=2) as pool:
        if source == "webhook_event":
            await work_alone(pool, values.desk, row)
            return
        clients = build_clients(values.gateways)
        try:
            errands = Errands.of(pool, clients, values.desk.book)
            async with build(values.delivery, further={"gateway": errands}) as senders:
                await send_alone(pool, senders, row)
        finally:
            for client in clients.values():
                await client.aclose()
