"""Configurations of the customer portal: kept as they are told. The page shows one thing, whatever they say."""

from __future__ import annotations

from typing import Any

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import events, lists, records
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import missing
from sandbox.stripe.portal import CONFIGURATION

_URL = "/v1/billing_portal/configurations"
_WORDS = {"true": True, "false": False}


def create(call: Call) -> Json:
    said = _read(call)
    if said["features"] is None:
        raise missing("features")
    now = call.world.clock.now()
    configuration = {
        "id": new_id("bpc_1", 23),
        "object": CONFIGURATION,
        "active": True,
        "application": None,
        "created": now,
        "is_default": False,
        "livemode": False,
        "login_page": {"enabled": False, "url": None},
        "updated": now,
        **said,
        "business_profile": said["business_profile"] or {},
        "metadata": said["metadata"] or {},
    }
    call.keep(CONFIGURATION, configuration)
    events.record(call.world, "billing_portal.configuration.created", configuration, call.cause)
    return configuration


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(CONFIGURATION, call.ids["id"])


def list_configurations(call: Call) -> Json:
    call.parameters.accept(["active", "is_default"])
    return lists.page(call, CONFIGURATION, _URL)


def update(call: Call) -> Json:
    before = call.find(CONFIGURATION, call.ids["id"])
    active = call.parameters.flag("active")
    told = {name: value for name, value in _read(call).items() if value is not None}
    after = {**before, **told, "updated": call.world.clock.now()}
    after["active"] = before["active"] if active is None else active
    records.change(call.world, before, after, call.cause, "billing_portal.configuration.updated")
    return after


def _read(call: Call) -> Json:
    parameters = call.parameters
    said: Json = {
        "business_profile": _plain(parameters.tree("business_profile")),
        "default_return_url": parameters.url("default_return_url"),
        "features": _plain(parameters.tree("features")),
        "metadata": parameters.metadata() or None,
        "name": parameters.text("name"),
    }
    parameters.accept(["login_page"])
    parameters.refuse_rest()
    return said


def _plain(value: Any) -> Any:
    """Yes and no as JSON has them; everything else as it was told."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return _WORDS.get(value, value)
