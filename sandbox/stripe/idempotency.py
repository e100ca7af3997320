"""Idempotency keys: the first answer is kept with its status, whatever it was, and given again for a day.

Not kept: what was refused before the call began (bad parameters, no key, too many requests). A key whose call is still
being answered is in use, which only this process can know: a restart ends every call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sandbox import card_numbers
from sandbox.clock import Clock
from sandbox.store import Store
from sandbox.stripe.errors import StripeError

KEY_LENGTH_MAX = 255
KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Kept:
    """A first answer."""

    status: int
    body: bytes
    request_id: str


class Keys:
    """All keys of the one account there is."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._in_use: set[str] = set()

    @contextmanager
    def in_use(self, key: str | None) -> Iterator[None]:
        """Nobody else answers under this key meanwhile; they are told 409."""
        if key is None:
            yield
            return
        if len(key) > KEY_LENGTH_MAX:
            raise StripeError(f"Idempotency keys may be up to {KEY_LENGTH_MAX} characters long.")
        if card_numbers.are_in(key):
            raise StripeError("Idempotency keys must not hold a card number. Use a random one, such as a V4 UUID.")
        if key in self._in_use:
            raise StripeError(
                "There is currently another in-progress request using this Idempotent Key (that probably means you"
                f" submitted twice, and the other request is still going through): {key}. Please try again later.",
                status=409,
                type="idempotency_error",
                code="idempotency_key_in_use",
            )
        self._in_use.add(key)
        try:
            yield
        finally:
            self._in_use.discard(key)

    def recall(self, key: str, fingerprint: str) -> Kept | None:
        """The first answer, if it is young enough; raises if the first call was another one."""
        oldest = self._clock.exact() - KEPT_SECONDS
        self._store.run("DELETE FROM idempotency_keys WHERE created < ?", oldest)
        rows = self._store.run("SELECT * FROM idempotency_keys WHERE key = ?", key)
        if not rows:
            return None
        if rows[0]["fingerprint"] != fingerprint:
            raise StripeError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try"
                f" using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        return Kept(rows[0]["status"], bytes(rows[0]["body"]), rows[0]["request_id"])

    def keep(self, key: str, fingerprint: str, answer: Kept) -> None:
        self._store.run(
            "INSERT INTO idempotency_keys (key, fingerprint, request_id, status, body, created)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            *(key, fingerprint, answer.request_id, answer.status, answer.body, self._clock.exact()),
        )


def fingerprint(path: str, parameters: dict[str, Any]) -> str:
    """The same for the same call, and nothing of the call can be read from it."""
    told = json.dumps([path, parameters], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
