"""Events: what happened to an object, kept for thirty days and sent to every endpoint that listens for its type."""

from __future__ import annotations

import hashlib
import hmac
import json

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import endpoints, lists, thin_events, versions
from sandbox.stripe.calls import GATEWAY, Call, Cause
from sandbox.stripe.errors import StripeError
from sandbox.webhooks import Manner
from sandbox.world import World

KEPT_SECONDS = 30 * 24 * 3600
TYPES_MAX = 20

_HOUR = 3600
#: Three quick retries that Stripe does not make, so that a receiver that restarts is not left waiting for an hour; then
#: exponential backoff over three days, which is all that Stripe says about it (docs.stripe.com/webhooks).
RETRIES = (1, 5, 25, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR, 16 * _HOUR, 16 * _HOUR, 16 * _HOUR, 8 * _HOUR)


def sign(body: bytes, secret: str, event_id: str, now: int) -> dict[str, str]:
    """The headers of one attempt; every attempt has a timestamp and a signature of its own."""
    del event_id
    signature = hmac.new(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "Stripe-Signature": f"t={now},v1={signature}",
    }


MANNER = Manner(headers=sign, answer_seconds=10, retries=RETRIES)


def record(world: World, kind: str, subject: Json, cause: Cause, *, previous: Json | None = None) -> None:
    """Writes the event down, once or by the fault ``twoEvents`` twice: Stripe may make two for one change."""
    for _ in range(2 if world.faults.strikes("twoEvents", GATEWAY) else 1):
        _tell(world, kind, subject, cause, previous)


def _tell(world: World, kind: str, subject: Json, cause: Cause, previous: Json | None) -> None:
    """One event, handed to the post in the shape of each endpoint's version."""
    listening = endpoints.listening(world, kind)
    data: Json = {"object": subject} if previous is None else {"object": subject, "previous_attributes": previous}
    event: Json = {
        "id": new_id("evt_1", 23),
        "object": "event",
        "api_version": versions.DEFAULT_VERSION,
        "created": _moment(world),
        "data": data,
        "livemode": False,
        "pending_webhooks": len(listening),
        "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
        "type": kind,
    }
    world.store.put(GATEWAY, "event", event, created=event["created"])
    for endpoint in listening:
        payload = endpoints.payload_of(world, endpoint)
        if payload != "thin":
            version = endpoints.version_of(world, endpoint)
            _send(
                world, endpoint, {**event, "api_version": version, "data": versions.render(world.store, data, version)}
            )
        if payload != "snapshot":
            _send(world, endpoint, thin_events.make(world, event))


def _send(world: World, endpoint: Json, event: Json) -> None:
    world.post.hand_in(
        GATEWAY,
        event_id=event["id"],
        event_type=event["type"],
        endpoint=endpoint["id"],
        url=endpoint["url"],
        body=json.dumps(event, indent=2).encode(),
    )


def _moment(world: World) -> int:
    """Now; or, by the fault ``sameSecond``, the second of the event before, as when two things happen at once."""
    if world.faults.strikes("sameSecond", GATEWAY):
        before = world.store.newest(GATEWAY, "event", limit=1)
        if before:
            return int(before[0]["created"])
    return world.clock.now()


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return _with_pending(call, call.find("event", call.ids["id"]))


def list_events(call: Call) -> Json:
    """Events of the last thirty days; ``delivery_success=false`` gives those that some endpoint has not taken."""
    kind, kinds = call.parameters.text("type"), call.parameters.texts("types")
    delivered = call.parameters.flag("delivery_success")
    if kind is not None and kinds is not None:
        raise StripeError("You may only specify one of these parameters: type, types.", param="types")
    if kinds is not None and len(kinds) > TYPES_MAX:
        raise StripeError(f"You may specify up to {TYPES_MAX} types.", param="types")
    wanted = kinds if kinds is not None else [kind] if kind is not None else ["*"]
    oldest = call.world.clock.now() - KEPT_SECONDS

    def keep(event: Json) -> bool:
        return (
            event["created"] >= oldest
            and any(endpoints.matches(event["type"], pattern) for pattern in wanted)
            and (delivered is None or delivered == (call.world.post.undelivered(event["id"]) == 0))
        )

    page = lists.page(call, "event", "/v1/events", keep=keep)
    page["data"] = [_with_pending(call, event) for event in page["data"]]
    return page


def _with_pending(call: Call, event: Json) -> Json:
    """The event with the number of endpoints that have not taken it, as it stands now."""
    return {**event, "pending_webhooks": call.world.post.undelivered(event["id"])}
