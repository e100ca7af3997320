"""One comparison: our way and the plain way, in turns, on the same servers, so that a busy machine slows both."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

#: Does the work once and returns its rate per second.
Measure = Callable[[], Awaitable[float]]

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Comparison:
    """The median rates of both, and what they count."""

    what: str
    unit: str
    ours: float
    baseline: str
    theirs: float

    def __str__(self) -> str:
        ratio, theirs = self.ours / self.theirs, f"{self.theirs:,.0f}/s of {self.baseline}"
        return f"{self.what}: {self.ours:,.0f} {self.unit}/s, {ratio:.1f} times the {theirs}"


async def compare(what: str, unit: str, ours: Measure, baseline: str, theirs: Measure) -> Comparison:
    """Both are warmed up by a round that does not count."""
    await ours(), await theirs()
    rates = [(await ours(), await theirs()) for _ in range(ROUNDS)]
    return Comparison(
        what, unit, statistics.median(rate for rate, _ in rates), baseline, statistics.median(rate for _, rate in rates)
    )
