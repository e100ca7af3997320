"""Messages that Dramatiq gave up, as dead letters: the second copy is the one that does not expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncpg import DataError, IntegrityConstraintViolationError, ProgramLimitExceededError

from db.pool import Tx

#: What the database says of a message that it will never take, however often it is asked.
REFUSED = (DataError, IntegrityConstraintViolationError, ProgramLimitExceededError)


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """One message. ``content`` is what it takes to send it again, or its bytes where nobody can read them."""

    id: str
    queue: str
    actor: str
    error_class: str
    error: str
    fingerprint: str
    attempts: int
    content: Mapping[str, Any] = field(repr=False)
    died_at: datetime


async def keep(tx: Tx, messages: Sequence[DeadMessage]) -> int:
    """Write those that are new; returns how many were. Nobody has looked at them: they are open."""
    kept = await tx.fetch(
        """
        INSERT INTO dead_letters (source, source_id, queue, what, class, error_class, error, fingerprint, attempts,
                                  message, created_at)
        SELECT 'message', m.id, m.queue, m.what, 'permanent', m.error_class, m.error, m.fingerprint, m.attempts,
               m.message, m.died_at
          FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
                      $8::jsonb[], $9::timestamptz[])
            AS m (id, queue, what, error_class, error, fingerprint, attempts, message, died_at)
         ORDER BY m.id
        ON CONFLICT (source, source_id, epoch) DO NOTHING
        RETURNING id
        """,
        [message.id for message in messages],
        [message.queue for message in messages],
        [message.actor for message in messages],
        [message.error_class for message in messages],
        [message.error for message in messages],
        [message.fingerprint for message in messages],
        [message.attempts for message in messages],
        [dict(message.content) for message in messages],
        [message.died_at for message in messages],
    )
    return len(kept)
