"""Stripe's disputes and early fraud warnings: each stage and what its money did, as one line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.gateway import TranslationError, Unhandled
from gateways.registry import GATEWAYS
from gateways.stripe.disputes import read_status
from gateways.stripe.events import translate
from payments.dispute import DisputeStatus
from payments.events import DisputeTold, FraudWarned, Observed, PaymentNamed
from payments.money import Money
from tests.contract.money_shapes import DISPUTE_ID, DUE_BY, GIVEN_BACK, TAKEN, dispute, moved, warning
from tests.contract.shapes import CHARGE_ID, INTENT_ID, MARKS, stripe_event

ALL, NOTHING, FEE = Money(4900, "usd"), Money(0, "usd"), Money(1500, "usd")
CREATED, UPDATED, CLOSED = (f"charge.dispute.{what}" for what in ("created", "updated", "closed"))
WITHDRAWN, REINSTATED = (f"charge.dispute.funds_{what}" for what in ("withdrawn", "reinstated"))
EVENTS = (CREATED, UPDATED, WITHDRAWN, REINSTATED, CLOSED)


def fact(event_type: str, told: dict[str, Any]) -> DisputeTold:
    observed = translate(stripe_event(event_type, told))
    assert isinstance(observed, Observed), observed
    assert isinstance(observed.event, DisputeTold)
    return observed.event


def test_a_dispute_tells_all_that_a_person_needs_to_answer_it() -> None:
    told = translate(stripe_event(CREATED, dispute(TAKEN)))

    assert isinstance(told, Observed)
    assert told.references.objects == (INTENT_ID, CHARGE_ID)
    assert told.event == DisputeTold(
        gateway_dispute_id=DISPUTE_ID,
        payment=PaymentNamed(INTENT_ID, CHARGE_ID),
        amount=ALL,
        status=DisputeStatus.NEEDS_RESPONSE,
        gateway_status="needs_response",
        told_at=datetime.fromtimestamp(1_760_000_000, UTC),
        reason="fraudulent",
        evidence_due_at=datetime.fromtimestamp(DUE_BY, UTC),
        withdrawn=ALL,
        reinstated=NOTHING,
        fee=FEE,
    )


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("needs_response", DisputeStatus.NEEDS_RESPONSE),
        ("under_review", DisputeStatus.UNDER_REVIEW),
        ("won", DisputeStatus.WON),
        ("lost", DisputeStatus.LOST),
        ("prevented", DisputeStatus.CLOSED),
        ("charge_refunded", DisputeStatus.CLOSED),
        ("warning_needs_response", DisputeStatus.INQUIRY),
        ("warning_under_review", DisputeStatus.INQUIRY),
        ("warning_closed", DisputeStatus.CLOSED),
        ("appeal_needs_response", DisputeStatus.NEEDS_RESPONSE),
        ("appeal_under_review", DisputeStatus.UNDER_REVIEW),
        ("appeal_won", DisputeStatus.WON),
        ("warning_of_tomorrow", DisputeStatus.INQUIRY),
        ("arbitration_needs_response", DisputeStatus.NEEDS_RESPONSE),
        ("of_tomorrow", DisputeStatus.UNDER_REVIEW),
    ],
)
def test_f103_every_word_is_a_stage_and_is_shown_as_it_is(word: str, status: DisputeStatus) -> None:
    assert read_status(word) is status
    told = fact(UPDATED, dispute(status=word))
    assert (told.status, told.gateway_status) == (status, word)


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize(
    ("transactions", "withdrawn", "reinstated"),
    [
        ((TAKEN,), ALL, NOTHING),
        ((TAKEN, GIVEN_BACK), ALL, ALL),
        ((TAKEN, moved(1900)), ALL, Money(1900, "usd")),
        ((TAKEN, GIVEN_BACK, TAKEN), Money(9800, "usd"), ALL),
    ],
    ids=["withdrawn", "reinstated", "reinstated partly", "withdrawn again by an appeal"],
)
def test_f102_what_the_money_did_its_transactions_say_whatever_the_event_is_called(
    event_type: str, transactions: tuple[dict[str, Any], ...], withdrawn: Money, reinstated: Money
) -> None:
    told = fact(event_type, dispute(*transactions))

    assert (told.withdrawn, told.reinstated) == (withdrawn, reinstated)


@pytest.mark.parametrize(
    ("transactions", "withdrawn", "reinstated"),
    [
        ((moved(-4512, currency="eur", fee=1500),), ALL, NOTHING),
        ((moved(-4512, currency="eur", fee=1500), moved(4488, currency="eur")), ALL, ALL),
    ],
)
def test_what_moved_in_the_currency_of_the_account_is_told_in_that_of_the_payment(
    transactions: tuple[dict[str, Any], ...], withdrawn: Money, reinstated: Money
) -> None:
    told = fact(UPDATED, dispute(*transactions))

    assert (told.withdrawn, told.reinstated) == (withdrawn, reinstated)
    assert told.fee == Money(1500, "eur")


@pytest.mark.parametrize("missing", [{"balance_transactions": None}, {"balance_transactions": []}], ids=str)
@pytest.mark.parametrize(
    ("event_type", "status", "withdrawn", "reinstated"),
    [
        (CREATED, "needs_response", None, None),
        (UPDATED, "under_review", None, None),
        (WITHDRAWN, "needs_response", ALL, None),
        (REINSTATED, "won", ALL, ALL),
        (REINSTATED, "under_review", ALL, ALL),
        (CLOSED, "won", None, None),
        (CLOSED, "lost", ALL, None),
    ],
)
def test_f102_without_transactions_the_event_and_the_stage_say_what_the_money_did(
    missing: dict[str, Any], event_type: str, status: str, withdrawn: Money | None, reinstated: Money | None
) -> None:
    told = fact(event_type, dispute(status=status, **missing))

    assert (told.withdrawn, told.reinstated, told.fee) == (withdrawn, reinstated, None)


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize("word", ["warning_needs_response", "warning_under_review", "warning_closed", "prevented"])
def test_f100_an_inquiry_moves_no_money_whatever_the_event_is_called(event_type: str, word: str) -> None:
    told = fact(event_type, dispute(status=word))

    assert (told.withdrawn, told.reinstated) == (None, None)


@pytest.mark.parametrize("word", ["prevented", "warning_closed", "charge_refunded"])
def test_one_that_is_over_and_has_kept_the_money_is_lost(word: str) -> None:
    kept, given_back = fact(CLOSED, dispute(TAKEN, status=word)), fact(CLOSED, dispute(TAKEN, GIVEN_BACK, status=word))

    assert (kept.status, kept.gateway_status) == (DisputeStatus.LOST, word)
    assert given_back.status is DisputeStatus.CLOSED


def test_an_old_dispute_has_its_deadline_elsewhere_and_names_only_its_charge() -> None:
    old = dispute(evidence_details=None, evidence_due_by=DUE_BY, payment_intent=None)

    told = fact(CREATED, old)

    assert told.payment == PaymentNamed(None, CHARGE_ID)
    assert told.evidence_due_at == datetime.fromtimestamp(DUE_BY, UTC)


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"amount": -1},
        {"currency": None},
        {"status": None},
        {"charge": None, "payment_intent": None},
        {"balance_transactions": [None]},
        {"balance_transactions": [{"amount": "-4900", "currency": "usd"}]},
    ],
    ids=str,
)
def test_f22_a_dispute_that_lacks_what_it_means_is_never_guessed_at(broken: dict[str, Any]) -> None:
    assert translate(stripe_event(CREATED, {**dispute(), **broken})) == Unhandled("unreadable")
    with pytest.raises(TranslationError):
        translate(stripe_event(CREATED, {**dispute(metadata=MARKS), **broken}))


# --- early fraud warnings ---


def test_f107_a_fraud_warning_names_its_payment_and_moves_nothing() -> None:
    told = translate(stripe_event("radar.early_fraud_warning.created", warning()))

    assert isinstance(told, Observed)
    assert told.event == FraudWarned("issfr_1", PaymentNamed(INTENT_ID, CHARGE_ID), "made_with_stolen_card")
    assert told.references.objects == (INTENT_ID, CHARGE_ID)


def test_f107_an_old_fraud_warning_names_only_its_charge() -> None:
    told = translate(stripe_event("radar.early_fraud_warning.created", warning(payment_intent=None, fraud_type=None)))

    assert isinstance(told, Observed)
    assert told.event == FraudWarned("issfr_1", PaymentNamed(None, CHARGE_ID), None)


# --- where a person answers ---


@pytest.mark.parametrize(
    ("gateway", "livemode", "url"),
    [
        ("stripe", True, "https://dashboard.stripe.com/disputes/dp_1"),
        ("stripe", None, "https://dashboard.stripe.com/disputes/dp_1"),
        ("stripe", False, "https://dashboard.stripe.com/test/disputes/dp_1"),
        ("razorpay", True, "https://dashboard.razorpay.com/app/disputes/dp_1"),
        ("razorpay", False, "https://dashboard.razorpay.com/app/disputes/dp_1"),
    ],
)
def test_a_dispute_is_answered_in_the_gateways_dashboard(gateway: str, livemode: bool | None, url: str) -> None:
    assert GATEWAYS[gateway].dispute_url(DISPUTE_ID, livemode=livemode) == url


def test_an_id_never_leads_out_of_its_place_in_the_address() -> None:
    url = GATEWAYS["stripe"].dispute_url("../x?y#z", livemode=True)

    assert url == "https://dashboard.stripe.com/disputes/..%2Fx%3Fy%23z"
