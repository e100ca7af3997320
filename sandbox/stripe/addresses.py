"""Names and places: billing details and shipping, kept as they are told."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe.parameters import Parameters

_PLACE = ("city", "country", "line1", "line2", "postal_code", "state")
_BILLING = ("email", "name", "phone", "tax_id")
_SHIPPING = ("carrier", "name", "phone", "tracking_number")


def nobody() -> Json:
    """Billing details of which nothing is known."""
    return {"address": _place(None), **dict.fromkeys(_BILLING)}


def read_billing(level: Parameters, before: Json) -> Json:
    """What was known before, with what the call says."""
    told = {name: level.text(name) for name in _BILLING if name in level}
    place = level.level("address")
    level.refuse_rest()
    return {**before, **told, "address": before["address"] if place is None else _place(place)}


def read_shipping(parameters: Parameters) -> Json | None:
    level = parameters.level("shipping")
    if level is None:
        return None
    told: Json = {name: level.text(name) for name in _SHIPPING}
    told["address"] = _place(level.level("address"))
    level.refuse_rest()
    return told


def _place(level: Parameters | None) -> Json:
    if level is None:
        return dict.fromkeys(_PLACE)
    told: Json = {name: level.text(name) for name in _PLACE}
    level.refuse_rest()
    return told
