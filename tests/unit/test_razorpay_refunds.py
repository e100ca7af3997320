"""Razorpay's refunds and settlements: each event's meaning as one line, and what we ask for."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gateways.client import PayoutPart, RefundRequest
from gateways.gateway import TranslationError, Unhandled
from gateways.razorpay.events import translate
from gateways.razorpay.money_objects import (
    days_of,
    is_of,
    read_money_back,
    read_part,
    was_made_by,
    write_key,
    write_refund,
)
from gateways.razorpay.refunds import WORDS
from gateways.translating import Unreadable
from payments.events import (
    Observed,
    PaymentCancelled,
    PaymentNamed,
    PaymentSucceeded,
    PayoutTold,
    RefundsTotalled,
    RefundTold,
)
from payments.money import Money
from payments.refund import RefundReason, RefundStatus
from tests.contract.money_shapes import (
    LAPSED,
    OUR_REFUND,
    RZP_REFUND_ID,
    SETTLEMENT_ID,
    refund_event,
    rzp_refund,
    settlement,
)
from tests.contract.shapes import GATEWAY_ORDER_ID, MARKS, ORDER_ID, PAYMENT_ID, payment, razorpay_event

PAYMENT = PaymentNamed(PAYMENT_ID)
TOLD = RefundTold(
    gateway_refund_id=RZP_REFUND_ID,
    payment=PAYMENT,
    amount=Money(100_000, "inr"),
    status=RefundStatus.SUCCEEDED,
    reason=RefundReason.DUPLICATE,
    refund_id=OUR_REFUND,
    refunded_in_all=Money(100_000, "inr"),
)
EVENTS = ("refund.created", "refund.processed", "refund.failed", "refund.speed_changed")
REQUEST = RefundRequest(
    refund_id=OUR_REFUND,
    order_id=ORDER_ID,
    gateway_payment_id=PAYMENT_ID,
    amount=Money(100_000, "inr"),
    reason=RefundReason.DUPLICATE,
    instance_id="counterfoil",
)


def fact(event: dict[str, Any]) -> object:
    observed = translate(event)
    assert isinstance(observed, Observed), observed
    return observed.event


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize(("word", "status"), WORDS.items())
def test_a_refund_has_come_as_far_as_it_says_whatever_the_event_is_called(
    event_type: str, word: str, status: RefundStatus
) -> None:
    told = translate(refund_event(event_type, status=word))

    assert isinstance(told, Observed)
    assert told.event == replace(TOLD, status=status)
    assert told.references.order_ids == (ORDER_ID,)
    assert told.references.objects == (GATEWAY_ORDER_ID, PAYMENT_ID)
    assert told.references.instance == "counterfoil"


@pytest.mark.parametrize("notes", [[], {}, None, {"comment": "asked for by telephone"}], ids=str)
def test_f95_a_refund_made_in_the_dashboard_claims_to_be_none_of_ours_and_its_payment_says_whose(notes: Any) -> None:
    told = translate(refund_event(notes=notes))

    assert isinstance(told, Observed)
    assert told.event == replace(TOLD, refund_id=None, reason=RefundReason.OTHER)
    assert told.references.order_ids == (ORDER_ID,)


def test_a_refund_without_its_payment_beside_it_names_it_all_the_same() -> None:
    told = translate(razorpay_event("refund.processed", refund=rzp_refund()))

    assert isinstance(told, Observed)
    assert told.event == replace(TOLD, refunded_in_all=None)
    assert told.references.objects == (PAYMENT_ID,)


@pytest.mark.parametrize("event_type", EVENTS)
@pytest.mark.parametrize("captured", [False, "0"])
def test_f72_an_authorisation_that_lapses_is_told_as_a_refund_and_nothing_was_taken(
    event_type: str, captured: Any
) -> None:
    lapsed = refund_event(event_type, beside={**LAPSED, "captured": captured}, amount=490_000, notes=[])

    told = translate(lapsed)

    assert isinstance(told, Observed)
    assert told.event == PaymentCancelled(PAYMENT_ID, Money(490_000, "inr"))
    assert told.references.order_ids == (ORDER_ID,)


@pytest.mark.parametrize("captured", [True, False])
def test_what_only_proved_a_card_goes_back_and_is_nobodys_sale(captured: bool) -> None:
    notes = {**MARKS, "subscription_id": "0190c0de-0000-7000-8000-0000000000b1"}
    token = payment(amount=500, amount_refunded=500, status="refunded", captured=captured, notes=notes)

    assert translate(refund_event(beside=token, amount=500, notes=[])) == Unhandled("told_by_its_invoice")


def test_a_renewals_refund_is_told_as_any_other() -> None:
    renewal = payment(invoice_id="inv_1", amount_refunded=100_000, notes=[])

    told = translate(refund_event(beside=renewal))

    assert isinstance(told, Observed)
    assert told.event == TOLD
    assert "inv_1" in told.references.objects


@pytest.mark.parametrize(
    "broken",
    [
        {"id": None},
        {"amount": 1.5},
        {"currency": None},
        {"status": None},
        {"status": "of_tomorrow"},
        {"payment_id": "pay_another"},
    ],
    ids=str,
)
def test_f22_a_refund_that_lacks_what_it_means_is_a_persons_if_it_could_be_ours(broken: dict[str, Any]) -> None:
    with pytest.raises(TranslationError):
        translate(refund_event(**broken))

    assert translate(refund_event(beside=payment(notes=[]), **{**broken, "notes": []})) == Unhandled("unreadable")


# --- what a payment says of it ---


def test_a_payment_that_was_refunded_since_was_captured_all_the_same() -> None:
    refunded = payment(status="refunded", amount_refunded=490_000, refund_status="full", fee=11_564, tax=1764)

    told = fact(razorpay_event("payment.captured", payment=refunded))

    assert told == PaymentSucceeded(PAYMENT_ID, Money(490_000, "inr"), Money(11_564, "inr"))


@pytest.mark.parametrize(
    ("changes", "fee"),
    [
        ({"fee": 11_564, "tax": 1764}, Money(11_564, "inr")),
        ({"fee": 0}, None),
        ({"fee": None}, None),
        ({"fee": "11564"}, None),
        ({"fee": 11_564, "currency": "USD", "base_amount": 41_000_000}, None),
    ],
    ids=str,
)
def test_the_fee_is_told_where_it_is_known_and_in_the_payments_currency(
    changes: dict[str, Any], fee: Money | None
) -> None:
    told = fact(razorpay_event("payment.captured", payment=payment(**changes)))

    assert isinstance(told, PaymentSucceeded)
    assert told.fee == fee


def test_what_went_back_of_a_payment_is_told_refund_by_refund_and_then_in_sum() -> None:
    paid = payment(amount_refunded=150_000)
    newest, oldest = rzp_refund(id="rfnd_2", amount=50_000, notes=[]), rzp_refund()

    told = read_money_back(paid, [newest, oldest])

    sums = Money(150_000, "inr")
    assert [each.event for each in told.observed] == [
        replace(TOLD, refunded_in_all=sums),
        replace(
            TOLD,
            gateway_refund_id="rfnd_2",
            amount=Money(50_000, "inr"),
            reason=RefundReason.OTHER,
            refund_id=None,
            refunded_in_all=sums,
        ),
        RefundsTotalled(PAYMENT, sums),
    ]
    assert {each.references.order_ids for each in told.observed} == {(ORDER_ID,)}


def test_f72_what_went_back_of_an_authorisation_is_no_money_and_has_no_sum() -> None:
    told = read_money_back(LAPSED, [rzp_refund(amount=490_000, notes=[])])

    assert [each.event for each in told.observed] == [PaymentCancelled(PAYMENT_ID, Money(490_000, "inr"))]


# --- what we ask for ---


def test_a_refund_is_asked_for_at_the_speed_that_costs_nothing_and_with_our_names() -> None:
    assert write_refund(REQUEST) == {
        "amount": 100_000,
        "speed": "normal",
        "notes": {
            "refund_id": OUR_REFUND,
            "order_id": ORDER_ID,
            "reason": "duplicate",
            "counterfoil": "counterfoil",
        },
    }
    assert "order_id" not in write_refund(replace(REQUEST, order_id=None))["notes"]


@pytest.mark.parametrize("key", [OUR_REFUND, "refund_0190c0de"])
def test_a_key_that_razorpay_takes_is_sent_as_it_is(key: str) -> None:
    assert write_key(key) == key


@pytest.mark.parametrize("key", ["short", "refund:0190c0de:1", "refund 0190c0de", "x" * 200, ""])
def test_a_key_that_razorpay_would_not_take_is_sent_as_one_that_stands_for_it(key: str) -> None:
    sent = write_key(key)

    assert re.fullmatch(r"[A-Za-z0-9_-]{10,64}", sent)
    assert sent == write_key(key)
    assert sent != write_key(f"{key}!")


def test_a_refund_is_found_again_by_our_id_and_our_mark_together() -> None:
    assert was_made_by(REQUEST, rzp_refund())
    assert not was_made_by(REQUEST, rzp_refund(notes=[]))
    assert not was_made_by(replace(REQUEST, refund_id="another"), rzp_refund())
    assert not was_made_by(replace(REQUEST, instance_id="another"), rzp_refund())


# --- settlements ---


@pytest.mark.parametrize(
    ("status", "is_paid", "has_failed"),
    [("created", False, False), ("processed", True, False), ("failed", False, True)],
)
def test_a_settlement_is_a_payout_in_rupees(status: str, is_paid: bool, has_failed: bool) -> None:
    told = translate(razorpay_event("settlement.processed", settlement=settlement(status=status)))

    assert isinstance(told, Observed)
    assert isinstance(told.event, PayoutTold)
    assert (told.event.gateway_payout_id, told.event.minor, told.event.currency) == (SETTLEMENT_ID, 973_635, "inr")
    assert (told.event.is_paid, told.event.has_failed) == (is_paid, has_failed)
    assert (told.references.order_ids, told.references.objects) == ((), ())


@pytest.mark.parametrize(
    ("made", "days"),
    [
        (1_568_176_960, (date(2019, 9, 11), date(2019, 9, 12))),
        # Half past eight in the evening in London is tomorrow in India.
        (1_568_230_200, (date(2019, 9, 12), date(2019, 9, 13))),
    ],
)
def test_a_settlements_days_are_indias(made: int, days: tuple[date, date]) -> None:
    assert days_of(settlement(created_at=made)) == days


LINE = {
    "entity_id": PAYMENT_ID,
    "type": "payment",
    "debit": 0,
    "credit": 478_436,
    "amount": 490_000,
    "currency": "INR",
    "fee": 11_564,
    "tax": 1764,
    "settlement_id": SETTLEMENT_ID,
    "payment_id": None,
    "dispute_id": None,
}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({}, PayoutPart(PAYMENT_ID, "payment", (PAYMENT_ID,), 490_000, 11_564, "inr")),
        ({"dispute_id": "disp_1"}, PayoutPart(PAYMENT_ID, "payment", (PAYMENT_ID,), 490_000, 11_564, "inr")),
        (
            {"entity_id": "rfnd_1", "type": "refund", "debit": 100_000, "credit": 0, "fee": 0},
            PayoutPart("rfnd_1", "refund", ("rfnd_1",), -100_000, 0, "inr"),
        ),
        (
            {"entity_id": "rfnd_1", "type": "refund", "debit": 100_590, "credit": 0, "fee": 590},
            PayoutPart("rfnd_1", "refund", ("rfnd_1",), -100_000, 590, "inr"),
        ),
        (
            {
                "entity_id": "adj_1",
                "type": "adjustment",
                "debit": 490_000,
                "credit": 0,
                "fee": None,
                "dispute_id": "disp_1",
            },
            PayoutPart("adj_1", "adjustment", ("disp_1", "adj_1"), -490_000, 0, "inr"),
        ),
    ],
    ids=["a payment", "a disputed payment", "a refund", "an instant refund", "a dispute"],
)
def test_a_line_of_a_settlement_is_signed_and_before_the_fee(changes: dict[str, Any], part: PayoutPart) -> None:
    assert read_part({**LINE, **changes}) == part


def test_a_line_says_of_which_settlement_it_is() -> None:
    assert is_of(SETTLEMENT_ID, LINE)
    assert not is_of("setl_another", LINE)


@pytest.mark.parametrize("broken", [{"entity_id": None}, {"type": None}, {"credit": "1"}, {"currency": None}], ids=str)
def test_a_line_that_lacks_its_figures_is_not_read(broken: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_part({**LINE, **broken})
