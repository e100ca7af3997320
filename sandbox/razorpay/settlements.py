"""Settlements by calls: read, and reported row by row. What becomes of one is told in ``settling``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from sandbox.razorpay import ledger, settling
from sandbox.razorpay.calls import Call, as_collection, collection
from sandbox.razorpay.errors import invalid
from sandbox.store import Json

KIND = settling.KIND
ROWS_MAX = 1000
_ROWS_USUAL = 10
#: Razorpay's days are India's.
_INDIA = timezone(timedelta(hours=5, minutes=30))


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_settlements(call: Call) -> Json:
    return collection(call, KIND)


def report(call: Call) -> Json:
    """Every row that was settled on a day, or in a month."""
    fields = call.fields
    year, month = (fields.integer("year", lowest=2000, highest=9998), fields.integer("month", lowest=1, highest=12))
    day = fields.integer("day", lowest=1, highest=31)
    count, skip = fields.integer("count", lowest=1, highest=ROWS_MAX), fields.integer("skip", lowest=0) or 0
    if year is None or month is None:
        raise invalid("The year and month fields are required.", "year" if year is None else "month")
    since, until = _span(year, month, day)
    rows = ledger.settled_between(call.world, since, until)
    return as_collection([ledger.shown(row) for row in rows[skip : skip + (count or _ROWS_USUAL)]])


def _span(year: int, month: int, day: int | None) -> tuple[int, int]:
    """The first and the last second, in India."""
    try:
        begin = datetime(year, month, day or 1, tzinfo=_INDIA)
    except ValueError:
        raise invalid("The day is not a day of this month.", "day") from None
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=_INDIA)
    end = following if day is None else begin + timedelta(days=1)
    return int(begin.astimezone(UTC).timestamp()), int(end.timestamp()) - 1
