"""Faults on order: how often each happens, and the seed that makes the same run happen again."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Any

from sandbox.store import Json, Store

#: Rates, 0 to 1. The first four are about webhooks, the others about the API's answers and Razorpay's payments.
RATES = ("drop", "duplicate", "reorder", "sameSecond", "cutAfterCommit", "lateAuthorisation")

#: What the API may answer in place of its work: a rate for each, or one rate shared among them.
API_ERRORS = ("429", "500", "502")

DELAY_SECONDS_MAX = 60.0
TIMEOUT_SECONDS_MAX = 120.0


class FaultRefused(ValueError):
    """The order cannot be carried out; the message says which part and why."""


class Faults:
    """The faults in force. Each draws from a stream of its own, so that adding one leaves the others as they were."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._order: Json = {}
        self._streams: dict[str, random.Random] = {}
        self._begin(store.setting("faults") or {})

    def in_force(self) -> Json:
        """The order as it was given, with its seed."""
        return dict(self._order)

    def set(self, asked: Json) -> None:
        """Replaces all faults; an empty order clears them. Raises ``FaultRefused``, and then nothing has changed."""
        order = _check(asked)
        if order and "seed" not in order:
            order["seed"] = secrets.randbelow(2**31)
        self._store.set_setting("faults", order)
        self._begin(order)

    def strikes(self, name: str) -> bool:
        """Whether this fault happens now. Every call moves its stream on."""
        rate = float(self._order.get(name, 0))
        return bool(rate) and self._draw(name) < rate

    def delay_seconds(self) -> float:
        """How long every webhook waits before it is sent."""
        return float(self._order.get("delay", 0))

    def timeout_seconds(self) -> float:
        """For how long this answer is withheld; mostly 0."""
        order = self._order.get("timeout")
        if not isinstance(order, dict):
            return float(order or 0)
        return float(order["seconds"]) if self._draw("timeout") < order["rate"] else 0.0

    def api_error(self) -> str | None:
        """What the API answers in place of its work: ``429``, ``500``, ``502``, or None."""
        order = self._order.get("apiErrors")
        if not order:
            return None
        rates = order if isinstance(order, dict) else {kind: order / len(API_ERRORS) for kind in API_ERRORS}
        drawn = self._draw("apiErrors")
        for kind in API_ERRORS:
            drawn -= rates.get(kind, 0)
            if drawn < 0:
                return kind
        return None

    def _begin(self, order: Json) -> None:
        self._order, self._streams = order, {}

    def _draw(self, name: str) -> float:
        stream = self._streams.get(name)
        if stream is None:
            stream = random.Random(f"{self._order.get('seed')}:{name}")  # noqa: S311 - repeatable is the point
            self._streams[name] = stream
        return stream.random()


def _check(asked: Json) -> Json:
    checks: dict[str, Callable[[str, Any], Any]] = dict.fromkeys(RATES, _rate)
    checks |= {"delay": _delay, "timeout": _timeout, "apiErrors": _api_errors, "seed": _seed}
    unknown = sorted(set(asked) - set(checks))
    if unknown:
        raise FaultRefused(f"unknown faults: {', '.join(unknown)}; known are {', '.join(sorted(checks))}")
    return {name: checks[name](name, value) for name, value in asked.items()}


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
        raise FaultRefused(f"unknown in {name}: {', '.join(unknown)}; known are {', '.join(API_ERRORS)}")
    rates = {kind: _rate(f"{name}.{kind}", rate) for kind, rate in value.items()}
    if sum(rates.values()) > 1:
        raise FaultRefused(f"the rates in {name} add up to more than 1")
    return rates


def _seed(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaultRefused(f"{name} must be a whole number")
    return value
