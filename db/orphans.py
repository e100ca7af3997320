"""Orders that should have ended, and payments that nobody told us of: what recovery asks the gateways about.

Ages are in business time. An order that is claimed here is put off at once, before it is asked about: so two runs never
ask about the same one, and a run that dies leaves it to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from db.pool import Tx
from payments.payment import PaymentStatus, Sighting

#: An hour leaves every webhook its time, and every page its 31 minutes.
PENDING_FOR = timedelta(hours=1)

#: How long after its expiry a page's end may be on its way to us.
OVER_FOR = timedelta(minutes=30)

#: In real time, like leases: somebody who has just intended to call will do so.
SILENT_FOR = timedelta(minutes=5)

#: Until the next look at an order that stays as it is: doubled each time. A delayed method takes days, an outage hours.
#: The first is a little less than the half hour between two runs.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=25), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Orphan:
    """An order whose end we have not heard. ``gateway`` None: nobody has written down where its page is."""

    order_id: UUID
    gateway: str | None


async def claim(tx: Tx, now: datetime, gateways: Mapping[str, timedelta], *, limit: int) -> list[Orphan]:
    """Take the orders that have waited longest for a look, and put each off until its next.

    ``gateways``: those that can be asked, and for how long after its end a page's money may still come there.
    """
    rows = await tx.fetch(
        """
        WITH askable AS (
            SELECT * FROM unnest($2::text[], $3::interval[]) AS g (gateway, late_for)
        ), stuck AS (
            SELECT id FROM orders WHERE status = 'pending' AND created_at <= $1::timestamptz - $4::interval
            UNION
            SELECT order_id FROM payment_attempts
             WHERE status IN ('intended', 'unknown') AND updated_at <= now() - $5::interval
            UNION
            SELECT order_id FROM payment_attempts WHERE status = 'open' AND expires_at <= $1::timestamptz - $6::interval
            UNION
            SELECT o.id FROM orders o
              JOIN payments p ON p.order_id = o.id AND p.status <> 'succeeded'
              JOIN askable ON askable.gateway = p.gateway
             WHERE o.status IN ('failed', 'cancelled') AND o.created_at > $1::timestamptz - late_for
        ), due AS (
            SELECT o.id, coalesce(a.gateway, o.gateway) AS gateway
              FROM orders o
              LEFT JOIN LATERAL (SELECT gateway, calling_until FROM payment_attempts
                                  WHERE order_id = o.id ORDER BY number DESC LIMIT 1) a ON true
             WHERE o.id IN (SELECT id FROM stuck) AND o.next_look_at <= $1
               AND (a.calling_until IS NULL OR a.calling_until <= now())
               AND (a.gateway IS NOT NULL OR o.session_id IS NOT NULL
                    OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id))
               AND (coalesce(a.gateway, o.gateway) IS NULL
                    OR coalesce(a.gateway, o.gateway) IN (SELECT gateway FROM askable))
             ORDER BY o.next_look_at, o.created_at LIMIT $7 FOR UPDATE OF o SKIP LOCKED
        )
        UPDATE orders o
           SET looks = o.looks + 1,
               next_look_at = $1::timestamptz + least($8::interval * 2 ^ least(o.looks, 16), $9::interval)
          FROM due WHERE o.id = due.id
        RETURNING o.id, due.gateway
        """,
        now,
        list(gateways),
        list(gateways.values()),
        PENDING_FOR,
        SILENT_FOR,
        OVER_FOR,
        limit,
        FIRST_PAUSE,
        LONGEST_PAUSE,
    )
    return [Orphan(row["id"], row["gateway"]) for row in rows]


async def unasked(tx: Tx, now: datetime, gateways: Sequence[str]) -> list[str]:
    """Where pages wait for an answer, or pending orders do, beside these gateways: ``claim`` passes them over."""
    rows = await tx.fetch(
        """
        SELECT gateway FROM payment_attempts
         WHERE status IN ('intended', 'unknown') AND updated_at <= now() - $4::interval AND gateway <> ALL ($2::text[])
        UNION
        SELECT gateway FROM payment_attempts
         WHERE status = 'open' AND expires_at <= $1::timestamptz - $5::interval AND gateway <> ALL ($2::text[])
        UNION
        SELECT coalesce(a.gateway, o.gateway)
          FROM orders o
          LEFT JOIN LATERAL (SELECT gateway FROM payment_attempts
                              WHERE order_id = o.id ORDER BY number DESC LIMIT 1) a ON true
         WHERE o.status = 'pending' AND o.created_at <= $1::timestamptz - $3::interval
           AND coalesce(a.gateway, o.gateway) <> ALL ($2::text[])
           AND (a.gateway IS NOT NULL OR o.session_id IS NOT NULL
                OR EXISTS (SELECT FROM payments p WHERE p.order_id = o.id))
         ORDER BY gateway
        """,
        now,
        gateways,
        PENDING_FOR,
        SILENT_FOR,
        OVER_FOR,
    )
    return [row["gateway"] for row in rows]


async def claim_one(tx: Tx, order_id: UUID, now: datetime, *, pause: timedelta) -> bool:
    """Take this pending order for one look out of its turn; False if it has just been taken."""
    taken = await tx.execute(
        """
        UPDATE orders SET next_look_at = $2::timestamptz + $3::interval
         WHERE id = $1 AND status = 'pending' AND next_look_at <= $2
        """,
        order_id,
        now,
        pause,
    )
    return taken == "UPDATE 1"


async def put_off(tx: Tx, order_id: UUID, until: datetime) -> None:
    """Nothing is to be learnt about this order before then."""
    await tx.execute("UPDATE orders SET next_look_at = $2 WHERE id = $1", order_id, until)


async def known(tx: Tx, gateway: str, sightings: Sequence[Sighting]) -> dict[str, PaymentStatus]:
    """How far we know each of these payments to have come; those that we do not know are missing."""
    rows = await tx.fetch(
        "SELECT gateway_payment_id, status FROM payments WHERE gateway = $1 AND gateway_payment_id = ANY ($2::text[])",
        gateway,
        [seen.gateway_payment_id for seen in sightings],
    )
    return {row["gateway_payment_id"]: PaymentStatus(row["status"]) for row in rows}
