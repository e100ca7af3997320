"""How Redis is, looked at by every clock now and then: a metric, and a line in the log when it turns bad or well."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from workers.redis_state import ADVICE, RedisState, redis_state

log = structlog.get_logger(__name__)

EVERY_SECONDS = 15.0


class RedisWatch(Collector):
    """One process's; ``state`` is what the last look saw."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.state: RedisState | None = None

    async def watch_for_ever(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        before, self.state = self.state, await redis_state(self._url)
        problem = self.state.problem
        if problem is not None and (before is None or before.problem != problem):
            log.warning(
                "redis.is_not_well",
                problem=problem,
                advice=self.state.advice,
                policy=self.state.policy,
                used=self.state.used,
                limit=self.state.limit,
            )
        elif problem is None and before is not None and before.problem is not None:
            log.info("redis.is_well_again", was=before.problem)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        bad = GaugeMetricFamily("counterfoil_redis_problem", "1 for what is wrong with Redis.", labels=["problem"])
        used = GaugeMetricFamily("counterfoil_redis_used_bytes", "The memory that Redis uses.")
        limit = GaugeMetricFamily("counterfoil_redis_limit_bytes", "Its maxmemory; 0 is none.")
        if self.state is not None:
            for problem in ADVICE:
                bad.add_metric([problem], self.state.problem == problem)
            if self.state.version is not None:
                used.add_metric([], self.state.used)
                limit.add_metric([], self.state.limit)
        yield from (bad, used, limit)
