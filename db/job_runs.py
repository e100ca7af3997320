"""The clock's record: who has claimed which slot of which job, until when, and how it ended. All by this server's time.

Whoever claims a job first takes its turn (``take_turns``): look, decide and write are then one step, and the primary
key says the same a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from db.pool import Tx


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A run that has begun and not ended. Once its lease is over, whoever had claimed it is dead, or cut off from us.

    ``claims`` names the claim: who lost it to another can no longer say how the run ended.
    """

    slot: datetime
    lease_until: datetime
    claims: int
    claimed_by: str
    asked_by: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a job at this moment of the server's: its newest slot, and a run that has not ended."""

    now: datetime
    newest_slot: datetime | None
    under_way: UnderWay | None


@dataclass(frozen=True, slots=True)
class History:
    """A job as the desk shows it. Ages are the server's."""

    last_slot: datetime
    last_started_at: datetime
    last_finished_at: datetime | None
    last_outcome: str | None
    last_detail: Mapping[str, Any]
    last_claimed_by: str
    last_asked_by: str | None
    first_started_at: datetime
    last_success_at: datetime | None


async def take_turns(tx: Tx, job: str) -> None:
    """Hold this job's turn until the transaction ends; who comes meanwhile waits, and then sees what was written."""
    await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('job ' || $1, 20261122))", job)


async def look(tx: Tx, job: str) -> Past:
    """How the job stands. A slot in the future, written before somebody set the server's clock back, does not count."""
    row = await tx.fetchrow(
        """
        SELECT clock_timestamp() AS now,
               (SELECT max(slot) FROM job_runs
                 WHERE job = $1 AND asked_by IS NULL AND slot <= clock_timestamp()) AS newest_slot,
               u.slot, u.lease_until, u.claims, u.claimed_by, u.asked_by
          FROM (SELECT) AS always
          LEFT JOIN LATERAL (SELECT * FROM job_runs WHERE job = $1 AND finished_at IS NULL
                              ORDER BY lease_until DESC LIMIT 1) AS u ON true
        """,
        job,
    )
    if row is None:
        raise LookupError("a row that is always there")
    is_under_way = row["slot"] is not None
    under_way = UnderWay(row["slot"], *(row[n] for n in ("lease_until", "claims", "claimed_by", "asked_by")))
    return Past(row["now"], row["newest_slot"], under_way if is_under_way else None)


async def begin(tx: Tx, job: str, slot: datetime, *, by: str, lease: timedelta, detail: Mapping[str, Any]) -> bool:
    """Claim a slot, until the lease ends; False where it is somebody's already."""
    claimed = await tx.fetchval(
        """
        INSERT INTO job_runs (job, slot, claimed_by, started_at, lease_until, detail)
        VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4::interval, $5)
        ON CONFLICT DO NOTHING
        RETURNING true
        """,
        job,
        slot,
        by,
        lease,
        dict(detail),
    )
    return bool(claimed)


async def begin_by_hand(tx: Tx, job: str, *, by: str, asked_by: str, lease: timedelta) -> datetime | None:
    """Claim a slot of its own, which is none of the clock's: those are whole milliseconds."""
    slot: datetime | None = await tx.fetchval(
        """
        INSERT INTO job_runs (job, slot, claimed_by, asked_by, started_at, lease_until)
        VALUES ($1, date_trunc('milliseconds', clock_timestamp()) + interval '1 microsecond', $2, $3,
                clock_timestamp(), clock_timestamp() + $4::interval)
        ON CONFLICT DO NOTHING
        RETURNING slot
        """,
        job,
        by,
        asked_by,
        lease,
    )
    return slot


async def take_over(tx: Tx, job: str, slot: datetime, *, by: str, lease: timedelta) -> int | None:
    """Claim the slot of somebody who died; returns the number of this claim, None where that one lives after all."""
    claims: int | None = await tx.fetchval(
        """
        UPDATE job_runs
           SET claimed_by = $3, claims = claims + 1, started_at = clock_timestamp(),
               lease_until = clock_timestamp() + $4::interval
         WHERE job = $1 AND slot = $2 AND finished_at IS NULL AND lease_until <= clock_timestamp()
        RETURNING claims
        """,
        job,
        slot,
        by,
        lease,
    )
    return claims


async def extend(tx: Tx, job: str, slot: datetime, *, claims: int, lease: timedelta) -> bool:
    """Hold the claim for another lease; False where it is ours no longer."""
    extended = await tx.fetchval(
        """
        UPDATE job_runs SET lease_until = clock_timestamp() + $4::interval
         WHERE job = $1 AND slot = $2 AND claims = $3 AND finished_at IS NULL
        RETURNING true
        """,
        job,
        slot,
        claims,
        lease,
    )
    return bool(extended)


async def hand_back(tx: Tx, job: str, slot: datetime, *, claims: int) -> None:
    """Let another take the run up at once: we are told to end."""
    await extend(tx, job, slot, claims=claims, lease=timedelta(0))


async def finish(tx: Tx, job: str, slot: datetime, *, claims: int, outcome: str, detail: Mapping[str, Any]) -> None:
    """Say how the run ended; said by the newest claim only, since an older one no longer knows."""
    await tx.execute(
        """
        UPDATE job_runs SET finished_at = clock_timestamp(), outcome = $4, detail = detail || $5
         WHERE job = $1 AND slot = $2 AND claims = $3 AND finished_at IS NULL
        """,
        job,
        slot,
        claims,
        outcome,
        dict(detail),
    )


async def skip(tx: Tx, job: str, slot: datetime, *, by: str, slots: int) -> None:
    """Write down that the slots up to this one were let go, in one row."""
    await tx.execute(
        """
        INSERT INTO job_runs (job, slot, claimed_by, started_at, lease_until, finished_at, outcome, detail)
        VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp(), clock_timestamp(), 'skipped',
                jsonb_build_object('slots', $4::int))
        ON CONFLICT DO NOTHING
        """,
        job,
        slot,
        by,
        slots,
    )


async def now(tx: Tx) -> datetime:
    """The server's time, which is everybody's."""
    moment: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return moment


async def histories(tx: Tx, jobs: Sequence[str]) -> dict[str, History]:
    """How each of these jobs has gone, as far as it has ever run. What was skipped is no run."""
    rows = await tx.fetch(
        """
        SELECT asked.job, last.slot AS last_slot, last.started_at AS last_started_at,
               last.finished_at AS last_finished_at, last.outcome AS last_outcome, last.detail AS last_detail,
               last.claimed_by AS last_claimed_by, last.asked_by AS last_asked_by,
               (SELECT min(r.started_at) FROM job_runs r WHERE r.job = asked.job) AS first_started_at,
               (SELECT r.finished_at FROM job_runs r WHERE r.job = asked.job AND r.outcome = 'done'
                 ORDER BY r.slot DESC LIMIT 1) AS last_success_at
          FROM unnest($1::text[]) AS asked (job)
          JOIN LATERAL (SELECT * FROM job_runs r
                         WHERE r.job = asked.job AND r.outcome IS DISTINCT FROM 'skipped'
                         ORDER BY r.slot DESC LIMIT 1) AS last ON true
        """,
        list(jobs),
    )
    return {row["job"]: History(**{name: row[name] for name in History.__dataclass_fields__}) for row in rows}


async def released_at(tx: Tx) -> datetime:
    """When this database was last migrated: who has never run since has been silent since then."""
    moment: datetime = await tx.fetchval("SELECT max(applied_at) FROM schema_migrations")
    return moment
