"""What was asked of a subscription: the intent before the call, its outcome after, and one live one at a time.

Who takes both locks the order and its subscription first (``db.subscriptions``), then its requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from db.pool import Tx

#: In real time, like leases: somebody who has just intended to call will do so.
SILENT_FOR = timedelta(minutes=5)

_REQUEST = """
    id, subscription_id, kind, request, idempotency_key, asked_by, status, calls,
    calling_until > now() AS is_being_called
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it stands. ``calls``: how often it has been sent, for all we know."""

    id: UUID
    subscription_id: UUID
    kind: str
    request: Mapping[str, Any] = field(repr=False)
    idempotency_key: str
    asked_by: str
    status: str
    calls: int
    is_being_called: bool


async def intend(
    tx: Tx,
    *,
    subscription_id: UUID,
    kind: str,
    request: Mapping[str, Any],
    idempotency_key: str,
    asked_by: str,
) -> Request:
    """Write down what we are about to ask, whole, in the transaction before the call."""
    row = await tx.fetchrow(
        f"""
        INSERT INTO subscription_requests (subscription_id, kind, request, idempotency_key, asked_by)
        VALUES ($1, $2, $3, $4, $5) RETURNING {_REQUEST}
        """,  # noqa: S608 - our own list of columns
        subscription_id,
        kind,
        dict(request),
        idempotency_key,
        asked_by,
    )
    assert row is not None
    return Request(**row)


async def live(tx: Tx, subscription_id: UUID) -> Request | None:
    """The request whose outcome nobody knows yet. The caller holds the subscription's lock."""
    row = await tx.fetchrow(
        f"""
        SELECT {_REQUEST} FROM subscription_requests
         WHERE subscription_id = $1 AND status IN ('intended', 'unknown')
        """,  # noqa: S608 - our own list of columns
        subscription_id,
    )
    return Request(**row) if row else None


async def count(tx: Tx, subscription_id: UUID) -> int:
    """How many there were so far: numbers the next one's key."""
    counted: int = await tx.fetchval(
        "SELECT count(*) FROM subscription_requests WHERE subscription_id = $1", subscription_id
    )
    return counted


async def lease(tx: Tx, request_id: UUID, seconds: float) -> None:
    """Say that we are calling now. A caller that dies lets go by the clock, and the next one asks the same again."""
    await tx.execute(
        """
        UPDATE subscription_requests
           SET calling_until = now() + $2::interval, calls = calls + 1, updated_at = now() WHERE id = $1
        """,
        request_id,
        timedelta(seconds=seconds),
    )


async def finish(tx: Tx, request: Request) -> None:
    """The gateway has done it. A plan that is to come is remembered until it is there."""
    await _settle(tx, request.id, "done", None)
    await tx.execute(
        """
        UPDATE subscriptions SET pending_plan_id = $2
         WHERE id = $1 AND has_pending_change AND plan_id IS DISTINCT FROM $2 AND $2::text IS NOT NULL
        """,
        request.subscription_id,
        request.request.get("planId"),
    )


async def refuse(tx: Tx, request_id: UUID, error: str) -> None:
    """The gateway said no, and nothing has changed there."""
    await _settle(tx, request_id, "refused", error)


async def leave_unknown(tx: Tx, request_id: UUID, error: str) -> None:
    """The answer was lost. Whoever comes next asks again, in the same words."""
    await _settle(tx, request_id, "unknown", error)


async def _settle(tx: Tx, request_id: UUID, status: str, error: str | None) -> None:
    """Once: what another caller has found out meanwhile stands."""
    await tx.execute(
        """
        UPDATE subscription_requests
           SET status = $2, error = $3, calling_until = '-infinity', updated_at = now()
         WHERE id = $1 AND status IN ('intended', 'unknown')
        """,
        request_id,
        status,
        error,
    )


async def claim_unsettled(tx: Tx, gateways: Sequence[str], *, lease_seconds: float, limit: int) -> list[Request]:
    """Requests whose callers have died, or whose answers were lost, the longest silent first; they are ours to call."""
    rows = await tx.fetch(
        f"""
        WITH due AS (
            SELECT r.id FROM subscription_requests r JOIN subscriptions s ON s.id = r.subscription_id
             WHERE r.status IN ('intended', 'unknown') AND r.updated_at <= now() - $1::interval
               AND r.calling_until <= now() AND s.gateway = ANY ($2::text[])
             ORDER BY r.updated_at LIMIT $3 FOR UPDATE OF r SKIP LOCKED
        )
        UPDATE subscription_requests
           SET calling_until = now() + $4::interval, calls = calls + 1, updated_at = now()
         WHERE id IN (SELECT id FROM due) RETURNING {_REQUEST}
        """,  # noqa: S608 - our own list of columns
        SILENT_FOR,
        list(gateways),
        limit,
        timedelta(seconds=lease_seconds),
    )
    return [Request(**row) for row in rows]
