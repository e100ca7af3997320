"""Movements of money as finance reads them: a period, in its order, however long, without holding it in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Tx

#: Rows that are fetched at once.
AHEAD = 500


@dataclass(frozen=True, slots=True)
class Period:
    """Which movements are meant: from ``since`` to before ``until``, by business time. ``order_id``: also those of the
    subscription that it began."""

    since: datetime
    until: datetime
    gateway: str | None = None
    order_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """One movement with the gateway's own names of what moved; ``minor`` is signed."""

    id: UUID
    at: datetime
    gateway: str
    kind: str
    minor: int
    currency: str
    order_id: UUID | None
    payment_id: UUID | None
    gateway_payment_id: str | None
    gateway_refund_id: str | None
    gateway_dispute_id: str | None
    gateway_payout_id: str | None
    cause: str
    cause_id: str


async def stream(tx: Tx, period: Period) -> AsyncIterator[Booked]:
    """The oldest first, of one moment's truth. The caller holds a transaction."""
    rows = tx.cursor(
        """
        SELECT m.id, m.at, m.gateway, m.kind, m.amount AS minor, m.currency,
               coalesce(m.order_id, p.order_id) AS order_id, m.payment_id,
               p.gateway_payment_id, r.gateway_refund_id, d.gateway_dispute_id, o.gateway_payout_id, m.cause, m.cause_id
          FROM movements m
          LEFT JOIN payments p ON p.id = m.payment_id
          LEFT JOIN refunds r ON r.id = m.refund_id
          LEFT JOIN disputes d ON d.id = m.dispute_id
          LEFT JOIN payouts o ON o.id = m.payout_id
         WHERE m.at >= $1 AND m.at < $2 AND ($3::text IS NULL OR m.gateway = $3)
           AND ($4::uuid IS NULL OR m.id = ANY (ARRAY(
                SELECT id FROM movements WHERE order_id = $4
                UNION SELECT id FROM movements WHERE payment_id = ANY (ARRAY(
                      SELECT id FROM payments WHERE order_id = $4
                      UNION SELECT y.id FROM subscriptions s JOIN invoices i ON i.subscription_id = s.id
                              JOIN payments y ON y.invoice_id = i.id WHERE s.order_id = $4)))))
         ORDER BY m.at, m.id
        """,
        period.since,
        period.until,
        period.gateway,
        period.order_id,
        prefetch=AHEAD,
    )
    async for row in rows:
        yield Booked(**row)
