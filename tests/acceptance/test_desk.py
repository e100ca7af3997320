"""The desk at night, on the real processes: what is dead is found, retried and put away; what is wrong is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.conftest import Running, Stack
from tests.builders import session
from tests.desk import Desk, Said
from tests.waiting import until

pytestmark = pytest.mark.acceptance


@pytest.fixture
def desk(running: Running) -> Callable[..., Said]:
    """As whoever started the stack uses it: told nothing but where its data is."""
    return lambda *words: Desk("", "")(
        *words, DATABASE_URL=None, REDIS_URL=None, COUNTERFOIL_DATA_DIR=str(running.data_dir)
    )


async def until_status(desk: Callable[..., Said], code: int) -> Said:
    said: list[Said] = []

    async def is_so() -> bool:
        said.append(desk("status"))
        await asyncio.sleep(0.2)  # each look is a process
        return said[-1].code == code

    await until(is_so, seconds=60)
    return said[-1]


async def status_of(stack: Stack, event: str) -> tuple[str, int]:
    row = await stack.database.fetchrow("SELECT status, epoch FROM webhook_events WHERE event_id = $1", event)
    return (row["status"], row["epoch"]) if row else ("", 0)


@contextmanager
def frozen(running: Running, *names: str) -> Iterator[None]:
    """These processes hold still, as a host does that swaps, or a network that drops everything."""
    pids = [running.pid(name) for name in names]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_f149_an_event_of_unknown_shape_dies_is_retried_twice_and_put_away(
    stack: Stack, desk: Callable[..., Said]
) -> None:
    about = session(await stack.place_order(), amount_total=None)
    await stack.post("stripe", json.dumps(about).encode())

    async def died(life: int) -> bool:
        return await status_of(stack, about["id"]) == ("dead", life)

    await until(lambda: died(0))
    [group] = desk("dead", "list", "--group", "--json").json
    degraded = desk("status")
    for life in (1, 2):
        retried = desk("dead", "retry", group["sample"] if life == 1 else about["id"], "--reason", f"try {life}")
        assert retried.code == 0, retried.err
        await until(lambda life=life: died(life))  # type: ignore[misc]
    for name in ("worker-1", "worker-2", "valkey"):
        stack.running.kill(name)
    put_away = desk("dead", "discard", about["id"], "--reason", "it is a test of theirs")

    assert (group["count"], group["error_class"]) == (1, "unknown_shape")
    assert (degraded.code, "dead letters wait" in degraded.out) == (1, True)
    assert put_away.code == 0
    [told] = desk("events", "show", about["id"], "--json").json
    assert [attempt["outcome"] for attempt in told["attempts"]] == ["dead"] * 3
    assert [letter["state"] for letter in told["dead_letters"]] == ["retried", "retried", "discarded"]
    await until_status(desk, 0)


async def test_a_paused_queue_keeps_its_events_and_works_them_once_it_is_resumed(
    stack: Stack, desk: Callable[..., Said]
) -> None:
    order = await stack.place_order()
    desk("queues", "pause", "webhooks", "--reason", "a bad deploy")

    answer = await stack.post("stripe", json.dumps(session(order)).encode())
    degraded = desk("status")
    [webhooks] = [line for line in desk("queues", "--json").json if line["name"] == "webhooks"]
    desk("queues", "resume", "webhooks")

    assert answer.status_code == 200
    assert (degraded.code, "a bad deploy" in degraded.out) == (1, True)
    assert (webhooks["owed"], webhooks["paused"]["reason"]) == (1, "a bad deploy")

    async def is_paid() -> bool:
        return await stack.status(order) == "paid"

    await until(is_paid)
    await until_status(desk, 0)


async def test_what_is_wrong_is_told_by_the_exit_code_and_what_heals_is_well_again(
    running: Running, desk: Callable[..., Said]
) -> None:
    await until_status(desk, 0)

    with frozen(running, "worker-1", "worker-2"):
        without_workers = await until_status(desk, 2)
    await until_status(desk, 0)
    with frozen(running, "valkey"):
        without_redis = await until_status(desk, 1)
    await until_status(desk, 0)
    with frozen(running, "postgres"):
        without_postgres = await until_status(desk, 2)
    await until_status(desk, 0)

    assert "no worker is alive" in without_workers.out
    assert "Redis does not answer" in without_redis.out
    assert "The database does not answer" in without_postgres.out


async def test_a_job_is_run_beside_the_clock_that_runs_it_too(desk: Callable[..., Said]) -> None:
    said: list[Said] = []

    async def was_run() -> bool:  # not while the clock has it under way
        said.append(desk("jobs", "run", "invariants", "--reason", "after a change by hand"))
        return said[-1].code == 0

    await until(was_run)

    assert said[-1].out.split()[:2] == ["invariants", "done"]
