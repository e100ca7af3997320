"""A schedule in words, as the desk shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schedules.listing import in_words


@pytest.mark.parametrize(
    ("every", "words"),
    [
        (timedelta(seconds=1), "every second"),
        (timedelta(seconds=15), "every 15 seconds"),
        (timedelta(seconds=90), "every 90 seconds"),
        (timedelta(milliseconds=250), "every 0.25 seconds"),
        (timedelta(minutes=5), "every 5 minutes"),
        (timedelta(hours=1), "every hour"),
        (timedelta(hours=6), "every 6 hours"),
        (timedelta(days=1), "every day"),
    ],
)
def test_a_period_is_said_in_its_largest_unit(every: timedelta, words: str) -> None:
    assert in_words(every) == words
