"""Attempts at work that did not simply succeed at the first try: who tried, how it ended, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from db.pool import Tx

Source = Literal["webhook_event", "effect"]


class TroubleClass(StrEnum):
    """What it takes to get over a trouble."""

    TRANSIENT = "transient"  # time
    PERMANENT = "permanent"  # other code: a shape that we do not know, a bug
    PERSON = "person"  # a decision, or a setting that somebody mends
    CRASH = "crash"  # it ends the process that works it


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt did not succeed. ``fingerprint`` is the same for the same cause.

    ``error`` is short and shown in lists; ``traceback`` may quote values, and stays with the payload.
    """

    trouble_class: TroubleClass
    error_class: str
    error: str
    fingerprint: str
    traceback: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class WorkAttempt:
    """One attempt as its row tells it."""

    id: UUID
    source: str
    source_id: UUID
    epoch: int
    worker: str
    started_at: datetime
    finished_at: datetime
    outcome: str
    trouble_class: str | None
    error_class: str | None
    error: str | None
    traceback: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Life:
    """How a row of work stands: which of its lives this is, and how many processes it has ended in it while alone."""

    status: str
    epoch: int
    crashes: int


async def record(
    tx: Tx,
    *,
    source: Source,
    source_id: UUID,
    epoch: int,
    worker: str,
    started_at: datetime,
    outcome: str,
    trouble: Trouble | None = None,
) -> None:
    """Write one attempt down, in the transaction that says on the row itself how it ended."""
    await tx.execute(
        """
        INSERT INTO work_attempts (source, source_id, epoch, worker, started_at, outcome, class, error_class, error,
                                   traceback, finished_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, greatest($5, clock_timestamp()))
        """,
        source,
        source_id,
        epoch,
        worker,
        started_at,
        outcome,
        trouble.trouble_class.value if trouble else None,
        trouble.error_class if trouble else None,
        trouble.error if trouble else None,
        trouble.traceback if trouble else None,
    )


async def of(tx: Tx, source: Source, source_id: UUID, *, limit: int = 100) -> list[WorkAttempt]:
    """All that was tried with this row, in all its lives, oldest first; of a very long story its newest part."""
    rows = await tx.fetch(
        """
        SELECT * FROM (
            SELECT id, source, source_id, epoch, worker, started_at, finished_at, outcome, class AS trouble_class,
                   error_class, error, traceback
              FROM work_attempts WHERE source = $1 AND source_id = $2 ORDER BY finished_at DESC, id LIMIT $3
        ) AS newest ORDER BY finished_at, id
        """,
        source,
        source_id,
        limit,
    )
    return [WorkAttempt(**row) for row in rows]
