"""One call of Razorpay's API, its objects and its lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.razorpay.errors import no_such_id
from sandbox.razorpay.fields import Fields
from sandbox.store import Created, Json
from sandbox.world import World

GATEWAY = "razorpay"
DEFAULT_COUNT = 10
COUNT_MAX = 100


@dataclass(frozen=True, slots=True)
class Call:
    """A call; ``fields`` are its body's, or its query's; ``ids`` those in its URL; ``refund_key`` is in its headers."""

    world: World
    fields: Fields
    ids: Mapping[str, str]
    refund_key: str | None = None

    def find(self, kind: str, object_id: str) -> Json:
        """The object, or Razorpay's error that there is none."""
        found = self.world.store.find(GATEWAY, kind, object_id)
        if found is None:
            raise no_such_id()
        return found


def keep(world: World, kind: str, body: Json) -> Json:
    """Writes the object and gives it back."""
    world.store.put(GATEWAY, kind, body, created=body["created_at"])
    return body


def collection(call: Call, kind: str, matching: Mapping[str, object] | None = None) -> Json:
    """The newest ``count`` between ``from`` and ``to``, after ``skip``. The window moves as objects are made."""
    count = call.fields.integer("count", lowest=1, highest=COUNT_MAX)
    skip = call.fields.integer("skip", lowest=0)
    since, until = call.fields.integer("from", lowest=0), call.fields.integer("to", lowest=0)
    items = call.world.store.newest(
        GATEWAY,
        kind,
        limit=DEFAULT_COUNT if count is None else count,
        skip=skip or 0,
        matching=matching,
        created=Created(since or 0, 2**62 if until is None else until),
    )
    return as_collection(items)


def as_collection(items: list[Json]) -> Json:
    return {"entity": "collection", "count": len(items), "items": items}
