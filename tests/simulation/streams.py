"""Chance on purpose: one seed, and a stream of its own for everybody who draws from it."""

from __future__ import annotations

from random import Random


def stream(seed: int, *names: object) -> Random:
    """The same seed and names give the same draws, however the others draw beside them."""
    return Random(":".join(map(str, (seed, *names))))
