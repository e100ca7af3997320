"""What the record says of everybody's work, as metrics: read when somebody asks, and at most every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from db import dispute_deadlines, figures, queues, workers
from db.dispute_deadlines import Nearest
from db.figures import UnderWay, Waiting
from db.pool import NO_ANSWER, Pool
from db.queues import Depth
from schedules.listing import Line, listing
from workers.queues import QUEUES

FRESH_SECONDS = 5.0
ASK_SECONDS = 5.0

#: A worker speaks every 5 seconds; one that has missed several is no longer counted.
WORKER_SECONDS = 30.0


@dataclass(eq=False)
class RecordFigures(Collector):
    """``gather`` first. What cannot be asked is absent: an old figure would be a lie."""

    pool: Pool
    _depths: Sequence[Depth] = ()
    _jobs: Sequence[Line] = ()
    _waiting: Sequence[Waiting] = ()
    _deadlines: Sequence[Nearest] = ()
    _refunds: Sequence[UnderWay] = ()
    _workers: int | None = None
    _gathered_at: float = field(default=float("-inf"))

    async def gather(self) -> None:
        if time.monotonic() - self._gathered_at < FRESH_SECONDS:
            return
        self._gathered_at = time.monotonic()
        self._depths, self._jobs, self._waiting, self._deadlines, self._refunds = (), (), (), (), ()
        self._workers = None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                self._jobs = await listing(self.pool)
                async with self.pool.acquire() as connection:
                    self._depths = await queues.depths(connection, QUEUES)
                    self._waiting = await figures.waiting_for_a_person(connection)
                    self._deadlines = await dispute_deadlines.nearest(connection)
                    self._refunds = await figures.refunds_under_way(connection)
                    self._workers = len(await workers.list_alive(connection, within_seconds=WORKER_SECONDS))
        except NO_ANSWER:
            return

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._of_queues()
        yield from self._of_jobs()
        open_, at_risk = (
            _gauge("counterfoil_discrepancies_open", "Differences that wait for a person.", "kind", "currency"),
            _gauge("counterfoil_at_risk_minor", "The money behind them, in minor units.", "kind", "currency"),
        )
        for each in self._waiting:
            open_.add_metric([each.kind, each.currency], each.count)
            at_risk.add_metric([each.kind, each.currency], each.at_risk)
        alive = _gauge("counterfoil_workers_alive", "Worker processes that have spoken lately.")
        if self._workers is not None:
            alive.add_metric([], self._workers)
        due = _gauge(
            "counterfoil_evidence_due_seconds", "Until a dispute's next deadline; below 0 it has passed.", "gateway"
        )
        for nearest in self._deadlines:
            due.add_metric([nearest.gateway], nearest.seconds)
        yield from (open_, at_risk, alive, due)
        yield from self._of_refunds()

    def _of_refunds(self) -> Iterator[GaugeMetricFamily]:
        under_way = _gauge("counterfoil_refunds_under_way", "Refunds that have no end yet.", "gateway", "status")
        oldest = _gauge("counterfoil_refund_oldest_seconds", "Since the oldest of them began.", "gateway", "status")
        for each in self._refunds:
            under_way.add_metric([each.gateway, each.status], each.count)
            oldest.add_metric([each.gateway, each.status], each.oldest_seconds)
        yield from (under_way, oldest)

    def _of_queues(self) -> Iterator[GaugeMetricFamily]:
        owed = _gauge("counterfoil_queue_owed", "Owed now.", "queue")
        delayed = _gauge("counterfoil_queue_delayed", "Waiting for their time: retries, leases.", "queue")
        oldest = _gauge("counterfoil_queue_oldest_seconds", "How long the oldest has been owed.", "queue")
        dead = _gauge("counterfoil_queue_dead", "Open dead letters.", "queue")
        paused = _gauge("counterfoil_queue_paused", "1 where a person has paused it.", "queue")
        for depth in self._depths:
            owed.add_metric([depth.queue], depth.owed)
            delayed.add_metric([depth.queue], depth.delayed)
            oldest.add_metric([depth.queue], depth.oldest_owed_seconds)
            dead.add_metric([depth.queue], depth.dead)
            paused.add_metric([depth.queue], depth.paused)
        yield from (owed, delayed, oldest, dead, paused)

    def _of_jobs(self) -> Iterator[GaugeMetricFamily]:
        success = _gauge("counterfoil_job_success_timestamp_seconds", "When it last came to its end.", "job")
        overdue = _gauge("counterfoil_job_overdue", "1 where the last success is too old.", "job")
        for job in self._jobs:
            if job.last is not None and job.last.last_success_at is not None:
                success.add_metric([job.name], job.last.last_success_at.timestamp())
            overdue.add_metric([job.name], job.is_overdue)
        yield from (success, overdue)


def _gauge(name: str, says: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, labels=labels)
