"""What every recorded event means to us, written down: a change of the translation shows here as a changed line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateways.gateway import Elsewhere, Unhandled
from gateways.razorpay.subscription_objects import read_subscription
from gateways.registry import GATEWAYS
from payments.events import (
    CheckoutEnded,
    DisputeTold,
    FraudWarned,
    Observed,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    PayoutTold,
    RefundsTotalled,
    RefundTold,
    SubscriptionTold,
)
from tests.contract.recorded import FIXTURES, event_files, load, needs_fixtures

#: The fact and its figure, or why there is none. Whatever is not listed is of a type that we have no handler for.
MEANINGS = {
    "stripe": {
        "charge.dispute.closed__2020-03-02.json": "dispute over 1000 usd inquiry",  # a sample: its status contradicts
        "charge.dispute.closed__none.json": "unreadable",  # disputes had no ids of their own
        "charge.dispute.created__2020-03-02.json": "dispute over 1000 usd inquiry",
        "charge.dispute.created__2020-08-27.json": "dispute over 100 usd inquiry",
        "charge.dispute.funds_reinstated__2020-03-02.json": "dispute over 1000 usd inquiry",  # as above
        "charge.dispute.funds_withdrawn__2020-03-02.json": "dispute over 1000 usd inquiry",  # as above
        "charge.dispute.updated__2020-03-02.json": "dispute over 1000 usd inquiry",
        "charge.dispute.updated__none.json": "unreadable",  # disputes had no ids of their own
        "charge.refund.updated__2020-08-27.json": "refund of 100 usd succeeded",
        "charge.refunded__2020-03-02.json": "refunded 2500 usd in all",
        "charge.refunded__2020-08-27.json": "refunded 100 usd in all",
        "checkout.session.completed__2020-08-27.json": "succeeded 3000 usd",
        "checkout.session.completed__2022-11-15.json": "succeeded 0 usd",  # a trial begins
        "checkout.session.completed__none-2.json": "not_a_sale",  # mode setup
        "checkout.session.completed__none.json": "succeeded 25000 usd",
        "customer.subscription.created__2020-03-02.json": "active to 2021-07-08",
        "customer.subscription.created__2020-08-27.json": "active to 2022-04-26",
        "customer.subscription.created__2022-11-15.json": "trialing to 2023-04-02",
        "customer.subscription.deleted__2020-03-02.json": "cancelled to 2021-07-08",
        "customer.subscription.deleted__2020-08-27.json": "cancelled to 2022-04-26",
        "customer.subscription.trial_will_end__none.json": "trialing to 2013-11-06, trial ends",
        "customer.subscription.updated__2020-03-02.json": "active to 2021-05-21",
        "customer.subscription.updated__2020-08-27.json": "active to 2022-04-26",
        "invoice.created__2020-08-27.json": "first draft 0 of 1500 usd to 2022-04-26",
        "invoice.created__2022-11-15.json": "first paid 0 of 0 usd to 2023-04-02",
        "invoice.created__2025-11-17.clover-2.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.created__2025-11-17.clover.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.finalized__2020-03-02.json": "renewal open 0 of 0 usd to 2022-02-19",  # over 0, and not yet paid
        "invoice.finalized__2020-08-27.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.finalized__2022-11-15.json": "first paid 0 of 0 usd to 2023-04-02",
        "invoice.finalized__2025-11-17.clover.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.paid__2020-03-02.json": "renewal paid 0 of 0 usd to 2022-02-20",
        "invoice.paid__2020-08-27.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.paid__2022-11-15.json": "first paid 0 of 0 usd to 2023-04-02",
        "invoice.payment_action_required__2020-08-27.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.payment_failed__2020-08-27.json": "not_of_a_subscription",  # somebody wrote it by hand
        "invoice.upcoming__none.json": "upcoming 1000 usd at 2013-10-02",
        "invoice.voided__2020-03-02.json": "renewal void 0 of 0 usd to 2022-02-20",
        "invoice_payment.paid__2023-10-16.json": "look",
        "invoice_payment.paid__2025-11-17.clover.json": "look",
        "payment_intent.canceled__2020-03-02.json": "unreadable",  # its status says requires_payment_method
        "payment_intent.canceled__2020-08-27.json": "cancelled 2000 usd",
        "payment_intent.canceled__2025-11-17.clover.json": "told_by_its_invoice",  # an invoice's
        "payment_intent.payment_failed__2020-03-02.json": "failed 1000 usd: unknown",  # holds no error
        "payment_intent.payment_failed__2020-08-27.json": "failed 2000 usd: card_declined",
        "payment_intent.processing__2018-02-28.json": "pending 900 eur",
        "payment_intent.processing__2020-03-02.json": "unreadable",  # its status says requires_payment_method
        "payment_intent.succeeded__2020-03-02.json": "unreadable",  # its status says requires_payment_method
        "payment_intent.succeeded__2020-08-27.json": "succeeded 2000 usd",
        "payment_intent.succeeded__2025-11-17.clover.json": "told_by_its_invoice",  # an invoice's
        "payout.paid__2020-08-27.json": "payout of 1100 usd paid",
        "radar.early_fraud_warning.created__2020-03-02.json": "fraud warned of: misc",
        "refund.created__2020-03-02.json": "refund of 1000 usd succeeded",
        "refund.failed__2020-03-02.json": "refund of 1000 usd succeeded",  # a sample: its status contradicts
        "refund.updated__2020-03-02.json": "refund of 1000 usd succeeded",
    },
    "razorpay": {
        "invoice.expired__invoice-2.json": "not_of_a_subscription",  # a mandate's
        "invoice.expired__invoice-3.json": "not_of_a_subscription",  # a mandate's
        "invoice.expired__invoice.json": "not_of_a_subscription",  # a mandate's
        "invoice.paid__payment+order+invoice-2.json": "not_of_a_subscription",  # a merchant's own
        "invoice.paid__payment+order+invoice-3.json": "not_of_a_subscription",  # a merchant's own
        "invoice.paid__payment+order+invoice-4.json": "not_of_a_subscription",  # a merchant's own
        "invoice.paid__payment+order+invoice.json": "not_of_a_subscription",  # a mandate's
        "order.paid__payment+order-2.json": "told_by_its_invoice",  # a mandate's
        "order.paid__payment+order-3.json": "succeeded 70000 inr",
        "order.paid__payment+order-4.json": "succeeded 100 inr",
        "order.paid__payment+order-5.json": "succeeded 100 inr",
        "order.paid__payment+order.json": "told_by_its_invoice",  # an invoice's
        "payment.authorized__payment-2.json": "authorised 100 inr",
        "payment.authorized__payment-3.json": "authorised 100 inr",
        "payment.authorized__payment-4.json": "told_by_its_invoice",  # a mandate's
        "payment.authorized__payment-5.json": "authorised 100 inr",
        "payment.authorized__payment-6.json": "authorised 100 inr",
        "payment.authorized__payment.json": "told_by_its_invoice",  # a mandate's
        "payment.captured__payment-2.json": "succeeded 100 inr",
        "payment.captured__payment-3.json": "succeeded 100 inr",
        "payment.captured__payment-4.json": "told_by_its_invoice",  # a mandate's
        "payment.captured__payment-5.json": "succeeded 70000 inr",
        "payment.captured__payment-6.json": "succeeded 100 inr",
        "payment.captured__payment.json": "told_by_its_invoice",  # a mandate's
        "payment.failed__payment-2.json": "failed 1600 inr: card_declined",
        "payment.failed__payment-3.json": "failed 50000 inr: card_declined",
        "payment.failed__payment-4.json": "failed 100 inr: card_declined",
        "payment.failed__payment.json": "failed 100 inr: card_declined",
        "payment.dispute.action_required__payment+dispute.json": "dispute over 390000 inr needs_response",
        "payment.dispute.closed__payment+dispute.json": "dispute over 10000 inr closed",  # a bank's question
        "payment_link.cancelled__payment_link-2.json": "ended",
        "payment_link.cancelled__payment_link.json": "ended",
        "payment_link.expired__payment_link.json": "ended",
        "refund.created__refund+payment.json": "refund of 50000 inr succeeded, 190000 inr in all",
        "refund.failed__refund+payment.json": "refund of 50000 inr failed, 190000 inr in all",
        "refund.processed__refund+payment.json": "refund of 50000 inr succeeded, 190000 inr in all",
        "refund.speed_changed__refund+payment.json": "refund of 200 inr succeeded, 190000 inr in all",
        "settlement.processed__settlement.json": "payout of 1524 inr paid",
        "subscription.activated__subscription+payment.json": "active to 2019-11-04",
        "subscription.authenticated__subscription.json": "trialing",
        "subscription.completed__subscription+payment.json": "expired to 2020-10-04",
        "subscription.halted__subscription.json": "unpaid to 2019-12-04",
        "subscription.paused__subscription.json": "paused to 2020-10-17",
    },
}

#: Objects that were recorded without their events, and the type of event that would have told of each.
OBJECTS = {
    "charge.refunded__pay-rails.json": ("charge.refunded", "refunded 500 usd in all"),
    "invoice.payment_action_required__pay-rails.json": (
        "invoice.payment_action_required",
        "renewal open 0 of 9184 usd to 2025-04-20: authentication_required",
    ),
    "invoice.payment_failed__pay-rails.json": (
        "invoice.payment_failed",
        "renewal open 0 of 24900 usd to 2026-04-23: unknown",
    ),
    "invoice.upcoming__pay-rails.json": ("invoice.upcoming", "upcoming 1900 usd at 2025-04-26"),
    "invoice__pay-rails.json": ("invoice.paid", "not_of_a_subscription"),  # T-shirts
    "subscription.created__pay-rails.json": ("customer.subscription.created", "active to 2017-03-08"),
    "subscription.deleted__pay-rails.json": ("customer.subscription.deleted", "cancelled to 2017-03-08"),
    "subscription.trial_ended__pay-rails.json": ("customer.subscription.updated", "active to 2017-03-08"),
    "subscription.trial_will_end__pay-rails.json": (
        "customer.subscription.trial_will_end",
        "active to 2017-03-08, trial ends",
    ),
    "subscription.updated__pay-rails.json": ("customer.subscription.updated", "cancelled to 2017-03-08"),
}

RAZORPAY_SUBSCRIPTIONS = {
    "fake_subscription__razorpay-python.json": "active to 2017-12-02",
    "fake_subscription_cancelled__razorpay-python.json": "cancelled",
    "fake_subscription_paused__razorpay-python.json": "paused to 2022-01-29",
}

#: As above, and under which name their events bear them.
RAZORPAY_OBJECTS = {
    "dispute_accept__razorpay-python.json": (
        "payment.dispute.lost",
        "dispute",
        "dispute over 10000 inr lost, withdrawn 10000 inr",
    ),
    "fake_refund__razorpay-python.json": ("refund.processed", "refund", "refund of 300100 inr succeeded"),
    "fake_settlement__razorpay-python.json": ("settlement.processed", "settlement", "payout of 60000 inr paid"),
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
@pytest.mark.parametrize("name", OBJECTS)
def test_a_recorded_object_of_stripes_means_what_is_written_here(name: str) -> None:
    event_type, expected = OBJECTS[name]
    held = load(FIXTURES / "stripe" / "objects" / name)
    about = held if isinstance(held["object"], str) else held["object"]

    meaning = _written(GATEWAYS["stripe"].translate({"type": event_type, "data": {"object": about}}))

    assert meaning == expected


@needs_fixtures
@pytest.mark.parametrize("name", RAZORPAY_SUBSCRIPTIONS)
def test_a_recorded_subscription_of_razorpays_means_what_is_written_here(name: str) -> None:
    held = load(FIXTURES / "razorpay" / "objects" / name)

    meanings = [_written(told) for told in read_subscription(held)]

    assert meanings == [RAZORPAY_SUBSCRIPTIONS[name]]


@needs_fixtures
@pytest.mark.parametrize("name", RAZORPAY_OBJECTS)
def test_a_recorded_object_of_razorpays_means_what_is_written_here(name: str) -> None:
    event_type, entity, expected = RAZORPAY_OBJECTS[name]
    held = load(FIXTURES / "razorpay" / "objects" / name)

    meaning = _written(GATEWAYS["razorpay"].translate({"event": event_type, "payload": {entity: {"entity": held}}}))

    assert meaning == expected


@needs_fixtures
def test_f42_an_authorisation_that_was_captured_meanwhile_is_told_as_an_authorisation() -> None:
    event = load(FIXTURES / "razorpay" / "signature_vectors" / "payment.authorized__razorpay-python.json")

    meaning = _written(GATEWAYS["razorpay"].translate(event))

    assert meaning.startswith("authorised")


def _written(told: Observed | Unhandled | Elsewhere) -> str:
    assert not isinstance(told, Elsewhere), "each of these holds its object"
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
        case RefundTold(amount=amount, status=status, refunded_in_all=in_all):
            return f"refund of {amount} {status}" + (f", {in_all} in all" if in_all else "")
        case RefundsTotalled(refunded_in_all=in_all):
            return f"refunded {in_all} in all"
        case DisputeTold() as told_of:
            return f"dispute over {told_of.amount} {told_of.status}{''.join(_moved(told_of))}"
        case FraudWarned(kind=kind):
            return f"fraud warned of: {kind}"
        case PayoutTold(minor=minor, currency=currency) as told_of:
            return f"payout of {minor} {currency}{' paid' if told_of.is_paid else ''}"
        case SubscriptionTold() as told_of:
            return ", ".join(_parts(told_of)) or "look"


def _moved(told: DisputeTold) -> Iterator[str]:
    if told.withdrawn is not None:
        yield f", withdrawn {told.withdrawn}"
    if told.reinstated is not None:
        yield f", reinstated {told.reinstated}"


def _parts(told: SubscriptionTold) -> Iterator[str]:
    if (snapshot := told.snapshot) is not None:
        until = f" to {snapshot.period_end:%Y-%m-%d}" if snapshot.period_end else ""
        yield f"{snapshot.status}{until}"
    if told.trial_ends:
        yield "trial ends"
    if (invoice := told.invoice) is not None:
        until = f" to {invoice.period_end:%Y-%m-%d}" if invoice.period_end else ""
        by = f" by {invoice.payment.gateway_payment_id[:4]}" if invoice.payment else ""
        why = f": {invoice.failure.code}" if invoice.failure else ""
        yield f"{invoice.reason} {invoice.status} {invoice.paid.minor} of {invoice.due}{until}{by}{why}"
    if told.upcoming is not None:
        yield f"upcoming {told.upcoming.due} at {told.upcoming.at:%Y-%m-%d}"
