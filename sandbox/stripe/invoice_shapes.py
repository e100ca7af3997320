"""The shapes of Stripe's invoices, of their lines and of their payments, at the newest version."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json

#: Who the invoices are from, since no call tells it: the account has it, and here is one account.
ACCOUNT_NAME = "Sandbox shop"


def invoice(said: Json, customer: Json, now: int) -> Json:
    """A draft without lines; ``said`` is why there is one, for which period, and of which subscription."""
    return {
        "id": new_id("in_1", 23),
        "object": "invoice",
        "account_country": "US",
        "account_name": ACCOUNT_NAME,
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": now,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": {},
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_details": None,
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
        **said,
    }


def parent(subscription: Json) -> Json:
    """Whose invoice it is; the metadata is a copy that stays as it was."""
    details = {"metadata": dict(subscription["metadata"]), "subscription": subscription["id"]}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def lines(invoice_id: str, data: list[Json]) -> Json:
    return {
        "object": "list",
        "data": [{**line, "invoice": invoice_id} for line in data],
        "has_more": False,
        "total_count": len(data),
        "url": f"/v1/invoices/{invoice_id}/lines",
    }


def period_line(subscription: Json, item: Json, amount: int, description: str) -> Json:
    """What one item of a subscription costs for its period; such a line has the subscription's metadata."""
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
        "subscription_item": item["id"],
    }
    line_parent = {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }
    return _line(
        amount=amount,
        currency=item["price"]["currency"],
        description=description,
        metadata=dict(subscription["metadata"]),
        parent=line_parent,
        period={"end": item["current_period_end"], "start": item["current_period_start"]},
        pricing=pricing(item["price"]),
        quantity=item["quantity"],
    )


def item_line(invoice_item: Json) -> Json:
    """What was waiting for the next invoice."""
    details = {
        "invoice_item": invoice_item["id"],
        "proration": invoice_item["proration"],
        "proration_details": {"credited_items": None},
        "subscription": subscription_of(invoice_item),
    }
    line_parent = {
        "invoice_item_details": details,
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }
    return _line(
        amount=invoice_item["amount"],
        currency=invoice_item["currency"],
        description=invoice_item["description"],
        metadata=dict(invoice_item["metadata"]),
        parent=line_parent,
        period=invoice_item["period"],
        pricing=invoice_item["pricing"],
        quantity=invoice_item["quantity"],
    )


def _line(**said: object) -> Json:
    return {
        "id": new_id("il_1", 23),
        "object": "line_item",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "pretax_credit_amounts": [],
        "subtotal": said["amount"],
        "taxes": [],
        **said,
    }


def pricing(price: Json | None) -> Json | None:
    if price is None:
        return None
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def invoice_item(said: Json, now: int) -> Json:
    """Something to be invoiced later: a proration, or what a call asks for."""
    return {
        "id": new_id("ii_1", 23),
        "object": "invoiceitem",
        "created": now,
        "customer_account": None,
        "date": now,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "net_amount": said["amount"],
        "parent": None,
        "period": {"end": now, "start": now},
        "pricing": None,
        "proration": False,
        "proration_details": None,
        "quantity": 1,
        "tax_rates": [],
        "test_clock": None,
        **said,
    }


def item_parent(subscription_id: str | None, item_id: str | None) -> Json | None:
    if subscription_id is None:
        return None
    details = {"subscription": subscription_id, "subscription_item": item_id}
    return {"subscription_details": details, "type": "subscription_details"}


def subscription_of(body: Json) -> str | None:
    """The subscription that an invoice, or something that waits for one, belongs to."""
    found: str | None = ((body["parent"] or {}).get("subscription_details") or {}).get("subscription")
    return found


def payment(invoice_body: Json, intent_id: str, now: int) -> Json:
    """How an invoice is to be paid; Stripe writes it with the invoice's PaymentIntent."""
    return {
        "id": new_id("inpay_1", 23),
        "object": "invoice_payment",
        "amount_paid": None,
        "amount_requested": invoice_body["amount_due"],
        "created": now,
        "currency": invoice_body["currency"],
        "invoice": invoice_body["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent_id, "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
