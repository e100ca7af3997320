"""The calendar of a subscription: every cycle but the first begins at midnight in India, on the day the first one did.

Source: the timestamps in Razorpay's own samples. A day that a month does not have is that month's last; the day comes
back in the next month that has it.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

from sandbox.store import Json

INDIA = timezone(timedelta(hours=5, minutes=30))

_MONTHS = {"monthly": 1, "quarterly": 3, "yearly": 12}
_DAYS = {"daily": 1, "weekly": 7}
#: A plan's period in days, as Razorpay prorates (razorpay.com/docs/payments/subscriptions/update).
_PRORATED_DAYS = {"daily": 1, "weekly": 7, "monthly": 30, "quarterly": 90, "yearly": 365}
#: A hundred years of each period: more cycles than that are refused.
_CYCLES_MAX = {"daily": 36_500, "weekly": 5_200, "monthly": 1_200, "quarterly": 400, "yearly": 100}

PERIODS = tuple(_PRORATED_DAYS)


def begin_of(cycle: int, anchor: int, plan: Json) -> int:
    """When a cycle begins, counted from 0, which begins at ``anchor`` itself."""
    if cycle == 0:
        return anchor
    first = datetime.fromtimestamp(anchor, UTC).astimezone(INDIA).replace(hour=0, minute=0, second=0, microsecond=0)
    periods = cycle * plan["interval"]
    if plan["period"] in _DAYS:
        return int((first + timedelta(days=periods * _DAYS[plan["period"]])).timestamp())
    years, month = divmod(first.month - 1 + periods * _MONTHS[plan["period"]], 12)
    year = first.year + years
    day = min(first.day, monthrange(year, month + 1)[1])
    return int(first.replace(year=year, month=month + 1, day=day).timestamp())


def cycles_max(plan: Json) -> int:
    return int(_CYCLES_MAX[plan["period"]] // plan["interval"])


def prorated_days(plan: Json) -> int:
    """How many days a cycle of this plan counts, whatever the calendar says."""
    return int(_PRORATED_DAYS[plan["period"]] * plan["interval"])


def are_alike(plan: Json, other: Json) -> bool:
    """Whether both ask as often."""
    return bool((plan["period"], plan["interval"]) == (other["period"], other["interval"]))
