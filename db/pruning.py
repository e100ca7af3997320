"""What may be forgotten, and when: each function deletes at most so many rows, and says how many.

Real time, since nobody's money or access hangs on it. An open dead letter is never among it: the schema refuses that.
"""

from __future__ import annotations

from collections.abc import Sequence

from db.pool import Tx


async def forget_keys(tx: Tx, limit: int) -> int:
    """Callers' keys after two days: no caller repeats itself for longer. One that is held this moment stays."""
    return _count(
        await tx.execute(
            """
            DELETE FROM idempotency_keys WHERE (user_id, key) IN (
                SELECT user_id, key FROM idempotency_keys
                 WHERE created_at < now() - interval '48 hours' AND held_until <= now()
                 ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED)
            """,
            limit,
        )
    )


async def forget_runs(tx: Tx, limit: int, *, frequent: Sequence[str]) -> int:
    """Runs after 30 days, and after one day those of jobs that are more ``frequent`` than a minute.

    A job's newest slot stays, or a clock that was down for long would not know what it missed; and its newest success,
    or nobody would know for how long it has failed.
    """
    return _count(
        await tx.execute(
            """
            DELETE FROM job_runs WHERE (job, slot) IN (
                SELECT job, slot FROM job_runs r
                 WHERE lease_until < now() - CASE WHEN job = ANY ($2::text[]) THEN interval '1 day'
                                                  ELSE interval '30 days' END
                   AND EXISTS (SELECT FROM job_runs n WHERE n.job = r.job AND n.slot > r.slot AND n.asked_by IS NULL)
                   AND (outcome IS DISTINCT FROM 'done' OR EXISTS (
                        SELECT FROM job_runs n WHERE n.job = r.job AND n.slot > r.slot AND n.outcome = 'done'))
                 LIMIT $1)
            """,
            limit,
            list(frequent),
        )
    )


async def forget_letters(tx: Tx, limit: int) -> int:
    """Dead letters 90 days after somebody closed them; not while their event or effect is dead all the same."""
    return _count(
        await tx.execute(
            """
            DELETE FROM dead_letters WHERE id IN (
                SELECT id FROM dead_letters l
                 WHERE state <> 'open' AND closed_at < now() - interval '90 days'
                   AND NOT EXISTS (SELECT FROM webhook_events e
                                    WHERE e.id = CASE WHEN l.source = 'webhook_event' THEN l.source_id::uuid END
                                      AND e.status = 'dead')
                   AND NOT EXISTS (SELECT FROM effects f
                                    WHERE f.id = CASE WHEN l.source = 'effect' THEN l.source_id::uuid END
                                      AND f.status = 'dead')
                 LIMIT $1)
            """,
            limit,
        )
    )


async def forget_attempts(tx: Tx, limit: int) -> int:
    """Attempts after 90 days, once their event or effect is finished."""
    return _count(
        await tx.execute(
            """
            DELETE FROM work_attempts WHERE id IN (
                SELECT id FROM work_attempts a
                 WHERE finished_at < now() - interval '90 days'
                   AND NOT EXISTS (SELECT FROM webhook_events e
                                    WHERE a.source = 'webhook_event' AND e.id = a.source_id
                                      AND e.status IN ('received', 'retry', 'dead'))
                   AND NOT EXISTS (SELECT FROM effects f
                                    WHERE a.source = 'effect' AND f.id = a.source_id
                                      AND f.status IN ('pending', 'dead'))
                 ORDER BY finished_at LIMIT $1)
            """,
            limit,
        )
    )


async def forget_calls(tx: Tx, limit: int) -> int:
    """The gateways' names of our calls after 90 days: their logs go back no further."""
    return _count(
        await tx.execute(
            """
            DELETE FROM gateway_calls WHERE id IN (
                SELECT id FROM gateway_calls WHERE at < now() - interval '90 days' ORDER BY at LIMIT $1)
            """,
            limit,
        )
    )


async def forget_workers(tx: Tx, limit: int) -> int:
    """Worker processes that have not been heard of for a week."""
    return _count(
        await tx.execute(
            """
            DELETE FROM workers WHERE id IN (
                SELECT id FROM workers WHERE seen_at < now() - interval '7 days' LIMIT $1)
            """,
            limit,
        )
    )


def _count(deleted: str) -> int:
    """Postgres says ``DELETE 17``."""
    return int(deleted.removeprefix("DELETE "))
