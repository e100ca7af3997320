"""How the record stands, for whoever asks whether all is well."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from db.hearing import LOOK_BACK
from db.ids import first_id_of
from db.migrate import MIGRATIONS
from db.pool import Tx


@dataclass(frozen=True, slots=True)
class OpenDiscrepancies:
    """Open differences of one kind, at one gateway, in one currency; the amount is in minor units."""

    kind: str
    gateway: str | None
    currency: str | None
    count: int
    amount_at_risk: int


async def missing_migrations(tx: Tx) -> tuple[str, ...]:
    """Those of this version that were not applied to this database, in their order."""
    known = await tx.fetchval("SELECT to_regclass('schema_migrations')")
    applied = {row["name"] for row in await tx.fetch("SELECT name FROM schema_migrations")} if known else set()
    return tuple(path.name for path in sorted(MIGRATIONS.glob("*.sql")) if path.name not in applied)


async def open_discrepancies(tx: Tx, *, limit: int = 100) -> list[OpenDiscrepancies]:
    """The most frequent kinds first."""
    rows = await tx.fetch(
        """
        SELECT kind, gateway, currency, count(*) AS count, sum(amount_at_risk) AS amount_at_risk
          FROM discrepancies WHERE state = 'open'
         GROUP BY kind, gateway, currency ORDER BY count DESC, kind, gateway, currency LIMIT $1
        """,
        limit,
    )
    return [OpenDiscrepancies(**{**row, "amount_at_risk": int(row["amount_at_risk"])}) for row in rows]


async def last_heard(tx: Tx, gateway: str) -> datetime | None:
    """When the newest event that this gateway brought us came last; None where it has brought none in two days."""
    heard: datetime | None = await tx.fetchval(
        """
        SELECT last_delivery_at FROM webhook_events
         WHERE gateway = $1 AND source = 'webhook' AND id >= $2 ORDER BY id DESC LIMIT 1
        """,
        gateway,
        first_id_of(datetime.now(UTC) - LOOK_BACK),
    )
    return heard
