"""Who did what by hand, and why. Append-only; the schema refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Operator:
    """A person at the desk, and the way in that they took."""

    name: str
    via: Literal["cli", "web", "api"] = "cli"


@dataclass(frozen=True, slots=True)
class OperatorAction:
    """One act, as its row tells it."""

    id: UUID
    at: datetime
    actor: str
    via: str
    action: str
    target: Mapping[str, Any]
    reason: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    batch_id: UUID | None


async def record(
    tx: Tx,
    *,
    by: Operator,
    action: str,
    target: Mapping[str, Any],
    reason: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    batch_id: UUID | None = None,
) -> UUID:
    """Write an act down, in the transaction of what it did: neither is ever there without the other."""
    action_id: UUID = await tx.fetchval(
        """
        INSERT INTO operator_actions (actor, via, action, target, reason, before, after, batch_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
        """,
        by.name,
        by.via,
        action,
        dict(target),
        reason,
        None if before is None else dict(before),
        None if after is None else dict(after),
        batch_id,
    )
    return action_id


async def newest(tx: Tx, *, limit: int = 50, action: str | None = None) -> list[OperatorAction]:
    """The latest acts, the newest first; of one kind if asked."""
    rows = await tx.fetch(
        """
        SELECT id, at, actor, via, action, target, reason, before, after, batch_id
          FROM operator_actions WHERE $2::text IS NULL OR action = $2 ORDER BY at DESC, id DESC LIMIT $1
        """,
        limit,
        action,
    )
    return [OperatorAction(**row) for row in rows]
