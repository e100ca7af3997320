"""Refunds, disputes, warnings and payouts as gateways have told them over the years, written by hand from the docs and
changelogs; each argument changes a field."""

from __future__ import annotations

from typing import Any

from tests.contract.shapes import CHARGE_ID, INTENT_ID, MARKS, PAYMENT_ID, payment, razorpay_event

Json = dict[str, Any]

REFUND_ID, DISPUTE_ID, PAYOUT_ID = "re_1", "dp_1", "po_1"
RZP_REFUND_ID, RZP_DISPUTE_ID, SETTLEMENT_ID = "rfnd_1", "disp_1", "setl_1"
OUR_REFUND = "0190c0de-0000-7000-8000-0000000000a1"
DUE_BY = 1_761_000_000


def refund(**more: Any) -> Json:
    """20 dollars of 49, which we have given back."""
    return {
        "id": REFUND_ID,
        "object": "refund",
        "amount": 2000,
        "balance_transaction": "txn_1",
        "charge": CHARGE_ID,
        "created": 1_760_000_000,
        "currency": "usd",
        "metadata": {**MARKS, "refund_id": OUR_REFUND},
        "payment_intent": INTENT_ID,
        "reason": "requested_by_customer",
        "status": "succeeded",
        **more,
    }


#: One refund in every shape: whole objects beside their ids, fields that came, and charges that had no intent yet.
REFUNDS = {
    "2020-03-02": refund(receipt_number=None, source_transfer_reversal=None, transfer_reversal=None),
    "2022-11-15, expanded": refund(charge={"id": CHARGE_ID, "object": "charge"}),
    "2024-09-30.acacia": refund(destination_details={"card": {"type": "refund"}, "type": "card"}),
    "2025-11-17.clover, expanded": refund(payment_intent={"id": INTENT_ID, "object": "payment_intent"}),
    "2026-10-28.endive": refund(customer=None, customer_account=None, payment_method="pm_1"),
}


def charge(**more: Any) -> Json:
    return {
        "id": CHARGE_ID,
        "object": "charge",
        "amount": 4900,
        "amount_captured": 4900,
        "amount_refunded": 2000,
        "captured": True,
        "created": 1_760_000_000,
        "currency": "usd",
        "metadata": MARKS,
        "payment_intent": INTENT_ID,
        "refunded": False,
        "status": "succeeded",
        **more,
    }


#: ``charge.refunded`` after 20 of 49 dollars: listed until 2022-11-15, without ``amount_captured`` until 2020.
REFUNDED_CHARGES = {
    "2019": {name: value for name, value in charge().items() if name != "amount_captured"},
    "2020-08-27": charge(refunds={"object": "list", "data": [refund()], "has_more": False}, invoice=None),
    "2022-11-15": charge(invoice=None),
    "2025-03-31.basil": charge(),
    "2026-10-28.endive": charge(payment_intent={"id": INTENT_ID, "object": "payment_intent"}, refunds=None),
}


def moved(minor: int, *, fee: int = 0, currency: str = "usd") -> Json:
    """One of a dispute's balance transactions."""
    return {
        "id": f"txn_{minor}",
        "object": "balance_transaction",
        "amount": minor,
        "currency": currency,
        "fee": fee,
        "net": minor - fee,
        "type": "adjustment",
    }


def dispute(*transactions: Json, **more: Any) -> Json:
    """Of the whole 49 dollars."""
    return {
        "id": DISPUTE_ID,
        "object": "dispute",
        "amount": 4900,
        "balance_transactions": list(transactions),
        "charge": CHARGE_ID,
        "created": 1_760_000_000,
        "currency": "usd",
        "evidence_details": {"due_by": DUE_BY, "has_evidence": False},
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": INTENT_ID,
        "reason": "fraudulent",
        "status": "needs_response",
        **more,
    }


TAKEN, GIVEN_BACK = moved(-4900, fee=1500), moved(4900)


def warning(**more: Any) -> Json:
    return {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": CHARGE_ID,
        "created": 1_760_000_000,
        "fraud_type": "made_with_stolen_card",
        "payment_intent": INTENT_ID,
        **more,
    }


def payout(**more: Any) -> Json:
    return {
        "id": PAYOUT_ID,
        "object": "payout",
        "amount": 125_000,
        "arrival_date": 1_760_100_000,
        "automatic": True,
        "currency": "usd",
        "metadata": {},
        "status": "paid",
        **more,
    }


def rzp_refund(**more: Any) -> Json:
    """1,000 rupees of 4,900, which we have given back."""
    return {
        "id": RZP_REFUND_ID,
        "entity": "refund",
        "amount": 100_000,
        "currency": "INR",
        "payment_id": PAYMENT_ID,
        "notes": {**MARKS, "refund_id": OUR_REFUND, "reason": "duplicate"},
        "receipt": None,
        "acquirer_data": {"arn": None},
        "created_at": 1_760_000_000,
        "status": "processed",
        "speed_processed": "normal",
        "speed_requested": "normal",
        **more,
    }


def refund_event(event_type: str = "refund.processed", beside: Json | None = None, **more: Any) -> Json:
    """With the payment beside it, as Razorpay sends them."""
    paid = payment(amount_refunded=100_000, refund_status="partial") if beside is None else beside
    return razorpay_event(event_type, refund=rzp_refund(**more), payment=paid)


#: Promised, never captured, and gone back by itself.
LAPSED = payment(status="refunded", captured=False, amount_refunded=490_000, refund_status="full")


def rzp_dispute(**more: Any) -> Json:
    return {
        "id": RZP_DISPUTE_ID,
        "entity": "dispute",
        "payment_id": PAYMENT_ID,
        "amount": 490_000,
        "currency": "INR",
        "amount_deducted": 0,
        "reason_code": "goods_or_services_not_received_or_partially_received",
        "respond_by": DUE_BY,
        "status": "open",
        "phase": "chargeback",
        "created_at": 1_760_000_000,
        **more,
    }


def dispute_event(event_type: str = "payment.dispute.created", **more: Any) -> Json:
    return razorpay_event(event_type, payment=payment(), dispute=rzp_dispute(**more))


def settlement(**more: Any) -> Json:
    return {
        "id": SETTLEMENT_ID,
        "entity": "settlement",
        "amount": 973_635,
        "status": "processed",
        "fees": 0,
        "tax": 0,
        "utr": "1568176960vxp0rj",
        "created_at": 1_760_000_000,
        **more,
    }
