"""Every movement of money that a gateway has confirmed: signed, append-only, each fact once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from db.history import Cause
from db.ids import new_id
from db.pool import Tx
from payments.money import Flow

Kind = Literal[
    "payment",
    "fee",
    "refund",
    "refund_reversal",
    "dispute",
    "dispute_reversal",
    "dispute_fee",
    "payout",
    "payout_reversal",
]


async def book(
    tx: Tx,
    *,
    fact: str,
    kind: Kind,
    gateway: str,
    flow: Flow,
    cause: Cause,
    at: datetime,
    payment_id: UUID | None = None,
    order_id: UUID | None = None,
    refund_id: UUID | None = None,
    dispute_id: UUID | None = None,
    payout_id: UUID | None = None,
) -> bool:
    """Add it, in the transaction of the change that it tells; whether it is news. The same ``fact``, told again, books
    nothing. ``at`` is business time."""
    booked = await tx.execute(
        """
        INSERT INTO movements (id, gateway, payment_id, order_id, refund_id, dispute_id, payout_id, kind, amount,
                               currency, cause, cause_id, fact, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (fact) DO NOTHING
        """,
        new_id(),
        gateway,
        payment_id,
        order_id,
        refund_id,
        dispute_id,
        payout_id,
        kind,
        flow.minor,
        flow.currency,
        cause.kind,
        cause.id,
        fact,
        at,
    )
    return booked == "INSERT 0 1"


async def booked_of_dispute(tx: Tx, payment_id: UUID, dispute_id: UUID) -> dict[tuple[Kind, str], int]:
    """What is booked of it by kind and currency, in minor units without their signs. A fee that came back is no less
    of a fee that was taken."""
    rows = await tx.fetch(
        """
        SELECT kind, currency, sum(abs(amount))::bigint AS amount FROM movements
         WHERE payment_id = $1 AND dispute_id = $2 AND (kind <> 'dispute_fee' OR amount < 0)
         GROUP BY kind, currency
        """,
        payment_id,
        dispute_id,
    )
    return {(row["kind"], row["currency"]): row["amount"] for row in rows}


async def times_refunded(tx: Tx, refund_id: UUID) -> int:
    """How often this refund was booked as gone: a bank may return one, and the gateway may send it anew."""
    times: int = await tx.fetchval("SELECT count(*) FROM movements WHERE refund_id = $1 AND kind = 'refund'", refund_id)
    return times


async def times_given_back(tx: Tx, payment_id: UUID) -> int:
    """How often money of this payment has gone back, or has come back to us again, by a refund."""
    times: int = await tx.fetchval(
        "SELECT count(*) FROM movements WHERE payment_id = $1 AND kind IN ('refund', 'refund_reversal')", payment_id
    )
    return times
