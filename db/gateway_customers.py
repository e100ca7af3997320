"""The gateways' own customers: one per user and gateway, whose making is a row before the call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Customer:
    """A user at a gateway. ``id`` is the gateway's, None until it has said so; ``calls`` counts the askings, the first
    of which was ``wanted_for`` ago, in real time."""

    idempotency_key: str
    id: str | None
    calls: int
    wanted_for: timedelta


async def find(tx: Tx, user_id: str, gateway: str) -> str | None:
    """The gateway's id of the user, where there is one."""
    found: str | None = await tx.fetchval(
        "SELECT customer_id FROM gateway_customers WHERE user_id = $1 AND gateway = $2", user_id, gateway
    )
    return found


async def claim(tx: Tx, user_id: str, gateway: str, *, lease_seconds: float) -> Customer | None:
    """The user's customer, or the turn to make it: commit, call with its key, ``keep`` the answer. None: another has
    the turn now. A caller that dies lets go by the clock, and the next one asks under the same key."""
    await tx.execute(
        """
        INSERT INTO gateway_customers (user_id, gateway, idempotency_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
        """,
        user_id,
        gateway,
        f"customer_{uuid4().hex}",
    )
    row = await tx.fetchrow(
        """
        UPDATE gateway_customers
           SET calling_until = CASE WHEN customer_id IS NULL THEN now() + $3::interval ELSE calling_until END,
               calls = calls + CASE WHEN customer_id IS NULL THEN 1 ELSE 0 END
         WHERE user_id = $1 AND gateway = $2 AND (customer_id IS NOT NULL OR calling_until <= now())
        RETURNING idempotency_key, customer_id AS id, calls, now() - created_at AS wanted_for
        """,
        user_id,
        gateway,
        timedelta(seconds=lease_seconds),
    )
    return Customer(**row) if row else None


async def keep(tx: Tx, user_id: str, gateway: str, customer_id: str) -> str:
    """What the gateway has made, or had; returns the one that holds from now on: the first that was told."""
    kept: str = await tx.fetchval(
        """
        UPDATE gateway_customers SET customer_id = coalesce(customer_id, $3), calling_until = '-infinity'
         WHERE user_id = $1 AND gateway = $2 RETURNING customer_id
        """,
        user_id,
        gateway,
        customer_id,
    )
    if gateway == "stripe":
        # The column that the guide promises to other readers of this table.
        await tx.execute(
            "UPDATE users SET stripe_customer_id = $2 WHERE id = $1 AND stripe_customer_id IS NULL", user_id, kept
        )
    return kept


async def let_go(tx: Tx, user_id: str, gateway: str) -> None:
    """The call came to an end without an answer that can be kept: whoever is next may ask at once."""
    await tx.execute(
        "UPDATE gateway_customers SET calling_until = '-infinity' WHERE user_id = $1 AND gateway = $2", user_id, gateway
    )
