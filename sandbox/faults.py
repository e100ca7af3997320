"""Faults on order: how often each happens, and the seed that makes the same run happen again.

Every draw has a fault, a lane and a number in that lane, and is decided by the seed and these alone. A lane is what
one caller can keep in order: the calls to one route, the events or the payments of one gateway. What happens beside
it at the same time, a retry, a slow receiver, another caller, does not change what is drawn in it.
"""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sandbox.store import Json, Store

#: What the API may answer in place of its work: a rate for each, or one rate shared among them.
API_ERRORS = ("429", "500", "502")

DELAY_SECONDS_MAX = 60.0
TIMEOUT_SECONDS_MAX = 120.0
#: The largest whole number that every reader of JSON reads exactly.
SEED_MAX = 2**53 - 1

OLD_SECRETS = {
    "stripe": "SANDBOX_STRIPE_OLD_WEBHOOK_SECRET",
    "razorpay": "SANDBOX_RAZORPAY_OLD_WEBHOOK_SECRET",
}

_struck: ContextVar[list[str] | None] = ContextVar("struck", default=None)


class FaultRefused(ValueError):
    """The order cannot be carried out; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Known:
    """A fault that can be ordered: what kind of value it takes, what it does, and how its value is read."""

    kind: str
    says: str
    read: Callable[[str, Any], Any]


class Faults:
    """The faults in force. ``seed`` is the one to use where the order names none; without it one is drawn, and told."""

    def __init__(self, store: Store, *, seed: int | None = None, has_old_secret: bool = False) -> None:
        self._store, self._seed, self._has_old_secret = store, seed, has_old_secret
        self._order: Json = {}
        self._lanes: Counter[tuple[str, str]] = Counter()
        self._begin(store.setting("faults") or {})

    def in_force(self) -> Json:
        """The order as it was given, with its seed."""
        return dict(self._order)

    def set(self, asked: Json) -> None:
        """Replaces all faults; an empty order clears them. Raises ``FaultRefused``, and then nothing has changed."""
        order = _read(asked)
        if order.get("oldSecret") and not self._has_old_secret:
            raise FaultRefused(f"oldSecret needs {' or '.join(OLD_SECRETS.values())} in the sandbox's environment")
        if order and "seed" not in order:
            order["seed"] = secrets.randbelow(2**31) if self._seed is None else self._seed
        self._store.set_setting("faults", order)
        self._begin(order)

    def strikes(self, name: str, lane: str) -> bool:
        """Whether this fault happens now, at the next place of its lane."""
        return self.strikes_at(name, lane, self.place(name, lane))

    def strikes_at(self, name: str, lane: str, *place: int) -> bool:
        """Whether this fault happens at a place of its lane that the caller knows: the same however often one asks."""
        rate = float(self._order.get(name, 0))
        return self._note(name, happens=bool(rate) and self._draw(name, lane, *place) < rate)

    def place(self, name: str, lane: str) -> int:
        """The next place in a lane, from 0; lanes begin again with every order."""
        place = self._lanes[name, lane]
        self._lanes[name, lane] += 1
        return place

    def delay_seconds(self) -> float:
        """How long every webhook waits before it is sent."""
        return float(self._order.get("delay", 0))

    def timeout_seconds(self, lane: str) -> float:
        """For how long this answer is withheld; mostly 0."""
        order = self._order.get("timeout", 0)
        rated = order if isinstance(order, dict) else {"seconds": order, "rate": 1}
        happens = bool(order) and self._draw("timeout", lane, self.place("timeout", lane)) < rated["rate"]
        return float(rated["seconds"]) if self._note("timeout", happens=happens) else 0.0

    def api_error(self, lane: str) -> str | None:
        """What the API answers in place of its work: ``429``, ``500``, ``502``, or None."""
        order = self._order.get("apiErrors")
        if not order:
            return None
        rates = order if isinstance(order, dict) else {kind: order / len(API_ERRORS) for kind in API_ERRORS}
        drawn = self._draw("apiErrors", lane, self.place("apiErrors", lane))
        for kind in API_ERRORS:
            drawn -= rates.get(kind, 0)
            if drawn < 0:
                self._note(f"apiErrors.{kind}", happens=True)
                return kind
        return None

    @contextmanager
    def noted(self) -> Iterator[list[str]]:
        """The faults that happen to whatever is done inside, in order."""
        struck: list[str] = []
        token = _struck.set(struck)
        try:
            yield struck
        finally:
            _struck.reset(token)

    def _note(self, name: str, *, happens: bool) -> bool:
        struck = _struck.get()
        if happens and struck is not None:
            struck.append(name)
        return happens

    def _begin(self, order: Json) -> None:
        self._order = order
        self._lanes.clear()

    def _draw(self, name: str, lane: str, *place: int) -> float:
        """From 0 to 1, the same for the same seed and place."""
        drawn = random.Random(f"{self._order.get('seed')}:{name}:{lane}:{place}")  # noqa: S311 - repeatable is the point
        return drawn.random()


def known() -> Json:
    """Every fault that can be ordered, with the kind of its value and what it does, for pages and command lines."""
    return {name: {"kind": fault.kind, "says": fault.says} for name, fault in KNOWN.items()}


def _read(asked: Json) -> Json:
    unknown = sorted(set(asked) - set(KNOWN))
    if unknown:
        named = ", ".join(name[:40] for name in unknown[:10])
        raise FaultRefused(f"unknown faults: {named}; known are {', '.join(KNOWN)}")
    return {name: KNOWN[name].read(name, value) for name, value in asked.items()}


def _number(name: str, value: Any, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise FaultRefused(f"{name} must be a number from 0 to {highest:g}")
    return value


def _rate(name: str, value: Any) -> float:
    return _number(name, value, 1)


def _delay(name: str, value: Any) -> float:
    return _number(name, value, DELAY_SECONDS_MAX)


def _timeout(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return _number(name, value, TIMEOUT_SECONDS_MAX)
    if set(value) != {"seconds", "rate"}:
        raise FaultRefused(f"{name} must be seconds, or an object of seconds and rate")
    seconds = _number(f"{name}.seconds", value["seconds"], TIMEOUT_SECONDS_MAX)
    return {"seconds": seconds, "rate": _rate(f"{name}.rate", value["rate"])}


def _api_errors(name: str, value: Any) -> Any:
    if not isinstance(value, dict):
        return _rate(name, value)
    unknown = sorted(set(value) - set(API_ERRORS))
    if unknown:
        named = ", ".join(kind[:40] for kind in unknown[:10])
        raise FaultRefused(f"unknown in {name}: {named}; known are {', '.join(API_ERRORS)}")
    rates = {kind: _rate(f"{name}.{kind}", rate) for kind, rate in value.items()}
    if sum(rates.values()) > 1:
        raise FaultRefused(f"the rates in {name} add up to more than 1")
    return rates


def _seed(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SEED_MAX:
        raise FaultRefused(f"{name} must be a whole number from 0 to {SEED_MAX}")
    return value


#: In the order in which they are shown: what befalls webhooks, then the API, then payments.
KNOWN = {
    "drop": Known("rate", "A webhook is withheld; its event is still listed, as undelivered.", _rate),
    "duplicate": Known("rate", "A webhook is sent twice at once.", _rate),
    "delay": Known("seconds", f"Every webhook waits so long before it leaves, up to {DELAY_SECONDS_MAX:g} s.", _delay),
    "reorder": Known("rate", "A webhook leaves 0.3 s late, so that what comes after it goes ahead.", _rate),
    "sameSecond": Known("rate", "An event carries the second of the event before it.", _rate),
    "twoEvents": Known("rate", "One change is told by two events, each with an id of its own.", _rate),
    "oldSecret": Known("rate", "A webhook is signed with the secret from before the rotation.", _rate),
    "wrongSignature": Known("rate", "A webhook carries a signature that no secret of yours has made.", _rate),
    "apiErrors": Known(
        "rates", "The API answers 429, 500 or a 502 page of HTML, and nothing has been done.", _api_errors
    ),
    "timeout": Known(
        "seconds", f"The answer is withheld after the work is done, up to {TIMEOUT_SECONDS_MAX:g} s.", _timeout
    ),
    "cutAfterCommit": Known("rate", "The connection is closed without an answer after the work is done.", _rate),
    "lateAuthorisation": Known(
        "rate", "A Razorpay payment fails at first, and is authorised an hour later by the clock.", _rate
    ),
    "amountMismatch": Known("rate", "The gateway takes one minor unit less than was asked, and says so.", _rate),
    "seed": Known("number", "The same seed gives the same faults; without one it is drawn, and told.", _seed),
}
