"""The shapes of Stripe's objects around a payment, at the newest version: every field that an SDK may ask for."""

from __future__ import annotations

from sandbox.cards import Card
from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import addresses
from sandbox.stripe.means import Debit
from sandbox.stripe.refusals import Refusal


def checkout_session(said: Json) -> Json:
    """A session that nobody has paid yet; ``said`` is what its maker said about it."""
    return {
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer_account": None,
        "customer_details": None,
        "discounts": [],
        "invoice": None,
        "invoice_creation": None,
        "livemode": False,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "wallet_options": None,
        **said,
    }


def payment_intent(said: Json, now: int) -> Json:
    """An intent that nothing has been tried with; ``said`` is its amount and currency, and what its maker said."""
    intent_id = new_id("pi_3", 23)
    return {
        "id": intent_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{intent_id}_secret_{new_id('', 25)}",
        "confirmation_method": "automatic",
        "created": now,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **said,
    }


def card_method(card: Card, now: int) -> Json:
    details = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": card.brand,
        "exp_month": card.expires[0],
        "exp_year": card.expires[1],
        "fingerprint": f"sandboxcard{card.last4}",
        "funding": "credit",
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return _method("card", details, now)


def debit_method(debit: Debit, now: int) -> Json:
    details = {
        "bank_code": debit.bank,
        "branch_code": "",
        "country": debit.country,
        "fingerprint": f"sandboxiban{debit.last4}",
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": debit.last4,
    }
    return _method("sepa_debit", details, now)


def _method(kind: str, details: Json, now: int) -> Json:
    return {
        "id": new_id("pm_1", 23),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": addresses.nobody(),
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": kind,
        kind: details,
    }


def charge(intent: Json, method: Json, now: int) -> Json:
    """A charge that has neither succeeded nor failed yet."""
    return {
        "id": new_id("ch_3", 23),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": False,
        "created": now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {method["type"]: _charged(intent, method), "type": method["type"]},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def _charged(intent: Json, method: Json) -> Json:
    """The method as its charge shows it."""
    if method["type"] == "sepa_debit":
        debit = method["sepa_debit"]
        shown = {name: debit[name] for name in ("bank_code", "branch_code", "country", "fingerprint", "last4")}
        return {**shown, "mandate": None}
    card = method["card"]
    return {
        "amount_authorized": intent["amount"],
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "network": card["brand"],
        "three_d_secure": None,
        "wallet": None,
    }


def outcome(refusal: Refusal | None) -> Json:
    """What the card network said."""
    if refusal is None:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "advice_code": refusal.advice_code,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network",
        "reason": refusal.decline_code,
        "risk_level": "normal",
        "seller_message": "The bank declined the payment.",
        "type": "issuer_declined",
    }


def payment_error(refusal: Refusal, method: Json, charge_id: str | None) -> Json:
    """The intent's last error; what does not apply is left out."""
    error: Json = {
        "advice_code": refusal.advice_code,
        "charge": charge_id,
        "code": refusal.code,
        "decline_code": refusal.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{refusal.code.replace('_', '-')}",
        "message": refusal.message,
        "payment_method": method,
        "type": "card_error" if refusal.decline_code else "invalid_request_error",
    }
    return {name: value for name, value in error.items() if value is not None}
