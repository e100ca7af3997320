"""What analytics learns: a Segment-compatible track call per fact; its message id lets the other side drop a repeat."""

from __future__ import annotations

import json
from typing import Any

from db.effects import Effect
from workers.delivery.receiver import Receiver
from workers.delivery.sender import SENT, NotNow, Settled

#: Amounts are whole minor units of their currency. No address and no name goes to a third party.
PROPERTIES = ("orderId", "planId", "amount", "currency", "gateway")

EVENTS = frozenset({"payment_completed"})


def track_call(effect: Effect) -> dict[str, Any]:
    """https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/#track"""
    event = effect.kind.removeprefix("analytics.")
    if event not in EVENTS:
        raise NotNow(f"this version of the workers knows no analytics event {event!r}")
    return {
        "type": "track",
        "event": event,
        "userId": effect.detail["userId"],
        "messageId": effect.idempotency_key,
        "timestamp": effect.detail["paidAt"],
        "properties": {name: effect.detail[name] for name in PROPERTIES},
    }


class Analytics:
    """Posts track calls. The write key is the user of the URL, as Segment's basic authentication has it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def send(self, effect: Effect) -> Settled:
        await self._receiver.post(json.dumps(track_call(effect)).encode(), {})
        return SENT
