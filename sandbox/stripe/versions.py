"""The same object in an older version of the API: it is kept in the newest shape, and each change is undone in turn.

What is undone here is what concerns one-time payments; sources are Stripe's changelog and events recorded at the older
versions. A webhook endpoint's version decides the shape of its events, a call's version the shape of its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.store import Json, Store

#: What a call without a version gets, and an endpoint made without one: the account's default.
DEFAULT_VERSION = "2026-10-28.endive"

_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d(\.[a-z]+)?")
_DATE_LENGTH = len("2026-10-28")

ENDIVE = "2026-09-30"
DAHLIA = "2026-03-25"
BASIL = "2025-03-31"
CAPTURES_LATER = "2024-04-10"
AUTOMATIC_METHODS = "2023-08-16"
CHARGES_LEFT_THE_INTENT = "2022-11-15"

Undo = Callable[[Store, Json], None]


def is_version(text: str) -> bool:
    return _VERSION.fullmatch(text) is not None


def is_before(version: str, change: str) -> bool:
    """Whether ``version`` is older than the change of that date."""
    return version[:_DATE_LENGTH] < change


def render(store: Store, value: Any, version: str) -> Any:
    """A copy of ``value``, and of every object inside it, as ``version`` shows it."""
    if isinstance(value, list):
        return [render(store, item, version) for item in value]
    if not isinstance(value, dict):
        return value
    shown = {name: render(store, inner, version) for name, inner in value.items()}
    for change, kind, undo in _CHANGES:
        if shown.get("object") == kind and is_before(version, change):
            undo(store, shown)
    return shown


def _allow_list_leaves(_: Store, shown: Json) -> None:
    shown.pop("allowed_payment_method_types", None)


def _ui_mode_has_its_short_name(_: Store, shown: Json) -> None:
    names = {"hosted_page": "hosted", "embedded_page": "embedded", "elements": "custom"}
    shown["ui_mode"] = names.get(shown["ui_mode"], shown["ui_mode"])


def _shipping_is_on_the_session(_: Store, shown: Json) -> None:
    shown["shipping_details"] = (shown.pop("collected_information", None) or {}).get("shipping_details")


def _invoice_is_named(_: Store, shown: Json) -> None:
    shown["invoice"] = None


def _charges_are_listed(store: Store, shown: Json) -> None:
    charges = store.newest("stripe", "charge", limit=10, matching={"payment_intent": shown["id"]})
    for charge in charges:
        _invoice_is_named(store, charge)
        _refunds_are_listed(store, charge)
    url = f"/v1/charges?payment_intent={shown['id']}"
    shown["charges"] = {"object": "list", "data": charges, "has_more": False, "total_count": len(charges), "url": url}
    del shown["latest_charge"]


def _refunds_are_listed(_: Store, shown: Json) -> None:
    url = f"/v1/charges/{shown['id']}/refunds"
    shown["refunds"] = {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": url}


#: Newest first: the date of a change, the kind of object it concerns, and its reverse.
_CHANGES: list[tuple[str, str, Undo]] = [
    (ENDIVE, "checkout.session", _allow_list_leaves),
    (ENDIVE, "payment_intent", _allow_list_leaves),
    (DAHLIA, "checkout.session", _ui_mode_has_its_short_name),
    (BASIL, "checkout.session", _shipping_is_on_the_session),
    (BASIL, "payment_intent", _invoice_is_named),
    (BASIL, "charge", _invoice_is_named),
    (CHARGES_LEFT_THE_INTENT, "payment_intent", _charges_are_listed),
    (CHARGES_LEFT_THE_INTENT, "charge", _refunds_are_listed),
]
