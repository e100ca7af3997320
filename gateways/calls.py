"""What was called at gateways while somebody listened: under which names their support knows our calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

#: Of one piece of work. A list that is read in hundreds of pages is known by its first ones.
HEARD_MAX = 50

_heard: ContextVar[list[Call] | None] = ContextVar("heard", default=None)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at one call, and how it ended; ``request_id`` is the gateway's own name for it, if it said one."""

    gateway: str
    operation: str
    outcome: str
    request_id: str | None
    milliseconds: int
    ended_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@contextmanager
def heard() -> Iterator[list[Call]]:
    """The calls that this task, and those it begins, make within; who listens outside hears none of them."""
    calls: list[Call] = []
    token = _heard.set(calls)
    try:
        yield calls
    finally:
        _heard.reset(token)


def listen(call: Call) -> None:
    """Tell of a call, if anybody listens."""
    calls = _heard.get()
    if calls is not None and len(calls) < HEARD_MAX:
        calls.append(call)
