"""The verdict, case by case: what is wrong, how bad that is, and that what is said to do can be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from console.health import Health, Heard, PostgresState
from console.queue_lines import QueueLine, Rest
from console.verdict import REDIS_PROBLEMS, Verdict, judge
from db.dead_letters import Group
from db.health import OpenDiscrepancies
from db.ids import new_id
from db.workers import Worker
from schedules.listing import Line
from tests.house.pages import DOCS, anchors
from workers.queues import QUEUES
from workers.redis_state import ADVICE, RedisState

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def line(
    name: str = "webhooks", *, owed: int = 0, oldest: float = 0, workers: int = 2, paused: bool = False
) -> QueueLine:
    rest = Rest("ada", "a bad deploy", NOW, None) if paused else None
    return QueueLine(name, owed, 0, oldest, 0, 0, 0, workers, rest)


def job(name: str, *, overdue: bool = False) -> Line:
    return Line(name, "It does.", "every second", None, None, NOW, overdue)


WELL = Health(
    at=NOW,
    postgres=PostgresState(reachable=True),
    redis=RedisState(reachable=True, version="9.1", policy="noeviction"),
    queues=[line(name) for name in QUEUES],
    workers=[Worker(new_id(), "h", 7, QUEUES, 8, 0, NOW, NOW)],
    jobs=[job("sweep"), job("prune")],
    gateways=[Heard("stripe", NOW - timedelta(minutes=1)), Heard("razorpay", None)],
)
CAUSE = Group("0123", "effect", "mail.payment_confirmed", "person", "NeverAgain", "410", 2, NOW, NOW, new_id())


def difference(kind: str, gateway: str | None = None) -> OpenDiscrepancies:
    return OpenDiscrepancies(kind, gateway, "usd", 3, 4900)


def with_queue(changed: QueueLine) -> Health:
    return replace(WELL, queues=[changed if each.name == changed.name else each for each in WELL.queues])


CASES = [
    ("all is well", WELL, Verdict.HEALTHY, ""),
    ("work has waited a moment", with_queue(line(owed=9, oldest=59)), Verdict.HEALTHY, ""),
    ("a bulk waits for its turn", with_queue(line("bulk", owed=9, oldest=899)), Verdict.HEALTHY, ""),
    ("money waits for a decision", replace(WELL, discrepancies=[difference("late_success")]), Verdict.HEALTHY, ""),
    (
        "the record is away",
        Health(NOW, PostgresState(reachable=False, problem="The database does not answer."), WELL.redis),
        Verdict.DOWN,
        "The database does not answer.",
    ),
    (
        "a migration is missing",
        Health(NOW, PostgresState(reachable=True, missing=("0006_work.sql",)), WELL.redis),
        Verdict.DOWN,
        "0006_work.sql",
    ),
    ("nobody works", replace(WELL, workers=[]), Verdict.DOWN, "no worker is alive"),
    ("nobody works events", with_queue(line(workers=0)), Verdict.DOWN, "queue webhooks"),
    ("nobody sends effects", with_queue(line("effects", workers=0)), Verdict.DEGRADED, "queue effects"),
    ("work is late", with_queue(line(owed=9, oldest=61)), Verdict.DEGRADED, "9 owed, the oldest for 1m 1s"),
    ("a bulk is late", with_queue(line("bulk", owed=9, oldest=901)), Verdict.DEGRADED, "the queue bulk is late"),
    ("a queue is paused", with_queue(line(owed=9, oldest=999, paused=True)), Verdict.DEGRADED, "paused by ada"),
    ("letters are open", replace(WELL, dead=2, causes=[CAUSE]), Verdict.DEGRADED, "2 dead letters"),
    (
        "an invariant is broken",
        replace(WELL, discrepancies=[difference("invariant_paid_without_time")]),
        Verdict.DEGRADED,
        "invariant_paid_without_time",
    ),
    (
        "one job is silent",
        replace(WELL, jobs=[job("sweep", overdue=True), job("prune")]),
        Verdict.DEGRADED,
        "overdue: sweep",
    ),
    ("no clock runs", replace(WELL, jobs=[job("sweep", overdue=True)]), Verdict.DEGRADED, "no clock runs"),
    (
        "an endpoint is disabled",
        replace(WELL, discrepancies=[difference("endpoint_disabled", "stripe")]),
        Verdict.DEGRADED,
        "stripe no longer sends",
    ),
    (
        "a gateway is silent",
        replace(WELL, discrepancies=[difference("gateway_silent", "razorpay")]),
        Verdict.DEGRADED,
        "razorpay has fallen silent",
    ),
    *(
        (
            f"Redis {problem}",
            replace(WELL, redis=RedisState(reachable=True, policy="p", problem=problem)),
            Verdict.DEGRADED,
            "Redis",
        )
        for problem in ADVICE
    ),
]


@pytest.mark.parametrize(("health", "verdict", "told"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_says_how_bad_it_is_and_why(health: Health, verdict: Verdict, told: str) -> None:
    said, problems = judge(health)

    assert said is verdict
    assert len(problems) == (verdict is not Verdict.HEALTHY)
    assert all(told in problem.what for problem in problems)


@pytest.mark.parametrize("health", [case[1] for case in CASES], ids=[case[0] for case in CASES])
def test_what_it_says_to_do_can_be_done(health: Health) -> None:
    for problem in judge(health)[1]:
        _, named, anchor = problem.todo.partition("docs/runbook.md#")
        assert named or problem.todo.startswith("counterfoil "), problem.todo
        assert not named or anchor in anchors(DOCS / "runbook.md"), problem.todo


def test_the_worst_comes_first_and_gives_the_verdict() -> None:
    verdict, problems = judge(replace(WELL, workers=[], dead=1, causes=[CAUSE]))

    assert verdict is Verdict.DOWN
    assert [problem.severity for problem in problems] == [Verdict.DOWN, Verdict.DEGRADED]


def test_each_verdict_has_its_exit_code() -> None:
    assert [verdict.exit_code for verdict in Verdict] == [0, 1, 2]


def test_every_problem_of_redis_has_its_sentence() -> None:
    assert REDIS_PROBLEMS.keys() == ADVICE.keys()
