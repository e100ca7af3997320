"""A process that dies in the middle: a coroutine that is stopped at its n-th await, for good."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from db.pool import Pool
from tests.waiting import until

Done = TypeVar("Done")


class Killed(BaseException):
    """The process is gone."""


class Walk(Generic[Done]):
    """Drives a coroutine and stops at its n-th await: nothing of it runs any more, as after a kill -9."""

    def __init__(self, work: Coroutine[Any, Any, Done], stop_at: int, graves: list[Any]) -> None:
        self.work = work
        self.stop_at = stop_at
        self.graves = graves
        self.awaits = 0

    def __await__(self) -> Generator[Any, Any, Done]:
        inner = self.work.__await__()
        sent: Any = None
        while True:
            try:
                waiting = inner.send(sent)
            except StopIteration as end:
                done: Done = end.value
                return done
            self.awaits += 1
            if self.awaits == self.stop_at:
                self.graves.append(inner)
                raise Killed
            sent = yield waiting


@contextmanager
def graveyard() -> Iterator[list[Any]]:
    """Keeps what was killed from the garbage collector until the end: its clean-up is more than a dead process does."""
    # The dead leave callbacks behind that complain of closed connections, as nobody would hear them after a kill -9.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    graves: list[Any] = []
    yield graves
    for inner in graves:
        with suppress(Exception):
            inner.close()


async def until_gone(witness: Pool, name: str) -> None:
    """The server lets go of what a dead process had locked."""

    async def is_gone() -> bool:
        living = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1"
        return not await witness.fetchval(living, f"counterfoil {name}")

    await until(is_gone)
