"""The shapes of Stripe's disputes and early fraud warnings, at the newest version."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json

_DAY = 24 * 3600
#: How long Stripe waits for evidence: from a week to three, by the card's network (docs.stripe.com/disputes).
RESPONSE_DAYS = 9

#: Texts, or files by their ids.
EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation",
    "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt", "refund_policy",
    "refund_policy_disclosure", "refund_refusal_explanation", "service_date", "service_documentation",
    "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip

REASONS = (
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
    "duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant",
    "product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized",
)  # fmt: skip


def dispute(charge: Json, amount: int, reason: str, status: str, now: int) -> Json:
    """One of which no money has been withdrawn yet."""
    is_inquiry = status.startswith("warning_")
    kind = charge["payment_method_details"]["type"]
    return {
        "id": new_id("du_1", 23),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": (now // _DAY + RESPONSE_DAYS + 1) * _DAY - 1,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "intended_submission_method": None,
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {kind: _method(charge, reason, is_inquiry=is_inquiry), "type": kind},
        "reason": reason,
        "status": status,
    }


def fraud_warning(charge: Json, now: int) -> Json:
    return {
        "id": new_id("issfr_1", 23),
        "object": "radar.early_fraud_warning",
        "actionable": not charge["refunded"] and not charge["disputed"],
        "charge": charge["id"],
        "created": now,
        "fraud_type": "misc",
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }


def _method(charge: Json, reason: str, *, is_inquiry: bool) -> Json:
    details = charge["payment_method_details"]
    if details["type"] != "card":
        return {}
    brand = details["card"]["brand"]
    return {
        "brand": brand,
        "case_type": "inquiry" if is_inquiry else "chargeback",
        "network": brand,
        "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
    }
