"""Ids that begin with their time: UUIDv7 (RFC 9562), which partitions are cut by."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from uuid import UUID


def new_id() -> UUID:
    """A UUIDv7 of this moment; real time, never the development clock."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (milliseconds << 80) | (0x7 << 76) | ((random >> 62 & 0xFFF) << 64) | (0b10 << 62) | (random & (1 << 62) - 1)
    )
    return UUID(int=value)


def first_id_of(moment: datetime) -> UUID:
    """The smallest id that ``new_id`` can give at that moment or later."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def time_of(made: UUID) -> datetime:
    """When ``new_id`` gave this id."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, UTC)
