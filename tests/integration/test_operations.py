"""Who works, and who did what by hand: said by the processes themselves, and written down for good."""

from __future__ import annotations

import asyncpg
import pytest

from db import operator_actions, workers
from db.ids import new_id
from db.operator_actions import Operator
from db.pool import Pool


async def test_a_worker_is_alive_as_long_as_it_says_so(pool: Pool) -> None:
    speaking, silent, gone = new_id(), new_id(), new_id()
    async with pool.acquire() as tx:
        for worker in (speaking, silent, gone):
            await workers.register(tx, worker, host="h", pid=7, queues=["webhooks", "bulk"], threads=8)
        await tx.execute("UPDATE workers SET seen_at = now() - interval '1 min'")

        heard = await workers.say_alive(tx, speaking, in_hand=3)
        await workers.leave(tx, gone)
        alive = await workers.list_alive(tx, within_seconds=30)

    assert heard
    assert [(worker.id, worker.queues, worker.threads, worker.in_hand) for worker in alive] == [
        (speaking, ("webhooks", "bulk"), 8, 3)
    ]


async def test_a_worker_that_was_forgotten_registers_anew(pool: Pool) -> None:
    worker = new_id()
    async with pool.acquire() as tx:
        unheard = await workers.say_alive(tx, worker, in_hand=0)
        await workers.register(tx, worker, host="h", pid=7, queues=[], threads=8)
        await workers.leave(tx, worker)
        await workers.register(tx, worker, host="h", pid=7, queues=[], threads=8)
        alive = await workers.list_alive(tx, within_seconds=30)

    assert not unheard
    assert [each.id for each in alive] == [worker]


async def test_acts_are_told_the_newest_first(pool: Pool) -> None:
    async with pool.acquire() as tx:
        for action in ("queues.pause", "queues.resume", "queues.pause"):
            await operator_actions.record(
                tx, by=Operator("ada", "web"), action=action, target={"queue": "bulk"}, reason="a bad deploy"
            )
        everything = await operator_actions.newest(tx)
        paused = await operator_actions.newest(tx, action="queues.pause")

    assert [act.action for act in everything] == ["queues.pause", "queues.resume", "queues.pause"]
    assert len(paused) == 2
    assert (paused[0].actor, paused[0].via, paused[0].target) == ("ada", "web", {"queue": "bulk"})


@pytest.mark.parametrize("statement", ["UPDATE operator_actions SET reason = 'x'", "DELETE FROM operator_actions"])
async def test_an_act_cannot_be_rewritten(pool: Pool, statement: str) -> None:
    async with pool.acquire() as tx:
        await operator_actions.record(tx, by=Operator("ada"), action="a", target={}, reason="b")

    with pytest.raises(asyncpg.RestrictViolationError):
        await pool.execute(statement)
