"""Requests for a hosted page: whole, the same every time, for exactly our price, and refused where the gateway would."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.client import Recurring, Refusal, Refused, SessionOrder
from gateways.gateway import Json
from gateways.razorpay.freezing import freeze as freeze_for_razorpay
from gateways.stripe.freezing import freeze as freeze_for_stripe
from payments.money import Money

ORDER_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001"

ORDER = SessionOrder(
    order_id=ORDER_ID,
    plan_id="lifetime",
    plan_name="Lifetime access",
    description="Everything, for good",
    expected=Money(4900, "usd"),
    success_url="https://shop.example/payment/success?order=1&token=t",
    cancel_url="https://shop.example/payment/cancel",
    expires_at=datetime(2026, 11, 22, 12, 31, tzinfo=UTC),
    instance_id="counterfoil",
    email="ada@example.com",
)
FREEZERS = (freeze_for_stripe, freeze_for_razorpay)
MARKS = {"order_id": ORDER_ID, "plan_id": "lifetime", "counterfoil": "counterfoil"}


def frozen_for_stripe(**changes: Any) -> Json:
    frozen = freeze_for_stripe(replace(ORDER, **changes))
    assert not isinstance(frozen, Refused)
    return frozen


def frozen_for_razorpay(**changes: Any) -> Json:
    frozen = freeze_for_razorpay(replace(ORDER, **changes))
    assert not isinstance(frozen, Refused)
    return frozen


def test_stripe_is_asked_for_a_page_with_our_price_and_our_marks() -> None:
    assert frozen_for_stripe() == {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": "usd",
                    "unit_amount": 4900,
                    "product_data": {"name": "Lifetime access", "description": "Everything, for good"},
                },
            }
        ],
        "client_reference_id": ORDER_ID,
        "metadata": MARKS,
        "payment_intent_data": {"metadata": MARKS},
        "adaptive_pricing": {"enabled": False},
        "allow_promotion_codes": False,
        "automatic_tax": {"enabled": False},
        "success_url": "https://shop.example/payment/success?order=1&token=t",
        "cancel_url": "https://shop.example/payment/cancel",
        "expires_at": 1795350660,
        "customer_email": "ada@example.com",
    }


def test_razorpay_is_asked_for_a_link_that_tells_nobody() -> None:
    assert frozen_for_razorpay() == {
        "amount": 4900,
        "currency": "USD",
        "accept_partial": False,
        "description": "Everything, for good",
        "reference_id": ORDER_ID,
        "expire_by": 1795350660,
        "notes": MARKS,
        "callback_url": "https://shop.example/payment/success?order=1&token=t",
        "callback_method": "get",
        "notify": {"sms": False, "email": False},
        "reminder_enable": False,
        "customer": {"email": "ada@example.com"},
    }


@pytest.mark.parametrize("freeze", FREEZERS)
def test_a_frozen_request_survives_a_json_column(freeze: Any) -> None:
    assert json.loads(json.dumps(freeze(ORDER))) == freeze(ORDER)


def test_nothing_empty_is_sent() -> None:
    assert "customer_email" not in frozen_for_stripe(email=None)
    assert "customer" not in frozen_for_razorpay(email=None)
    assert frozen_for_stripe(description="")["line_items"][0]["price_data"]["product_data"] == {
        "name": "Lifetime access"
    }
    assert frozen_for_razorpay(description="")["description"] == "Lifetime access"


def test_every_later_session_of_an_order_has_a_reference_of_its_own_at_razorpay() -> None:
    assert frozen_for_razorpay(attempt=2)["reference_id"] == f"{ORDER_ID}-2"
    assert len(frozen_for_razorpay(attempt=999)["reference_id"]) == 40
    assert freeze_for_razorpay(replace(ORDER, attempt=1000)) == Refused(
        Refusal.INVALID, "too many sessions of one order: Razorpay has no room for another reference"
    )


@pytest.mark.parametrize(
    ("freeze", "amount", "is_taken"),
    [
        (freeze_for_stripe, Money(500, "jpy"), True),
        (freeze_for_stripe, Money(5000, "kwd"), True),
        (freeze_for_stripe, Money(5001, "kwd"), False),
        (freeze_for_stripe, Money(5010, "iqd"), True),
        (freeze_for_stripe, Money(50000, "isk"), True),
        (freeze_for_stripe, Money(50001, "isk"), False),
        (freeze_for_stripe, Money(50050, "ugx"), False),
        # Nothing to pay is a page of its own at Stripe, and the smallest charge is for Stripe to judge.
        (freeze_for_stripe, Money(0, "usd"), True),
        (freeze_for_stripe, Money(1, "usd"), True),
        (freeze_for_razorpay, Money(100, "inr"), True),
        (freeze_for_razorpay, Money(99, "inr"), False),
        (freeze_for_razorpay, Money(0, "inr"), False),
        (freeze_for_razorpay, Money(295990, "kwd"), True),
        (freeze_for_razorpay, Money(295991, "kwd"), False),
        (freeze_for_razorpay, Money(5001, "iqd"), False),
        (freeze_for_razorpay, Money(501, "isk"), True),
        (freeze_for_razorpay, Money(501, "jpy"), True),
    ],
)
def test_f65_an_amount_that_the_gateway_would_refuse_is_refused_before_the_call(
    freeze: Any, amount: Money, is_taken: bool
) -> None:
    frozen = freeze(replace(ORDER, expected=amount))

    assert isinstance(frozen, Refused) is not is_taken
    assert is_taken or frozen.code is Refusal.AMOUNT


def test_a_customers_address_does_not_show_in_a_repr() -> None:
    assert "ada@example.com" not in repr(ORDER)


# --- what begins a subscription ---

SUBSCRIPTION_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0002"
MONTHLY = Recurring(SUBSCRIPTION_ID, "price_1", Money(1900, "usd"), "month", customer_id="cus_1")
TRIAL_ENDS_AT = datetime(2026, 12, 6, 12, 0, tzinfo=UTC)
TRIED = replace(MONTHLY, trial_days=14, trial_ends_at=TRIAL_ENDS_AT)
SUBSCRIPTION_MARKS = {
    "order_id": ORDER_ID,
    "subscription_id": SUBSCRIPTION_ID,
    "plan_id": "lifetime",
    "counterfoil": "counterfoil",
}


def test_stripe_is_asked_to_bill_by_its_own_price_and_to_keep_our_marks_on_the_subscription() -> None:
    frozen = frozen_for_stripe(recurring=MONTHLY)

    assert frozen["mode"] == "subscription"
    assert frozen["line_items"] == [{"quantity": 1, "price": "price_1"}]
    assert frozen["customer"] == "cus_1"
    assert frozen["payment_method_collection"] == "always"
    assert frozen["metadata"] == SUBSCRIPTION_MARKS
    assert frozen["subscription_data"] == {"metadata": SUBSCRIPTION_MARKS}
    assert not {"payment_intent_data", "customer_email"} & frozen.keys()


def test_stripe_is_told_of_a_trial_in_days() -> None:
    frozen = frozen_for_stripe(recurring=TRIED, expected=Money(0, "usd"))

    assert frozen["subscription_data"]["trial_period_days"] == 14


def test_razorpay_is_asked_for_a_subscription_with_an_end_that_nobody_lives_to_see() -> None:
    assert frozen_for_razorpay(recurring=MONTHLY) == {
        "plan_id": "price_1",
        "total_count": 336,
        "quantity": 1,
        "customer_notify": 0,
        "expire_by": int(ORDER.expires_at.timestamp()),
        "notes": SUBSCRIPTION_MARKS,
    }


def test_a_trial_at_razorpay_is_a_start_that_lies_ahead() -> None:
    frozen = frozen_for_razorpay(recurring=replace(TRIED, interval="year"), expected=Money(0, "usd"))

    assert frozen["start_at"] == int(TRIAL_ENDS_AT.timestamp())
    assert frozen["total_count"] == 28


@pytest.mark.parametrize("freeze", FREEZERS)
def test_f65_what_recurs_is_judged_by_its_price_and_not_by_what_is_due_at_once(
    freeze: Callable[[SessionOrder], Json | Refused],
) -> None:
    odd = replace(TRIED, price=Money(5001, "kwd"))

    refused = freeze(replace(ORDER, expected=Money(0, "kwd"), recurring=odd))

    assert isinstance(refused, Refused)
    assert refused.code is Refusal.AMOUNT
