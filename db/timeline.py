"""Everything that touched an order, a subscription or a user, in one statement: one moment's truth, without locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.pool import Tx
from db.timeline_sources import HIDDEN, RELATED, SOURCES
from payments.timeline import Entry, Kind, Mark, Page, assemble


@dataclass(frozen=True, slots=True)
class About:
    """Whose timeline is meant. ``user_id``: also what is the user's own and no order's."""

    orders: Sequence[UUID] = ()
    subscriptions: Sequence[UUID] = ()
    user_id: str | None = None


def _limited(kind: Kind, source: str, *, reveal: bool) -> str:
    """Of each kind no more than a page of it can hold."""
    found = source.replace("@hidden", HIDDEN.get(kind, "NULL::jsonb") if reveal else "NULL::jsonb")
    return f"""(
        SELECT recorded_at, at, id, {kind.rank} AS rank, '{kind}' AS kind, subject, subject_id, detail, hidden
          FROM ({found}) AS found
         WHERE $4::timestamptz IS NULL OR (recorded_at, {kind.rank}, id) > ($4, $5::integer, $6::uuid)
         ORDER BY recorded_at, id LIMIT $7)"""  # noqa: S608 - our own statements


def _statement(*, reveal: bool) -> str:
    """What is hidden is not even asked for, so that a role without a right on it can read the rest."""
    return f"WITH {RELATED} " + " UNION ALL ".join(
        _limited(kind, source, reveal=reveal) for kind, source in SOURCES.items()
    )


_REDACTED, _WHOLE = _statement(reveal=False), _statement(reveal=True)


async def read(tx: Tx, about: About, *, limit: int, after: Mark | None = None, reveal: bool = False) -> Page:
    """The oldest lines after this place. ``reveal``: with what is hidden otherwise, to whom that is allowed."""
    rows = await tx.fetch(
        _WHOLE if reveal else _REDACTED,
        list(about.orders),
        list(about.subscriptions),
        about.user_id,
        after.recorded_at if after else None,
        after.rank if after else 0,
        after.id if after else UUID(int=0),
        limit + 1,
    )
    return assemble((_entry(dict(row)) for row in rows), limit=limit)


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        recorded_at=row["recorded_at"],
        at=row["at"],
        kind=Kind(row["kind"]),
        id=row["id"],
        subject=row["subject"],
        subject_id=row["subject_id"],
        detail=row["detail"],
        hidden=row["hidden"],
    )
