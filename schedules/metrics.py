"""What a clock's process counts, and what it tells of the record and of Redis, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from structlog.contextvars import bound_contextvars

from schedules.figures import RecordFigures
from schedules.job import Job, Outcome, Report, Run
from schedules.means import Means
from schedules.redis_watch import RedisWatch
from workers.hints import Hints
from workers.metrics import HintCounters


class Metrics:
    """One registry per process."""

    def __init__(
        self, hints: Hints, figures: RecordFigures, redis: RedisWatch, *, lag_seconds: Callable[[], float]
    ) -> None:
        self.registry = CollectorRegistry()
        self._runs = Counter(
            "counterfoil_job_runs",
            "Runs of this clock's, by how they ended.",
            ("job", "outcome"),
            registry=self.registry,
        )
        self._swept = Counter("counterfoil_swept", "Hints that the sweep has repeated.", registry=self.registry)
        lag = Gauge(
            "counterfoil_loop_lag_seconds",
            "How long the event loop took to answer its watchdog.",
            registry=self.registry,
        )
        lag.set_function(lag_seconds)
        for collector in (HintCounters(hints), figures, redis):
            self.registry.register(collector)
        ProcessCollector(registry=self.registry)

    def counted(self, job: Job) -> Job:
        """The same job, whose runs are counted, and whose log lines bear its name."""

        async def run(means: Means, run: Run) -> Report:
            outcome = Outcome.FAILED
            try:
                with bound_contextvars(job=job.name):
                    report = await job.run(means, run)
                outcome = Outcome.DONE if report.complete else Outcome.INCOMPLETE
            finally:
                self._runs.labels(job.name, outcome).inc()
            self._swept.inc(int(report.counts.get("hinted", 0)))
            return report

        return replace(job, run=run)
