"""The bell: who writes a hint into an empty queue rings, and an idle worker looks at once instead of in a while.

Lossy and harmless. A worker that hears nothing looks by itself every second; one that cannot hear looks more often.
Everybody hears it, and the first to look takes the hint.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress

import redis
import structlog

from workers.queues import NAMESPACE

log = structlog.get_logger(__name__)

#: Where it is rung: a message is a queue's name. Nothing of it is stored in Redis.
CHANNEL = f"{NAMESPACE}:bell"

#: How long an idle consumer waits for the bell before it looks by itself; and how long while it could not hear it.
IDLE_SECONDS = 1.0
DEAF_SECONDS = 0.15

#: Between two attempts to listen.
AGAIN_SECONDS = 1.0


class Bell:
    """A worker process's ear. Until ``listen``, and whenever Redis is away, it is deaf, and waiting is short."""

    def __init__(self, client: redis.Redis, queues: Iterable[str], *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._client = client
        self._idle_seconds = idle_seconds
        self._rung = {queue: threading.Event() for queue in queues}
        self._closed = threading.Event()
        self.is_heard = False

    def listen(self) -> None:
        threading.Thread(target=self._listen_for_ever, name="bell", daemon=True).start()

    def wait(self, queue: str) -> None:
        """Until it is rung for this queue, or it is time to look anyway. Look after it, not before."""
        if not self._closed.is_set():
            rung = self._rung[queue]
            rung.wait(self._idle_seconds if self.is_heard else DEAF_SECONDS)
            rung.clear()

    def rest(self, seconds: float) -> None:
        """Wait, whoever rings; the end does not wait with us."""
        self._closed.wait(seconds)

    def wake(self, queue: str) -> None:
        """Have this process's consumer of the queue look now; nobody else hears it."""
        self._rung[queue].set()

    def close(self) -> None:
        """Nobody waits any more: the worker is to end."""
        self._closed.set()
        for queue in self._rung:
            self.wake(queue)

    def _listen_for_ever(self) -> None:
        while not self._closed.is_set():
            with suppress(Exception):  # a worker that stays deaf would be slow for ever
                self._listen()
            if self.is_heard and not self._closed.is_set():
                log.info("bell.not_heard")
            self.is_heard = False
            self.rest(AGAIN_SECONDS)

    def _listen(self) -> None:
        with self._client.pubsub() as ear:  # type: ignore[no-untyped-call]  # redis does not type it
            ear.subscribe(CHANNEL)
            while not self._closed.is_set():
                told = ear.get_message(timeout=AGAIN_SECONDS)
                if told is None:
                    continue
                if told["type"] == "subscribe":
                    # What was written while nobody listened has rung for nobody.
                    self.is_heard = True
                    for queue in self._rung:
                        self.wake(queue)
                elif (queue := told["data"].decode("utf-8", "replace")) in self._rung:
                    self.wake(queue)
