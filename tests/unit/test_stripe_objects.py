"""Stripe's objects, as its API gives them, tell what their events would have told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.client import GatewayPayment, Session, SessionState
from gateways.gateway import TranslationError, Unhandled
from gateways.stripe.objects import read_payment, read_state
from gateways.translating import Unreadable
from payments.events import (
    CheckoutEnded,
    Event,
    Observed,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.failure import Failure, FailureCode
from payments.money import Money

ORDER_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001"
TEN = Money(1000, "usd")
MARKS = {"order_id": ORDER_ID, "counterfoil": "counterfoil"}
NO_FUNDS = {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
DECLINED = PaymentFailed("pi_1", TEN, Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"))


def intent(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": status,
        "amount": 1000,
        "amount_received": 1000 if status == "succeeded" else 0,
        "currency": "usd",
        "created": 1795350000,
        "metadata": MARKS,
        "last_payment_error": None,
        **more,
    }


def session(status: str, payment_status: str = "unpaid", **more: Any) -> dict[str, Any]:
    return {
        "id": "cs_1",
        "object": "checkout.session",
        "mode": "payment",
        "status": status,
        "payment_status": payment_status,
        "payment_intent": None,
        "amount_total": 1000,
        "currency": "usd",
        "client_reference_id": ORDER_ID,
        "metadata": MARKS,
        "url": "https://checkout.stripe.com/c/pay/cs_1" if status == "open" else None,
        "expires_at": 1795350660,
        **more,
    }


def facts(state: SessionState) -> list[Event]:
    return [observed.event for observed in state.observed]


def test_an_untouched_session_is_open_and_tells_nothing() -> None:
    state = read_state(session("open"))

    expires_at = datetime(2026, 11, 22, 12, 31, tzinfo=UTC)
    assert state == SessionState(Session("cs_1", "https://checkout.stripe.com/c/pay/cs_1", expires_at), True, ())


SUCCEEDED = intent("succeeded", last_payment_error=NO_FUNDS)
TRYING_AGAIN = intent("requires_payment_method", last_payment_error=NO_FUNDS)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (session("complete", "paid", payment_intent="pi_1"), [PaymentSucceeded("pi_1", TEN)]),
        # What was declined before has been paid since, by the same intent.
        (session("complete", "paid", payment_intent=SUCCEEDED), [PaymentSucceeded("pi_1", TEN)]),
        (session("complete", "no_payment_required", amount_total=0), [PaymentSucceeded(None, Money(0, "usd"))]),
        (session("complete", payment_intent=intent("processing")), [PaymentPending("pi_1", TEN)]),
        (session("complete", payment_intent="pi_1"), [PaymentPending("pi_1", TEN)]),
        (
            session("complete", payment_intent=TRYING_AGAIN),
            [PaymentFailed("pi_1", TEN, Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"), final=True)],
        ),
        (session("open", payment_intent=TRYING_AGAIN), [DECLINED]),
        (session("open", payment_intent=intent("requires_action")), []),
        (session("expired"), [CheckoutEnded("cs_1")]),
        (
            session("expired", payment_intent=intent("canceled", last_payment_error=NO_FUNDS)),
            [DECLINED, CheckoutEnded("cs_1")],
        ),
    ],
)
def test_a_session_tells_what_its_events_told(about: dict[str, Any], told: list[Event]) -> None:
    state = read_state(about)

    assert facts(state) == told
    assert state.is_open is (about["status"] == "open")
    assert all(observed.references.order_ids == (ORDER_ID,) for observed in state.observed)
    assert all(observed.references.instance == "counterfoil" for observed in state.observed)


@pytest.mark.parametrize(
    "about",
    [
        {},
        session("complete", "unheard_of"),
        session("unheard_of"),
        session("expired", "paid"),
        session("open", id=None),
        session("open", expires_at=None),
    ],
)
def test_a_session_that_contradicts_itself_is_never_guessed_at(about: dict[str, Any]) -> None:
    with pytest.raises((Unreadable, TranslationError)):
        read_state(about)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (SUCCEEDED, PaymentSucceeded("pi_1", TEN)),
        (intent("processing"), PaymentPending("pi_1", TEN)),
        (intent("canceled"), PaymentCancelled("pi_1", TEN)),
        (TRYING_AGAIN, DECLINED),
        (intent("requires_payment_method"), None),
        (intent("requires_action"), None),
        (intent("succeeded", invoice="in_1"), Unhandled("told_by_its_invoice")),
        (intent("succeeded", currency=None), Unhandled("unreadable")),
    ],
)
def test_a_payment_tells_how_far_it_has_come(about: dict[str, Any], told: object) -> None:
    payment = read_payment(about)

    observed = payment.observed
    assert (observed.event if isinstance(observed, Observed) else observed) == told
    assert payment == GatewayPayment("pi_1", datetime(2026, 11, 22, 12, 20, tzinfo=UTC), observed)
