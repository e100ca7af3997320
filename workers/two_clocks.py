"""A host whose clock is ahead must not believe that a page is over which a customer is paying on.

Pages are closed, and lists are read on, by the earlier of two clocks: this host's, and the database server's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import structlog

from db import clock
from db.pool import Tx
from workers.apply import Book

log = structlog.get_logger(__name__)

#: So far apart, a clock is not kept by anybody.
WORTH_SAYING = timedelta(minutes=1)


async def set_right(tx: Tx, book: Book) -> Book:
    """The same book, whose clock is not ahead of the database's. Time that development has skipped stays skipped."""
    here = book.host()
    ahead = max(timedelta(0), here - await clock.read(tx))
    if ahead > WORTH_SAYING:
        log.warning("clock.is_ahead", seconds=round(ahead.total_seconds()))
    return replace(book, clock=lambda: book.clock() - ahead, host=lambda: book.host() - ahead)
