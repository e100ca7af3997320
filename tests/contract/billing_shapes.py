"""One subscription and its invoices in every shape that a gateway has given them, written by hand from the changelogs.

An argument of None takes a field away. A subscription to one plan, its first month paid at once: 19 dollars, 999 rupees.
"""

from __future__ import annotations

from typing import Any

from tests.contract.shapes import ORDER_ID, Json, razorpay_event

SUBSCRIPTION_ID = "0190c0de-0000-7000-8000-000000000002"
SUB_ID, INVOICE_ID, PAID_BY, CHARGED = "sub_1", "in_1", "pi_1", "ch_1"
CUSTOMER_ID, PRICE_ID, SCHEDULE_ID = "cus_1", "price_1", "sub_sched_1"
MARKS = {"order_id": ORDER_ID, "subscription_id": SUBSCRIPTION_ID, "plan_id": "pro", "counterfoil": "counterfoil"}

#: 1 October and 1 November 2025, both at 12:00 UTC; when the events were told, and the page of the invoice.
START, END = 1_759_320_000, 1_761_998_400
TOLD_AT = 1_760_000_000
HOSTED = "https://invoice.stripe.com/i/acct_1/test_1?s=ap"
DAY = 24 * 3600


def _with(whole: Json, more: Json) -> Json:
    return {name: value for name, value in {**whole, **more}.items() if value is not None}


# --- Stripe ---


def item(start: int | None = START, end: int | None = END, **more: Any) -> Json:
    price = {"id": PRICE_ID, "object": "price", "unit_amount": 1900, "currency": "usd", "type": "recurring"}
    whole = {"id": "si_1", "object": "subscription_item", "price": price, "plan": {"id": PRICE_ID}, "quantity": 1}
    return _with({**whole, "current_period_start": start, "current_period_end": end}, more)


def items(*each: Json) -> Json:
    return {"object": "list", "data": list(each), "has_more": False}


def subscription(**more: Any) -> Json:
    """As since 2025-03-31: each item has its period."""
    return _with(
        {
            "id": SUB_ID,
            "object": "subscription",
            "customer": CUSTOMER_ID,
            "status": "active",
            "items": items(item()),
            "latest_invoice": INVOICE_ID,
            "metadata": MARKS,
            "cancel_at_period_end": False,
            "livemode": False,
        },
        more,
    )


PERIOD = {"current_period_start": START, "current_period_end": END}
_ITEM_BEFORE_BASIL = item(None, None)

SUBSCRIPTIONS = {
    "2018, with a plan": subscription(items=None, plan={"id": PRICE_ID, "amount": 1900}, **PERIOD),
    "2020-08-27": subscription(items=items(_ITEM_BEFORE_BASIL), plan={"id": PRICE_ID}, **PERIOD),
    "2022-11-15, expanded": subscription(
        items=items(_ITEM_BEFORE_BASIL), customer={"id": CUSTOMER_ID}, latest_invoice={"id": INVOICE_ID}, **PERIOD
    ),
    "2024-09-30.acacia": subscription(items=items(_ITEM_BEFORE_BASIL), pause_collection={}, **PERIOD),
    "2025-03-31.basil": subscription(),
    "2025-11-17.clover": subscription(billing_mode={"type": "flexible"}),
    "2026-09-30.endive": subscription(status_details={"paused": None}, billing_schedules=[]),
}


def line(start: int = START, end: int = END, *, proration: bool = False, **more: Any) -> Json:
    """As since 2025-03-31."""
    details = {"subscription": SUB_ID, "subscription_item": "si_1", "proration": proration}
    whole = {
        "id": "il_1",
        "object": "line_item",
        "amount": 1900,
        "currency": "usd",
        "metadata": MARKS,
        "parent": {"type": "subscription_item_details", "subscription_item_details": details},
        "period": {"start": start, "end": end},
        "pricing": {"type": "price_details", "price_details": {"price": PRICE_ID}},
    }
    return _with(whole, more)


def old_line(start: int = START, end: int = END, *, proration: bool = False, **more: Any) -> Json:
    """As before 2025-03-31."""
    kind = "invoiceitem" if proration else "subscription"
    own = {"type": kind, "proration": proration, "subscription": SUB_ID, "price": {"id": PRICE_ID}}
    return _with(line(start, end, parent=None, pricing=None), {**own, **more})


def lines(*each: Json, has_more: bool = False) -> Json:
    return {"object": "list", "data": list(each), "has_more": has_more}


def invoice(**more: Any) -> Json:
    """The first, paid; as since 2025-03-31, and as webhooks give it: its payment is not among what they tell."""
    return _with(
        {
            "id": INVOICE_ID,
            "object": "invoice",
            "amount_due": 1900,
            "amount_paid": 1900,
            "attempt_count": 1,
            "attempted": True,
            "billing_reason": "subscription_create",
            "currency": "usd",
            "customer": CUSTOMER_ID,
            "hosted_invoice_url": HOSTED,
            "lines": lines(line()),
            "metadata": {},
            "number": "A-0001",
            "parent": {
                "type": "subscription_details",
                "subscription_details": {"subscription": SUB_ID, "metadata": MARKS},
            },
            # One period back: what nobody may take for the period that is paid for.
            "period_start": START,
            "period_end": START,
            "status": "paid",
        },
        more,
    )


def old_invoice(**more: Any) -> Json:
    """As before 2025-03-31."""
    own = {
        "lines": lines(old_line()),
        "parent": None,
        "paid": True,
        "payment_intent": PAID_BY,
        "charge": CHARGED,
        "subscription": SUB_ID,
        "subscription_details": {"metadata": MARKS},
    }
    return _with(invoice(), {**own, **more})


def paying(payment_intent: object = PAID_BY, **more: Any) -> Json:
    """One payment of an invoice, since 2025-03-31."""
    whole = {
        "id": "inpay_1",
        "object": "invoice_payment",
        "amount_paid": 1900,
        "amount_requested": 1900,
        "currency": "usd",
        "invoice": INVOICE_ID,
        "is_default": True,
        "payment": {"type": "payment_intent", "payment_intent": payment_intent},
        "status": "paid",
    }
    return _with(whole, more)


def payments(*each: Json) -> Json:
    return {"object": "list", "data": list(each), "has_more": False}


#: ``invoice.paid`` of one paid invoice, in the shapes that name its payment.
PAID_INVOICES = {
    "2020-08-27, marks on the lines": old_invoice(subscription_details=None),
    "2022-11-15": old_invoice(),
    "2024-09-30.acacia, expanded": old_invoice(
        subscription={"id": SUB_ID}, payment_intent={"id": PAID_BY, "status": "succeeded"}, charge={"id": CHARGED}
    ),
    "2025-03-31.basil, payments expanded": invoice(payments=payments(paying())),
    "2025-11-17.clover, payments and intents expanded": invoice(
        payments=payments(paying({"id": PAID_BY, "status": "succeeded", "last_payment_error": None}))
    ),
    "2026-09-30.endive, a second payment that came to nothing": invoice(
        payments=payments(paying("pi_2", is_default=False, status="canceled"), paying())
    ),
}

#: The same of one that could not be paid.
OPEN = {"status": "open", "amount_paid": 0, "billing_reason": "subscription_cycle", "next_payment_attempt": END + DAY}
FAILED_INVOICES = {
    "2022-11-15": old_invoice(**OPEN, paid=False),
    "2025-03-31.basil": invoice(**OPEN),
    "2026-09-30.endive, payments expanded": invoice(**OPEN, payments=payments(paying(status="open", amount_paid=0))),
}


# --- Razorpay ---

RZP_SUB_ID, RZP_INVOICE_ID, RZP_PAYMENT_ID, RZP_PLAN_ID = "sub_A1", "inv_A1", "pay_A1", "plan_A1"


def rzp_subscription(**more: Any) -> Json:
    """Without a trial, in its first cycle."""
    return _with(
        {
            "id": RZP_SUB_ID,
            "entity": "subscription",
            "plan_id": RZP_PLAN_ID,
            "customer_id": "cust_1",
            "status": "active",
            "current_start": START,
            "current_end": END,
            "quantity": 1,
            "notes": MARKS,
            "charge_at": END,
            "start_at": START,
            "auth_attempts": 0,
            "total_count": 336,
            "paid_count": 1,
            "created_at": START - 600,
            "expire_by": START + 1200,
            "has_scheduled_changes": False,
        },
        more,
    )


def rzp_payment(**more: Any) -> Json:
    """Of an invoice; a subscription keeps its notes to itself."""
    return _with(
        {
            "id": RZP_PAYMENT_ID,
            "entity": "payment",
            "amount": 99_900,
            "currency": "INR",
            "status": "captured",
            "captured": "1",
            "order_id": "order_A1",
            "invoice_id": RZP_INVOICE_ID,
            "notes": [],
            "created_at": START - 5,
        },
        more,
    )


def rzp_invoice(**more: Any) -> Json:
    return _with(
        {
            "id": RZP_INVOICE_ID,
            "entity": "invoice",
            "subscription_id": RZP_SUB_ID,
            "order_id": "order_A1",
            "payment_id": RZP_PAYMENT_ID,
            "status": "paid",
            "amount": 99_900,
            "amount_paid": 99_900,
            "currency": "INR",
            "short_url": "https://rzp.io/i/1",
            "billing_start": START,
            "billing_end": END,
            "notes": [],
        },
        more,
    )


#: ``subscription.charged`` of one first charge, in the shapes that its fields come in.
CHARGES = {
    "captured as text": razorpay_event("subscription.charged", subscription=rzp_subscription(), payment=rzp_payment()),
    "captured as truth": razorpay_event(
        "subscription.charged", subscription=rzp_subscription(), payment=rzp_payment(captured=True)
    ),
    "refunded since": razorpay_event(
        "subscription.charged", subscription=rzp_subscription(), payment=rzp_payment(status="refunded")
    ),
    "contains something else": {
        **razorpay_event("subscription.charged", subscription=rzp_subscription(), payment=rzp_payment()),
        "contains": ["subscription"],
    },
}
