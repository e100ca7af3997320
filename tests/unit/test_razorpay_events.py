"""Each of Razorpay's event types about a one-time payment, as one line: what the entities say, and what we make of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.gateway import TranslationError, Unhandled
from gateways.razorpay.events import translate
from payments.events import (
    CheckoutEnded,
    Observed,
    OrderEvent,
    PaymentAuthorised,
    PaymentFailed,
    PaymentSucceeded,
    References,
)
from payments.failure import Failure, FailureCode
from payments.money import Money
from tests.contract.billing_shapes import SUBSCRIPTION_ID
from tests.contract.shapes import (
    GATEWAY_ORDER_ID,
    LINK_ID,
    ORDER_ID,
    PAYMENT_ID,
    gateway_order,
    payment,
    payment_link,
    razorpay_event,
)

OWED = Money(490_000, "inr")
FAILED = {"status": "failed", "captured": False}
AUTHORISED = {"status": "authorized", "captured": False}


@pytest.mark.parametrize(
    ("event_type", "entities", "fact"),
    [
        ("payment.captured", {"payment": payment()}, PaymentSucceeded(PAYMENT_ID, OWED)),
        ("payment.captured", {"payment": payment(captured="1")}, PaymentSucceeded(PAYMENT_ID, OWED)),
        ("payment.captured", {"payment": payment(notes=[])}, PaymentSucceeded(PAYMENT_ID, OWED)),
        (
            "payment.captured",
            {"payment": payment(currency="KWD", amount=295_990)},
            PaymentSucceeded(PAYMENT_ID, Money(295_990, "kwd")),
        ),
        ("payment.authorized", {"payment": payment(**AUTHORISED)}, PaymentAuthorised(PAYMENT_ID, OWED)),
        ("payment.authorized", {"payment": payment()}, PaymentAuthorised(PAYMENT_ID, OWED)),
        (
            "payment.failed",
            {"payment": payment(**FAILED, error_reason="card_expired")},
            PaymentFailed(PAYMENT_ID, OWED, Failure(FailureCode.EXPIRED_CARD, "card_expired")),
        ),
        (
            "payment.failed",
            {"payment": payment(**FAILED, amount=None)},
            PaymentFailed(PAYMENT_ID, None, Failure(FailureCode.UNKNOWN)),
        ),
        # The payment's own figure, whatever the order asked for: a difference is for the rules to see.
        (
            "order.paid",
            {"order": gateway_order(), "payment": payment(amount=480_000)},
            PaymentSucceeded(PAYMENT_ID, Money(480_000, "inr")),
        ),
        (
            "payment_link.paid",
            {"payment_link": payment_link(), "payment": payment()},
            PaymentSucceeded(PAYMENT_ID, OWED),
        ),
        (
            "payment_link.paid",
            {"payment_link": payment_link(), "payment": payment(invoice_id="inv_1")},
            PaymentSucceeded(PAYMENT_ID, OWED),
        ),
        ("payment_link.expired", {"payment_link": payment_link(status="expired")}, CheckoutEnded(LINK_ID)),
        ("payment_link.cancelled", {"payment_link": payment_link(status="cancelled")}, CheckoutEnded(LINK_ID)),
        (
            "payment_link.cancelled",
            {"payment_link": payment_link(status="cancelled", notes=None)},
            CheckoutEnded(LINK_ID),
        ),
    ],
)
def test_what_an_event_means(event_type: str, entities: dict[str, Any], fact: OrderEvent) -> None:
    translated = translate(razorpay_event(event_type, **entities))

    assert isinstance(translated, Observed)
    assert translated.event == fact


NOT_SAID = {"payment": {"id": PAYMENT_ID, "amount": 490_000, "currency": "INR", "notes": {"order_id": ORDER_ID}}}

CONTRADICTIONS = [
    ("payment.captured", {"payment": payment(**AUTHORISED)}, "status"),
    ("payment.captured", {"payment": payment(status="failed")}, "status"),
    ("payment.captured", {"payment": payment(status=None)}, "status"),
    ("payment.captured", {"payment": payment(captured=False)}, "captured"),
    ("payment.captured", {"payment": payment(captured="0")}, "captured"),
    ("payment.captured", {"payment": payment(captured=None)}, "captured"),
    ("payment.captured", NOT_SAID, "payment.status"),
    ("payment.captured", {"payment": payment(id=None)}, "payment.id"),
    ("payment.captured", {"payment": payment(amount="490000")}, "payment.amount"),
    ("payment.captured", {"payment": payment(currency=None)}, "payment.amount"),
    ("payment.authorized", {"payment": payment(**FAILED)}, "status"),
    ("payment.failed", {"payment": payment()}, "status"),
    ("payment.failed", {"payment": payment(**AUTHORISED)}, "status"),
    ("order.paid", {"order": gateway_order(status="attempted"), "payment": payment()}, "status"),
    ("order.paid", {"order": gateway_order()}, "payment.status"),
    ("payment_link.paid", {"payment_link": payment_link(status="partially_paid"), "payment": payment()}, "status"),
    ("payment_link.paid", {"payment_link": payment_link()}, "payment.status"),
    ("payment_link.expired", {"payment_link": payment_link()}, "status"),
    ("payment_link.expired", {"payment_link": payment_link(status="expired", id="")}, "payment_link.id"),
]


@pytest.mark.parametrize(("event_type", "entities", "field"), CONTRADICTIONS)
def test_f22_what_could_be_ours_and_lacks_a_field_or_contradicts_itself_asks_for_a_person(
    event_type: str, entities: dict[str, Any], field: str
) -> None:
    with pytest.raises(TranslationError, match=f"^{event_type}: {field}"):
        translate(razorpay_event(event_type, **entities))


@pytest.mark.parametrize(("event_type", "entities", "field"), CONTRADICTIONS)
def test_the_same_of_somebody_else_is_unreadable_and_disturbs_nobody(
    event_type: str, entities: dict[str, Any], field: str
) -> None:
    somebodys = {
        name: {**entity, "notes": {"order_id": "1042"}, "receipt": "rcpt 1", "reference_id": "UPItest3"}
        for name, entity in entities.items()
    }

    assert translate(razorpay_event(event_type, **somebodys)) == Unhandled("unreadable")


@pytest.mark.parametrize("payload", [None, [], {}, {"payment": {}}, {"payment": {"entity": []}}, {"refund": {"a": 1}}])
def test_f22_a_known_type_without_its_entities_asks_for_a_person(payload: Any) -> None:
    event = {**razorpay_event("payment.captured"), "payload": payload}

    with pytest.raises(TranslationError, match="payload holds no"):
        translate(event)


@pytest.mark.parametrize("event_type", ["payment.captured", "payment.authorized", "order.paid"])
@pytest.mark.parametrize(
    "of_something_else",
    [
        payment(invoice_id="inv_1"),
        # What proves a card before a trial: it is given back, is nobody's sale, and must never be captured as one.
        payment(amount=500, notes={"order_id": ORDER_ID, "subscription_id": SUBSCRIPTION_ID}),
    ],
)
def test_a_payment_of_an_invoice_or_a_mandate_is_no_sale_even_if_its_notes_name_our_order(
    event_type: str, of_something_else: dict[str, Any]
) -> None:
    assert translate(razorpay_event(event_type, payment=of_something_else)) == Unhandled("told_by_its_invoice")


@pytest.mark.parametrize("event_type", ["payment.pending", "invoice.partially_paid", "refund.arn_updated", "", "x"])
def test_f15_types_that_we_do_not_handle_are_said_to_be_so(event_type: str) -> None:
    assert translate(razorpay_event(event_type, payment=payment())) == Unhandled("unhandled_type")


def test_a_paid_link_gives_every_name_of_the_sale_the_link_first() -> None:
    event = razorpay_event("payment_link.paid", payment_link=payment_link(), order=gateway_order(), payment=payment())

    translated = translate(event)

    assert isinstance(translated, Observed)
    assert translated.references == References(
        order_ids=(ORDER_ID,),
        objects=(LINK_ID, GATEWAY_ORDER_ID, PAYMENT_ID),
        instance="counterfoil",
        session_id=LINK_ID,
    )


def test_a_link_alone_names_the_gateway_order_that_it_made() -> None:
    translated = translate(razorpay_event("payment_link.expired", payment_link=payment_link(status="expired")))

    assert isinstance(translated, Observed)
    assert translated.references.objects == (LINK_ID, GATEWAY_ORDER_ID)


def test_a_payment_alone_is_matched_by_its_notes_and_its_gateway_order() -> None:
    translated = translate(razorpay_event("payment.captured", payment=payment()))

    assert isinstance(translated, Observed)
    assert translated.references == References(
        order_ids=(ORDER_ID,), objects=(GATEWAY_ORDER_ID, PAYMENT_ID), instance="counterfoil"
    )


def test_an_orders_receipt_is_a_name_of_our_order() -> None:
    order = gateway_order(receipt=ORDER_ID, notes=[])

    translated = translate(razorpay_event("order.paid", order=order, payment=payment(notes=[])))

    assert isinstance(translated, Observed)
    assert translated.references.order_ids == (ORDER_ID,)


@pytest.mark.parametrize(
    ("errors", "code", "reason"),
    [
        ({"reason": "insufficient_funds"}, FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"),
        ({"reason": "card_expired"}, FailureCode.EXPIRED_CARD, "card_expired"),
        ({"reason": "authentication_failed"}, FailureCode.AUTHENTICATION_REQUIRED, "authentication_failed"),
        ({"reason": "payment_cancelled"}, FailureCode.AUTHENTICATION_REQUIRED, "payment_cancelled"),
        ({"reason": "payment_timed_out"}, FailureCode.AUTHENTICATION_REQUIRED, "payment_timed_out"),
        ({"reason": "gateway_technical_error"}, FailureCode.GATEWAY_ERROR, "gateway_technical_error"),
        (
            {"reason": "payment_failed", "code": "BAD_REQUEST_ERROR", "source": "issuer"},
            FailureCode.CARD_DECLINED,
            "payment_failed",
        ),
        ({"reason": "card_declined", "code": "BAD_REQUEST_ERROR"}, FailureCode.CARD_DECLINED, "card_declined"),
        ({"reason": "of next year", "code": "GATEWAY_ERROR"}, FailureCode.GATEWAY_ERROR, "of next year"),
        ({"reason": "invalid_amount", "source": "business"}, FailureCode.GATEWAY_ERROR, "invalid_amount"),
        ({"code": "BAD_REQUEST_ERROR"}, FailureCode.CARD_DECLINED, "BAD_REQUEST_ERROR"),
        ({"code": "SERVER_ERROR"}, FailureCode.GATEWAY_ERROR, "SERVER_ERROR"),
        ({"code": "", "reason": None}, FailureCode.UNKNOWN, ""),
        ({"code": {}, "reason": [], "source": 7}, FailureCode.UNKNOWN, ""),
    ],
)
def test_why_a_payment_failed(errors: dict[str, Any], code: FailureCode, reason: str) -> None:
    told = payment(**FAILED, **{f"error_{name}": value for name, value in errors.items()})

    translated = translate(razorpay_event("payment.failed", payment=told))

    assert isinstance(translated, Observed)
    assert translated.event == PaymentFailed(PAYMENT_ID, OWED, Failure(code, reason))
