"""One fact in every shape that a gateway has given it over the years, written by hand from the changelogs.

Each shape holds what tells it apart (fields that came, went or moved) and the fields that all of them share.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

ORDER_ID = "0190c0de-0000-7000-8000-000000000001"
SESSION_ID, INTENT_ID, CHARGE_ID = "cs_test_1", "pi_1", "ch_1"
LINK_ID, GATEWAY_ORDER_ID, PAYMENT_ID = "plink_1", "order_1", "pay_1"
MARKS = {"order_id": ORDER_ID, "counterfoil": "counterfoil"}


def _without_none(told: Json) -> Json:
    return {name: value for name, value in told.items() if value is not None}


def stripe_event(event_type: str, told: Json, api_version: str | None = "2025-11-17.clover") -> Json:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": api_version,
        "created": 1_760_000_000,
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": event_type,
    }


def session(**more: Any) -> Json:
    """A paid session over 49 dollars, with what every version has; an argument of None takes a field away."""
    return _without_none(
        {
            "id": SESSION_ID,
            "object": "checkout.session",
            "amount_subtotal": 4900,
            "amount_total": 4900,
            "client_reference_id": ORDER_ID,
            "currency": "usd",
            "livemode": False,
            "metadata": MARKS,
            "mode": "payment",
            "payment_intent": INTENT_ID,
            "payment_status": "paid",
            "status": "complete",
            **more,
        }
    )


def intent(**more: Any) -> Json:
    """A succeeded payment intent over 49 dollars, with what every version has."""
    return _without_none(
        {
            "id": INTENT_ID,
            "object": "payment_intent",
            "amount": 4900,
            "amount_received": 4900,
            "currency": "usd",
            "livemode": False,
            "metadata": MARKS,
            "status": "succeeded",
            **more,
        }
    )


CHARGE = {"id": CHARGE_ID, "object": "charge", "amount": 4900, "currency": "usd", "paid": True}
OLD_CHARGES = {"object": "list", "data": [CHARGE], "has_more": False}

#: ``checkout.session.completed`` of one paid session.
PAID_SESSIONS = {
    "2019, no mode and no status yet": session(mode=None, status=None, display_items=[]),
    "2020-08-27": session(shipping=None, payment_method_types=["card"], subscription=None, setup_intent=None),
    "2022-11-15": session(shipping_details={}, custom_fields=[], invoice_creation={"enabled": False}),
    "2024-09-30.acacia": session(adaptive_pricing={"enabled": False}, payment_intent={**intent(), "invoice": None}),
    "2025-03-31.basil": session(collected_information={"shipping_details": None}),
    "2025-03-31.basil, Adaptive Pricing": session(
        presentment_details={"presentment_amount": 4510, "presentment_currency": "eur"}
    ),
    "2025-11-17.clover": session(origin_context=None, wallet_options=None, payment_intent=intent()),
    "2026-03-25.dahlia": session(ui_mode="hosted_page", allowed_payment_method_types=["card"]),
}

#: ``payment_intent.succeeded`` of one payment.
SUCCEEDED_INTENTS = {
    "2018-02-28, without amount_received": intent(amount_received=None, charges=OLD_CHARGES, allowed_source_types=[]),
    "2020-08-27": {**intent(charges=OLD_CHARGES), "invoice": None},
    "2022-11-15": {**intent(latest_charge=CHARGE_ID), "invoice": None},
    "2024-09-30.acacia, expanded": {**intent(latest_charge=CHARGE), "invoice": None},
    "2025-03-31.basil": intent(latest_charge=CHARGE_ID, payment_details={"order_reference": None}),
    "2025-11-17.clover": intent(latest_charge=CHARGE_ID, presentment_details={"presentment_amount": 4510}),
    "2026-09-30.endive": intent(latest_charge=CHARGE_ID, payment_record="pr_1"),
}

#: ``payment_intent.succeeded`` of an invoice's payment.
INVOICE_INTENTS = {
    "2020-08-27": intent(charges=OLD_CHARGES, invoice="in_1"),
    "2024-09-30.acacia, expanded": intent(invoice={"id": "in_1", "object": "invoice"}),
    "2025-11-17.clover": intent(payment_details={"customer_reference": None, "order_reference": "in_1"}),
}


def thin_event(event_type: str = "v1.payment_intent.succeeded") -> Json:
    return {
        "id": "evt_2",
        "object": "v2.core.event",
        "type": event_type,
        "livemode": False,
        "created": "2026-10-01T09:30:00.123Z",
        "context": "acct_1",
        "related_object": {"id": INTENT_ID, "type": "payment_intent", "url": f"/v1/payment_intents/{INTENT_ID}"},
    }


def razorpay_event(event_type: str, **entities: Json) -> Json:
    return {
        "entity": "event",
        "account_id": "acc_1",
        "event": event_type,
        "contains": list(entities),
        "payload": {name: {"entity": entity} for name, entity in entities.items()},
        "created_at": 1_760_000_000,
    }


def payment(**more: Any) -> Json:
    """A captured payment over 4,900 rupees, made through a link."""
    return {
        "id": PAYMENT_ID,
        "entity": "payment",
        "amount": 490_000,
        "currency": "INR",
        "base_amount": 490_000,
        "status": "captured",
        "order_id": GATEWAY_ORDER_ID,
        "invoice_id": None,
        "captured": True,
        "notes": MARKS,
        "error_code": None,
        "error_reason": None,
        "error_source": None,
        **more,
    }


def gateway_order(**more: Any) -> Json:
    return {
        "id": GATEWAY_ORDER_ID,
        "entity": "order",
        "amount": 490_000,
        "amount_paid": 490_000,
        "currency": "INR",
        "receipt": None,
        "status": "paid",
        "notes": MARKS,
        **more,
    }


def payment_link(**more: Any) -> Json:
    return {
        "id": LINK_ID,
        "amount": 490_000,
        "amount_paid": 490_000,
        "currency": "INR",
        "reference_id": ORDER_ID,
        "order_id": GATEWAY_ORDER_ID,
        "status": "paid",
        "notes": MARKS,
        **more,
    }


#: The three events of one captured payment, and the shapes that its fields come in.
CAPTURES = {
    "payment.captured": razorpay_event("payment.captured", payment=payment()),
    'payment.captured, "1"': razorpay_event("payment.captured", payment=payment(captured="1")),
    "payment.captured, refunded since": razorpay_event("payment.captured", payment=payment(status="refunded")),
    "order.paid": razorpay_event("order.paid", payment=payment(notes=[]), order=gateway_order()),
    "order.paid, contains something else": {
        **razorpay_event("order.paid", payment=payment(), order=gateway_order(notes=[])),
        "contains": ["invoice"],
    },
    "payment_link.paid": razorpay_event(
        "payment_link.paid", payment_link=payment_link(), order=gateway_order(), payment=payment()
    ),
    "payment_link.paid, of an invoice's kind": razorpay_event(
        "payment_link.paid", payment_link=payment_link(), order=gateway_order(), payment=payment(invoice_id="inv_1")
    ),
}
