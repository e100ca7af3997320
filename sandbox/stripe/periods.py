"""When one billing period ends and the next begins.

Every end is counted from the anchor, never from the end before it, so that months keep their day and only a short
month ends earlier: 31 January, 28 February, 31 March (docs.stripe.com/billing/subscriptions/billing-cycle).
"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime

from sandbox.store import Json

_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "year": 12}
_DAY_SECONDS = 24 * 3600
_MONTHS_A_YEAR = 12


def boundary(anchor: int, recurring: Json, count: int) -> int:
    """The end of the ``count``-th period after the anchor."""
    interval, steps = recurring["interval"], int(recurring["interval_count"]) * count
    if interval in _DAYS:
        return anchor + steps * _DAYS[interval] * _DAY_SECONDS
    began = datetime.fromtimestamp(anchor, UTC)
    year, month = divmod(began.year * _MONTHS_A_YEAR + began.month - 1 + steps * _MONTHS[interval], _MONTHS_A_YEAR)
    day = min(began.day, calendar.monthrange(year, month + 1)[1])
    return int(began.replace(year=year, month=month + 1, day=day).timestamp())


def next_boundary(anchor: int, recurring: Json, after: int) -> int:
    """The first boundary that lies after a moment; the anchor itself, where that is still to come."""
    count = max(0, _count_at_most(anchor, recurring, after))
    while boundary(anchor, recurring, count) <= after:
        count += 1
    return boundary(anchor, recurring, count)


def last_boundary(anchor: int, recurring: Json, until: int) -> int:
    """The newest boundary that is not after a moment."""
    count = max(0, _count_at_most(anchor, recurring, until))
    while boundary(anchor, recurring, count + 1) <= until:
        count += 1
    return boundary(anchor, recurring, count)


def _count_at_most(anchor: int, recurring: Json, moment: int) -> int:
    """Not more periods than there are between the anchor and a moment, and nearly as many."""
    interval, steps = recurring["interval"], recurring["interval_count"]
    longest = _DAYS.get(interval) or _MONTHS[interval] * 31
    return int((moment - anchor) // (longest * steps * _DAY_SECONDS))
