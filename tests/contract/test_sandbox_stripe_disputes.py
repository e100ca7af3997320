"""Disputes at Stripe's stand-in, as Stripe's own SDK reads and answers them and as its webhooks tell of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from tests.contract.recorded import FIXTURES, load, needs_fixtures
from tests.contract.shop import charge_of, event_types, last_event, open_session, paid_intent
from tests.sandboxes import Sandbox

CREATED, UPDATED, CLOSED = "charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"
WITHDRAWN, REINSTATED = "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"
WARNED, RECONSIDERED = "radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"


async def _reach(sandbox: Sandbox, payment: str, *stages: str) -> dict[str, Any]:
    """What the last of these stages came to."""
    told: dict[str, Any] = {}
    for stage in stages:
        told = sandbox.control("dispute", {"payment": payment, "stage": stage})
    return told


def _told(sandbox: Sandbox) -> list[str]:
    return [kind for kind in event_types(sandbox) if kind.startswith(("charge.dispute.", "radar."))]


@pytest.mark.parametrize(
    ("stages", "status", "nets", "told"),
    [
        (["inquiry"], "warning_needs_response", [], [CREATED]),
        (["inquiry", "won"], "warning_closed", [], [CREATED, CLOSED]),
        (["opened"], "needs_response", [], [CREATED]),
        (["inquiry", "opened"], "needs_response", [], [CREATED, UPDATED]),
        (["funds_withdrawn"], "needs_response", [-6400], [CREATED, WITHDRAWN]),
        (["opened", "funds_withdrawn"], "needs_response", [-6400], [CREATED, WITHDRAWN]),
        (["inquiry", "funds_withdrawn"], "needs_response", [-6400], [CREATED, UPDATED, WITHDRAWN]),
        (["funds_withdrawn", "funds_withdrawn"], "needs_response", [-6400], [CREATED, WITHDRAWN]),
        (["funds_withdrawn", "won"], "won", [-6400, 4900], [CREATED, WITHDRAWN, CLOSED, REINSTATED]),
        (
            ["funds_withdrawn", "won", "funds_reinstated"],
            "won",
            [-6400, 4900],
            [CREATED, WITHDRAWN, CLOSED, REINSTATED],
        ),
        (
            ["funds_withdrawn", "funds_reinstated", "won"],
            "won",
            [-6400, 4900],
            [CREATED, WITHDRAWN, REINSTATED, CLOSED],
        ),
        (["funds_withdrawn", "lost"], "lost", [-6400], [CREATED, WITHDRAWN, CLOSED]),
        (["opened", "lost", "funds_withdrawn"], "lost", [-6400], [CREATED, WITHDRAWN, CLOSED]),
        (["opened", "won"], "won", [], [CREATED, CLOSED]),
        (["lost"], "lost", [-6400], [CREATED, WITHDRAWN, CLOSED]),
        (["inquiry", "lost"], "lost", [-6400], [CREATED, UPDATED, WITHDRAWN, CLOSED]),
    ],
)
async def test_a_dispute_comes_to_every_stage(
    sandbox: Sandbox, client: stripe.StripeClient, stages: list[str], status: str, nets: list[int], told: list[str]
) -> None:
    intent = await paid_intent(client)

    answer = await _reach(sandbox, intent.id, *stages)

    dispute = await client.v1.disputes.retrieve_async(answer["dispute"])
    assert (answer["payment"], answer["amount"], answer["status"]) == (intent.id, 4900, status)
    assert (dispute.status, dispute.amount, dispute.payment_intent) == (status, 4900, intent.id)
    assert [each.net for each in dispute.balance_transactions] == nets
    assert _told(sandbox) == told
    assert (await charge_of(client, intent)).disputed is True


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
async def test_a_stage_that_does_not_follow_is_refused(
    sandbox: Sandbox, client: stripe.StripeClient, stages: list[str]
) -> None:
    intent = await paid_intent(client)
    await _reach(sandbox, intent.id, *stages[:-1])

    refused = sandbox.refused("dispute", {"payment": intent.id, "stage": stages[-1]})

    assert refused[:2] == (409, "unreachable_stage")


async def test_f102_the_end_may_be_told_before_its_money_moves(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    await _reach(sandbox, intent.id, "funds_withdrawn")

    sandbox.control("dispute", {"payment": intent.id, "stage": "won", "money": False})
    await _reach(sandbox, intent.id, "funds_reinstated")

    assert _told(sandbox) == [CREATED, WITHDRAWN, CLOSED, REINSTATED]
    assert last_event(sandbox, CLOSED)["data"]["object"]["balance_transactions"][1:] == []


async def test_f102_a_part_of_the_money_may_come_back(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    await _reach(sandbox, intent.id, "funds_withdrawn")

    sandbox.control("dispute", {"payment": intent.id, "stage": "funds_reinstated", "amount": 4000})
    dispute = await client.v1.disputes.retrieve_async((await _reach(sandbox, intent.id, "won"))["dispute"])

    assert (dispute.status, [each.amount for each in dispute.balance_transactions]) == ("won", [-4900, 4000])
    assert _told(sandbox) == [CREATED, WITHDRAWN, REINSTATED, CLOSED]


async def test_the_money_of_a_dispute_is_in_the_balance(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    dispute = (await _reach(sandbox, intent.id, "funds_withdrawn", "won"))["dispute"]

    moved = (await client.v1.balance_transactions.list_async({"type": "adjustment"})).data

    assert [(each.reporting_category, each.amount, each.fee, each.source) for each in moved] == [
        ("dispute_reversal", 4900, 0, dispute),
        ("dispute", -4900, 1500, dispute),
    ]


async def test_f101_a_disputed_charge_is_not_refunded(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    await _reach(sandbox, intent.id, "opened")

    with pytest.raises(stripe.InvalidRequestError, match="has been charged back; cannot issue a refund") as refused:
        await client.v1.refunds.create_async({"payment_intent": intent.id})
    await _reach(sandbox, intent.id, "won")
    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})

    assert refused.value.code == "charge_disputed"
    assert refund.status == "succeeded"


async def test_f100_an_inquiry_blocks_no_refund(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    dispute = (await _reach(sandbox, intent.id, "inquiry"))["dispute"]

    refund = await client.v1.refunds.create_async({"payment_intent": intent.id})

    assert refund.amount == 4900
    assert (await client.v1.disputes.retrieve_async(dispute)).is_charge_refundable is True


async def test_several_disputes_of_one_payment(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    first = sandbox.control("dispute", {"payment": intent.id, "stage": "opened", "amount": 1000, "reason": "duplicate"})
    second = await _reach(sandbox, intent.id, "opened")

    lost = sandbox.control("dispute", {"payment": intent.id, "stage": "lost", "dispute": first["dispute"]})

    listed = (await client.v1.disputes.list_async({"payment_intent": intent.id})).data
    assert [(each.id, each.amount, each.status, each.reason) for each in listed] == [
        (second["dispute"], 3900, "needs_response", "fraudulent"),
        (first["dispute"], 1000, "lost", "duplicate"),
    ]
    assert lost["dispute"] == first["dispute"]
    assert sandbox.refused("dispute", {"payment": intent.id, "stage": "opened"})[:2] == (409, "unreachable_stage")


async def test_a_refunded_payment_may_be_disputed(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)
    await client.v1.refunds.create_async({"payment_intent": intent.id})

    assert (await _reach(sandbox, intent.id, "funds_withdrawn"))["amount"] == 4900


async def test_a_payment_is_named_by_what_it_paid(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    paid = sandbox.pay(session.id)["payment"]

    assert (await _reach(sandbox, session.id, "opened"))["payment"] == paid


async def test_what_cannot_be_disputed_is_refused(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    held = await paid_intent(client, capture_method="manual")
    paid = await paid_intent(client)

    assert sandbox.refused("dispute", {"payment": held.id, "stage": "opened"})[:2] == (409, "not_disputable")
    assert sandbox.refused("dispute", {"payment": "pi_nobody", "stage": "opened"})[:2] == (404, "unknown_payment")
    assert sandbox.refused("dispute", {"payment": paid.id, "stage": "over"})[:2] == (400, "invalid_stage")
    for wrong, code in (
        ({"reason": "envy"}, 400),
        ({"money": 1}, 400),
        ({"amount": 4901}, 409),
        ({"dispute": "du_0"}, 409),
    ):
        assert sandbox.refused("dispute", {"payment": paid.id, "stage": "opened", **wrong})[0] == code


async def test_f107_a_bank_warns_before_anybody_disputes(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    intent = await paid_intent(client)

    warned = await _reach(sandbox, intent.id, "fraud_warning")
    warning = await client.v1.radar.early_fraud_warnings.retrieve_async(warned["dispute"])
    await client.v1.refunds.create_async({"payment_intent": intent.id})
    (listed,) = (await client.v1.radar.early_fraud_warnings.list_async({"payment_intent": intent.id})).data

    assert (warning.charge, warning.actionable) == (intent.latest_charge, True)
    assert (listed.id, listed.actionable) == (warning.id, False)
    assert _told(sandbox) == [WARNED, RECONSIDERED]


@pytest.mark.parametrize(
    ("method", "told", "reason"),
    [
        ("pm_card_createDispute", [CREATED, WITHDRAWN], "fraudulent"),
        ("pm_card_createDisputeProductNotReceived", [CREATED, WITHDRAWN], "product_not_received"),
        ("pm_card_createDisputeInquiry", [CREATED], "fraudulent"),
        ("pm_card_createIssuerFraudRecord", [WARNED], None),
    ],
)
async def test_a_test_card_is_disputed_by_itself(
    sandbox: Sandbox, client: stripe.StripeClient, method: str, told: list[str], reason: str | None
) -> None:
    intent = await paid_intent(client, method)

    disputes = (await client.v1.disputes.list_async({"charge": str(intent.latest_charge)})).data

    assert _told(sandbox) == told
    assert [each.reason for each in disputes] == ([] if reason is None else [reason])


# Evidence.


@pytest.mark.parametrize(
    ("evidence", "status", "told"),
    [
        ("winning_evidence", "won", [CREATED, WITHDRAWN, UPDATED, CLOSED, REINSTATED]),
        ("losing_evidence", "lost", [CREATED, WITHDRAWN, UPDATED, CLOSED]),
        ("they came twice", "under_review", [CREATED, WITHDRAWN, UPDATED]),
    ],
)
async def test_evidence_decides(
    sandbox: Sandbox, client: stripe.StripeClient, evidence: str, status: str, told: list[str]
) -> None:
    dispute = (await _reach(sandbox, (await paid_intent(client)).id, "funds_withdrawn"))["dispute"]

    judged = await client.v1.disputes.update_async(dispute, {"evidence": {"uncategorized_text": evidence}})

    assert (judged.status, judged.evidence_details.submission_count) == (status, 1)
    assert judged.evidence.uncategorized_text == evidence
    assert _told(sandbox) == told


async def test_an_inquiry_may_be_taken_further_by_its_evidence(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    dispute = (await _reach(sandbox, (await paid_intent(client)).id, "inquiry"))["dispute"]

    judged = await client.v1.disputes.update_async(
        dispute, {"evidence": {"uncategorized_text": "escalate_inquiry_evidence"}}
    )

    assert judged.status == "needs_response"
    assert _told(sandbox) == [CREATED, UPDATED, UPDATED, WITHDRAWN]


async def test_evidence_may_be_staged_first(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    dispute = (await _reach(sandbox, (await paid_intent(client)).id, "opened"))["dispute"]

    staged = await client.v1.disputes.update_async(
        dispute, {"evidence": {"customer_name": "Ada"}, "metadata": {"case": "7"}, "submit": False}
    )

    assert (staged.status, staged.evidence_details.has_evidence) == ("needs_response", True)
    assert staged.evidence_details.submission_count == 0
    assert staged.evidence.customer_name == "Ada"


async def test_a_dispute_is_given_up_once(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    lost = (await _reach(sandbox, (await paid_intent(client)).id, "funds_withdrawn"))["dispute"]
    inquiry = (await _reach(sandbox, (await paid_intent(client)).id, "inquiry"))["dispute"]

    assert (await client.v1.disputes.close_async(lost)).status == "lost"
    assert (await client.v1.disputes.close_async(inquiry)).status == "warning_closed"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        await client.v1.disputes.close_async(lost)


# Shapes.


@needs_fixtures
async def test_every_field_of_stripes_own_examples_is_there(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    examples = json.loads((FIXTURES / "stripe/spec/fixtures3.json").read_bytes())["resources"]
    intent = await paid_intent(client)
    await _reach(sandbox, intent.id, "funds_withdrawn", "fraud_warning")

    ours = {kind: sandbox.objects("stripe", kind)[0] for kind in ("dispute", "radar.early_fraud_warning")}

    assert {
        kind: set(examples[kind]) - set(made) for kind, made in ours.items() if set(examples[kind]) - set(made)
    } == {}
    assert set(ours["dispute"]["evidence"]) == set(examples["dispute"]["evidence"])
    assert set(ours["dispute"]["evidence_details"]) == set(examples["dispute"]["evidence_details"])


@needs_fixtures
@pytest.mark.parametrize(
    "file",
    [
        "charge.dispute.created__2020-08-27.json",
        "charge.dispute.funds_withdrawn__2020-03-02.json",
        "charge.dispute.funds_reinstated__2020-03-02.json",
        "charge.dispute.updated__2020-03-02.json",
        "charge.dispute.closed__2020-03-02.json",
        "radar.early_fraud_warning.created__2020-03-02.json",
    ],
)
async def test_an_event_looks_as_recorded(sandbox: Sandbox, client: stripe.StripeClient, file: str) -> None:
    recorded = load(FIXTURES / "stripe/events" / file)
    intent = await paid_intent(client)
    await _reach(sandbox, intent.id, "fraud_warning", "inquiry", "funds_withdrawn", "won")

    async with sandbox.stripe(version=recorded["api_version"]) as old:
        about = last_event(sandbox, recorded["type"])["data"]["object"]
        kind = "disputes" if about["object"] == "dispute" else "radar/early_fraud_warnings"
        shown = await old.raw_request_async("get", f"/v1/{kind}/{about['id']}")

    assert set(recorded["data"]["object"]) <= set(json.loads(shown.body))
    assert set(recorded) == set(last_event(sandbox, recorded["type"]))
