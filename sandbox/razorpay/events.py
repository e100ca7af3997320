"""Events: Razorpay's wrapping around the objects they are about. Their id is in a header, outside the signature."""

from __future__ import annotations

import hashlib
import hmac
import json

from sandbox.ids import new_id
from sandbox.razorpay.calls import GATEWAY
from sandbox.store import Json
from sandbox.webhooks import Manner, Secrets
from sandbox.world import World

ENDPOINT = "razorpay"

_MINUTE, _HOUR = 60, 3600
#: Three quick retries that Razorpay does not promise; then exponential backoff over its 24 hours.
RETRIES = (1, 5, 25, 5 * _MINUTE, 15 * _MINUTE, 45 * _MINUTE, 2 * _HOUR, 6 * _HOUR, 14 * _HOUR)


def sign(body: bytes, secret: str, event_id: str, now: int) -> dict[str, str]:
    """The headers of one attempt: no timestamp is signed, so every attempt looks the same."""
    del now
    return {
        "Content-Type": "application/json",
        "User-Agent": "Razorpay-Webhook/v1",
        "X-Razorpay-Event-Id": event_id,
        "X-Razorpay-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


#: Razorpay waits for five seconds (razorpay.com/docs/webhooks/best-practices).
MANNER = Manner(headers=sign, answer_seconds=5, retries=RETRIES)


def record(world: World, kind: str, **subjects: Json) -> None:
    """Writes the event down. ``subjects`` are shown as they are at this moment.

    By the fault ``twoEvents`` it is told again a second later, by an event of its own: the same but for the second, or
    one could not tell it from a repeated delivery, whose id nobody signs.
    """
    now = _moment(world)
    _tell(world, kind, subjects, now)
    if world.faults.strikes("twoEvents", GATEWAY):
        _tell(world, kind, subjects, now + 1)


def _tell(world: World, kind: str, subjects: dict[str, Json], now: int) -> None:
    """One event, handed to the post."""
    body: Json = {
        "entity": "event",
        "account_id": account_id(world),
        "event": kind,
        "contains": list(subjects),
        "payload": {name: {"entity": entity} for name, entity in subjects.items()},
        "created_at": now,
    }
    event_id = new_id("", 14)
    world.store.put(GATEWAY, "event", {"id": event_id, **body}, created=now)
    if world.options.razorpay_webhook_url is not None:
        world.post.hand_in(
            GATEWAY,
            event_id=event_id,
            event_type=kind,
            endpoint=ENDPOINT,
            url=world.options.razorpay_webhook_url,
            body=json.dumps(body, separators=(",", ":")).encode(),
        )


def secrets_of(world: World, endpoint: str) -> Secrets | None:
    """What signs the account's webhooks; None where none are wanted any more."""
    del endpoint
    current = world.options.razorpay_webhook_secret
    if world.options.razorpay_webhook_url is None or current is None:
        return None
    return Secrets(current, world.options.razorpay_old_webhook_secret)


def told(world: World) -> list[Json]:
    """The account's endpoint as the sandbox's status shows it; never a secret."""
    url = world.options.razorpay_webhook_url
    if url is None:
        return []
    has_old = world.options.razorpay_old_webhook_secret is not None
    endpoint = {"gateway": GATEWAY, "id": ENDPOINT, "url": url, "enabled": True, "types": ["*"], "version": None}
    return [endpoint | {"oldSecret": has_old}]


def account_id(world: World) -> str:
    """The account's id, made once."""
    known = world.store.setting("razorpay_account")
    if known is None:
        known = new_id("acc_", 14)
        world.store.set_setting("razorpay_account", known)
    return str(known)


def _moment(world: World) -> int:
    """Now; or, by the fault ``sameSecond``, the second of the event before, as when two things happen at once."""
    if world.faults.strikes("sameSecond", GATEWAY):
        before = world.store.newest(GATEWAY, "event", limit=1)
        if before:
            return int(before[0]["created_at"])
    return world.clock.now()
