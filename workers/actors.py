"""Every actor, declared on a broker: what a hint by name runs. The work itself is in actor-free modules."""

from __future__ import annotations

from uuid import UUID

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from workers.effects import send_effect
from workers.queues import SEND_EFFECT, WORK_WEBHOOK_EVENT
from workers.services import Services
from workers.webhook_events import work_webhook_event


def declare(broker: RedisBroker, services: Services) -> None:
    """Declare the actors. None of them retries: an attempt that failed is owed again by its row."""

    async def work(event_id: str) -> None:
        result = await work_webhook_event(services.pool, services.desk, UUID(event_id))
        for effect in result.effects:
            services.hints.offer(SEND_EFFECT, effect)

    async def send(effect_id: str) -> None:
        await send_effect(services.pool, services.senders, UUID(effect_id))

    for route, function in ((WORK_WEBHOOK_EVENT, work), (SEND_EFFECT, send)):
        dramatiq.actor(broker=broker, queue_name=route.queue, actor_name=route.actor)(function)
