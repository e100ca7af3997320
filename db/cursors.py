"""How far a list of a gateway has been read without a hole."""

from __future__ import annotations

from datetime import datetime

from db.pool import Tx


async def read(tx: Tx, name: str) -> datetime | None:
    """None before the first reading."""
    reached: datetime | None = await tx.fetchval("SELECT reached FROM cursors WHERE name = $1", name)
    return reached


async def advance(tx: Tx, name: str, reached: datetime) -> None:
    """Everything before this moment is known. Here it only moves on: of two readers, the further one is right."""
    await tx.execute(
        """
        INSERT INTO cursors (name, reached) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET reached = excluded.reached, updated_at = now()
         WHERE cursors.reached < excluded.reached
        """,
        name,
        reached,
    )


async def set_back(tx: Tx, name: str, believed: datetime, reached: datetime) -> None:
    """Where it stood, it had no business to be. Nothing happens if somebody has just moved it."""
    await tx.execute(
        "UPDATE cursors SET reached = $3, updated_at = now() WHERE name = $1 AND reached = $2", name, believed, reached
    )
