"""Stripe's refunds, and what a charge says of all of them: each event's meaning as one line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateways.client import PayoutPart, RefundRequest
from gateways.gateway import TranslationError, Unhandled
from gateways.stripe.events import translate
from gateways.stripe.money_objects import is_payout_itself, read_part, was_made_by, write_refund
from gateways.stripe.refunds import REASONS, WORDS
from gateways.translating import Unreadable
from payments.events import Observed, PaymentNamed, PayoutTold, RefundsTotalled, RefundTold
from payments.money import Money
from payments.refund import RefundReason, RefundStatus
from tests.contract.money_shapes import (
    OUR_REFUND,
    PAYOUT_ID,
    REFUND_ID,
    REFUNDED_CHARGES,
    REFUNDS,
    charge,
    payout,
    refund,
)
from tests.contract.shapes import CHARGE_ID, INTENT_ID, ORDER_ID, stripe_event

PAYMENT = PaymentNamed(INTENT_ID, CHARGE_ID)
TOLD = RefundTold(
    gateway_refund_id=REFUND_ID,
    payment=PAYMENT,
    amount=Money(2000, "usd"),
    status=RefundStatus.SUCCEEDED,
    reason=RefundReason.REQUESTED_BY_CUSTOMER,
    refund_id=OUR_REFUND,
)
EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
REQUEST = RefundRequest(
    refund_id=OUR_REFUND,
    order_id=ORDER_ID,
    gateway_payment_id=INTENT_ID,
    amount=Money(2000, "usd"),
    reason=RefundReason.DUPLICATE,
    instance_id="counterfoil",
)


def fact(event_type: str, told: dict[str, Any]) -> object:
    observed = translate(stripe_event(event_type, told))
    assert isinstance(observed, Observed), observed
    return observed.event


@pytest.mark.parametrize("version", REFUNDS)
def test_f22_a_refund_is_the_same_fact_in_every_shape(version: str) -> None:
    told = translate(stripe_event("refund.updated", REFUNDS[version], version))

    assert isinstance(told, Observed)
    assert told.event == TOLD
    assert told.references.order_ids == (ORDER_ID,)
    assert told.references.objects == (INTENT_ID, CHARGE_ID)
    assert told.references.instance == "counterfoil"


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize(("word", "status"), WORDS.items())
def test_a_refund_has_come_as_far_as_it_says_whatever_the_event_is_called(
    event_type: str, word: str, status: RefundStatus
) -> None:
    assert fact(event_type, refund(status=word)) == replace(TOLD, status=status)


def test_f94_why_a_refund_failed_is_the_gateways_own_word() -> None:
    told = fact("refund.failed", refund(status="failed", failure_reason="lost_or_stolen_card"))

    assert told == replace(TOLD, status=RefundStatus.FAILED, failure="lost_or_stolen_card")


def test_f95_a_refund_made_in_the_dashboard_claims_to_be_none_of_ours() -> None:
    told = translate(stripe_event("refund.created", refund(metadata={}, reason=None)))

    assert isinstance(told, Observed)
    assert told.event == replace(TOLD, refund_id=None, reason=RefundReason.OTHER)
    assert told.references.objects == (INTENT_ID, CHARGE_ID)


def test_an_old_refund_names_only_its_charge() -> None:
    told = translate(stripe_event("charge.refund.updated", refund(payment_intent=None)))

    assert isinstance(told, Observed)
    assert told.event == replace(TOLD, payment=PaymentNamed(None, CHARGE_ID))
    assert told.references.objects == (CHARGE_ID,)


def test_f72_what_was_never_captured_was_never_refunded_either() -> None:
    lapsed = refund(reason="expired_uncaptured_charge")
    uncaptured = charge(captured=False, amount_captured=0, amount_refunded=4900)

    assert translate(stripe_event("refund.created", lapsed)) == Unhandled("never_captured")
    assert translate(stripe_event("charge.refunded", uncaptured)) == Unhandled("never_captured")


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"amount": None},
        {"amount": -1},
        {"currency": None},
        {"status": None},
        {"status": "of_tomorrow"},
        {"charge": None, "payment_intent": None},
    ],
    ids=str,
)
def test_f22_a_refund_that_lacks_what_it_means_is_a_persons_if_it_could_be_ours(broken: dict[str, Any]) -> None:
    with pytest.raises(TranslationError):
        translate(stripe_event("refund.created", refund(**broken)))

    assert translate(stripe_event("refund.created", refund(**{**broken, "metadata": {}}))) == Unhandled("unreadable")


# --- charge.refunded ---


@pytest.mark.parametrize("version", REFUNDED_CHARGES)
def test_f22_the_sum_of_a_charges_refunds_is_the_same_fact_in_every_shape(version: str) -> None:
    told = translate(stripe_event("charge.refunded", REFUNDED_CHARGES[version], version))

    assert isinstance(told, Observed)
    assert told.event == RefundsTotalled(PAYMENT, Money(2000, "usd"))
    assert told.references.order_ids == (ORDER_ID,)
    assert told.references.objects == (INTENT_ID, CHARGE_ID)


def test_what_a_partial_capture_left_over_was_never_taken_and_so_not_given_back() -> None:
    left_over = charge(amount=4900, amount_captured=3000, amount_refunded=2900)

    assert fact("charge.refunded", left_over) == RefundsTotalled(PAYMENT, Money(1000, "usd"))


def test_a_charge_that_does_not_say_how_much_went_back_is_a_persons() -> None:
    with pytest.raises(TranslationError, match="amount_refunded"):
        translate(stripe_event("charge.refunded", charge(amount_refunded=None)))


# --- what we ask for ---


def test_a_refund_is_asked_for_with_our_names_and_stripes_word_for_why() -> None:
    assert write_refund(REQUEST) == {
        "payment_intent": INTENT_ID,
        "amount": 2000,
        "reason": "duplicate",
        "metadata": {"refund_id": OUR_REFUND, "order_id": ORDER_ID, "counterfoil": "counterfoil"},
    }


@pytest.mark.parametrize("reason", RefundReason)
def test_every_reason_is_asked_for_in_a_word_that_stripe_knows_or_not_at_all(reason: RefundReason) -> None:
    written = write_refund(replace(REQUEST, reason=reason))

    assert written.get("reason") == REASONS.get(reason)
    assert set(REASONS.values()) == {"duplicate", "fraudulent", "requested_by_customer"}


def test_a_renewals_refund_names_no_order_and_an_old_payment_its_charge() -> None:
    written = write_refund(replace(REQUEST, order_id=None, gateway_payment_id=CHARGE_ID))

    assert written["charge"] == CHARGE_ID
    assert "payment_intent" not in written
    assert written["metadata"] == {"refund_id": OUR_REFUND, "counterfoil": "counterfoil"}


def test_a_refund_is_found_again_by_our_id_and_our_mark_together() -> None:
    assert was_made_by(REQUEST, refund())
    assert not was_made_by(REQUEST, refund(metadata={}))
    assert not was_made_by(replace(REQUEST, refund_id="another"), refund())
    assert not was_made_by(replace(REQUEST, instance_id="another"), refund())


# --- payouts ---


@pytest.mark.parametrize(
    ("status", "is_paid", "has_failed"),
    [("paid", True, False), ("in_transit", False, False), ("failed", False, True), ("canceled", False, True)],
)
@pytest.mark.parametrize("event_type", ["payout.paid", "payout.failed"])
def test_a_payout_is_what_it_says_whatever_the_event_is_called(
    event_type: str, status: str, is_paid: bool, has_failed: bool
) -> None:
    told = fact(event_type, payout(status=status, amount=-125_000))

    assert isinstance(told, PayoutTold)
    assert (told.gateway_payout_id, told.minor, told.currency) == (PAYOUT_ID, -125_000, "usd")
    assert (told.is_paid, told.has_failed) == (is_paid, has_failed)
    assert told.arrives_at is not None


def test_a_payout_is_nobodys_order_whatever_is_written_on_it() -> None:
    told = translate(stripe_event("payout.paid", payout(metadata={"order_id": ORDER_ID, "counterfoil": "another"})))

    assert isinstance(told, Observed)
    assert (told.references.order_ids, told.references.objects, told.references.instance) == ((), (), None)


CHARGE_LINE = {
    "id": "txn_1",
    "amount": 4900,
    "currency": "usd",
    "fee": 172,
    "reporting_category": "charge",
    "source": charge(),
    "type": "charge",
}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, PayoutPart("txn_1", "charge", (INTENT_ID, CHARGE_ID), 4900, 172, "usd")),
        ({"source": CHARGE_ID}, PayoutPart("txn_1", "charge", (CHARGE_ID,), 4900, 172, "usd")),
        (
            {"amount": -2000, "fee": 0, "reporting_category": "refund", "source": refund()},
            PayoutPart("txn_1", "refund", (REFUND_ID,), -2000, 0, "usd"),
        ),
        (
            {"amount": 0, "fee": -30, "reporting_category": None, "type": "stripe_fee", "source": None},
            PayoutPart("txn_1", "stripe_fee", (), 0, -30, "usd"),
        ),
    ],
    ids=["a charge", "not expanded", "a refund", "a fee"],
)
def test_a_line_of_a_payout_names_what_moved_and_nothing_else(changes: dict[str, Any], part: PayoutPart) -> None:
    assert read_part({**CHARGE_LINE, **changes}) == part


def test_the_payouts_own_line_is_no_part_of_it() -> None:
    assert is_payout_itself({**CHARGE_LINE, "source": payout()}, PAYOUT_ID)
    assert not is_payout_itself(CHARGE_LINE, PAYOUT_ID)


@pytest.mark.parametrize("field", ["id", "amount", "fee", "currency"])
def test_a_line_that_lacks_its_figures_is_not_read(field: str) -> None:
    with pytest.raises(Unreadable):
        read_part({**CHARGE_LINE, field: None})
