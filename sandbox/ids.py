"""Ids that look like the gateways' own: a prefix that tells the kind, then letters and digits nobody can guess.

Unless a seed was given: then the n-th id of a kind is the same in every run. Each kind has a stream of its own, so that
a call more or less, which takes a request id, leaves the ids of objects as they were.
"""

from __future__ import annotations

import random
import secrets
import string
from contextvars import ContextVar

ALPHABET = string.ascii_letters + string.digits


class Streams:
    """The ids of one seeded run, kind by kind."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._streams: dict[tuple[str, int], random.Random] = {}

    def of(self, prefix: str, length: int) -> random.Random:
        kind = (prefix, length)
        if kind not in self._streams:
            self._streams[kind] = random.Random(f"{self._seed}:{prefix}:{length}")  # noqa: S311 - repeatable is the point
        return self._streams[kind]


#: Whose ids are made here: each sandbox serves in a context of its own, and None is one without a seed.
_seeded: ContextVar[Streams | None] = ContextVar("seeded", default=None)


def repeat(seed: str) -> None:
    """Whatever this context starts makes the ids of this seed from here on. For tests alone: all can be guessed."""
    _seeded.set(Streams(seed))


def new_id(prefix: str, length: int) -> str:
    """``prefix`` followed by ``length`` random letters and digits."""
    streams = _seeded.get()
    drawn = secrets.SystemRandom() if streams is None else streams.of(prefix, length)
    return prefix + "".join(drawn.choice(ALPHABET) for _ in range(length))
