"""The verdict on how everything stands: what is wrong, how bad that is, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from console.health import Health
from console.queue_lines import QueueLine
from console.tables import span
from workers.queues import BULK, WEBHOOKS

#: Work waits for a moment when Redis or a worker dies, for half a minute when Postgres is restarted; not for longer.
LATE_SECONDS = 60.0

#: Replays of thousands wait for their turn, and are meant to.
BULK_LATE_SECONDS = 900.0

RUNBOOK = "docs/runbook.md"

#: Each problem that Redis can have, as a sentence.
REDIS_PROBLEMS = {
    "away": "Redis does not answer: work goes on from the record, seconds late",
    "refused": "Redis refuses us: work goes on from the record, seconds late",
    "foreign_keys": "Something else stands under our keys in Redis: work of its queue is seconds late",
    "evicts": "Redis may drop hints: its maxmemory-policy is {policy}",
    "nearly_full": "Redis is nearly full, and will refuse hints",
}

#: What a gateway does to us, and what it means for us.
GATEWAY_KINDS = {"endpoint_disabled": "no longer sends us webhooks", "gateway_silent": "has fallen silent"}


class Verdict(StrEnum):
    """In one word; each has the exit code of its place."""

    HEALTHY = "healthy"  # all is well, or only money waits for a decision
    DEGRADED = "degraded"  # something is late, lost to a person, or about to be; what is acknowledged is kept
    DOWN = "down"  # nothing is kept, or nothing is worked

    @property
    def exit_code(self) -> int:
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Problem:
    """``todo`` is a command to type, or a place in the runbook, or both."""

    severity: Verdict
    what: str
    todo: str


def judge(health: Health) -> tuple[Verdict, list[Problem]]:
    """The worst first."""
    problems = sorted(_problems(health), key=lambda problem: -problem.severity.exit_code)
    return (problems[0].severity if problems else Verdict.HEALTHY), problems


def _problems(health: Health) -> Iterator[Problem]:
    yield from _of_postgres(health)
    if problem := health.redis.problem:
        todo = f"{health.redis.advice}; {RUNBOOK}#redis-is-away-full-or-evicts"
        yield Problem(Verdict.DEGRADED, REDIS_PROBLEMS[problem].format(policy=health.redis.policy), todo)
    if not health.postgres.reachable or health.postgres.missing:
        return  # Nothing else is known.
    yield from _of_workers(health)
    for line in health.queues:
        yield from _of_queue(line)
    yield from _of_what_waits(health)
    yield from _of_jobs(health)
    yield from _of_gateways(health)


def _of_postgres(health: Health) -> Iterator[Problem]:
    if health.postgres.problem:
        yield Problem(Verdict.DOWN, health.postgres.problem, f"{RUNBOOK}#postgresql-is-away-or-failing-over")
    if missing := health.postgres.missing:
        yield Problem(Verdict.DOWN, f"migrations are missing: {', '.join(missing)}", "counterfoil migrate")


def _of_workers(health: Health) -> Iterator[Problem]:
    todo = f"start workers; {RUNBOOK}#events-stay-received-or-retry"
    if not health.workers:
        yield Problem(Verdict.DOWN, "no worker is alive: what is kept is not worked", todo)
        return
    for line in health.queues:
        if not line.workers:
            severity = Verdict.DOWN if line.name == WEBHOOKS else Verdict.DEGRADED
            yield Problem(severity, f"no worker takes from the queue {line.name}", todo)


def _of_queue(line: QueueLine) -> Iterator[Problem]:
    if line.paused:
        what = f"the queue {line.name} is paused by {line.paused.by} ({line.paused.reason}), {line.owed} wait in it"
        yield Problem(Verdict.DEGRADED, what, f"counterfoil queues resume {line.name}")
    elif line.owed and line.oldest_seconds > (BULK_LATE_SECONDS if line.name == BULK else LATE_SECONDS):
        what = f"the queue {line.name} is late: {line.owed} owed, the oldest for {span(line.oldest_seconds)}"
        yield Problem(Verdict.DEGRADED, what, f"counterfoil queues; {RUNBOOK}#events-stay-received-or-retry")


def _of_what_waits(health: Health) -> Iterator[Problem]:
    if health.dead:
        what = f"{health.dead} dead letters wait for a person"
        yield Problem(Verdict.DEGRADED, what, f"counterfoil dead list --group; {RUNBOOK}#events-are-dead")
    broken = sorted({each.kind for each in health.discrepancies if each.kind.startswith("invariant_")})
    if broken:
        yield Problem(Verdict.DEGRADED, f"broken: {', '.join(broken)}", f"{RUNBOOK}#an-invariant-is-broken")


def _of_jobs(health: Health) -> Iterator[Problem]:
    overdue = [line.name for line in health.jobs if line.is_overdue]
    if not overdue:
        return
    all_are = len(overdue) == len(health.jobs)
    what = "no clock runs: every job is overdue" if all_are else f"overdue: {', '.join(overdue)}"
    yield Problem(Verdict.DEGRADED, what, f"counterfoil jobs; {RUNBOOK}#a-job-is-overdue-or-fails")


def _of_gateways(health: Health) -> Iterator[Problem]:
    for each in health.discrepancies:
        if each.kind in GATEWAY_KINDS:
            todo = f"{RUNBOOK}#a-gateway-is-silent-or-has-disabled-our-endpoint"
            yield Problem(Verdict.DEGRADED, f"{each.gateway} {GATEWAY_KINDS[each.kind]}", todo)
