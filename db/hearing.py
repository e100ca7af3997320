"""When we last heard a gateway by itself, and when we last had to fetch what it should have told us. In real time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from db.ids import first_id_of, time_of
from db.pool import Tx

#: What lies further back says nothing of today, and would be long to look through.
LOOK_BACK = timedelta(days=2)


async def last_fetched(tx: Tx, gateway: str, *, seconds: float) -> datetime | None:
    """The last time, so many seconds ago at least, that we fetched an event or an order's end which nobody has told us
    since. An order whose page was never made has an end that no gateway tells of."""
    until = datetime.now(UTC) - timedelta(seconds=seconds)
    event: datetime | None = await tx.fetchval(
        """
        SELECT max(created_at) FROM webhook_events
         WHERE gateway = $1 AND source = 'backfill' AND created_at BETWEEN $2 AND $3
        """,
        gateway,
        until - LOOK_BACK,
        until,
    )
    end: UUID | None = await tx.fetchval(
        """
        SELECT h.id FROM history h JOIN orders o ON h.subject_id = o.id::text
         WHERE h.subject = 'order' AND h.cause = 'reconciliation' AND h.to_status IN ('paid', 'cancelled')
           AND o.gateway = $1 AND h.id >= $2 AND h.id < $3
         ORDER BY h.id DESC LIMIT 1
        """,
        gateway,
        first_id_of(until - LOOK_BACK),
        first_id_of(until),
    )
    return max((at for at in (event, time_of(end) if end else None) if at is not None), default=None)


async def was_heard_since(tx: Tx, gateway: str, moment: datetime) -> bool:
    """Whether a webhook of this gateway, new or repeated, has come after that moment."""
    return bool(
        await tx.fetchval(
            """
            SELECT EXISTS (SELECT FROM webhook_events
                            WHERE gateway = $1 AND source = 'webhook' AND last_delivery_at > $2 AND id >= $3)
            """,
            gateway,
            moment,
            first_id_of(datetime.now(UTC) - LOOK_BACK),
        )
    )
