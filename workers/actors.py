"""Every actor, declared on a broker: what a hint by name runs. The work itself is in actor-free modules."""

from __future__ import annotations

from uuid import UUID

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from workers.queues import REPLAY_WEBHOOK_EVENT, RESEND_EFFECT, SEND_EFFECT, WORK_WEBHOOK_EVENT
from workers.services import Services

#: Of what a process has fetched already, the live is begun before the replayed. Dramatiq's least is its first.
LIVE, REPLAYED = 0, 10


def declare(broker: RedisBroker, services: Services) -> None:
    """Declare the actors. None of them retries: an attempt that failed is owed again by its row."""

    async def work(event_id: str) -> None:
        await services.work(UUID(event_id))

    async def send(effect_id: str) -> None:
        await services.send(UUID(effect_id))

    for route, function, priority in (
        (WORK_WEBHOOK_EVENT, work, LIVE),
        (SEND_EFFECT, send, LIVE),
        (REPLAY_WEBHOOK_EVENT, work, REPLAYED),
        (RESEND_EFFECT, send, REPLAYED),
    ):
        dramatiq.actor(broker=broker, queue_name=route.queue, actor_name=route.actor, priority=priority)(function)
