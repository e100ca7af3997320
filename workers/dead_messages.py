"""What Dramatiq gave up, out of Redis and into the record: there it would expire, here it waits for a person.

Written first and removed afterwards, so that a drain that dies in between finds it again, and writes nothing twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dramatiq import Message
from dramatiq.errors import DecodeError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from db import dead_messages
from db.dead_messages import REFUSED, DeadMessage
from db.pool import Pool, Tx
from workers.causes import fingerprint
from workers.hints import AWAY
from workers.queues import NAMESPACE, QUEUES

BATCH = 200

#: Of one queue in one drain.
MOST_BATCHES = 50

#: A message of ours has 350 bytes. Of what somebody else has put there, so much is evidence enough.
CONTENT_LIMIT = 64 * 1024

#: An index takes 2.7 kB, and a byte that is no text is written with four letters.
KEY_LIMIT = 500

#: Of the column.
MOST_ATTEMPTS = 2**31 - 1

SOCKET_SECONDS = 2.0


#: Actor, error class, error, attempts and content.
Understood = tuple[str, str, str, int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Drained:
    """How many dead letters are new, and whether nothing is left in Redis; ``away`` says why not, if that is why."""

    kept: int = 0
    complete: bool = True
    away: str | None = None


async def drain(pool: Pool, redis_url: str, *, batch: int = BATCH, most_batches: int = MOST_BATCHES) -> Drained:
    """Keep every dead message of every queue. A Redis that is away raises nothing; a Postgres that is away does."""
    kept, complete, away = 0, True, None
    async with Redis.from_url(redis_url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS) as redis:
        for queue in QUEUES:
            try:
                for _ in range(most_batches):
                    found, new = await _drain_batch(pool, redis, queue, batch)
                    kept += new
                    if not found:
                        break
                else:
                    complete = False
            except ResponseError as error:  # Perhaps of this queue's keys alone: the others have their turn.
                complete, away = False, type(error).__name__
            except AWAY as error:
                return Drained(kept, complete=False, away=type(error).__name__)
    return Drained(kept, complete, away)


async def _drain_batch(pool: Pool, redis: Redis, queue: str, batch: int) -> tuple[int, int]:
    """How many were found, and how many of them are new to us."""
    index, contents = f"{NAMESPACE}:{queue}.XQ", f"{NAMESPACE}:{queue}.XQ.msgs"
    scored: Any = await redis.zrange(index, 0, batch - 1, withscores=True)
    died: dict[Any, float | None] = dict(scored)
    if not died:
        # An index that was evicted leaves its contents behind.
        _, left_behind = await redis.hscan(contents, count=batch)
        died = dict.fromkeys(left_behind)
    if not died:
        return 0, 0
    raws: Any = await redis.hmget(contents, list(died))
    read = [_read(key, queue, raw, died_at) for (key, died_at), raw in zip(died.items(), raws, strict=True)]
    new = await _keep(pool, read, raws)
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.zrem(index, *died)
        pipeline.hdel(contents, *died)
        await pipeline.execute()
    return len(died), new


async def _keep(pool: Pool, read: list[DeadMessage], raws: list[bytes | None]) -> int:
    """All at once; or one by one, so that what the database refuses keeps none of the others here."""
    async with pool.acquire() as connection:
        try:
            return await dead_messages.keep(connection, read)
        except REFUSED:
            return sum([await _keep_one(connection, each, raw) for each, raw in zip(read, raws, strict=True)])


async def _keep_one(connection: Tx, message: DeadMessage, raw: bytes | None) -> int:
    try:
        return await dead_messages.keep(connection, [message])
    except REFUSED:
        evidence = _letter(message.id, message.queue, message.died_at, _unreadable(raw or b""))
        return await dead_messages.keep(connection, [evidence])


def _read(key: bytes, queue: str, raw: bytes | None, died_at: float | None) -> DeadMessage:
    return _letter(_name(key), queue, _time(died_at), _understand(raw))


def _name(key: bytes) -> str:
    if len(key) > KEY_LIMIT:
        return hashlib.sha256(key).hexdigest()
    return key.decode("utf-8", "backslashreplace").replace("\0", "\\0")


def _time(died_at: float | None) -> datetime:
    """A score may be anything, infinity too: what is no moment of the past is now."""
    now = datetime.now(UTC)
    if died_at is None or not 0 <= died_at / 1000 <= now.timestamp():
        return now
    return datetime.fromtimestamp(died_at / 1000, UTC)


def _letter(key: str, queue: str, died_at: datetime, understood: Understood) -> DeadMessage:
    actor, error_class, error, attempts, content = understood
    return DeadMessage(
        id=key,
        queue=queue,
        actor=actor,
        error_class=error_class,
        error=error,
        fingerprint=fingerprint("message", actor, error_class, error),
        attempts=attempts,
        content=content,
        died_at=died_at,
    )


def _understand(raw: bytes | None) -> Understood:
    """To be sent again, or as evidence alone."""
    if raw is None:
        return "unknown", "evicted", "Redis has dropped its content: see maxmemory-policy", 0, {}
    try:
        message = Message[Any].decode(raw)
        content = {"actor": message.actor_name, "args": list(message.args), "kwargs": message.kwargs}
        content["options"] = message.options
        attempts = int(message.options.get("retries", 0)) + 1
        actor = message.actor_name.replace("\0", "")
        if not _fits(content):
            return _unreadable(raw)
    except (DecodeError, AttributeError, TypeError, ValueError, OverflowError, RecursionError):
        return _unreadable(raw)
    attempts = max(0, min(attempts, MOST_ATTEMPTS))
    return actor, "given_up", "Dramatiq gave it up: the worker's log says why", attempts, content


def _unreadable(raw: bytes) -> Understood:
    kept = raw[:CONTENT_LIMIT]
    content = {"base64": base64.b64encode(kept).decode(), "bytes": len(raw)}
    return "unreadable", "undecodable", "not a message that we can send again", 0, content


def _fits(content: Mapping[str, Any]) -> bool:
    """Whether a JSON column can hold it: no NUL, not larger than evidence need be.

    Half a surrogate pair raises, and so does a number that JSON has not.
    """
    text = json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    return len(text) <= CONTENT_LIMIT and b"\\u0000" not in text
