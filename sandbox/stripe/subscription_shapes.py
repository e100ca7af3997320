"""The shapes of Stripe's subscriptions and of what belongs to them, at the newest version."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json


def subscription(said: Json, now: int) -> Json:
    """A subscription without items; ``said`` is whose it is, in which currency, and what its maker said about it."""
    return {
        "id": new_id("sub_1", 23),
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": now,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": {},
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": payment_settings(None),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "active",
        "status_details": None,
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": trial_settings(None),
        "trial_start": None,
        **said,
    }


def payment_settings(saves: str | None) -> Json:
    """``saves`` says whether a method that paid becomes the subscription's own."""
    return {
        "payment_method_options": None,
        "payment_method_types": None,
        "save_default_payment_method": saves or "off",
    }


def trial_settings(missing: str | None) -> Json:
    """``missing`` is what becomes of a trial that ends without a method to pay with."""
    return {"end_behavior": {"billing_cycle_anchor": None, "missing_payment_method": missing or "create_invoice"}}


def items(subscription_id: str, data: list[Json]) -> Json:
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "total_count": len(data),
        "url": f"/v1/subscription_items?subscription={subscription_id}",
    }


def item(subscription_id: str, price: Json, quantity: int, metadata: Json, now: int) -> Json:
    """One price that is subscribed to; its period is set when the subscription has one."""
    return {
        "id": new_id("si_", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": now,
        "current_period_end": now,
        "current_period_start": now,
        "discounts": [],
        "metadata": metadata,
        "plan": plan(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def plan(price: Json) -> Json:
    """What a recurring price was called before there were prices; Stripe still shows it beside the price."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


def paused(reason: str, now: int) -> Json:
    """``status_details`` of a subscription that is paused."""
    return {"paused": {"subscription": {"type": reason}, "transitioned_at": now, "type": "subscription"}}
