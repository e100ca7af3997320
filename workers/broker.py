"""The broker of a worker process. Redis holds hints only: whatever it loses is still owed in Postgres.

What an outage, a full Redis or a strange message can do to Dramatiq's own classes, and why the rest may stay as it is,
stands in decision 0025.

The life of a hint, once it is in Redis:
1. A consumer fetches it: from then on it is in the set of what this process holds.
2. A worker thread works its row and acknowledges it. What cannot be read, or names an unknown actor, is dead instead.
3. An answer of Redis that fails in between is asked for no more. When Redis is back, all that this process holds goes
   back into the queue: what was lost on the way is found, and what is done already is seen by its row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
import structlog
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.errors import ConnectionClosed, DecodeError
from dramatiq.middleware import AsyncIO, Middleware
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.bell import Bell
from workers.queues import NAMESPACE, QUEUES

log = structlog.get_logger(__name__)

#: Redis answers in a millisecond or is away. Several such waits must fit into the end of a process.
SOCKET_SECONDS = 2.0

#: Between two attempts to reach a Redis that is away.
AGAIN_SECONDS = 1.0

#: What is dead in Redis waits there for the clock, which keeps it in Postgres, however long no clock runs.
DEAD_MESSAGE_TTL_MS = 365 * 24 * 3600 * 1000

#: Away, frozen, full, a read-only replica, or holding something else under our keys: to a hint it is all one.
AWAY = (redis.RedisError, OSError, ConnectionClosed)


class HintConsumer(_RedisConsumer):
    """One queue's. It lives as long as its thread: whatever Redis does, it asks again a moment later."""

    _is_away = False

    def __next__(self) -> MessageProxy | None:
        try:
            if self._is_away:
                self._come_back()
            return self._take()
        except AWAY as error:
            self._note_away(error)
            self.broker.bell.rest(AGAIN_SECONDS)
            return None

    def ack(self, message: MessageProxy) -> None:
        self._tell(super().ack, message)

    def nack(self, message: MessageProxy) -> None:
        self._tell(super().nack, message)

    def requeue(self, messages: Any) -> None:
        self._tell(super().requeue, messages)

    def _take(self) -> MessageProxy | None:
        if not self.message_cache:
            self.message_cache = self._fetch()
        if not self.message_cache:
            self.broker.bell.wait(self.queue_name)
            return None
        message = _read(self.message_cache.pop(0), self.queue_name)
        if message is None:
            self._put_aside()
            return None
        self.queued_message_ids.add(message.message_id)
        return MessageProxy(message)

    def _fetch(self) -> list[bytes | None]:
        # Without room it is none that we ask for: asking is also what says that we live.
        room = max(0, self.prefetch - self.outstanding_message_count)
        fetched: list[bytes | None] = self.broker.do_fetch(self.queue_name, room)
        return fetched

    def _tell(self, say: Callable[[Any], None], about: Any) -> None:
        """Nobody waits for Redis with work in hand: what could not be said is settled when it is back."""
        if not self._is_away:
            try:
                say(about)
            except AWAY as error:
                self._note_away(error)
        if self.outstanding_message_count <= self.prefetch // 2:
            self.broker.bell.wake(self.queue_name)

    def _come_back(self) -> None:
        """It is back when a fetch has succeeded: one that answers may hold something else under our keys."""
        held = self._held()
        self.message_cache = []
        # Raises while they are somebody else's: giving back what is held would drop it then.
        self.broker.client.hlen(f"{self.broker.namespace}:{self.queue_name}.msgs")
        if held:
            self.broker.do_requeue(self.queue_name, *held)
        self.message_cache = self._fetch()
        self._is_away = False
        log.info("consumer.redis_is_back", queue=self.queue_name, given_back=len(held))

    def _put_aside(self) -> None:
        """What cannot be read is dead, as it is; what an evicting Redis has dropped is forgotten."""
        held = self._held()
        kept = self.broker.client.hmget(f"{self.broker.namespace}:{self.queue_name}.msgs", held) if held else []
        for key, raw in zip(held, kept, strict=True):
            if raw is None:
                self.broker.do_ack(self.queue_name, key)
            elif _read(raw, self.queue_name) is None:
                log.warning("consumer.unreadable_message", queue=self.queue_name, size=len(raw))
                self.broker.do_nack(self.queue_name, key)

    def _held(self) -> list[bytes]:
        """What this process has fetched from the queue, and not acknowledged."""
        mine = f"{self.broker.namespace}:__acks__.{self.broker.broker_id}.{self.queue_name}"
        return list(self.broker.client.smembers(mine))

    def _note_away(self, error: BaseException) -> None:
        if not self._is_away:  # Once per outage: a line per second would tell nothing more.
            self._is_away = True
            log.warning("consumer.redis_is_away", queue=self.queue_name, error_class=type(error).__name__)


class HintBroker(RedisBroker):
    """Without delayed messages: what is to come later is a row. So nothing waits in a process's memory for its time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # Dramatiq does not type it
        self.bell = Bell(self.client, QUEUES)

    @property
    def consumer_class(self) -> type[HintConsumer]:
        return HintConsumer

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)


def make_broker(redis_url: str, *further: Middleware, socket_seconds: float = SOCKET_SECONDS) -> HintBroker:
    """A broker with an explicit client and an explicit list of middleware, in the order in which it boots.

    No Retries: attempts are counted in Postgres, where they survive Redis. No AgeLimit: a hint has no age. No
    TimeLimit: it cannot stop async work; actors carry their own ``asyncio.timeout``.
    """
    client = redis.Redis.from_url(
        redis_url,
        socket_timeout=socket_seconds,
        socket_connect_timeout=socket_seconds,
        health_check_interval=30,
        # Once, and of a lost connection alone: after a restart of Redis every pooled one is dead. A command that timed
        # out may have been done, and a fetch that is done twice leaves what the first one took lying.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return HintBroker(
        client=client,
        namespace=NAMESPACE,
        middleware=[AsyncIO(), *further],
        maintenance_chance=50_000,
        dead_message_ttl=DEAD_MESSAGE_TTL_MS,
    )


def _read(raw: bytes | None, queue: str) -> Message[Any] | None:
    """The message, if it is one as we write them: another kind could end the thread that works it."""
    try:
        message: Any = Message[Any].decode(raw or b"")
        names = (message.message_id, message.actor_name, message.options["redis_message_id"])
        is_ours = message.queue_name == queue and len(message.options) == 1 and isinstance(message.kwargs, dict)
    except (DecodeError, LookupError, TypeError):
        return None
    return message if is_ours and all(isinstance(name, str) for name in names) else None
