"""Subscriptions of which something should have been heard: what recovery asks the gateways about.

Ages are in business time. One that is claimed here is put off at once, before it is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.orphans import FIRST_PAUSE, LONGEST_PAUSE, PENDING_FOR
from db.pool import Tx

#: How long after a period's end the next one's news may take: Stripe leaves a renewal's invoice open for an hour.
RENEWED_WITHIN = timedelta(hours=3)

#: How long a renewal fails before its gateway is asked: its customer may have paid, and waits for access.
FAILING_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Overdue:
    """``name`` is the gateway's own, None before it has told us of it. ``order_is_settled``: it must have begun."""

    id: UUID
    order_id: UUID | None
    gateway: str
    name: str | None
    session_id: str | None
    order_is_settled: bool


async def claim(tx: Tx, now: datetime, gateways: Sequence[str], *, limit: int) -> list[Overdue]:
    """Take those that have waited longest, and put each off until its next look.

    The period is over, and nobody has told of the next; its renewal fails, and may have been paid; its order is paid,
    and nobody has told what that began; or its order has no page that anybody could still pay through, and it will
    never begin.
    """
    rows = await tx.fetch(
        """
        WITH due AS (
            SELECT s.id, o.session_id, coalesce(o.status IN ('paid', 'refunded', 'disputed'), true) AS order_is_settled
              FROM subscriptions s LEFT JOIN orders o ON o.id = s.order_id
             WHERE s.gateway = ANY ($2::text[]) AND s.next_look_at <= $1
               AND s.status NOT IN ('cancelled', 'expired')
               AND CASE WHEN s.status IN ('past_due', 'unpaid') AND s.told_at <= $1::timestamptz - $8::interval
                             THEN true
                        WHEN s.status <> 'incomplete' THEN s.current_period_end <= $1::timestamptz - $4::interval
                        WHEN s.created_at > $1::timestamptz - $3::interval THEN false
                        ELSE o.status IN ('paid', 'refunded', 'disputed') OR NOT EXISTS (
                             SELECT FROM payment_attempts a
                              WHERE a.order_id = o.id AND a.status IN ('intended', 'unknown', 'open')) END
             ORDER BY s.next_look_at, s.created_at LIMIT $7 FOR UPDATE OF s SKIP LOCKED
        )
        UPDATE subscriptions s
           SET looks = s.looks + 1,
               next_look_at = $1::timestamptz + least($5::interval * 2 ^ least(s.looks, 16), $6::interval)
          FROM due WHERE s.id = due.id
        RETURNING s.id, s.order_id, s.gateway, s.gateway_subscription_id AS name, due.session_id, due.order_is_settled
        """,
        now,
        list(gateways),
        PENDING_FOR,
        RENEWED_WITHIN,
        FIRST_PAUSE,
        LONGEST_PAUSE,
        limit,
        FAILING_FOR,
    )
    return [Overdue(**row) for row in rows]
