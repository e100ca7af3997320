"""Razorpay's objects, as its API gives them, tell what their events would have told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.client import GatewayPayment, Session, SessionState
from gateways.gateway import TranslationError, Unhandled
from gateways.razorpay.objects import read_payment, read_state
from gateways.translating import Unreadable
from payments.events import CheckoutEnded, Observed, OrderEvent, PaymentAuthorised, PaymentFailed, PaymentSucceeded
from payments.failure import Failure, FailureCode
from payments.money import Money

ORDER_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001"
PRICE = Money(49900, "inr")
MARKS = {"order_id": ORDER_ID, "counterfoil": "counterfoil"}


def payment(status: str, payment_id: str = "pay_1", at: int = 1795350000, **more: Any) -> dict[str, Any]:
    return {
        "id": payment_id,
        "entity": "payment",
        "amount": 49900,
        "currency": "INR",
        "status": status,
        "captured": status == "captured",
        "order_id": "order_1",
        "invoice_id": None,
        "notes": MARKS,
        "error_code": "BAD_REQUEST_ERROR" if status == "failed" else None,
        "error_reason": "insufficient_funds" if status == "failed" else None,
        "created_at": at,
        **more,
    }


def link(status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "plink_1",
        "status": status,
        "amount": 49900,
        "currency": "INR",
        "reference_id": ORDER_ID,
        "order_id": "order_1",
        "notes": MARKS,
        "short_url": "https://rzp.io/i/1",
        "expire_by": 1795350660,
        **more,
    }


def declined(payment_id: str) -> PaymentFailed:
    return PaymentFailed(payment_id, PRICE, Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds"))


def test_an_untouched_link_is_open_and_tells_nothing() -> None:
    state = read_state(link("created"), [])

    expires_at = datetime(2026, 11, 22, 12, 31, tzinfo=UTC)
    assert state == SessionState(Session("plink_1", "https://rzp.io/i/1", expires_at), True, ())


@pytest.mark.parametrize(
    ("status", "payments", "told"),
    [
        ("paid", [payment("captured")], [PaymentSucceeded("pay_1", PRICE)]),
        # As Razorpay lists them: the newest first.
        (
            "paid",
            [payment("captured", "pay_2", at=1795350200), payment("failed")],
            [declined("pay_1"), PaymentSucceeded("pay_2", PRICE)],
        ),
        # The link's status lags behind its payment's.
        ("created", [payment("captured")], [PaymentSucceeded("pay_1", PRICE)]),
        ("paid", [payment("refunded", captured=True)], [PaymentSucceeded("pay_1", PRICE)]),
        ("created", [payment("authorized")], [PaymentAuthorised("pay_1", PRICE)]),
        ("created", [payment("created")], []),
        ("created", [payment("failed")], [declined("pay_1")]),
        ("expired", [], [CheckoutEnded("plink_1")]),
        ("expired", [payment("failed")], [declined("pay_1"), CheckoutEnded("plink_1")]),
        ("cancelled", [], [CheckoutEnded("plink_1")]),
        # Razorpay authorises late, and a link that has ended stays ended.
        ("expired", [payment("captured")], [PaymentSucceeded("pay_1", PRICE), CheckoutEnded("plink_1")]),
        # Promised, never captured, and given back by itself.
        ("expired", [payment("refunded", captured=False)], [CheckoutEnded("plink_1")]),
    ],
)
def test_a_link_and_its_payments_tell_what_their_events_told(
    status: str, payments: list[dict[str, Any]], told: list[OrderEvent]
) -> None:
    state = read_state(link(status), payments)

    assert [observed.event for observed in state.observed] == told
    assert state.is_open is (status == "created")
    assert (state.session.url is None) is not state.is_open
    assert all(observed.references.order_ids == (ORDER_ID,) for observed in state.observed)
    assert all(observed.references.session_id == "plink_1" for observed in state.observed)


@pytest.mark.parametrize(
    ("about", "payments"),
    [
        ({}, []),
        (link("paid"), []),
        (link("paid"), [payment("failed")]),
        (link("created", expire_by=0), []),
        (link("created"), [payment("captured", amount="49900")]),
    ],
)
def test_a_link_that_contradicts_itself_is_never_guessed_at(
    about: dict[str, Any], payments: list[dict[str, Any]]
) -> None:
    with pytest.raises((Unreadable, TranslationError)):
        read_state(about, payments)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (payment("captured"), PaymentSucceeded("pay_1", PRICE)),
        (payment("authorized"), PaymentAuthorised("pay_1", PRICE)),
        (payment("failed"), declined("pay_1")),
        (payment("created"), None),
        (payment("refunded", captured=False), None),
        (payment("captured", invoice_id="inv_1"), Unhandled("told_by_its_invoice")),
        (payment("captured", currency=None), Unhandled("unreadable")),
    ],
)
def test_a_payment_tells_how_far_it_has_come(about: dict[str, Any], told: object) -> None:
    seen = read_payment(about)

    observed = seen.observed
    assert (observed.event if isinstance(observed, Observed) else observed) == told
    assert seen == GatewayPayment("pay_1", datetime(2026, 11, 22, 12, 20, tzinfo=UTC), observed)
