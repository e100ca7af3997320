"""What a clock tells those who watch: how everybody's work stands, as the record says it, and how its own runs ended."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from db import discrepancies, queue_controls, webhook_events, workers
from db.ids import new_id
from db.pool import Pool, open_pool
from local.postgres import Postgres
from schedules.figures import RecordFigures
from schedules.job import Outcome, Report, Run
from schedules.means import Means
from schedules.metrics import Metrics
from schedules.redis_watch import RedisWatch
from schedules.timetable import TIMETABLE
from tests.builders import TROUBLE, keep
from tests.front_door import NO_REDIS
from tests.integration.test_ingress_process import free_port, wait_for
from tests.timekeeping import a_job, means_with
from tests.worker_process import worker
from workers.hints import Hints

SOME_RUN = Run("job", datetime(2026, 11, 22, 12, tzinfo=UTC))


async def gathered(pool: Pool) -> CollectorRegistry:
    figures, registry = RecordFigures(pool), CollectorRegistry()
    registry.register(figures)
    await figures.gather()
    return registry


async def test_the_figures_are_those_of_the_record(pool: Pool) -> None:
    owed, later, dead = [await keep(pool, b'{"id": %d}' % number) for number in range(3)]
    async with pool.acquire() as tx, tx.transaction():
        await tx.execute("UPDATE webhook_events SET next_attempt_at = now() - interval '90 s' WHERE id = $1", owed)
        await webhook_events.postpone(tx, later, delay_seconds=60, error_class="early", error="")
        await webhook_events.bury(tx, dead, TROUBLE)
        await queue_controls.pause(tx, "effects", by="ada", reason="a bad deploy")
        await workers.register(tx, new_id(), host="here", pid=1, queues=["webhooks"], threads=8)
        await tx.execute(
            "INSERT INTO job_runs (job, slot, claimed_by, lease_until, finished_at, outcome) "
            "VALUES ('sweep', now(), 'here:1', now(), now(), 'done')"
        )
        await discrepancies.open_discrepancy(
            tx,
            kind="duplicate_payment",
            gateway="stripe",
            fingerprint="f",
            evidence={},
            proposed_action="",
            amount_at_risk=1000,
            currency="usd",
        )

    told = (await gathered(pool)).get_sample_value

    assert told("counterfoil_queue_owed", {"queue": "webhooks"}) == 1
    assert told("counterfoil_queue_delayed", {"queue": "webhooks"}) == 1
    assert told("counterfoil_queue_dead", {"queue": "webhooks"}) == 1
    assert 90 <= (told("counterfoil_queue_oldest_seconds", {"queue": "webhooks"}) or 0) < 150
    assert told("counterfoil_queue_paused", {"queue": "effects"}) == 1
    assert told("counterfoil_queue_paused", {"queue": "webhooks"}) == 0
    assert told("counterfoil_workers_alive") == 1
    of_kind = {"kind": "duplicate_payment", "currency": "usd"}
    assert told("counterfoil_discrepancies_open", of_kind) == 1
    assert told("counterfoil_at_risk_minor", of_kind) == 1000
    assert told("counterfoil_job_overdue", {"job": "sweep"}) == 0
    success = told("counterfoil_job_success_timestamp_seconds", {"job": "sweep"})
    assert success == pytest.approx(datetime.now(UTC).timestamp(), abs=60)


async def test_what_cannot_be_asked_is_not_told(pool: Pool) -> None:
    await pool.execute("ALTER TABLE workers RENAME TO gone")

    told = (await gathered(pool)).get_sample_value

    assert told("counterfoil_workers_alive") is None


async def test_runs_are_counted_by_how_they_ended(pool: Pool) -> None:
    metrics = Metrics(Hints(NO_REDIS), RecordFigures(pool), RedisWatch(NO_REDIS), lag_seconds=lambda: 0.5)

    async def work(_: Means, __: Run) -> Report:
        return reports.pop()

    job = metrics.counted(a_job(work))
    reports = [Report({"hinted": 3}), Report({}, complete=False)]
    for _ in range(3):
        with suppress(IndexError):
            await job.run(means_with(pool), SOME_RUN)

    told = metrics.registry.get_sample_value
    ended = [told("counterfoil_job_runs_total", {"job": "job", "outcome": outcome}) for outcome in Outcome]
    assert dict(zip(Outcome, ended, strict=True)) == {"done": 1, "incomplete": 1, "failed": 1, "skipped": None}
    assert told("counterfoil_swept_total") == 3
    assert told("counterfoil_loop_lag_seconds") == 0.5


async def test_a_clock_can_be_watched_also_while_the_database_is_away(
    own_postgres: Postgres, redis_url: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    pool = await open_pool(own_postgres.url, name="test")
    with worker(
        module="schedules", log=tmp_path / "log", DATABASE_URL=own_postgres.url, REDIS_URL=redis_url, PORT=str(port)
    ) as clock:
        await asyncio.to_thread(wait_for, f"{url}/readyz", 200)
        exposed = (await asyncio.to_thread(httpx.get, f"{url}/metrics")).text
        await pool.close()
        await asyncio.to_thread(own_postgres.kill)
        await asyncio.to_thread(wait_for, f"{url}/readyz", 503)
        alive = await asyncio.to_thread(httpx.get, f"{url}/healthz")
        during = await asyncio.to_thread(httpx.get, f"{url}/metrics")
        clock.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(clock.wait, 30)

    assert all(f'counterfoil_job_overdue{{job="{job.name}"}}' in exposed for job in TIMETABLE)
    assert 'counterfoil_redis_problem{problem="away"} 0.0' in exposed
    assert (alive.status_code, during.status_code) == (200, 200)
    assert code == 0
