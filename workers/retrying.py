"""How long to wait before trying again: growing, capped, and spread, so that a crowd does not return as one."""

from __future__ import annotations

import random


def delay_seconds(attempt: int, *, first: float, most: float) -> float:
    """Full jitter over a doubling ceiling: between nothing and ``first * 2**attempt``, at most ``most`` seconds.

    ``attempt`` counts the failures so far, from 0. A tenth of the ceiling is the least, so that no retry is at once.
    """
    ceiling = min(most, first * 2 ** min(attempt, 32))
    return random.uniform(ceiling / 10, ceiling)  # noqa: S311 - spreading load, not keeping secrets
