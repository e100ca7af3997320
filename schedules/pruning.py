"""Forget what may be forgotten, in small batches: each locks little, and a run that is cut short has done its part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from db import pruning
from db.pool import Pool, Tx
from schedules.job import Report

BATCH = 1000

#: Of one table in one run. What is left after that is the next hour's.
MOST_BATCHES = 50

Forget = Callable[[Tx, int], Awaitable[int]]


async def prune(pool: Pool, *, frequent: Sequence[str], batch: int = BATCH, most_batches: int = MOST_BATCHES) -> Report:
    """``frequent`` are the jobs that run more often than once a minute: their runs are many, and soon old news."""
    forgets: dict[str, Forget] = {
        "idempotency_keys": pruning.forget_keys,
        "job_runs": partial(pruning.forget_runs, frequent=frequent),
        "dead_letters": pruning.forget_letters,
        "work_attempts": pruning.forget_attempts,
        "gateway_calls": pruning.forget_calls,
        "workers": pruning.forget_workers,
    }
    counts, complete = {}, True
    for table, forget in forgets.items():
        counts[table], is_through = await _forget_all(pool, forget, batch, most_batches)
        complete = complete and is_through
    return Report(counts, complete)


async def _forget_all(pool: Pool, forget: Forget, batch: int, most_batches: int) -> tuple[int, bool]:
    """How many rows went, and whether that was all."""
    gone = 0
    for _ in range(most_batches):
        async with pool.acquire() as connection:
            deleted = await forget(connection, batch)
        gone += deleted
        if deleted < batch:
            return gone, True
    return gone, False
