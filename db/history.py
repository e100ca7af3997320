"""Why it is so: one line for every change, with its cause. Append-only; the schema refuses the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from db.ids import new_id
from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a change: a stored event, an API call by a named caller, an effect of ours,
    an operator's act, a reconciliation run."""

    kind: Literal["webhook_event", "api", "effect", "operator", "reconciliation", "schedule"]
    id: str


async def write(
    tx: Tx,
    *,
    subject: Literal["order", "subscription", "refund", "dispute"],
    subject_id: UUID,
    from_status: str | None,
    to_status: str,
    cause: Cause,
    at: datetime,
    detail: Mapping[str, Any] | None = None,
) -> UUID:
    """Add one line, in the transaction of the change that it tells; returns its id. ``at`` is business time."""
    line = new_id()
    await tx.execute(
        """
        INSERT INTO history (id, subject, subject_id, from_status, to_status, cause, cause_id, detail, at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        line,
        subject,
        str(subject_id),
        from_status,
        to_status,
        cause.kind,
        cause.id,
        dict(detail or {}),
        at,
    )
    return line
