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


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Refunds of one status at one gateway, and the age of the oldest."""

    gateway: str
    status: str
    count: int
    oldest_seconds: float


async def refunds_under_way(tx: Tx) -> list[UnderWay]:
    """By the database's clock, which in production is that of business."""
    rows = await tx.fetch(
        """
        SELECT gateway, status, count(*) AS count,
               extract(epoch FROM now() - min(created_at))::float8 AS oldest_seconds
          FROM refunds WHERE status IN ('requested', 'sent', 'pending') GROUP BY gateway, status ORDER BY 1, 2
        """
    )
    return [UnderWay(**row) for row in rows]


async def waiting_for_a_person(tx: Tx) -> list[Waiting]:
    rows = await tx.fetch(
        """
        SELECT kind, coalesce(currency, '') AS currency, count(*) AS count,
               coalesce(sum(amount_at_risk), 0)::bigint AS at_risk
          FROM discrepancies WHERE state = 'open' GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    return [Waiting(**row) for row in rows]
