"""What the ingress counts, for Prometheus. Labels take known values only: a stranger must not invent time series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from workers.hints import Hints
from workers.metrics import HintCounters

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
ROWS = (1, 2, 5, 10, 20, 50, 100)


class Metrics:
    """One registry per application, so that two in one process do not share numbers."""

    def __init__(self, hints: Hints) -> None:
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "counterfoil_deliveries",
            "Deliveries by gateway and by what came of them.",
            ("gateway", "outcome"),
            registry=self.registry,
        )
        self.last_delivery = Gauge(
            "counterfoil_last_delivery_timestamp_seconds",
            "When a gateway last delivered something that is its own: its silence is the first sign of trouble.",
            ("gateway",),
            registry=self.registry,
        )
        self.keeping_seconds = Histogram(
            "counterfoil_keeping_seconds",
            "From a verified delivery to its commit.",
            buckets=SECONDS,
            registry=self.registry,
        )
        self.rows_per_commit = Histogram(
            "counterfoil_rows_per_commit",
            "How many deliveries shared one commit.",
            buckets=ROWS,
            registry=self.registry,
        )
        self.registry.register(HintCounters(hints))
        ProcessCollector(registry=self.registry)
