"""What a caller asked under a key of its own, and the answer it got: the same question again gets the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is ours to work under until ``held_until``, real time.

    ``order_id`` is the order that an earlier request made under it and did not bring to an answer: go on with that one.
    """

    order_id: UUID | None
    held_until: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """The question was answered before; ``body`` is the answer's exact text."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request works under this key, or died under it less than a lease ago."""


@dataclass(frozen=True, slots=True)
class Reused:
    """The key belongs to another question of the same user."""


async def claim(
    tx: Tx, *, user_id: str, key: str, request_hash: str, lease_seconds: float
) -> Claimed | Answered | InFlight | Reused:
    """Take the key, unless somebody holds it or it has been answered. The user must have a row.

    Who comes while another transaction takes the same key waits for its end, and then sees what it wrote.
    """
    row = await tx.fetchrow(
        """
        INSERT INTO idempotency_keys (user_id, key, request_hash, held_until)
        VALUES ($1, $2, $3, clock_timestamp() + $4::interval)
        ON CONFLICT (user_id, key) DO UPDATE SET held_until = excluded.held_until
            WHERE idempotency_keys.request_hash = excluded.request_hash
              AND idempotency_keys.answer IS NULL AND idempotency_keys.held_until <= clock_timestamp()
        RETURNING order_id, held_until
        """,
        user_id,
        key,
        request_hash,
        timedelta(seconds=lease_seconds),
    )
    if row is not None:
        return Claimed(row["order_id"], row["held_until"])
    return await _look(tx, user_id, key, request_hash)


async def _look(tx: Tx, user_id: str, key: str, request_hash: str) -> Answered | InFlight | Reused:
    row = await tx.fetchrow(
        "SELECT request_hash, answer FROM idempotency_keys WHERE user_id = $1 AND key = $2", user_id, key
    )
    if row is None:
        raise LookupError("an idempotency key was deleted while it was being claimed")
    if row["request_hash"] != request_hash:
        return Reused()
    if row["answer"] is not None:
        return Answered(row["answer"]["status"], row["answer"]["body"])
    return InFlight()


async def keep_order(tx: Tx, *, user_id: str, key: str, order_id: UUID) -> None:
    """Say which order the key has made, in the transaction that makes it."""
    await tx.execute(
        "UPDATE idempotency_keys SET order_id = $3 WHERE user_id = $1 AND key = $2", user_id, key, order_id
    )


async def keep_answer(tx: Tx, *, user_id: str, key: str, status: int, body: str) -> None:
    """The first answer stands; one that comes later, from who lost its lease meanwhile, changes nothing."""
    await tx.execute(
        "UPDATE idempotency_keys SET answer = $3 WHERE user_id = $1 AND key = $2 AND answer IS NULL",
        user_id,
        key,
        {"status": status, "body": body},
    )


async def release(tx: Tx, *, user_id: str, key: str, held_until: datetime) -> None:
    """Let the next request go on at once. Who has lost its lease to another releases nothing."""
    await tx.execute(
        """
        UPDATE idempotency_keys SET held_until = clock_timestamp()
         WHERE user_id = $1 AND key = $2 AND held_until = $3 AND answer IS NULL
        """,
        user_id,
        key,
        held_until,
    )
