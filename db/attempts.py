"""Attempts to open a hosted page: the intent before the call, its outcome after, and one live one per order at most.

Who takes both locks the order first, then its attempts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it stands.

    ``is_being_called``: somebody holds its lease this moment. ``calls``: how often it has been sent, for all we know.
    """

    id: UUID
    order_id: UUID
    number: int
    gateway: str
    idempotency_key: str
    status: str
    request: Mapping[str, Any] = field(repr=False)
    session_id: str | None
    url: str | None
    expires_at: datetime | None
    is_being_called: bool
    calls: int
    created_at: datetime

    @property
    def is_live(self) -> bool:
        return self.status in ("intended", "unknown", "open")


async def intend(
    tx: Tx,
    *,
    order_id: UUID,
    number: int,
    gateway: str,
    idempotency_key: str,
    request: Mapping[str, Any],
    expires_at: datetime,
) -> UUID:
    """Write down what we are about to ask, whole, in the transaction before the call."""
    attempt_id: UUID = await tx.fetchval(
        """
        INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, request, expires_at)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
        """,
        order_id,
        number,
        gateway,
        idempotency_key,
        dict(request),
        expires_at,
    )
    return attempt_id


async def newest(tx: Tx, order_id: UUID) -> Attempt | None:
    """The order's newest attempt; every older one is refused or closed. The caller holds the order's lock."""
    row = await tx.fetchrow(
        """
        SELECT id, order_id, number, gateway, idempotency_key, status, request, session_id, url, expires_at,
               calling_until > now() AS is_being_called, calls, created_at
          FROM payment_attempts WHERE order_id = $1 ORDER BY number DESC LIMIT 1
        """,
        order_id,
    )
    return Attempt(**row) if row else None


async def lease(tx: Tx, attempt_id: UUID, seconds: float) -> None:
    """Say that we are calling now. A caller that dies lets go by the clock, and the next one sends the same again."""
    await tx.execute(
        """
        UPDATE payment_attempts
           SET calling_until = now() + $2::interval, calls = calls + 1, updated_at = now() WHERE id = $1
        """,
        attempt_id,
        timedelta(seconds=seconds),
    )


async def mark_open(
    tx: Tx, attempt_id: UUID, *, session_id: str, url: str | None, expires_at: datetime, is_over: bool
) -> None:
    """The page exists. ``is_over``: it was paid, or ended, before we could write it down."""
    await tx.execute(
        """
        UPDATE payment_attempts
           SET status = CASE WHEN $5 OR status = 'closed' OR $3::text IS NULL THEN 'closed' ELSE 'open' END,
               session_id = $2, url = $3, expires_at = $4, error = NULL,
               calling_until = '-infinity', updated_at = now()
         WHERE id = $1
        """,
        attempt_id,
        session_id,
        url,
        expires_at,
        is_over,
    )


async def mark_refused(tx: Tx, attempt_id: UUID, error: str) -> None:
    """The gateway said no; nothing exists there. A page that has been seen meanwhile is believed over that."""
    await tx.execute(
        """
        UPDATE payment_attempts
           SET status = 'refused', error = $2, calling_until = '-infinity', updated_at = now()
         WHERE id = $1 AND status IN ('intended', 'unknown')
        """,
        attempt_id,
        error,
    )


async def mark_unknown(tx: Tx, attempt_id: UUID, error: str) -> None:
    """The answer was lost. Whoever comes next asks again, in the same words."""
    await tx.execute(
        """
        UPDATE payment_attempts
           SET status = 'unknown', error = $2, calling_until = '-infinity', updated_at = now()
         WHERE id = $1 AND status IN ('intended', 'unknown')
        """,
        attempt_id,
        error,
    )


async def let_go(tx: Tx, attempt_id: UUID) -> None:
    """We call no more, and have learnt nothing that stands elsewhere."""
    await tx.execute("UPDATE payment_attempts SET calling_until = '-infinity' WHERE id = $1", attempt_id)


async def close(tx: Tx, order_id: UUID, session_id: str) -> None:
    """The gateway says that this page is over. It may tell us before we have written down that it exists."""
    await tx.execute(
        """
        UPDATE payment_attempts SET status = 'closed', session_id = $2, updated_at = now()
         WHERE order_id = $1 AND status IN ('intended', 'unknown', 'open')
           AND (session_id = $2 OR (session_id IS NULL AND NOT EXISTS (
                SELECT FROM payment_attempts older WHERE older.session_id = $2)))
        """,
        order_id,
        session_id,
    )


async def find_open(
    tx: Tx, *, user_id: str, plan_id: str, gateway: str, now: datetime, begins_subscription: bool = False
) -> UUID | None:
    """The user's order of this plan whose page can be paid, or is being opened; ``now`` is business time.

    Only one that begins a subscription, or only one that does not: a plan may become the other while a page is open.
    """
    found: UUID | None = await tx.fetchval(
        """
        SELECT o.id FROM orders o JOIN payment_attempts a ON a.order_id = o.id
         WHERE o.user_id = $1 AND o.plan_id = $2 AND o.status IN ('pending', 'failed', 'cancelled') AND a.gateway = $3
           AND a.status IN ('intended', 'unknown', 'open') AND a.expires_at > $4
           AND EXISTS (SELECT FROM subscriptions s WHERE s.order_id = o.id) = $5
         ORDER BY o.created_at DESC LIMIT 1
        """,
        user_id,
        plan_id,
        gateway,
        now,
        begins_subscription,
    )
    return found


async def serialise(tx: Tx, *, user_id: str, plan_id: str, gateway: str) -> None:
    """Let one click of this user for this plan through at a time, until the transaction ends."""
    await tx.execute(
        """
        SELECT pg_advisory_xact_lock(
            hashtextextended(jsonb_build_array('checkout', $1::text, $2::text, $3::text)::text, 0))
        """,
        user_id,
        plan_id,
        gateway,
    )
