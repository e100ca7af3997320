"""Each of Stripe's event types about a one-time payment, as one line: what the object says, and what we make of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.gateway import TranslationError, Unhandled
from gateways.stripe.events import translate
from gateways.stripe.failures import read_failure
from payments.events import (
    CheckoutEnded,
    Observed,
    OrderEvent,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.failure import Failure, FailureCode
from payments.money import Money
from tests.contract.shapes import INTENT_ID, ORDER_ID, SESSION_ID, intent, session, stripe_event

OWED, NOTHING = Money(4900, "usd"), Money(0, "usd")
DECLINED = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
NO_FUNDS = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")
ASYNC_FAILURE = Failure(FailureCode.CARD_DECLINED, "async_payment_failed")

FREE = {"payment_status": "no_payment_required", "payment_intent": None}
UNPAID = {"payment_status": "unpaid"}
EXPIRED = {"payment_status": "unpaid", "status": "expired", "payment_intent": None}


@pytest.mark.parametrize(
    ("event_type", "told", "fact"),
    [
        ("checkout.session.completed", session(), PaymentSucceeded(INTENT_ID, OWED)),
        ("checkout.session.completed", session(payment_intent=intent()), PaymentSucceeded(INTENT_ID, OWED)),
        ("checkout.session.completed", session(payment_intent=None), PaymentSucceeded(None, OWED)),
        ("checkout.session.completed", session(**FREE, amount_total=0), PaymentSucceeded(None, NOTHING)),
        ("checkout.session.completed", session(**FREE, amount_total=None), PaymentSucceeded(None, NOTHING)),
        ("checkout.session.completed", session(**UNPAID), PaymentPending(INTENT_ID, OWED)),
        ("checkout.session.async_payment_succeeded", session(), PaymentSucceeded(INTENT_ID, OWED)),
        ("checkout.session.async_payment_succeeded", session(**UNPAID), PaymentPending(INTENT_ID, OWED)),
        (
            "checkout.session.async_payment_failed",
            session(**UNPAID),
            PaymentFailed(INTENT_ID, OWED, ASYNC_FAILURE, final=True),
        ),
        (
            "checkout.session.async_payment_failed",
            session(**UNPAID, amount_total=None),
            PaymentFailed(INTENT_ID, None, ASYNC_FAILURE, final=True),
        ),
        (
            "checkout.session.async_payment_failed",
            session(**UNPAID, payment_intent=intent(last_payment_error=DECLINED)),
            PaymentFailed(INTENT_ID, OWED, NO_FUNDS, final=True),
        ),
        ("checkout.session.expired", session(**EXPIRED), CheckoutEnded(SESSION_ID)),
        ("checkout.session.expired", session(**{**EXPIRED, "status": None}), CheckoutEnded(SESSION_ID)),
        ("payment_intent.succeeded", intent(), PaymentSucceeded(INTENT_ID, OWED)),
        ("payment_intent.succeeded", intent(amount_received=4000), PaymentSucceeded(INTENT_ID, Money(4000, "usd"))),
        ("payment_intent.processing", intent(status="processing"), PaymentPending(INTENT_ID, OWED)),
        ("payment_intent.canceled", intent(status="canceled"), PaymentCancelled(INTENT_ID, OWED)),
        (
            "payment_intent.payment_failed",
            intent(status="requires_payment_method", last_payment_error=DECLINED),
            PaymentFailed(INTENT_ID, OWED, NO_FUNDS),
        ),
        (
            "payment_intent.payment_failed",
            intent(status="requires_source", amount=None),
            PaymentFailed(INTENT_ID, None, Failure(FailureCode.UNKNOWN)),
        ),
    ],
)
def test_what_an_event_means(event_type: str, told: dict[str, Any], fact: OrderEvent) -> None:
    translated = translate(stripe_event(event_type, told))

    assert isinstance(translated, Observed)
    assert translated.event == fact


CONTRADICTIONS = [
    ("checkout.session.completed", session(payment_status=None), "payment_status"),
    ("checkout.session.completed", session(payment_status="half"), "payment_status"),
    ("checkout.session.completed", session(amount_total=None), "amount_total"),
    ("checkout.session.completed", session(currency=None), "amount_total"),
    ("checkout.session.completed", session(currency="dollars"), "amount_total"),
    # No payment was required now, because it is put off: nothing was taken.
    ("checkout.session.completed", session(**FREE), "amount_total"),
    ("checkout.session.async_payment_failed", session(), "payment_status"),
    ("checkout.session.expired", session(), "status"),
    ("checkout.session.expired", session(status="expired"), "payment_status"),
    ("checkout.session.expired", session(**{**EXPIRED, "status": "open"}), "status"),
    ("payment_intent.succeeded", intent(status="requires_payment_method"), "status"),
    ("payment_intent.succeeded", intent(status="processing"), "status"),
    ("payment_intent.succeeded", {**intent(), "status": None}, "status"),
    ("payment_intent.succeeded", intent(id=None), "id"),
    ("payment_intent.succeeded", intent(amount_received=49.0), "amount_received"),
    ("payment_intent.processing", intent(status="requires_payment_method"), "status"),
    ("payment_intent.processing", intent(status="processing", amount=None), "amount"),
    ("payment_intent.canceled", intent(), "status"),
    ("payment_intent.payment_failed", intent(), "status"),
]


@pytest.mark.parametrize(("event_type", "told", "field"), CONTRADICTIONS)
def test_f22_what_could_be_ours_and_lacks_a_field_or_contradicts_itself_asks_for_a_person(
    event_type: str, told: dict[str, Any], field: str
) -> None:
    with pytest.raises(TranslationError, match=f"^{event_type}: {field}"):
        translate(stripe_event(event_type, told))


@pytest.mark.parametrize(("event_type", "told", "field"), CONTRADICTIONS)
def test_the_same_of_somebody_else_is_unreadable_and_disturbs_nobody(
    event_type: str, told: dict[str, Any], field: str
) -> None:
    somebodys = {**told, "metadata": {"order_id": "1042"}, "client_reference_id": "cart-7"}

    assert translate(stripe_event(event_type, somebodys)) == Unhandled("unreadable")


@pytest.mark.parametrize(
    ("marks", "is_ours"),
    [
        ({"client_reference_id": ORDER_ID}, True),
        ({"client_reference_id": ORDER_ID.upper()}, True),
        ({"metadata": {"order_id": ORDER_ID}}, True),
        ({"metadata": {"counterfoil": "counterfoil"}}, True),
        ({"metadata": {"order_id": ORDER_ID.replace("-", "")}}, False),
        ({"metadata": {"order_id": 7}}, False),
        ({"metadata": []}, False),
        ({"metadata": None, "client_reference_id": "order-1"}, False),
        ({}, False),
    ],
)
def test_what_could_be_ours_bears_our_mark_or_the_shape_of_our_ids(marks: dict[str, Any], is_ours: bool) -> None:
    told = {**session(amount_total=None, metadata=None, client_reference_id=None), **marks}

    try:
        answer: object = translate(stripe_event("checkout.session.completed", told))
    except TranslationError as refusal:
        answer = refusal

    assert isinstance(answer, TranslationError) is is_ours


@pytest.mark.parametrize("data", [None, {}, [], {"object": None}, {"object": {}}, {"object": "cs_1"}])
def test_f22_a_known_type_without_its_object_asks_for_a_person(data: Any) -> None:
    event = {**stripe_event("checkout.session.completed", {}), "data": data}

    with pytest.raises(TranslationError, match=r"data\.object is missing"):
        translate(event)


def test_a_refusal_holds_nothing_of_the_payload() -> None:
    told = session(amount_total="4242424242424242", customer_details={"email": "zoe@example.com"})

    with pytest.raises(TranslationError) as refusal:
        translate(stripe_event("checkout.session.completed", told))

    assert str(refusal.value) == "checkout.session.completed: amount_total with currency is missing or cannot be read"


@pytest.mark.parametrize(
    "told",
    [
        session(mode="setup", setup_intent="seti_1"),
        session(mode="something new"),
        session(mode=None, setup_intent={"id": "seti_1"}),
    ],
)
@pytest.mark.parametrize("event_type", ["checkout.session.completed", "checkout.session.expired"])
def test_a_session_that_only_keeps_a_card_is_no_sale(event_type: str, told: dict[str, Any]) -> None:
    assert translate(stripe_event(event_type, told)) == Unhandled("not_a_sale")


@pytest.mark.parametrize("event_type", ["charge.succeeded", "invoice.sent", "payment_intent.created", "", "no such"])
def test_f15_types_that_we_do_not_handle_are_said_to_be_so(event_type: str) -> None:
    assert translate(stripe_event(event_type, intent())) == Unhandled("unhandled_type")


@pytest.mark.parametrize("event_type", [None, 7, [], {}, "x" * 300])
def test_a_type_that_is_none_is_an_unhandled_one(event_type: Any) -> None:
    assert translate({**stripe_event("", intent()), "type": event_type}) == Unhandled("unhandled_type")


def test_with_the_old_adaptive_pricing_what_the_customer_paid_is_told_and_not_what_we_asked() -> None:
    told = session(
        amount_total=4510,
        currency="eur",
        currency_conversion={"amount_total": 4900, "source_currency": "usd", "fx_rate": "1.0865"},
    )

    translated = translate(stripe_event("checkout.session.completed", told))

    assert isinstance(translated, Observed)
    assert translated.event == PaymentSucceeded(INTENT_ID, Money(4510, "eur"))


def test_both_places_of_our_order_id_are_told_and_the_same_one_once() -> None:
    told = session(client_reference_id="cart-7")

    translated = translate(stripe_event("checkout.session.completed", told))

    assert isinstance(translated, Observed)
    assert translated.references.order_ids == ("cart-7", ORDER_ID)


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (DECLINED, FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
        ({"code": "expired_card", "type": "card_error"}, FailureCode.EXPIRED_CARD, "expired_card"),
        (
            {"code": "card_declined", "decline_code": "generic_decline", "advice_code": "try_again_later"},
            FailureCode.CARD_DECLINED,
            "generic_decline",
        ),
        ({"code": "card_declined", "decline_code": "do_not_honor"}, FailureCode.CARD_DECLINED, "do_not_honor"),
        ({"code": "card_declined", "decline_code": "lost_card"}, FailureCode.CARD_DECLINED, "lost_card"),
        ({"code": "card_declined", "decline_code": "of next year"}, FailureCode.CARD_DECLINED, "of next year"),
        (
            {"code": "authentication_required", "decline_code": "authentication_required"},
            FailureCode.AUTHENTICATION_REQUIRED,
            "authentication_required",
        ),
        (
            {"code": "payment_intent_authentication_failure", "type": "invalid_request_error"},
            FailureCode.AUTHENTICATION_REQUIRED,
            "payment_intent_authentication_failure",
        ),
        (
            {"code": "payment_method_provider_decline", "type": "invalid_request_error"},
            FailureCode.CARD_DECLINED,
            "payment_method_provider_decline",
        ),
        ({"code": "processing_error", "type": "card_error"}, FailureCode.GATEWAY_ERROR, "processing_error"),
        (
            {"code": "card_declined", "decline_code": "issuer_not_available"},
            FailureCode.GATEWAY_ERROR,
            "issuer_not_available",
        ),
        (
            {"code": "processing_error", "decline_code": "insufficient_funds"},
            FailureCode.INSUFFICIENT_FUNDS,
            "insufficient_funds",
        ),
        ({"type": "api_error"}, FailureCode.GATEWAY_ERROR, "api_error"),
        ({"type": "card_error"}, FailureCode.CARD_DECLINED, "card_error"),
        ({}, FailureCode.UNKNOWN, ""),
        (None, FailureCode.UNKNOWN, ""),
        ({"code": 7, "decline_code": [], "type": None}, FailureCode.UNKNOWN, ""),
    ],
)
def test_why_a_payment_failed(error: object, code: FailureCode, reason: str) -> None:
    assert read_failure(error) == Failure(code, reason)
