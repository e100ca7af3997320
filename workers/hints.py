"""Hints to the workers, by Redis: this row is owed. Losing one costs seconds, never the work: the sweep repeats it.

The life of a hint:
1. ``offer`` puts it in memory, after the commit of its row; it neither waits nor fails.
2. The writer takes what has gathered, up to ``BATCH``, and writes it in one MULTI; into an empty queue, it rings.
3. Redis is away, or memory is full: it is dropped and counted. Its row is still owed, and a sweep finds it there.

A message is dramatiq's own, encoded by the installed version, in the layout that its guide documents for producers in
other languages: a hash ``<namespace>:<queue>.msgs`` from message id to message, and the list of ids beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import structlog
from dramatiq import Message
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from workers.bell import CHANNEL
from workers.queues import NAMESPACE, Route

log = structlog.get_logger(__name__)

Hint = tuple[Route, UUID]

#: By queue, encoded messages by their ids.
Messages = dict[str, dict[str, bytes]]

#: What may wait in memory: seconds of the heaviest traffic, and a few megabytes.
CAPACITY = 10_000

#: One MULTI of 200 messages is about 70 kB; larger ones gained nothing.
BATCH = 200

#: Redis answers in a millisecond or is away. A longer wait would only fill the memory behind it.
SOCKET_SECONDS = 0.5
BATCH_SECONDS = 2.0
CLOSE_SECONDS = 2.0

AWAY = (RedisError, OSError, TimeoutError)


class Hints:
    """Enter it in the loop that uses it. Redis may be away all the while."""

    def __init__(self, url: str, namespace: str = NAMESPACE) -> None:
        self._namespace = namespace
        # One retry, since after a restart of Redis every pooled connection is a dead one. A hint may arrive twice.
        self._redis = Redis.from_url(
            url,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._waiting: asyncio.Queue[Hint] = asyncio.Queue(CAPACITY)
        self._away = False
        self.sent = 0
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_for_ever(), name="hints")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), CLOSE_SECONDS)
        self._writer.cancel()
        await asyncio.wait([self._writer])
        self.dropped += self._waiting.qsize()
        await self._redis.aclose()

    def offer(self, route: Route, row: UUID) -> None:
        """Call it after the commit of the row, or a worker could look before the row is there."""
        try:
            self._waiting.put_nowait((route, row))
        except asyncio.QueueFull:
            self.dropped += 1

    async def send(self, route: Route, rows: Iterable[UUID]) -> bool:
        """Past the queue, for a sweep that wants to know: False if any of them was not written."""
        hints = [(route, row) for row in rows]
        for first in range(0, len(hints), BATCH):
            if not await self._write(hints[first : first + BATCH]):
                return False
        return True

    async def send_again(self, queue: str, actor: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> bool:
        """A message that had been given up, as a new one; False if it was not written."""
        message = _message(Route(queue, actor), arguments, named)
        return await self._write_messages({queue: dict([message])})

    async def flush(self) -> None:
        """Wait until everything offered so far is written or dropped."""
        await self._waiting.join()

    async def depth(self, queue: str) -> int | None:
        """How many hints wait for a worker there; None when Redis does not say."""
        try:
            return int(await self._redis.llen(self._list(queue)))
        except AWAY:
            return None

    async def _write_for_ever(self) -> None:
        while True:
            hints = [await self._waiting.get()]
            while len(hints) < BATCH and not self._waiting.empty():
                hints.append(self._waiting.get_nowait())
            try:
                await self._write(hints)
            except Exception:
                # A writer that died would end all hints of this process; this batch is the sweep's.
                self.dropped += len(hints)
                log.exception("hints.failed")
            finally:
                for _ in hints:
                    self._waiting.task_done()

    async def _write(self, hints: Sequence[Hint]) -> bool:
        return await self._write_messages(_encode(hints))

    async def _write_messages(self, messages: Messages) -> bool:
        count = sum(map(len, messages.values()))
        pipeline = self._redis.pipeline(transaction=True)
        for queue, encoded in messages.items():
            pipeline.hset(f"{self._list(queue)}.msgs", items=list(chain.from_iterable(encoded.items())))
            pipeline.rpush(self._list(queue), *encoded)
        try:
            async with asyncio.timeout(BATCH_SECONDS):
                lengths = (await pipeline.execute())[1::2]
        except AWAY as error:
            self._count_lost(count, error)
            return False
        self._count_sent(count)
        await self._ring(
            queue for queue, length in zip(messages, lengths, strict=True) if length <= len(messages[queue])
        )
        return True

    async def _ring(self, queues: Iterable[str]) -> None:
        """Wake who waits; where hints lay already, nobody does. Apart from the MULTI: a role that may not publish must
        not lose its hints."""
        with suppress(*AWAY):
            async with asyncio.timeout(SOCKET_SECONDS):
                for queue in queues:
                    await self._redis.publish(CHANNEL, queue)

    def _count_sent(self, count: int) -> None:
        self.sent += count
        if self._away:
            self._away = False
            log.info("hints.redis_is_back", dropped=self.dropped)

    def _count_lost(self, count: int, error: BaseException) -> None:
        self.dropped += count
        if not self._away:  # Once per outage: a line per hint would tell nothing more.
            self._away = True
            log.warning("hints.redis_is_away", error_class=type(error).__name__)

    def _list(self, queue: str) -> str:
        return f"{self._namespace}:{queue}"


def _encode(hints: Iterable[Hint]) -> Messages:
    """By queue, the messages by their ids, in order; a row that was hinted twice in one batch needs one message."""
    messages: Messages = {}
    for route, row in dict.fromkeys(hints):
        key, message = _message(route, (str(row),), {})
        messages.setdefault(route.queue, {})[key] = message
    return messages


def _message(route: Route, arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[str, bytes]:
    key = str(uuid4())
    message = Message[None](
        queue_name=route.queue,
        actor_name=route.actor,
        args=tuple(arguments),
        kwargs=dict(named),
        options={"redis_message_id": key},
    )
    return key, message.encode()
