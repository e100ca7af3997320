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


#: Joined to ``entitlements e``, what each gives at the moment $1, which is business time: an end may be reached before
#: our clock has noticed.
GIVES = """
    LATERAL (SELECT e.active AND coalesce(e.lapses_at, e.until, 'infinity') > $1 AS active,
                    CASE WHEN NOT e.active OR e.subscription_id IS NULL OR coalesce(e.until, 'infinity') > $1
                         THEN e.reason
                         WHEN e.lapses_at > $1 THEN 'grace' ELSE 'ended' END AS reason) AS now
"""


async def of_user(tx: Tx, user_id: str, now: datetime) -> list[Access]:
    """One line a plan: the best claim of several."""
    rows = await tx.fetch(
        f"""
        SELECT DISTINCT ON (plan_id) plan_id, now.active, until, now.reason
          FROM entitlements e CROSS JOIN {GIVES}
         WHERE user_id = $2
         ORDER BY plan_id, now.active DESC, until DESC NULLS FIRST, updated_at DESC
        """,  # noqa: S608 - two texts of ours
        now,
        user_id,
    )
    return [Access(**row) for row in rows]
