"""The same object in an older version of the API: it is kept in the newest shape, and each change is undone in turn.

What is undone here is what concerns payments, and in ``billing_versions`` subscriptions; sources are Stripe's changelog
and events recorded at the older versions. A webhook endpoint's version decides the shape of its events, a call's
version the shape of its answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.store import Json, Store
from sandbox.stripe import billing_versions

#: What a call without a version gets, and an endpoint made without one: the account's default.
DEFAULT_VERSION = "2026-10-28.endive"

_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d(\.[a-z]+)?")
_DATE_LENGTH = len("2026-10-28")

INTENDED_METHODS = "2026-10-28"
ENDIVE = "2026-09-30"
DAHLIA = "2026-03-25"
BASIL = "2025-03-31"
CAPTURES_LATER = "2024-04-10"
AUTOMATIC_METHODS = "2023-08-16"
CHARGES_LEFT_THE_INTENT = "2022-11-15"

#: How many objects an object lists inside itself; the rest is behind the list's address.
_LISTED_MAX = 10

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
    if "previous_attributes" in value:
        shown["previous_attributes"] = _previous(store, value, version)
    for change, kind, undo in _CHANGES:
        if shown.get("object") == kind and is_before(version, change):
            undo(store, shown)
    return shown


def _previous(store: Store, data: Json, version: str) -> Json:
    """What the event's object was before, under the names that it has in that version."""
    before: Json = render(store, {**data["object"], **data["previous_attributes"]}, version)
    return _difference(before, render(store, data["object"], version))


def _difference(before: Json, now: Json) -> Json:
    """What of it was otherwise, level by level; what was not there was null."""
    changed: Json = {}
    for name in [*before, *(name for name in now if name not in before)]:
        old, new = before.get(name), now.get(name)
        if old != new:
            changed[name] = _difference(old, new) if isinstance(old, dict) and isinstance(new, dict) else old
    return changed


def _allow_list_leaves(_: Store, shown: Json) -> None:
    shown.pop("allowed_payment_method_types", None)


def _ui_mode_has_its_short_name(_: Store, shown: Json) -> None:
    names = {"hosted_page": "hosted", "embedded_page": "embedded", "elements": "custom"}
    shown["ui_mode"] = names.get(shown["ui_mode"], shown["ui_mode"])


def _shipping_is_on_the_session(_: Store, shown: Json) -> None:
    shown["shipping_details"] = (shown.pop("collected_information", None) or {}).get("shipping_details")


def _charges_are_listed(store: Store, shown: Json) -> None:
    charges = store.newest("stripe", "charge", limit=10, matching={"payment_intent": shown["id"]})
    for charge in charges:
        billing_versions.charge_names_its_invoice(store, charge)
        _refunds_are_listed(store, charge)
    url = f"/v1/charges?payment_intent={shown['id']}"
    shown["charges"] = {"object": "list", "data": charges, "has_more": False, "total_count": len(charges), "url": url}
    del shown["latest_charge"]


def _refunds_are_listed(store: Store, shown: Json) -> None:
    refunds = store.newest("stripe", "refund", limit=1000, matching={"charge": shown["id"]})
    for refund in refunds:
        _refund_names_its_charge_alone(store, refund)
    shown["refunds"] = {
        "object": "list",
        "data": refunds[:_LISTED_MAX],
        "has_more": len(refunds) > _LISTED_MAX,
        "total_count": len(refunds),
        "url": f"/v1/charges/{shown['id']}/refunds",
    }


def _dispute_tells_no_intention(_: Store, shown: Json) -> None:
    shown.pop("intended_submission_method", None)


def _dispute_has_one_transaction(_: Store, shown: Json) -> None:
    first = shown["balance_transactions"][:1]
    shown["balance_transaction"] = first[0]["id"] if first else None


def _refund_names_its_charge_alone(_: Store, shown: Json) -> None:
    for name in ("customer", "customer_account", "payment_method"):
        shown.pop(name, None)


#: Newest first: the date of a change, the kind of object it concerns, and its reverse.
_CHANGES: list[tuple[str, str, Undo]] = [
    (INTENDED_METHODS, "dispute", _dispute_tells_no_intention),
    (ENDIVE, "checkout.session", _allow_list_leaves),
    (ENDIVE, "payment_intent", _allow_list_leaves),
    (ENDIVE, "subscription", billing_versions.status_needs_no_reason),
    (DAHLIA, "checkout.session", _ui_mode_has_its_short_name),
    (DAHLIA, "refund", _refund_names_its_charge_alone),
    (BASIL, "checkout.session", _shipping_is_on_the_session),
    (BASIL, "subscription", billing_versions.period_is_on_the_subscription),
    (BASIL, "invoice", billing_versions.money_is_on_the_invoice),
    (BASIL, "line_item", billing_versions.line_names_its_price),
    (BASIL, "payment_intent", billing_versions.intent_names_its_invoice),
    (BASIL, "charge", billing_versions.charge_names_its_invoice),
    (CHARGES_LEFT_THE_INTENT, "payment_intent", _charges_are_listed),
    (CHARGES_LEFT_THE_INTENT, "charge", _refunds_are_listed),
    (CHARGES_LEFT_THE_INTENT, "dispute", _dispute_has_one_transaction),
]
