"""Figures for who watches: what waits for a person, and how much money stands behind it."""

from __future__ import annotations

from dataclasses import dataclass

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open discrepancies of one kind and currency. ``at_risk`` is in minor units; '' is no currency."""

    kind: str
    currency: str
    count: int
    at_risk: int


async def waiting_for_a_person(tx: Tx) -> list[Waiting]:
    rows = await tx.fetch(
        """
        SELECT kind, coalesce(currency, '') AS currency, count(*) AS count,
               coalesce(sum(amount_at_risk), 0)::bigint AS at_risk
          FROM discrepancies WHERE state = 'open' GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    return [Waiting(**row) for row in rows]
