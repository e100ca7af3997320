"""The time that all of our processes have in common: the database server's."""

from __future__ import annotations

from datetime import datetime

from db.pool import Tx


async def read(tx: Tx) -> datetime:
    """This moment, also within a transaction."""
    moment: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return moment
