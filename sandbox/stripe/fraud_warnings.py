"""Early fraud warnings: a bank believes that a charge is fraud, and nothing has come of it yet. No money moves."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import dispute_shapes, events, lists, records
from sandbox.stripe.calls import GATEWAY, NOBODY, Call
from sandbox.world import World

KIND = "radar.early_fraud_warning"


def warn(world: World, charge: Json) -> Json:
    warning = dispute_shapes.fraud_warning(charge, world.clock.now())
    records.keep(world, warning)
    events.record(world, "radar.early_fraud_warning.created", warning, NOBODY)
    return warning


def reconsider(world: World, charge: Json) -> None:
    """Once a charge is refunded altogether, or disputed, nothing is left to be done about its warnings."""
    if not charge["refunded"] and not charge["disputed"]:
        return
    for before in world.store.newest(GATEWAY, KIND, limit=100, matching={"charge": charge["id"]}):
        after = {**before, "actionable": False}
        records.change(world, before, after, NOBODY, "radar.early_fraud_warning.updated")


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def list_warnings(call: Call) -> Json:
    asked = {name: call.parameters.text(name) for name in ("charge", "payment_intent")}
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(call, KIND, "/v1/radar/early_fraud_warnings", matching=matching)
