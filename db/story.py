"""What became of an order, or of an event: read by people and by tests, locked by nobody."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class OrderStory:
    """An order as it stands, with what follows it. ``effects`` maps each kind to its status, ``payments`` each id."""

    status: str
    failure_reason: str | None
    has_access: bool
    payments: dict[str, str]
    effects: dict[str, str]
    discrepancies: tuple[str, ...]
    moves: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventStory:
    """A kept event as it stands."""

    id: UUID
    status: str
    reason: str | None
    deliveries: int


async def of_order(tx: Tx, order_id: UUID) -> OrderStory:
    """The order must exist."""
    row = await tx.fetchrow(
        """
        SELECT o.status, o.failure_reason,
               EXISTS (SELECT FROM entitlements e WHERE e.order_id = o.id AND e.active) AS has_access,
               (SELECT coalesce(jsonb_object_agg(p.gateway_payment_id, p.status), '{}')
                  FROM payments p WHERE p.order_id = o.id) AS payments,
               (SELECT coalesce(jsonb_object_agg(f.kind, f.status), '{}') FROM effects f WHERE f.order_id = o.id)
                   AS effects,
               ARRAY(SELECT d.kind FROM discrepancies d WHERE d.order_id = o.id ORDER BY d.created_at, d.kind)
                   AS discrepancies,
               ARRAY(SELECT h.to_status FROM history h WHERE h.subject = 'order' AND h.subject_id = o.id::text
                      ORDER BY h.id) AS moves
          FROM orders o WHERE o.id = $1
        """,
        order_id,
    )
    if row is None:
        raise LookupError(f"there is no order {order_id}")
    return OrderStory(
        status=row["status"],
        failure_reason=row["failure_reason"],
        has_access=row["has_access"],
        payments=row["payments"],
        effects=row["effects"],
        discrepancies=tuple(row["discrepancies"]),
        moves=tuple(row["moves"]),
    )


async def of_event(tx: Tx, event_id: str) -> list[EventStory]:
    """Every kept event under the gateway's id: one, or more where contents under one id contradict each other."""
    rows = await tx.fetch(
        "SELECT id, status, reason, deliveries FROM webhook_events WHERE event_id = $1 ORDER BY id", event_id
    )
    return [EventStory(row["id"], row["status"], row["reason"], row["deliveries"]) for row in rows]
