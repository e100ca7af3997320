"""What the checkout counts, for Prometheus. Labels take known values only: a stranger must not invent time series."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 25)


class Metrics:
    """One registry per application, so that two in one process do not share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.payments = Counter(
            "counterfoil_create_payment",
            "Requests for a payment, by what came of them.",
            ("outcome",),
            registry=self.registry,
        )
        self.subscriptions = Counter(
            "counterfoil_create_subscription",
            "Requests for a subscription, by what came of them.",
            ("outcome",),
            registry=self.registry,
        )
        self.opening_seconds = Histogram(
            "counterfoil_opening_seconds",
            "From an order to its hosted page, or to giving up for now.",
            ("gateway",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.limits_alone = Gauge(
            "counterfoil_rate_limits_alone",
            "1 while Redis is away and this process counts requests for itself.",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
