"""Subscriptions and invoices in older versions of the API, where Basil moved what everybody reads.

Source: Stripe's changelog of 2025-03-31, and events recorded before it.
"""

from __future__ import annotations

from sandbox.store import Json, Store
from sandbox.stripe.invoice_shapes import subscription_of
from sandbox.stripe.subscription_shapes import plan

_SUBSCRIPTION_NEWS = ("billing_mode", "billing_schedules", "customer_account", "managed_payments", "status_details")
_INVOICE_NEWS = (
    "amount_overpaid", "amount_paid_off_stripe", "customer_account", "parent", "payments", "status_details",
    "total_pretax_credit_amounts", "total_taxes",
)  # fmt: skip
_LINE_NEWS = ("parent", "pretax_credit_amounts", "pricing", "subtotal", "taxes")


def status_needs_no_reason(_: Store, shown: Json) -> None:
    """Before Endive a subscription could not be paused by a call, and nothing told why it was."""
    shown.pop("status_details", None)


def period_is_on_the_subscription(_: Store, shown: Json) -> None:
    items = shown["items"]["data"]
    for name in ("current_period_end", "current_period_start"):
        shown[name] = items[0][name]
        for item in items:
            item.pop(name, None)
    first = items[0] if len(items) == 1 else {}
    shown |= {"discount": None, "plan": first.get("plan"), "quantity": first.get("quantity")}
    for name in _SUBSCRIPTION_NEWS:
        shown.pop(name, None)


def money_is_on_the_invoice(store: Store, shown: Json) -> None:
    details = (shown["parent"] or {}).get("subscription_details") or {}
    intent = _intent_of(store, shown)
    is_paid = shown["status"] == "paid"
    shown |= {
        "application_fee_amount": None,
        "charge": intent.get("latest_charge"),
        "discount": None,
        "paid": is_paid,
        "paid_out_of_band": is_paid and shown["amount_paid_off_stripe"] > 0,
        "payment_intent": intent.get("id"),
        "quote": None,
        "subscription": subscription_of(shown),
        "subscription_details": {"metadata": details.get("metadata")},
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }
    for name in _INVOICE_NEWS:
        shown.pop(name, None)


def line_names_its_price(store: Store, shown: Json) -> None:
    parent = shown["parent"] or {}
    of_item, of_subscription = parent.get("invoice_item_details"), parent.get("subscription_item_details")
    details = of_subscription or of_item or {}
    named = ((shown["pricing"] or {}).get("price_details") or {}).get("price") or ""
    price = store.find("stripe", "price", named)
    shown |= {
        "amount_excluding_tax": shown["amount"],
        "invoice_item": details.get("invoice_item"),
        "plan": plan(price) if price is not None and price["recurring"] is not None else None,
        "price": price,
        "proration": details.get("proration", False),
        "proration_details": details.get("proration_details"),
        "subscription": details.get("subscription"),
        "tax_amounts": [],
        "tax_rates": [],
        "type": "subscription" if of_subscription else "invoiceitem",
    }
    if of_subscription:
        shown["subscription_item"] = of_subscription["subscription_item"]
    for name in _LINE_NEWS:
        shown.pop(name, None)


def intent_names_its_invoice(_: Store, shown: Json) -> None:
    shown["invoice"] = (shown.pop("payment_details", None) or {}).get("order_reference")


def charge_names_its_invoice(store: Store, shown: Json) -> None:
    intent = store.find("stripe", "payment_intent", shown["payment_intent"] or "") or {}
    shown["invoice"] = (intent.get("payment_details") or {}).get("order_reference")


def _intent_of(store: Store, shown: Json) -> Json:
    """Through which an invoice is paid; nothing of it where nothing was due, or there is no such invoice yet."""
    kept = store.find("stripe", "invoice_means", shown.get("id", "")) or {}
    return store.find("stripe", "payment_intent", kept.get("intent", "")) or {}
