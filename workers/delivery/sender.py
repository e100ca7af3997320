"""What every sender is: it sends one effect, safely more than once, and says in one of three ways how that went."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from db.effects import Effect


class NotSent(Exception):
    """The effect did not get through. The text stands in its row and the log: no address, no URL, no answer's body."""


class NotNow(NotSent):
    """Try again later: a lost connection, a timeout, a receiver that is broken or set up wrong, and can be repaired.

    ``retry_after_seconds`` is the receiver's own wish, if it named one. ``needs_person``: it will not get better until
    somebody mends a setting, ours or theirs.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, needs_person: bool = False) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.needs_person = needs_person


class NeverAgain(NotSent):
    """No repeat of the same bytes to the same place can succeed; a person must look."""


class WrongSetting(ValueError):
    """A channel cannot be built from its setting. The text names the setting and never shows its value."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing more is owed. ``note`` says why nothing went out, where nothing did."""

    note: str | None = None


SENT = Settled()


class Sender(Protocol):
    """One channel. It raises ``NotNow`` or ``NeverAgain``, and nothing else that it can foresee."""

    async def send(self, effect: Effect) -> Settled: ...


def stable_id(idempotency_key: str) -> str:
    """An opaque name for the effect, the same at every attempt, in letters that every header and URL takes."""
    return hashlib.sha256(b"counterfoil effect\0" + idempotency_key.encode()).hexdigest()[:32]
