"""Keep the gateways' names of our calls beside the row that they are made for. Nothing ever fails for want of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from db import gateway_calls
from db.gateway_calls import Source
from db.pool import NO_ANSWER, Pool
from gateways.calls import Call, heard

log = structlog.get_logger(__name__)


@asynccontextmanager
async def calls_kept(pool: Pool, source: Source, source_id: UUID) -> AsyncIterator[None]:
    """What is asked of gateways within is written down at its end, however it ends, in a transaction of its own."""
    with heard() as calls:
        try:
            yield
        finally:
            if calls:
                await _keep(pool, source, source_id, calls)


async def _keep(pool: Pool, source: Source, source_id: UUID, calls: Sequence[Call]) -> None:
    try:
        async with pool.acquire() as connection:
            await gateway_calls.keep(connection, source, source_id, calls)
    except NO_ANSWER as error:
        log.warning("gateway_calls.not_kept", source=source, error_class=type(error).__name__)
