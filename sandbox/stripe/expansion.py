"""``expand[]``: an id replaced by the object it names, along a path such as ``payment_intent.latest_charge``."""

from __future__ import annotations

from typing import Any

from sandbox.store import Json, Store
from sandbox.stripe.errors import StripeError

DEPTH_MAX = 4
PATHS_MAX = 20

#: Which field of which kind names an object of which kind.
_NAMES = {
    ("checkout.session", "payment_intent"): "payment_intent",
    ("checkout.session", "customer"): "customer",
    ("checkout.session", "invoice"): "invoice",
    ("checkout.session", "subscription"): "subscription",
    ("subscription", "customer"): "customer",
    ("subscription", "default_payment_method"): "payment_method",
    ("subscription", "latest_invoice"): "invoice",
    ("subscription", "schedule"): "subscription_schedule",
    ("subscription_schedule", "subscription"): "subscription",
    ("invoice", "customer"): "customer",
    ("invoice", "default_payment_method"): "payment_method",
    ("invoice_payment", "invoice"): "invoice",
    ("payment_intent", "latest_charge"): "charge",
    ("payment_intent", "payment_method"): "payment_method",
    ("payment_intent", "customer"): "customer",
    ("charge", "payment_intent"): "payment_intent",
    ("charge", "balance_transaction"): "balance_transaction",
    ("dispute", "charge"): "charge",
    ("payout", "balance_transaction"): "balance_transaction",
    ("payout", "failure_balance_transaction"): "balance_transaction",
    ("dispute", "payment_intent"): "payment_intent",
    ("radar.early_fraud_warning", "charge"): "charge",
    ("radar.early_fraud_warning", "payment_intent"): "payment_intent",
    ("refund", "charge"): "charge",
    ("refund", "payment_intent"): "payment_intent",
    ("refund", "balance_transaction"): "balance_transaction",
    ("refund", "failure_balance_transaction"): "balance_transaction",
    ("charge", "customer"): "customer",
    ("payment_method", "customer"): "customer",
    ("price", "product"): "product",
    ("product", "default_price"): "price",
}


def _lines(store: Store, session: Json) -> Json | None:
    kept = store.find("stripe", "line_items", session["id"])
    return kept["list"] if kept else None


def _payments(store: Store, invoice: Json) -> Json:
    found = store.newest("stripe", "invoice_payment", limit=10, matching={"invoice": invoice["id"]})
    return {"object": "list", "data": found, "has_more": False, "url": f"/v1/invoices/{invoice['id']}/payments"}


def _secret(store: Store, invoice: Json) -> Json | None:
    """What the customer's browser needs to pay an open invoice."""
    kept = store.find("stripe", "invoice_means", invoice["id"]) or {}
    intent = store.find("stripe", "payment_intent", kept.get("intent", ""))
    if intent is None or invoice["status"] != "open":
        return None
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _source(store: Store, transaction: Json) -> Json | None:
    """What a movement of the balance came of: its id does not say of which kind it is."""
    found = (store.find("stripe", kind, transaction["source"]) for kind in _SOURCES)
    return next((each for each in found if each is not None), None)


_SOURCES = ("charge", "refund", "dispute", "payout")

#: Fields that are left out, or only named, until they are asked for, and what is told then.
_LEFT_OUT = {
    ("balance_transaction", "source"): _source,
    ("checkout.session", "line_items"): _lines,
    ("invoice", "payments"): _payments,
    ("invoice", "confirmation_secret"): _secret,
}


def expand(store: Store, answer: Json, paths: list[str]) -> None:
    """Expands ``answer`` in place."""
    if len(paths) > PATHS_MAX:
        raise StripeError(f"You may expand up to {PATHS_MAX} properties.", param="expand")
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH_MAX:
            raise StripeError(f"You may expand up to {DEPTH_MAX} levels.", param="expand")
        _expand(store, answer, steps, path)


def _expand(store: Store, value: Any, steps: list[str], path: str) -> None:
    if isinstance(value, list):
        for item in value:
            _expand(store, item, steps, path)
        return
    if not steps or not isinstance(value, dict):
        return
    kind, field = str(value.get("object")), steps[0]
    if (kind, field) in _LEFT_OUT:
        value[field] = _LEFT_OUT[kind, field](store, value)
    elif (kind, field) in _NAMES and isinstance(value.get(field), str):
        value[field] = store.find("stripe", _NAMES[kind, field], value[field])
    elif field not in value or not (isinstance(value[field], dict | list) or (kind, field) in _NAMES):
        raise StripeError(f"This property cannot be expanded ({path}).", param="expand")
    _expand(store, value[field], steps[1:], path)
