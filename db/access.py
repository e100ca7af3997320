"""What a user may use now, read from the rows that say why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class Access:
    """A user's access to one plan. ``until`` None: no end, or none at all while it is not active."""

    plan_id: str | None
    active: bool
    until: datetime | None
    reason: str


async def of_user(tx: Tx, user_id: str, now: datetime) -> list[Access]:
    """One line a plan: the best claim of several. ``now`` is business time, since an end may be reached unnoticed."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (plan_id) plan_id, active AND (until IS NULL OR until > $2) AS active, until, reason
          FROM entitlements WHERE user_id = $1
         ORDER BY plan_id, active AND (until IS NULL OR until > $2) DESC, until DESC NULLS FIRST, updated_at DESC
        """,
        user_id,
        now,
    )
    return [Access(**row) for row in rows]
