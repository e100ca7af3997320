"""Worker processes, by what they say of themselves: told when they start, every few seconds, and when they leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that has spoken lately. ``in_hand`` is how much it was working on when it did."""

    id: UUID
    host: str
    pid: int
    queues: tuple[str, ...]
    threads: int
    in_hand: int
    started_at: datetime
    seen_at: datetime


async def register(tx: Tx, worker: UUID, *, host: str, pid: int, queues: Sequence[str], threads: int) -> None:
    """Say that this process works these queues; again after it was forgotten, or lost its database for long."""
    await tx.execute(
        """
        INSERT INTO workers (id, host, pid, queues, threads) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (id) DO UPDATE SET seen_at = now(), stopped_at = NULL
        """,
        worker,
        host,
        pid,
        list(queues),
        threads,
    )


async def say_alive(tx: Tx, worker: UUID, *, in_hand: int) -> bool:
    """Say that it still works; False where nobody knows it any more, so that it registers anew."""
    said = await tx.execute("UPDATE workers SET seen_at = now(), in_hand = $2 WHERE id = $1", worker, in_hand)
    return said == "UPDATE 1"


async def leave(tx: Tx, worker: UUID) -> None:
    """Say good-bye, so that nobody wonders where it is."""
    await tx.execute("UPDATE workers SET stopped_at = now(), seen_at = now(), in_hand = 0 WHERE id = $1", worker)


async def list_alive(tx: Tx, *, within_seconds: float) -> list[Worker]:
    """Those that have spoken within so many seconds and have not left, the oldest first."""
    rows = await tx.fetch(
        """
        SELECT id, host, pid, queues, threads, in_hand, started_at, seen_at FROM workers
         WHERE stopped_at IS NULL AND seen_at > now() - $1::interval ORDER BY started_at, id
        """,
        timedelta(seconds=within_seconds),
    )
    return [Worker(**{**row, "queues": tuple(row["queues"])}) for row in rows]
