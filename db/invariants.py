"""What must never be so in our own data: SQL that must return no row, one file each, and what becomes of what it finds.

A file opens with the sentence that it holds. Its rows say who (``subject``), of which order, and what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from db.discrepancies import THE_CLOCK
from db.pool import Tx

FOLDER = Path(__file__).parent / "invariants"

#: A hundred rows are a bug; a million would be its shadow.
MOST = 100


@dataclass(frozen=True, slots=True)
class Invariant:
    """One file."""

    name: str
    says: str
    statement: str

    @property
    def kind(self) -> str:
        """Of the discrepancies that it opens."""
        return f"invariant_{self.name}"


@dataclass(frozen=True, slots=True)
class Violation:
    """One row that must not be. The same subject is the same violation, however often it is seen."""

    subject: str
    order_id: UUID | None
    evidence: Mapping[str, Any]


def load() -> tuple[Invariant, ...]:
    """Every file, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.sql")))


def _read(path: Path) -> Invariant:
    text = path.read_text(encoding="utf-8")
    says = text.partition("\n")[0]
    if not says.startswith("-- "):
        raise ValueError(f"{path.name} must open with the sentence that it holds")
    return Invariant(path.stem, says.removeprefix("-- "), text)


async def find_violations(tx: Tx, invariant: Invariant, *, seconds: float) -> list[Violation]:
    """At most ``MOST`` of them. One statement, so one moment: a move and what follows it are seen together."""
    await tx.execute("SELECT set_config('statement_timeout', $1, true)", f"{seconds:.0f}s")
    rows = await tx.fetch(
        f"SELECT subject, order_id, evidence FROM (\n{invariant.statement}\n) AS broken LIMIT {MOST}",  # noqa: S608 - our own file
        timeout=seconds,
    )
    return [Violation(**row) for row in rows]


async def raise_violations(tx: Tx, invariant: Invariant, violations: Sequence[Violation]) -> int:
    """Open a discrepancy for each, and again for one that the clock had closed as cured; returns how many are news.

    What a person has closed stays closed: somebody has looked at it.
    """
    opened = await tx.fetch(
        """
        INSERT INTO discrepancies (kind, order_id, evidence, proposed_action, fingerprint)
        SELECT $1, v.order_id, v.evidence, 'look_by_hand', $1 || ':' || v.subject
          FROM unnest($2::text[], $3::uuid[], $4::jsonb[]) AS v (subject, order_id, evidence)
         ORDER BY v.subject
        ON CONFLICT (fingerprint) DO UPDATE
            SET state = 'open', closed_at = NULL, closed_by = NULL, created_at = now(), evidence = excluded.evidence
            WHERE discrepancies.closed_by = $5
        RETURNING id
        """,
        invariant.kind,
        [violation.subject for violation in violations],
        [violation.order_id for violation in violations],
        [{**violation.evidence, "never": invariant.says} for violation in violations],
        THE_CLOCK,
    )
    return len(opened)


async def close_cured(tx: Tx, invariant: Invariant, violations: Sequence[Violation]) -> int:
    """Resolve what is no longer so; returns how many. Only for a list that was not cut short."""
    closed = await tx.fetch(
        """
        UPDATE discrepancies
           SET state = 'resolved', closed_at = now(), closed_by = $3
         WHERE kind = $1 AND state = 'open' AND NOT fingerprint = ANY ($2::text[])
        RETURNING id
        """,
        invariant.kind,
        [f"{invariant.kind}:{violation.subject}" for violation in violations],
        THE_CLOCK,
    )
    return len(closed)
