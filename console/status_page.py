"""The facts beneath the verdict, for a person and for a program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from console.health import Health
from console.jobs import as_told as job_told
from console.tables import span
from console.verdict import Problem, Verdict
from payments.money import exponent, written
from workers.redis_state import RedisState

MEGABYTE = 1024 * 1024


def facts(health: Health) -> Iterator[tuple[str, object]]:
    """A line for each; the queues have a table of their own."""
    yield "postgres", health.postgres.problem or "answers"
    yield "redis", _redis_told(health.redis)
    if not health.queues:
        return
    yield "workers", ", ".join(f"{w.host}:{w.pid} ({w.in_hand} in hand)" for w in health.workers) or "none"
    backlog = sum(line.owed for line in health.queues)
    oldest = max((line.oldest_seconds for line in health.queues if line.owed), default=None)
    yield "unworked", f"{backlog}, the oldest for {span(oldest)}" if oldest is not None else "nothing"
    yield "dead letters", health.dead
    yield from (("", f"{each.count} {each.what}: {each.error_class} ({each.fingerprint})") for each in health.causes)
    yield "discrepancies", sum(each.count for each in health.discrepancies)
    yield from (("at risk", amount) for amount in _at_risk(health))
    overdue = [line.name for line in health.jobs if line.is_overdue]
    yield "jobs", f"overdue: {', '.join(overdue)}" if overdue else f"{len(health.jobs)} in time"
    for heard in health.gateways:
        ago = span((health.at - heard.at).total_seconds()) if heard.at else None
        yield heard.gateway, f"heard {ago} ago" if ago else "not heard in two days"


def _redis_told(redis: RedisState) -> str:
    if redis.problem in {"away", "refused"}:
        return redis.problem
    limit = f" of {redis.limit / MEGABYTE:.1f} MB" if redis.limit else ", no limit"
    return f"{redis.version}, {redis.policy}, {redis.used / MEGABYTE:.1f} MB{limit}"


def _at_risk(health: Health) -> Iterator[str]:
    """What each gateway's open differences amount to, in each currency."""
    sums: defaultdict[tuple[str | None, str], int] = defaultdict(int)
    for each in health.discrepancies:
        if each.currency:
            sums[each.gateway, each.currency] += each.amount_at_risk
    for (gateway, currency), minor in sums.items():
        if minor:
            yield f"{written(minor, currency, exponent=exponent(gateway, currency))} at {gateway}"


def as_told(health: Health, verdict: Verdict, problems: Sequence[Problem]) -> dict[str, Any]:
    """The same for programs. Amounts are minor units, ages seconds."""
    return {
        "verdict": verdict,
        "at": health.at,
        "problems": problems,
        "postgres": asdict(health.postgres),
        "redis": {**asdict(health.redis), "advice": health.redis.advice},
        "queues": health.queues,
        "workers": health.workers,
        "dead_letters": {"open": health.dead, "causes": health.causes},
        "discrepancies": {
            "open": sum(each.count for each in health.discrepancies),
            "kinds": health.discrepancies,
        },
        "jobs": [job_told(line) for line in health.jobs],
        "gateways": [
            {
                "gateway": heard.gateway,
                "last_webhook_at": heard.at,
                "seconds_since": (health.at - heard.at) / timedelta(seconds=1) if heard.at else None,
            }
            for heard in health.gateways
        ],
    }
