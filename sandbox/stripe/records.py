"""Objects by what they are called, for whoever follows one from another; and a change, written down and told."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import events
from sandbox.stripe.calls import GATEWAY, Cause
from sandbox.world import World


def find(world: World, kind: str, object_id: str) -> Json:
    """An object that another object names, and that is therefore there."""
    found = world.store.find(GATEWAY, kind, object_id)
    assert found is not None, f"{kind} {object_id} is named by another object"
    return found


def keep(world: World, *bodies: Json) -> None:
    for body in bodies:
        world.store.put(GATEWAY, body["object"], body, created=body["created"])


def change(world: World, before: Json, after: Json, cause: Cause, event: str) -> bool:
    """Writes what became of an object, and tells what it was before; says whether anything has changed."""
    previous = {name: value for name, value in before.items() if after.get(name) != value}
    if not previous:
        return False
    keep(world, after)
    events.record(world, event, after, cause, previous=previous)
    return True


def kept_lines(world: World, session: Json) -> Json:
    """What was kept beside a Checkout Session: its lines, and what is to become of it."""
    return find(world, "line_items", session["id"])
