"""What every recorded event means to us, written down: a change of the translation shows here as a changed line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateways.gateway import Unhandled
from gateways.registry import GATEWAYS
from payments.events import (
    CheckoutEnded,
    Observed,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from tests.contract.recorded import FIXTURES, event_files, load, needs_fixtures

#: The fact and its figure, or why there is none. Whatever is not listed is of a type that we have no handler for.
MEANINGS = {
    "stripe": {
        "checkout.session.completed__2020-08-27.json": "succeeded 3000 usd",
        "checkout.session.completed__2022-11-15.json": "not_a_one_time_payment",  # mode subscription
        "checkout.session.completed__none-2.json": "not_a_one_time_payment",  # mode setup
        "checkout.session.completed__none.json": "succeeded 25000 usd",
        "payment_intent.canceled__2020-03-02.json": "unreadable",  # its status says requires_payment_method
        "payment_intent.canceled__2020-08-27.json": "cancelled 2000 usd",
        "payment_intent.canceled__2025-11-17.clover.json": "not_a_one_time_payment",  # an invoice's
        "payment_intent.payment_failed__2020-03-02.json": "failed 1000 usd: unknown",  # holds no error
        "payment_intent.payment_failed__2020-08-27.json": "failed 2000 usd: card_declined",
        "payment_intent.processing__2018-02-28.json": "pending 900 eur",
        "payment_intent.processing__2020-03-02.json": "unreadable",  # its status says requires_payment_method
        "payment_intent.succeeded__2020-03-02.json": "unreadable",  # its status says requires_payment_method
        "payment_intent.succeeded__2020-08-27.json": "succeeded 2000 usd",
        "payment_intent.succeeded__2025-11-17.clover.json": "not_a_one_time_payment",  # an invoice's
    },
    "razorpay": {
        "order.paid__payment+order-2.json": "not_a_one_time_payment",  # a mandate's
        "order.paid__payment+order-3.json": "succeeded 70000 inr",
        "order.paid__payment+order-4.json": "succeeded 100 inr",
        "order.paid__payment+order-5.json": "succeeded 100 inr",
        "order.paid__payment+order.json": "not_a_one_time_payment",  # an invoice's
        "payment.authorized__payment-2.json": "authorised 100 inr",
        "payment.authorized__payment-3.json": "authorised 100 inr",
        "payment.authorized__payment-4.json": "not_a_one_time_payment",  # a mandate's
        "payment.authorized__payment-5.json": "authorised 100 inr",
        "payment.authorized__payment-6.json": "authorised 100 inr",
        "payment.authorized__payment.json": "not_a_one_time_payment",  # a mandate's
        "payment.captured__payment-2.json": "succeeded 100 inr",
        "payment.captured__payment-3.json": "succeeded 100 inr",
        "payment.captured__payment-4.json": "not_a_one_time_payment",  # a mandate's
        "payment.captured__payment-5.json": "succeeded 70000 inr",
        "payment.captured__payment-6.json": "succeeded 100 inr",
        "payment.captured__payment.json": "not_a_one_time_payment",  # a mandate's
        "payment.failed__payment-2.json": "failed 1600 inr: card_declined",
        "payment.failed__payment-3.json": "failed 50000 inr: card_declined",
        "payment.failed__payment-4.json": "failed 100 inr: card_declined",
        "payment.failed__payment.json": "failed 100 inr: card_declined",
        "payment_link.cancelled__payment_link-2.json": "ended",
        "payment_link.cancelled__payment_link.json": "ended",
        "payment_link.expired__payment_link.json": "ended",
    },
}

RECORDED = [(name, path) for name in GATEWAYS for path in event_files(name)]


@needs_fixtures
@pytest.mark.parametrize(("name", "path"), RECORDED, ids=[path.name for _, path in RECORDED])
def test_a_recorded_event_means_what_is_written_here(name: str, path: Path) -> None:
    event = load(path)

    meaning = _written(GATEWAYS[name].translate(event))

    assert meaning == MEANINGS[name].get(path.name, "unhandled_type")


@needs_fixtures
@pytest.mark.parametrize("name", MEANINGS)
def test_every_line_above_is_a_recorded_event(name: str) -> None:
    assert MEANINGS[name].keys() <= {path.name for path in event_files(name)}


@needs_fixtures
def test_f42_an_authorisation_that_was_captured_meanwhile_is_told_as_an_authorisation() -> None:
    event = load(FIXTURES / "razorpay" / "signature_vectors" / "payment.authorized__razorpay-python.json")

    meaning = _written(GATEWAYS["razorpay"].translate(event))

    assert meaning.startswith("authorised")


def _written(told: Observed | Unhandled) -> str:
    if isinstance(told, Unhandled):
        return told.reason
    match told.event:
        case PaymentSucceeded(paid=paid):
            return f"succeeded {paid}"
        case PaymentPending(amount=amount):
            return f"pending {amount}"
        case PaymentAuthorised(amount=amount):
            return f"authorised {amount}"
        case PaymentFailed(amount=failed, failure=failure):
            return f"failed {failed}: {failure.code}"
        case PaymentCancelled(amount=amount):
            return f"cancelled {amount}"
        case CheckoutEnded():
            return "ended"
