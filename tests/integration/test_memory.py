"""A worker that fails all day does not grow: what an attempt raised is gone with it, without waiting for a collector."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from dataclasses import replace

import dramatiq
import pytest
from dramatiq.middleware import AsyncIO

from db.pool import Pool
from gateways.gateway import Json
from gateways.registry import GATEWAYS
from payments.events import Observed
from tests.builders import BOOK, keep
from tests.processes import until
from workers.broker import make_broker
from workers.queues import WEBHOOKS
from workers.webhook_events import Desk, work_webhook_event

MESSAGES = 2000
EVENTS = 200

#: Those of the last attempts, still in somebody's hands.
A_FEW = 20


ALIVE = weakref.WeakSet["Boom"]()


class Boom(Exception):
    """Tells whether it is still there. Whoever kept it in a variable beside its traceback would keep it alive."""

    def __init__(self) -> None:
        super().__init__("x" * 10_000)
        ALIVE.add(self)


@pytest.fixture
def without_collector() -> Iterator[None]:
    """What is in a cycle stays, and is seen. Without logging, since pytest keeps every line with its exception."""
    logging.disable(logging.CRITICAL)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("without_collector")
def test_f141_what_actors_raise_is_gone_with_them(redis_url: str) -> None:
    broker, raised = make_broker(redis_url), 0

    async def fail() -> None:
        nonlocal raised
        raised += 1
        raise Boom

    actor = dramatiq.actor(actor_name="fail", queue_name=WEBHOOKS, broker=broker)(fail)
    for _ in range(MESSAGES):
        actor.send()
    worker = dramatiq.Worker(broker, queues={WEBHOOKS}, worker_timeout=100, worker_threads=4)
    worker.start()
    try:
        assert until(lambda: raised == MESSAGES, seconds=60)
        assert until(lambda: len(ALIVE) <= A_FEW)
    finally:
        broker.bell.close()
        worker.stop()
        broker.client.close()

    assert any(isinstance(each, AsyncIO) for each in broker.middleware)


@pytest.mark.usefixtures("without_collector")
async def test_f141_what_working_an_event_raised_is_gone_with_the_attempt(pool: Pool) -> None:
    def translate(_: Json) -> Observed:
        raise Boom

    desk = Desk({"stripe": replace(GATEWAYS["stripe"], translate=translate)}, {}, BOOK)
    events = [await keep(pool, b'{"id": %d}' % number) for number in range(EVENTS)]

    for event in events:
        await work_webhook_event(pool, desk, event)

    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == EVENTS
    assert len(ALIVE) <= A_FEW
