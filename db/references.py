"""Whose is it? From the names that an event gives to the order they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from db.pool import Tx


async def lock(tx: Tx, names: Sequence[str]) -> None:
    """Hold these names until the transaction ends: nobody stores one, or parks an event under one, meanwhile."""
    await tx.execute("SELECT lock_references($1::text[])", list(names))


async def find_orders(tx: Tx, gateway: str, *, objects: Sequence[str], order_ids: Sequence[UUID]) -> set[UUID]:
    """Every order that one of these names points to; more than one means that the names contradict each other."""
    rows = await tx.fetch(
        """
        SELECT id FROM orders WHERE id = ANY ($3::uuid[])
        UNION SELECT id FROM orders WHERE session_id = ANY ($2::text[])
        UNION SELECT id FROM orders WHERE payment_intent_id = ANY ($2::text[])
        UNION SELECT order_id FROM payments
               WHERE gateway = $1 AND gateway_payment_id = ANY ($2::text[]) AND order_id IS NOT NULL
        UNION SELECT order_id FROM gateway_references WHERE gateway = $1 AND reference = ANY ($2::text[])
        """,
        gateway,
        list(objects),
        list(order_ids),
    )
    return {row["id"] for row in rows}


async def are_known(tx: Tx, gateway: str, objects: Sequence[str]) -> bool:
    """Whether one of them is a payment of ours, or was learnt for an order."""
    if not objects:
        return False
    known: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT FROM gateway_references WHERE gateway = $1 AND reference = ANY ($2::text[]))
            OR EXISTS (SELECT FROM payments WHERE gateway = $1 AND gateway_payment_id = ANY ($2::text[]))
        """,
        gateway,
        list(objects),
    )
    return known


async def store(tx: Tx, gateway: str, order: UUID, objects: Sequence[str]) -> None:
    """Remember that these gateway objects belong to the order; a trigger wakes the events that waited for one."""
    await tx.execute(
        """
        INSERT INTO gateway_references (gateway, reference, order_id)
        SELECT $1, name, $2 FROM unnest($3::text[]) AS name ORDER BY name
        ON CONFLICT DO NOTHING
        """,
        gateway,
        order,
        list(objects),
    )
