"""What an order's owner is told of its failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from checkout.pages import state_of
from checkout.standing import describe, failure_of, order_id_of
from db.own_orders import OwnOrder
from payments.failure import FailureCode

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PENDING = OwnOrder(
    id=UUID("8d7e3c52-3f86-4f0e-9f8a-2f1f6f2b9c11"),
    plan_id="lifetime",
    plan_name="Lifetime",
    status="pending",
    amount=4900,
    amount_refunded=0,
    currency="usd",
    gateway="stripe",
    failure_reason=None,
    created_at=NOON,
    paid_at=None,
    outcome_unknown=False,
)

CASES = [
    ({}, None, "processing"),
    ({"failure_reason": "insufficient_funds"}, FailureCode.INSUFFICIENT_FUNDS, "declined"),
    ({"outcome_unknown": True}, FailureCode.UNKNOWN, "unknown"),
    ({"outcome_unknown": True, "failure_reason": "expired_card"}, FailureCode.UNKNOWN, "unknown"),
    ({"failure_reason": "written by hand"}, FailureCode.GATEWAY_ERROR, "declined"),
    ({"status": "failed", "failure_reason": "card_declined"}, FailureCode.CARD_DECLINED, "failed"),
    ({"status": "failed", "outcome_unknown": True}, FailureCode.UNKNOWN, "failed"),
    ({"status": "cancelled"}, None, "cancelled"),
    ({"status": "paid", "failure_reason": "card_declined"}, None, "paid"),
    ({"status": "refunded", "failure_reason": "card_declined"}, None, "refunded"),
    ({"status": "disputed", "outcome_unknown": True}, None, "disputed"),
]


@pytest.mark.parametrize(("change", "failure", "state"), CASES)
def test_a_failure_is_shown_while_it_can_be_mended(
    change: dict[str, object], failure: FailureCode | None, state: str
) -> None:
    order = replace(PENDING, **change)  # type: ignore[arg-type]  # fields by name

    assert failure_of(order) == failure
    assert state_of(order) == state


def test_what_is_not_known_is_left_out() -> None:
    assert describe(PENDING) == {
        "orderId": str(PENDING.id),
        "status": "pending",
        "amount": 4900,
        "amountRefunded": 0,
        "currency": "usd",
    }


def test_what_is_known_is_told() -> None:
    paid = describe(replace(PENDING, status="paid", paid_at=NOON, amount_refunded=100))
    failed = describe(replace(PENDING, status="failed", failure_reason="expired_card"))

    assert (paid["paidAt"], paid["amountRefunded"]) == ("2026-11-22T12:00:00+00:00", 100)
    assert failed["failure"] == {
        "code": "expired_card",
        "message": "The card has expired. Please use another card.",
        "action": "update_card",
    }


@pytest.mark.parametrize(
    "text", ["", "x", "0", "{}", f"{{{PENDING.id}}}", f"urn:uuid:{PENDING.id}", PENDING.id.hex, "é"]
)
def test_only_our_own_way_of_writing_an_id_is_one(text: str) -> None:
    assert order_id_of(text) is None
    assert order_id_of(str(PENDING.id).upper()) == PENDING.id
