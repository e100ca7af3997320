"""What a worker process counts, for Prometheus. Labels take known values only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from db.ids import time_of
from workers.hints import Hints

#: From milliseconds to what an outage takes.
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)


class HintCounters(Collector):
    """The hints that this process has offered."""

    def __init__(self, hints: Hints) -> None:
        self._hints = hints

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily("counterfoil_hints_sent", "Hints written to Redis.", value=self._hints.sent)
        yield CounterMetricFamily(
            "counterfoil_hints_dropped", "Hints left to the sweep: Redis was away.", value=self._hints.dropped
        )


class Metrics:
    """One registry per process that works. ``in_hand`` and ``lag_seconds`` are asked when somebody looks."""

    def __init__(self, hints: Hints, *, in_hand: Callable[[], int], lag_seconds: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            "counterfoil_attempts",
            "Attempts at events, by what came of them, and by the class of what went wrong.",
            ("outcome", "class"),
            registry=self.registry,
        )
        self._event_seconds = Histogram(
            "counterfoil_event_seconds",
            "From an event's receipt to its being done.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._effects = Counter(
            "counterfoil_effects",
            "Attempts at effects, by what came of them.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.standby = Counter(
            "counterfoil_standby",
            "Events and effects worked from the record because no hint had helped.",
            registry=self.registry,
        )
        in_hand_now = Gauge("counterfoil_in_hand", "Events and effects being worked now.", registry=self.registry)
        in_hand_now.set_function(in_hand)
        lag = Gauge(
            "counterfoil_loop_lag_seconds",
            "How long the event loop took to answer its watchdog.",
            registry=self.registry,
        )
        lag.set_function(lag_seconds)
        self.registry.register(HintCounters(hints))
        ProcessCollector(registry=self.registry)

    def count_event(self, event: UUID, outcome: str, trouble_class: str | None) -> None:
        """One attempt at an event has ended."""
        self._attempts.labels(outcome, trouble_class or "").inc()
        if outcome == "done":
            self._event_seconds.observe(max(0.0, (datetime.now(UTC) - time_of(event)).total_seconds()))

    def count_effect(self, kind: str, outcome: str) -> None:
        """One attempt at an effect has ended."""
        self._effects.labels(kind, outcome).inc()
