"""Whose money it is: the application's users, as far as we need them."""

from __future__ import annotations

from db.pool import Tx


async def know(tx: Tx, user_id: str, email: str | None) -> None:
    """Make sure the user has a row, with the newest address that a token gave."""
    await tx.execute(
        """
        INSERT INTO users (id, email) VALUES ($1, $2)
        ON CONFLICT (id) DO UPDATE SET email = excluded.email
            WHERE excluded.email IS NOT NULL AND users.email IS DISTINCT FROM excluded.email
        """,
        user_id,
        email,
    )
