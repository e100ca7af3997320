"""The names on the wire: the queues by urgency, and which actor on which of them takes a hint."""

from __future__ import annotations

from dataclasses import dataclass

#: Before every key in Redis.
NAMESPACE = "counterfoil"

WEBHOOKS = "webhooks"  # seconds matter: somebody waits on a success page
EFFECTS = "effects"
RECONCILE = "reconcile"
BULK = "bulk"  # replays of many, which must not delay what is live

QUEUES = (WEBHOOKS, EFFECTS, RECONCILE, BULK)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a hint goes. Who sends one needs no actor, and so imports none."""

    queue: str
    actor: str


WORK_WEBHOOK_EVENT = Route(WEBHOOKS, "work_webhook_event")
SEND_EFFECT = Route(EFFECTS, "send_effect")
REPLAY_WEBHOOK_EVENT = Route(BULK, "replay_webhook_event")
RESEND_EFFECT = Route(BULK, "resend_effect")
