"""The shapes of Stripe's subscription schedules and their phases, at the newest version."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import diary


def schedule(subscription: Json, metadata: Json, now: int) -> Json:
    """A schedule of one phase: the period that the subscription has."""
    start, end = diary.period_of(subscription)
    items = [
        phase_item(item["price"]["id"], item["quantity"], item["metadata"]) for item in subscription["items"]["data"]
    ]
    first = phase(items, start, end, subscription["currency"], {})
    return {
        "id": new_id("sub_sched_1", 23),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": subscription["billing_mode"],
        "canceled_at": None,
        "completed_at": None,
        "created": now,
        "current_phase": span(first),
        "customer": subscription["customer"],
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": subscription["default_payment_method"],
            "description": None,
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": "release",
        "livemode": False,
        "metadata": metadata,
        "phases": [first],
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": subscription["id"],
        "test_clock": None,
    }


def phase(items: list[Json], start: int, end: int, currency: str, metadata: Json) -> Json:
    return {
        "add_invoice_items": [],
        "application_fee_percent": None,
        "billing_cycle_anchor": None,
        "billing_thresholds": None,
        "collection_method": None,
        "currency": currency,
        "default_payment_method": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "end_date": end,
        "items": items,
        "metadata": metadata,
        "on_behalf_of": None,
        "proration_behavior": "create_prorations",
        "start_date": start,
        "transfer_data": None,
        "trial_end": None,
    }


def phase_item(price_id: str, quantity: int, metadata: Json) -> Json:
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": metadata,
        "plan": price_id,
        "price": price_id,
        "quantity": quantity,
        "tax_rates": [],
    }


def span(of: Json) -> Json:
    return {"end_date": of["end_date"], "start_date": of["start_date"]}
