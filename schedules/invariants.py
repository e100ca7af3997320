"""Ask our own data whether anything is so that must never be, and tell a person what is.

What is found is a discrepancy of the kind ``invariant_<file>``, opened once. It is resolved by itself when it is no
longer so, and opened again if it comes back, unless a person has closed it.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg
import structlog

from db import invariants
from db.invariants import Invariant, Violation
from db.pool import Pool
from schedules.job import Report

log = structlog.get_logger(__name__)

#: For one question; it may read whole tables. One that takes longer is named as unanswered.
QUESTION_SECONDS = 60.0


async def check(pool: Pool, asked: Iterable[Invariant] | None = None) -> Report:
    """Ask each. One that cannot be answered does not keep the others from being asked, and the run says so."""
    counts: dict[str, int | str] = {"asked": 0, "broken": 0, "news": 0, "cured": 0}
    unanswered = []
    for invariant in invariants.load() if asked is None else asked:
        try:
            found = await _ask(pool, invariant)
        except (asyncpg.PostgresError, TimeoutError) as error:
            log.warning("invariant.unanswered", invariant=invariant.name, error_class=type(error).__name__)
            unanswered.append(invariant.name)
            continue
        news, cured = await _tell(pool, invariant, found)
        for name, more in (("asked", 1), ("broken", len(found)), ("news", news), ("cured", cured)):
            counts[name] = int(counts[name]) + more
    return Report({**counts, "unanswered": ", ".join(unanswered)} if unanswered else counts, complete=not unanswered)


async def _ask(pool: Pool, invariant: Invariant) -> list[Violation]:
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        return await invariants.find_violations(connection, invariant, seconds=QUESTION_SECONDS)


async def _tell(pool: Pool, invariant: Invariant, found: list[Violation]) -> tuple[int, int]:
    async with pool.acquire() as connection, connection.transaction():
        news = await invariants.raise_violations(connection, invariant, found) if found else 0
        is_whole = len(found) < invariants.MOST
        cured = await invariants.close_cured(connection, invariant, found) if is_whole else 0
    if news:
        log.error("invariant.broken", invariant=invariant.name, count=len(found))
    return news, cured
