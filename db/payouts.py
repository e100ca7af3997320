"""What a gateway pays out to our bank: a row each, and whose its parts are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from db.pool import Tx
from payments.events import PayoutTold


@dataclass(frozen=True, slots=True)
class Payout:
    """A payout as it stands, under lock until the transaction ends. ``minor`` is signed."""

    id: UUID
    minor: int
    currency: str
    has_failed: bool


@dataclass(frozen=True, slots=True)
class Match:
    """What one part of a payout is of ours. ``amounts`` are those that it may have, without their sign."""

    what: Literal["payment", "refund", "dispute"]
    id: UUID
    payment_id: UUID
    order_id: UUID | None
    amounts: Sequence[int]
    currency: str


async def tell(tx: Tx, gateway: str, told: PayoutTold) -> Payout:
    """Write how far it has come. A failure is final, also where it is told before the payment that it followed. Its
    amount may change until it was paid, and that is booked."""
    status = "failed" if told.has_failed else "paid" if told.is_paid else "pending"
    row = await tx.fetchrow(
        """
        INSERT INTO payouts (gateway, gateway_payout_id, amount, currency, status, arrives_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (gateway, gateway_payout_id) DO UPDATE
            SET amount = CASE WHEN excluded.status = 'paid' AND NOT EXISTS (
                                        SELECT FROM movements m WHERE m.payout_id = payouts.id)
                              THEN excluded.amount ELSE payouts.amount END,
                status = CASE WHEN 'failed' IN (payouts.status, excluded.status) THEN 'failed'
                              WHEN 'paid' IN (payouts.status, excluded.status) THEN 'paid' ELSE 'pending' END,
                arrives_at = coalesce(excluded.arrives_at, payouts.arrives_at), updated_at = now()
        RETURNING id, amount AS minor, currency, status = 'failed' AS has_failed
        """,
        gateway,
        told.gateway_payout_id,
        told.minor,
        told.currency,
        status,
        told.arrives_at,
    )
    assert row is not None
    return Payout(**row)


async def known(tx: Tx, gateway: str, names: Sequence[str]) -> dict[str, str]:
    """How far those that we know have come, by the gateway's name."""
    rows = await tx.fetch(
        "SELECT gateway_payout_id, status FROM payouts WHERE gateway = $1 AND gateway_payout_id = ANY ($2::text[])",
        gateway,
        list(names),
    )
    return {row["gateway_payout_id"]: row["status"] for row in rows}


async def was_paid(tx: Tx, payout: UUID) -> bool:
    """Whether it was ever told, and booked, as paid."""
    booked: bool = await tx.fetchval(
        "SELECT EXISTS (SELECT FROM movements WHERE payout_id = $1 AND kind = 'payout')", payout
    )
    return booked


async def read(tx: Tx, payout: UUID) -> tuple[int, str]:
    """Its signed amount in minor units, and its currency."""
    row = await tx.fetchrow("SELECT amount, currency FROM payouts WHERE id = $1", payout)
    if row is None:
        raise LookupError(f"payout {payout} is gone")
    return row["amount"], row["currency"]


async def lock_order(tx: Tx, found: Match) -> None:
    """The order before anything of it, as everybody takes them: a row that names both would lock its payment first."""
    await tx.execute("SELECT FROM orders WHERE id = $1 FOR KEY SHARE", found.order_id)


async def count_parts(tx: Tx, payout: UUID, *, parts: int, matched: int) -> None:
    await tx.execute(
        "UPDATE payouts SET parts = $2, parts_matched = $3, updated_at = now() WHERE id = $1", payout, parts, matched
    )


async def match(tx: Tx, gateway: str, names: Sequence[str], *, is_payment: bool) -> Match | None:
    """What the gateway's names point to: the most telling first, what goes back before what it was taken by.

    ``is_payment``: only such a part may be a payment; that of a refund, say, names the payment too.
    """
    row = await tx.fetchrow(
        """
        WITH named AS (SELECT * FROM unnest($2::text[]) WITH ORDINALITY AS n (name, place)),
        found AS (
            SELECT place, 1 AS rank, 'refund' AS what, r.id, r.payment_id, r.order_id, ARRAY[r.amount] AS amounts,
                   r.currency
              FROM named JOIN refunds r ON r.gateway = $1 AND r.gateway_refund_id = name
            UNION ALL
            SELECT place, 2, 'dispute', d.id, d.payment_id, d.order_id, ARRAY[d.amount, d.withdrawn, d.reinstated],
                   d.currency
              FROM named JOIN disputes d ON d.gateway = $1 AND d.gateway_dispute_id = name
            UNION ALL
            SELECT place, 3, 'payment', p.id, p.id, p.order_id, ARRAY[p.amount], p.currency
              FROM named JOIN payments p ON p.gateway = $1 AND p.gateway_payment_id = name
             WHERE $3 AND p.status = 'succeeded'
            UNION ALL
            SELECT place, 4, 'payment', p.id, p.id, p.order_id, ARRAY[p.amount], p.currency
              FROM named JOIN gateway_references g ON g.gateway = $1 AND g.reference = name
              JOIN payments p ON p.order_id = g.order_id AND p.gateway = $1 AND p.status = 'succeeded'
             WHERE $3 AND (SELECT count(*) FROM payments o
                            WHERE o.order_id = g.order_id AND o.status = 'succeeded') = 1
        )
        SELECT what, id, payment_id, order_id, amounts, currency FROM found ORDER BY rank, place LIMIT 1
        """,
        gateway,
        list(names),
        is_payment,
    )
    return Match(**row) if row else None
