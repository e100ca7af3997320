"""Dead letters retried or discarded by the many: how many were meant, how many were taken, and under which batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from console.event_file import letter_told
from db import dead_letters
from db.dead_letters import Letter, Selection
from db.operator_actions import Operator
from db.pool import Pool, Tx
from workers import replays
from workers.hints import Hints
from workers.replays import Batch

#: Beyond this nobody counts: it is very many.
COUNTED = 10_000

#: So many are shown of a batch.
SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for."""

    selection: Selection
    by: Operator
    reason: str
    most: int
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it. ``meant`` were open and fitted, ``batch`` has what was taken; ``unsent`` went to no worker."""

    verb: str
    meant: int
    batch: Batch
    unsent: int = 0

    @property
    def sample(self) -> tuple[Letter, ...]:
        """The first of them, the oldest."""
        return self.batch.letters[:SAMPLE]

    @property
    def trouble(self) -> str | None:
        """What must not end with 0."""
        if not self.meant:
            return "No open dead letter fits."
        if self.unsent:
            return f"{self.unsent} messages could not be sent, since Redis is away: their letters are open again."
        if not self.batch.letters:
            return "None could be taken: they are in other hands, or messages that can only be discarded."
        return None

    def sentence(self) -> str:
        """How many, and how to find them again."""
        taken, meant = len(self.batch.letters), "more than 10000" if self.meant >= COUNTED else self.meant
        over = f", over {self.batch.seconds:.0f} s" if self.batch.seconds >= 1 else ""
        if self.batch.id is None:
            return f"would {self.verb} {taken} of {meant}{over}; nothing was changed"
        return f"{PAST[self.verb]} {taken} of {meant}{over}; batch {self.batch.id}"

    def told(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "verb": self.verb,
            "dry_run": self.batch.id is None,
            "meant": self.meant,
            "taken": len(self.batch.letters),
            "unsent": self.unsent,
            "seconds": self.batch.seconds,
            "batch_id": self.batch.id,
            "sample": [letter_told(letter) for letter in self.sample],
        }


NOTHING = Batch(None, ())
PAST = {"retry": "retried", "discard": "discarded"}


async def retry(pool: Pool, redis_url: str, order: Order, per_second: float) -> Done:
    """Messages among them are sent once the rest is committed."""
    async with pool.acquire() as connection, connection.transaction():
        meant = await _count(connection, order.selection)
        if not meant:
            return Done("retry", 0, NOTHING)
        batch = await replays.retry(
            connection,
            order.selection,
            by=order.by,
            reason=order.reason,
            cap=order.most,
            per_second=per_second,
            dry_run=order.dry_run,
        )
    unsent = 0
    if batch.messages and not order.dry_run:
        async with Hints(redis_url) as hints:
            unsent = len(batch.messages) - await replays.send_messages(pool, hints, batch)
    return Done("retry", meant, batch, unsent)


async def discard(pool: Pool, order: Order) -> Done:
    async with pool.acquire() as connection, connection.transaction():
        meant = await _count(connection, order.selection)
        if not meant:
            return Done("discard", 0, NOTHING)
        batch = await replays.discard(
            connection, order.selection, by=order.by, reason=order.reason, cap=order.most, dry_run=order.dry_run
        )
    return Done("discard", meant, batch)


async def _count(tx: Tx, selection: Selection) -> int:
    return len(await dead_letters.find(tx, selection, limit=COUNTED))
