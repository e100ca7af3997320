"""Months ahead for the tables whose retention is a dropped partition: webhook_events and history."""

from __future__ import annotations

from datetime import datetime

from db.ids import first_id_of
from db.pool import Tx

PARTITIONED = ("webhook_events", "history")

#: A scheduler that is down for a quarter still leaves every month its own partition.
MONTHS_AHEAD = 3


async def prepare(tx: Tx, now: datetime) -> list[str]:
    """Make this month's partition and the next ones where they are missing; returns the names of the new ones.

    A month whose rows already lie in the default partition stays there: nothing is lost, only dropped differently.
    """
    made = []
    for table in PARTITIONED:
        for ahead in range(MONTHS_AHEAD + 1):
            begins, ends = _month(now, ahead), _month(now, ahead + 1)
            name = f"{table}_{begins:%Y_%m}"
            if await _exists(tx, name) or await _default_holds(tx, table, begins, ends):
                continue
            # Names and bounds are our own: utility statements take no parameters.
            await tx.execute(
                f"CREATE TABLE {name} PARTITION OF {table} "
                f"FOR VALUES FROM ('{first_id_of(begins)}') TO ('{first_id_of(ends)}')"
            )
            if table == "history":
                # Row triggers come with the partition; one against emptying it whole does not.
                await tx.execute(
                    f"CREATE TRIGGER history_is_not_truncated BEFORE TRUNCATE ON {name} "
                    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
                )
            made.append(name)
    return made


async def _exists(tx: Tx, name: str) -> bool:
    return bool(await tx.fetchval("SELECT to_regclass($1) IS NOT NULL", name))


async def _default_holds(tx: Tx, table: str, begins: datetime, ends: datetime) -> bool:
    return bool(
        await tx.fetchval(
            f"SELECT EXISTS (SELECT FROM {table}_default WHERE id >= $1 AND id < $2)",  # noqa: S608 - our own names
            first_id_of(begins),
            first_id_of(ends),
        )
    )


def _month(now: datetime, ahead: int) -> datetime:
    years, month = divmod(now.month - 1 + ahead, 12)
    return now.replace(year=now.year + years, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
