"""Razorpay's disputes: what each stage and each deduction means, as one line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateways.gateway import TranslationError, Unhandled
from gateways.razorpay.events import translate
from gateways.razorpay.money_objects import read_dispute
from payments.dispute import DisputeStatus
from payments.events import DisputeTold, Observed, PaymentNamed
from payments.money import Money
from tests.contract.money_shapes import DUE_BY, RZP_DISPUTE_ID, dispute_event, rzp_dispute
from tests.contract.shapes import GATEWAY_ORDER_ID, ORDER_ID, PAYMENT_ID, payment, razorpay_event

ALL = Money(490_000, "inr")
EVENTS = tuple(
    f"payment.dispute.{what}" for what in ("created", "under_review", "action_required", "won", "lost", "closed")
)


def fact(event: dict[str, Any]) -> DisputeTold:
    observed = translate(event)
    assert isinstance(observed, Observed), observed
    assert isinstance(observed.event, DisputeTold)
    return observed.event


def test_a_dispute_tells_all_that_a_person_needs_to_answer_it() -> None:
    told = translate(dispute_event())

    assert isinstance(told, Observed)
    assert told.references.order_ids == (ORDER_ID,)
    assert told.references.objects == (GATEWAY_ORDER_ID, PAYMENT_ID)
    assert told.event == DisputeTold(
        gateway_dispute_id=RZP_DISPUTE_ID,
        payment=PaymentNamed(PAYMENT_ID),
        amount=ALL,
        status=DisputeStatus.NEEDS_RESPONSE,
        gateway_status="open",
        told_at=datetime.fromtimestamp(1_760_000_000, UTC),
        reason="goods_or_services_not_received_or_partially_received",
        evidence_due_at=datetime.fromtimestamp(DUE_BY, UTC),
        kept=Money(0, "inr"),
    )


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize(
    ("status", "deducted", "stage", "withdrawn", "kept"),
    [
        ("open", 0, DisputeStatus.NEEDS_RESPONSE, None, 0),
        ("open", 390_000, DisputeStatus.NEEDS_RESPONSE, 390_000, 390_000),
        ("under_review", 0, DisputeStatus.UNDER_REVIEW, None, 0),
        ("under_review", 490_000, DisputeStatus.UNDER_REVIEW, 490_000, 490_000),
        ("lost", 490_000, DisputeStatus.LOST, 490_000, 490_000),
        ("lost", 390_000, DisputeStatus.LOST, 390_000, 390_000),
        ("lost", 0, DisputeStatus.LOST, 490_000, 490_000),
        ("won", 0, DisputeStatus.WON, None, 0),
        ("won", 390_000, DisputeStatus.WON, 390_000, 0),
        ("closed", 0, DisputeStatus.CLOSED, None, 0),
        ("closed", 390_000, DisputeStatus.LOST, 390_000, 390_000),
        ("of_tomorrow", 0, DisputeStatus.UNDER_REVIEW, None, 0),
    ],
)
def test_f102_what_the_money_did_the_deduction_and_the_stage_say_whatever_the_event_is_called(
    event_type: str, status: str, deducted: int, stage: DisputeStatus, withdrawn: int | None, kept: int
) -> None:
    told = fact(dispute_event(event_type, status=status, amount_deducted=deducted))

    assert (told.status, told.gateway_status) == (stage, status)
    assert told.withdrawn == (None if withdrawn is None else Money(withdrawn, "inr"))
    assert (told.kept, told.reinstated) == (Money(kept, "inr"), None)


@pytest.mark.parametrize("phase", ["fraud", "retrieval"])
@pytest.mark.parametrize("status", ["open", "under_review"])
def test_f100_while_the_bank_only_asks_it_is_an_inquiry(phase: str, status: str) -> None:
    asked = fact(dispute_event(phase=phase, status=status))
    deducted = fact(dispute_event(phase=phase, status=status, amount_deducted=490_000))

    assert (asked.status, asked.withdrawn) == (DisputeStatus.INQUIRY, None)
    assert (deducted.status, deducted.withdrawn) != (DisputeStatus.INQUIRY, None)
    assert deducted.withdrawn == ALL


@pytest.mark.parametrize("phase", ["fraud", "retrieval"])
@pytest.mark.parametrize("status", ["won", "closed"])
def test_f100_an_inquiry_that_is_over_gives_nothing_back_as_nothing_was_taken(phase: str, status: str) -> None:
    told = fact(dispute_event(phase=phase, status=status))

    assert (told.withdrawn, told.kept) == (None, Money(0, "inr"))


@pytest.mark.parametrize("phase", ["chargeback", "pre_arbitration", "arbitration", None, "of_tomorrow"])
def test_in_every_other_phase_evidence_is_wanted(phase: str | None) -> None:
    assert fact(dispute_event(phase=phase)).status is DisputeStatus.NEEDS_RESPONSE


def test_a_dispute_that_is_read_has_no_second_of_its_own() -> None:
    state = read_dispute(rzp_dispute())

    assert state.id == RZP_DISPUTE_ID
    assert state.observed.references.objects == (PAYMENT_ID,)
    assert isinstance(state.observed.event, DisputeTold)
    assert state.observed.event.told_at is None


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"amount": -1},
        {"currency": None},
        {"status": None},
        {"amount_deducted": "1"},
        {"payment_id": "pay_another"},
    ],
    ids=str,
)
def test_f22_a_dispute_that_lacks_what_it_means_is_never_guessed_at(broken: dict[str, Any]) -> None:
    anothers = razorpay_event("payment.dispute.created", payment=payment(notes=[]), dispute=rzp_dispute(**broken))

    with pytest.raises(TranslationError):
        translate(dispute_event(**broken))
    assert translate(anothers) == Unhandled("unreadable")
