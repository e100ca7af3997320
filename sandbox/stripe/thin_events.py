"""Thin events: that something happened to an object, and where to read it. Asked for, it names its snapshot."""

from __future__ import annotations

from datetime import UTC, datetime

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.stripe.errors import StripeError
from sandbox.world import World

KIND = "v2.core.event"


def make(world: World, snapshot: Json) -> Json:
    """The thin event beside a snapshot event, as an endpoint is sent it; kept, to be asked for."""
    subject = snapshot["data"]["object"]
    event: Json = {
        "id": new_id("evt_6", 23),
        "object": KIND,
        "type": f"v1.{snapshot['type']}",
        "livemode": False,
        "created": _written(snapshot["created"]),
        "context": None,
        "related_object": _related(subject),
        "reason": {"type": "request", "request": snapshot["request"]} if snapshot["request"]["id"] else None,
    }
    world.store.put(GATEWAY, KIND, {**event, "snapshot_event": snapshot["id"]}, created=snapshot["created"])
    return event


def retrieve(call: Call) -> Json:
    """With more in it than was sent: the snapshot event, and no changes, which only the second API's objects have."""
    call.parameters.refuse_rest()
    event = call.world.store.find(GATEWAY, KIND, call.ids["id"])
    if event is None:
        raise StripeError("Event not found.", code="not_found", status=404)
    return {**event, "changes": None}


def _related(subject: Json) -> Json | None:
    """What has no id, such as the preview of an invoice, cannot be read anywhere."""
    if "id" not in subject:
        return None
    kind = subject["object"]
    return {"id": subject["id"], "type": kind, "url": f"/v1/{kind.replace('.', '/')}s/{subject['id']}"}


def _written(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
