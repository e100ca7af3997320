"""Business time: what day it is for orders, access and expiry. In production, the real time and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path


def real_time() -> datetime:
    """By this host's clock."""
    return datetime.now(UTC)


def business_clock(development_clock: Path | None) -> Callable[[], datetime]:
    """Real time; in development, moved on by as many seconds as the sandbox has written into its clock's file.

    One clock moves the stand-in gateways and us: a file that one process replaces and the others read needs no network
    and is never half written. Without the file, or before it says a number, no time has been skipped.
    """
    if development_clock is None:
        return real_time
    return lambda: real_time() + timedelta(seconds=_skipped(development_clock))


def _skipped(file: Path) -> float:
    try:
        return max(0.0, float(file.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 0.0
