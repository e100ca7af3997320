"""Business time is real time, moved on in development by what the sandbox's clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from workers.clock import business_clock

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("written", [None, "", "soon", "-3600", "nan?"])
def test_without_a_number_no_time_has_been_skipped(tmp_path: Path, written: str | None) -> None:
    file = tmp_path / "clock"
    if written is not None:
        file.write_text(written)

    assert abs(business_clock(file)() - datetime.now(UTC)) < HOUR
    assert abs(business_clock(None)() - datetime.now(UTC)) < HOUR


def test_what_was_skipped_is_skipped_at_once(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock = business_clock(file)
    before = clock()

    file.write_text(f"{timedelta(days=30).total_seconds()}\n")

    assert timedelta(days=30) <= clock() - before < timedelta(days=30) + HOUR
