"""A user's own orders, as they may see them. Read without a lock, by their owner's id or for one order alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """An order as its owner sees it.

    ``outcome_unknown``: its newest call to the gateway has lost its answer, or its caller; a page may exist or not.
    ``page_is_open``: a hosted page of it can be paid, as far as we know, whatever became of the pages before.
    """

    id: UUID
    plan_id: str | None
    plan_name: str | None
    status: str
    amount: int
    amount_refunded: int
    currency: str
    gateway: str | None
    failure_reason: str | None
    created_at: datetime
    paid_at: datetime | None
    outcome_unknown: bool
    page_is_open: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a page of the list ended: the next one begins after it."""

    created_at: datetime
    id: UUID


_SEEN = """
    SELECT o.id, o.plan_id, p.name AS plan_name, o.status, o.amount, o.amount_refunded, o.currency,
           coalesce(o.gateway, a.gateway) AS gateway, o.failure_reason, o.created_at, o.paid_at,
           coalesce(a.status = 'unknown' OR (a.status = 'intended' AND a.calls > 0 AND a.calling_until <= now()),
                    false) AS outcome_unknown,
           coalesce(a.status = 'open', false) AS page_is_open
      FROM orders o
      LEFT JOIN plans p ON p.id = o.plan_id
      LEFT JOIN LATERAL (SELECT gateway, status, calls, calling_until FROM payment_attempts
                          WHERE order_id = o.id ORDER BY number DESC LIMIT 1) a ON true
"""


async def find(tx: Tx, order_id: UUID) -> OwnOrder | None:
    """For who has shown that they may see this one order."""
    row = await tx.fetchrow(_SEEN + "WHERE o.id = $1", order_id)
    return OwnOrder(**row) if row else None


async def find_of_user(tx: Tx, user_id: str, order_id: UUID) -> OwnOrder | None:
    """None for another user's order, as for one that does not exist."""
    row = await tx.fetchrow(_SEEN + "WHERE o.id = $1 AND o.user_id = $2", order_id, user_id)
    return OwnOrder(**row) if row else None


async def page_of_user(tx: Tx, user_id: str, *, after: Mark | None, limit: int) -> list[OwnOrder]:
    """Newest first, from where the last page ended."""
    rows = await tx.fetch(
        _SEEN
        + """
        WHERE o.user_id = $1 AND ($2::timestamptz IS NULL OR (o.created_at, o.id) < ($2, $3::uuid))
        ORDER BY o.created_at DESC, o.id DESC LIMIT $4
        """,
        user_id,
        after.created_at if after else None,
        after.id if after else None,
        limit,
    )
    return [OwnOrder(**row) for row in rows]
