"""``X-Refund-Idempotency``: the one idempotency key that Razorpay knows. The first refund made under it is its answer.

Source: razorpay.com/docs/api/refunds/normal-refunds-idempotent. How long a key is kept is not published: here for good.
What was refused is not kept, as no refund came of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sandbox import card_numbers
from sandbox.razorpay.calls import GATEWAY
from sandbox.razorpay.errors import RazorpayError, invalid
from sandbox.store import Json
from sandbox.world import World

HEADER = "X-Refund-Idempotency"
KIND = "refund_key"

_KEY = re.compile(r"[A-Za-z0-9_-]{10,255}")
_CONFLICT = 409


class Keys:
    """Which keys are being answered now: a restart ends every call."""

    def __init__(self) -> None:
        self._in_use: set[str] = set()

    @contextmanager
    def in_use(self, key: str | None) -> Iterator[None]:
        """Nobody else answers under this key meanwhile; they are told 409."""
        if key is None:
            yield
            return
        if not _KEY.fullmatch(key) or card_numbers.are_in(key):
            raise invalid(
                "The idempotency key must be at least 10 characters long and can contain alphabets, numbers, hyphens"
                " and underscores only."
            )
        if key in self._in_use:
            raise RazorpayError("A request with the same idempotency key is being processed.", status=_CONFLICT)
        self._in_use.add(key)
        try:
            yield
        finally:
            self._in_use.discard(key)


def recall(world: World, key: str, mark: str) -> Json | None:
    """The refund that was made under this key; raises where it was asked for otherwise."""
    kept = world.store.find(GATEWAY, KIND, key)
    if kept is None:
        return None
    if kept["mark"] != mark:
        raise RazorpayError("Different request with the same idempotency key has already been processed.")
    answer: Json = kept["answer"]
    return answer


def remember(world: World, key: str, mark: str, answer: Json) -> None:
    kept = {"id": key, "mark": mark, "answer": answer}
    world.store.put(GATEWAY, KIND, kept, created=world.clock.now())


def fingerprint(payment_id: str, body: dict[str, Any]) -> str:
    """The same for the same call, and nothing of the call can be read from it."""
    return hashlib.sha256(json.dumps([payment_id, body], sort_keys=True).encode()).hexdigest()
