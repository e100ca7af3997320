"""Disputes at Razorpay's stand-in, as Razorpay's own SDK reads and answers them and as its webhooks tell of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import razorpay
from razorpay.errors import BadRequestError

from tests.contract.recorded import FIXTURES, load, needs_fixtures
from tests.sandboxes import DECLINED, Sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[razorpay.Client]:
    with sandbox.razorpay() as connected:
        yield connected


@pytest.fixture
def payment(sandbox: Sandbox) -> str:
    """49900 paise, paid through a link."""
    return str(sandbox.pay(sandbox.link())["payment"])


def _reach(sandbox: Sandbox, payment: str, *stages: str) -> dict[str, Any]:
    """What the last of these stages came to."""
    told: dict[str, Any] = {}
    for stage in stages:
        told = sandbox.control("dispute", {"payment": payment, "stage": stage})
    return told


def _told(sandbox: Sandbox) -> list[str]:
    told = [event["event"] for event in sandbox.objects("razorpay", "event")]
    return [kind.removeprefix("payment.dispute.") for kind in told if kind.startswith("payment.dispute.")]


@pytest.mark.parametrize(
    ("stages", "ended", "deducted", "told"),
    [
        (["inquiry"], ("open", "retrieval"), 0, ["created"]),
        (["fraud_warning"], ("open", "fraud"), 0, ["created"]),
        (["inquiry", "won"], ("closed", "retrieval"), 0, ["created", "closed"]),
        (["opened"], ("open", "chargeback"), 0, ["created"]),
        (["inquiry", "opened"], ("open", "chargeback"), 0, ["created", "action_required"]),
        (["funds_withdrawn"], ("open", "chargeback"), 49900, ["created"]),
        (["opened", "funds_withdrawn"], ("under_review", "chargeback"), 49900, ["created", "under_review"]),
        (["funds_withdrawn", "funds_withdrawn"], ("open", "chargeback"), 49900, ["created"]),
        (["funds_withdrawn", "won"], ("won", "chargeback"), 0, ["created", "won"]),
        (["funds_withdrawn", "won", "funds_reinstated"], ("won", "chargeback"), 0, ["created", "won"]),
        (["funds_withdrawn", "funds_reinstated"], ("closed", "chargeback"), 0, ["created", "closed"]),
        (["funds_withdrawn", "funds_reinstated", "won"], ("won", "chargeback"), 0, ["created", "closed", "won"]),
        (["funds_withdrawn", "lost"], ("lost", "chargeback"), 49900, ["created", "lost"]),
        (["opened", "lost", "funds_withdrawn"], ("lost", "chargeback"), 49900, ["created", "lost"]),
        (["lost"], ("lost", "chargeback"), 49900, ["created", "lost"]),
        (["inquiry", "lost"], ("lost", "chargeback"), 49900, ["created", "action_required", "lost"]),
    ],
)
def test_a_dispute_comes_to_every_stage(
    sandbox: Sandbox,
    client: razorpay.Client,
    payment: str,
    stages: list[str],
    ended: tuple[str, str],
    deducted: int,
    told: list[str],
) -> None:
    answer = _reach(sandbox, payment, *stages)

    dispute = client.dispute.fetch(answer["dispute"])
    assert (answer["payment"], answer["amount"], answer["status"]) == (payment, 49900, ended[0])
    assert (dispute["status"], dispute["phase"]) == ended
    assert (dispute["payment_id"], dispute["amount"], dispute["amount_deducted"]) == (payment, 49900, deducted)
    assert dispute["respond_by"] > dispute["created_at"]
    assert _told(sandbox) == told


@pytest.mark.parametrize(
    "stages",
    [
        ["funds_reinstated"],
        ["opened", "funds_reinstated"],
        ["lost", "won"],
        ["won", "lost"],
        ["lost", "funds_reinstated"],
    ],
)
def test_a_stage_that_does_not_follow_is_refused(sandbox: Sandbox, payment: str, stages: list[str]) -> None:
    _reach(sandbox, payment, *stages[:-1])

    refused = sandbox.refused("dispute", {"payment": payment, "stage": stages[-1]})

    assert refused[:2] == (409, "unreachable_stage")


def test_f101_a_disputed_payment_is_not_refunded(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    _reach(sandbox, payment, "opened")

    with pytest.raises(BadRequestError, match="blocked due to ongoing dispute investigation"):
        client.payment.refund(payment, {})
    _reach(sandbox, payment, "won")

    assert client.payment.refund(payment, {})["amount"] == 49900


def test_f100_a_question_of_the_bank_blocks_no_refund(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    _reach(sandbox, payment, "inquiry", "fraud_warning")

    assert client.payment.refund(payment, {})["status"] == "processed"


def test_several_disputes_of_one_payment(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    first = sandbox.control("dispute", {"payment": payment, "stage": "opened", "amount": 9900})
    second = _reach(sandbox, payment, "opened")

    sandbox.control("dispute", {"payment": payment, "stage": "lost", "dispute": first["dispute"]})

    listed = client.dispute.all({"count": 10})["items"]
    assert [(each["id"], each["amount"], each["status"]) for each in listed] == [
        (second["dispute"], 40000, "open"),
        (first["dispute"], 9900, "lost"),
    ]
    assert sandbox.refused("dispute", {"payment": payment, "stage": "opened"})[:2] == (409, "unreachable_stage")


def test_a_dispute_is_accepted_once(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    dispute = _reach(sandbox, payment, "opened")["dispute"]

    accepted = client.dispute.accept(dispute)
    with pytest.raises(BadRequestError, match="open or under review"):
        client.dispute.accept(dispute)

    assert (accepted["status"], accepted["amount_deducted"]) == ("lost", 49900)
    assert _told(sandbox) == ["created", "lost"]


def test_a_dispute_is_contested_as_a_draft_and_then_for_the_bank(
    sandbox: Sandbox, client: razorpay.Client, payment: str
) -> None:
    dispute = _reach(sandbox, payment, "opened")["dispute"]

    draft = client.dispute.contest(dispute, {"summary": "delivered", "shipping_proof": ["doc_1"], "action": "draft"})
    sent = client.dispute.contest(dispute, {"amount": 10000, "action": "submit"})
    with pytest.raises(BadRequestError, match="submitted already"):
        client.dispute.contest(dispute, {"action": "submit"})

    assert (draft["status"], draft["evidence"]["shipping_proof"]) == ("open", ["doc_1"])
    assert (sent["status"], sent["evidence"]["summary"], sent["evidence"]["amount"]) == (
        "under_review",
        "delivered",
        10000,
    )
    assert sent["evidence"]["submitted_at"] is not None
    assert _told(sandbox) == ["created", "under_review"]


def test_what_cannot_be_disputed_is_refused(sandbox: Sandbox, payment: str) -> None:
    declined = sandbox.pay(sandbox.link("order-2"), DECLINED)["payment"]

    assert sandbox.refused("dispute", {"payment": declined, "stage": "opened"})[:2] == (409, "not_disputable")
    assert sandbox.refused("dispute", {"payment": "pay_nobody", "stage": "opened"})[:2] == (404, "unknown_payment")
    assert sandbox.refused("dispute", {"payment": payment, "stage": "won", "money": False})[:2] == (
        400,
        "meaningless_fields",
    )
    assert sandbox.refused("dispute", {"payment": payment, "stage": "opened", "amount": 49901})[0] == 409
    part = {"payment": payment, "stage": "funds_reinstated", "amount": 1}
    assert sandbox.refused("dispute", part)[:2] == (400, "meaningless_fields")


@needs_fixtures
@pytest.mark.parametrize(
    "file", ["payment.dispute.action_required__payment+dispute.json", "payment.dispute.closed__payment+dispute.json"]
)
def test_an_event_looks_as_recorded(sandbox: Sandbox, payment: str, file: str) -> None:
    recorded = load(FIXTURES / "razorpay/events" / file)
    _reach(sandbox, payment, "inquiry", "opened", "funds_withdrawn", "funds_reinstated")

    (told,) = [event for event in sandbox.objects("razorpay", "event") if event["event"] == recorded["event"]]

    assert told["contains"] == recorded["contains"]
    for name in ("payment", "dispute"):
        assert set(recorded["payload"][name]["entity"]) <= set(told["payload"][name]["entity"])
