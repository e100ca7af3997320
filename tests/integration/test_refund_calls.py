"""Every way in which a refund can end on its way to a gateway, over real HTTP, from a server that does what the test has
written down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest
from razorpay.resources import Payment

from gateways.calling import CREDENTIALS_REASON, Line
from gateways.client import (
    Absent,
    Doubt,
    Gone,
    MoneyState,
    Patience,
    PayoutPart,
    RefundRequest,
    RefundState,
    Refusal,
    Refused,
    Unknown,
)
from gateways.pacing import Bucket
from gateways.razorpay.client import Razorpay
from gateways.razorpay.giving_back import LINES_MAX
from gateways.stripe.client import Stripe
from payments.money import Money
from payments.refund import RefundReason
from tests.contract.money_shapes import (
    OUR_REFUND,
    REFUND_ID,
    RZP_REFUND_ID,
    SETTLEMENT_ID,
    charge,
    dispute,
    payout,
    refund,
    rzp_refund,
    settlement,
)
from tests.contract.shapes import CHARGE_ID, INTENT_ID, ORDER_ID, PAYMENT_ID, intent, payment
from tests.scripted import CUT, SILENCE, Act, Asked, Gateway, Reply, running_gateway

# The SDK hands httpx a text where httpx would rather have it named.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

#: Long enough for the retries that a test means, short enough to wait for.
SHORT = Patience(2.0)
KEY = f"refund:{OUR_REFUND}"

AT_STRIPE = RefundRequest(
    refund_id=OUR_REFUND,
    order_id=ORDER_ID,
    gateway_payment_id=INTENT_ID,
    amount=Money(2000, "usd"),
    reason=RefundReason.REQUESTED_BY_CUSTOMER,
    instance_id="counterfoil",
)
AT_RAZORPAY = replace(
    AT_STRIPE, gateway_payment_id=PAYMENT_ID, amount=Money(100_000, "inr"), reason=RefundReason.DUPLICATE
)

STRIPE_OK, RAZORPAY_OK = Reply(body=refund()), Reply(body=rzp_refund())


@asynccontextmanager
async def stripe(*script: Act) -> AsyncIterator[tuple[Stripe, Gateway]]:
    async with running_gateway(*script) as gateway:
        client = Stripe("sk_test_a_key", Line("stripe", Bucket(100), attempt_seconds=0.5), api_base=gateway.url)
        try:
            yield client, gateway
        finally:
            await client.aclose()


@asynccontextmanager
async def razorpay(*script: Act) -> AsyncIterator[tuple[Razorpay, Gateway]]:
    async with running_gateway(*script) as gateway:
        line = Line("razorpay", Bucket(100), attempt_seconds=0.5)
        client = Razorpay("rzp_test_counterfoil", "secret", line, api_base=gateway.url)
        try:
            yield client, gateway
        finally:
            await client.aclose()


def stripe_problem(status: int, code: str | None = None, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    kind = "invalid_request_error" if status < 500 else "api_error"
    return Reply(status, {"error": {"type": kind, "code": code, "message": "no", **more}}, headers or {})


def problem(status: int, description: str = "no", code: str = "BAD_REQUEST_ERROR") -> Reply:
    return Reply(status, {"error": {"code": code, "description": description}})


def listing(*objects: dict[str, Any]) -> Reply:
    return Reply(body={"object": "list", "data": list(objects), "has_more": False, "url": "/v1/things"})


def collection(*items: dict[str, Any]) -> Reply:
    return Reply(body={"entity": "collection", "count": len(items), "items": list(items)})


# --- Stripe ---


async def test_stripe_is_asked_under_our_key_for_exactly_what_was_frozen() -> None:
    async with stripe(STRIPE_OK) as (client, gateway):
        answer = await client.create_refund(AT_STRIPE, KEY, SHORT)

    (asked,) = gateway.asked
    assert isinstance(answer, RefundState)
    assert answer.id == REFUND_ID
    assert (asked.method, asked.path) == ("POST", "/v1/refunds")
    assert asked.headers["idempotency-key"] == KEY
    assert parse_qs(asked.body.decode()) == {
        "payment_intent": [INTENT_ID],
        "amount": ["2000"],
        "reason": ["requested_by_customer"],
        "metadata[refund_id]": [OUR_REFUND],
        "metadata[order_id]": [ORDER_ID],
        "metadata[counterfoil]": ["counterfoil"],
    }


@pytest.mark.parametrize("trouble", [CUT, SILENCE, stripe_problem(500), stripe_problem(409)], ids=repr)
async def test_f55_a_lost_answer_is_asked_for_again_under_the_same_key(trouble: Act) -> None:
    async with stripe(trouble, STRIPE_OK) as (client, gateway):
        answer = await client.create_refund(AT_STRIPE, KEY, SHORT)

    assert isinstance(answer, RefundState)
    assert {asked.headers["idempotency-key"] for asked in gateway.asked} == {KEY}
    assert len({asked.body for asked in gateway.asked}) == 1


@pytest.mark.parametrize(
    ("act", "doubt"),
    [
        (stripe_problem(409), Doubt.KEY_IN_USE),
        (stripe_problem(500, headers={"Idempotent-Replayed": "true"}), Doubt.KEY_SPENT),
        (Reply(429, {"error": {"type": "rate_limit_error", "message": "no"}}), Doubt.RATE_LIMITED),
        (Reply(502, b"<html>"), Doubt.SERVER_ERROR),
        (Reply(body=b"<html>"), Doubt.UNREADABLE),
        (Reply(body={**refund(), "status": "of_tomorrow"}), Doubt.UNREADABLE),
        (Reply(body=charge()), Doubt.UNREADABLE),
        (CUT, Doubt.CONNECTION_LOST),
        (SILENCE, Doubt.TIMED_OUT),
    ],
    ids=repr,
)
async def test_what_stripe_does_not_say_of_a_refund_is_unknown(act: Act, doubt: Doubt) -> None:
    async with stripe(act) as (client, _):
        answer = await client.create_refund(AT_STRIPE, KEY, Patience(1.0))

    assert answer == Unknown(doubt)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (
            stripe_problem(400, "charge_already_refunded", message="Charge ch_1 has already been refunded."),
            Refused(Refusal.INVALID, "charge_already_refunded: Charge ch_1 has already been refunded."),
        ),
        (
            stripe_problem(400, "charge_disputed", message="Charge ch_1 has been charged back."),
            Refused(Refusal.INVALID, "charge_disputed: Charge ch_1 has been charged back."),
        ),
        (
            stripe_problem(400, type="idempotency_error", message="Keys can only be used with the same parameters."),
            Refused(Refusal.KEY_REUSED, "Keys can only be used with the same parameters."),
        ),
        (stripe_problem(401), Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)),
        (stripe_problem(404, "resource_missing", param="payment_intent"), Gone()),
        (stripe_problem(400, "resource_missing", param="payment_intent"), Gone()),
        (stripe_problem(400, "resource_missing", param="charge"), Gone()),
    ],
    ids=repr,
)
async def test_f99_f104_a_refusal_of_stripes_is_final_and_carries_its_reason(
    reply: Reply, answer: Refused | Gone
) -> None:
    async with stripe(reply) as (client, gateway):
        told = await client.create_refund(AT_STRIPE, KEY, SHORT)

    assert told == answer
    assert len(gateway.asked) == 1


async def test_what_is_missing_beside_the_payment_does_not_make_the_payment_gone() -> None:
    async with stripe(stripe_problem(400, "resource_missing", param="metadata")) as (client, _):
        answer = await client.create_refund(AT_STRIPE, KEY, SHORT)

    assert isinstance(answer, Refused)


async def test_a_refund_is_looked_for_among_those_of_its_charge_on_every_page() -> None:
    another = refund(id="re_2", metadata={})
    pages = [Reply(body={**listing(another).body, "has_more": True}), listing(refund())]
    async with stripe(Reply(body=intent(latest_charge=charge())), *pages) as (client, gateway):
        found = await client.find_refund(AT_STRIPE, SHORT)

    assert isinstance(found, RefundState)
    assert found.id == REFUND_ID
    assert gateway.calls == [f"GET /v1/payment_intents/{INTENT_ID}", "GET /v1/refunds", "GET /v1/refunds"]
    assert [asked.query.get("charge") for asked in gateway.asked[1:]] == [CHARGE_ID, CHARGE_ID]
    assert gateway.asked[2].query["starting_after"] == "re_2"


async def test_a_payment_without_a_charge_has_no_refunds_and_nothing_was_given_back() -> None:
    async with stripe(Reply(body=intent(status="requires_payment_method"))) as (client, gateway):
        found = await client.find_refund(AT_STRIPE, SHORT)
        held = await client.fetch_money_back(INTENT_ID, SHORT)

    assert (found, held) == (Absent(), MoneyState(()))
    assert len(gateway.asked) == 2


async def test_an_old_payment_is_known_by_its_charge() -> None:
    async with stripe(Reply(body=charge()), listing(refund())) as (client, gateway):
        found = await client.find_refund(replace(AT_STRIPE, gateway_payment_id=CHARGE_ID), SHORT)

    assert isinstance(found, RefundState)
    assert gateway.calls[0] == f"GET /v1/charges/{CHARGE_ID}"


@pytest.mark.parametrize("broken", range(3))
async def test_what_went_back_is_told_whole_or_not_at_all(broken: int) -> None:
    acts: list[Act] = [Reply(body=intent(latest_charge=charge())), listing(refund()), listing(dispute())]
    acts[broken:] = [stripe_problem(500, headers={"Stripe-Should-Retry": "false"})]
    async with stripe(*acts) as (client, _):
        answer = await client.fetch_money_back(INTENT_ID, SHORT)

    assert answer == Unknown(Doubt.SERVER_ERROR)


async def test_one_refund_that_cannot_be_read_leaves_open_what_went_back() -> None:
    strange = refund(status="of_tomorrow", metadata={})
    acts = [Reply(body=intent(latest_charge=charge())), listing(strange), listing()]
    async with stripe(*acts) as (client, _):
        answer = await client.fetch_money_back(INTENT_ID, SHORT)

    assert answer == Unknown(Doubt.UNREADABLE)


async def test_the_parts_of_a_payout_that_was_made_by_hand_are_refused() -> None:
    message = "Balance transaction history can only be filtered on automatic payouts, not manual."
    async with stripe(stripe_problem(400, None, message=message)) as (client, _):
        listed = [each async for each in client.list_payout_parts("po_1", SHORT)]

    assert listed == [Refused(Refusal.INVALID, message)]


async def test_a_line_that_cannot_be_read_ends_the_list_there() -> None:
    line = {
        "id": "txn_1",
        "amount": 4900,
        "currency": "usd",
        "fee": 172,
        "reporting_category": "charge",
        "source": charge(),
    }
    lines = [{**line, "source": payout(), "amount": -4728}, line, {**line, "id": "txn_2", "fee": None}, line]
    async with stripe(listing(*lines)) as (client, gateway):
        listed = [each async for each in client.list_payout_parts("po_1", SHORT)]

    assert listed == [
        PayoutPart("txn_1", "charge", (INTENT_ID, CHARGE_ID), 4900, 172, "usd"),
        Unknown(Doubt.UNREADABLE),
    ]
    assert gateway.asked[0].query["payout"] == "po_1"
    assert gateway.asked[0].query["expand[0]"] == "data.source"


# --- Razorpay ---


async def test_razorpay_is_asked_under_a_key_that_it_takes() -> None:
    async with razorpay(RAZORPAY_OK) as (client, gateway):
        answer = await client.create_refund(AT_RAZORPAY, OUR_REFUND, SHORT)
        other = await client.create_refund(AT_RAZORPAY, KEY, SHORT)

    first, second = gateway.asked
    assert isinstance(answer, RefundState)
    assert answer == other
    assert answer.id == RZP_REFUND_ID
    assert first.headers["x-refund-idempotency"] == OUR_REFUND
    assert second.headers["x-refund-idempotency"] not in {OUR_REFUND, KEY}
    assert (first.method, first.path) == ("POST", f"/v1/payments/{PAYMENT_ID}/refund")
    assert json.loads(first.body) == {
        "amount": 100_000,
        "speed": "normal",
        "notes": {
            "refund_id": OUR_REFUND,
            "order_id": ORDER_ID,
            "reason": "duplicate",
            "counterfoil": "counterfoil",
        },
    }


@pytest.mark.parametrize(
    "trouble", [CUT, SILENCE, problem(500, code="SERVER_ERROR"), problem(409), Reply(502, b"<html>")], ids=repr
)
async def test_f55_a_lost_answer_of_razorpays_is_asked_for_again_under_the_same_key(trouble: Act) -> None:
    async with razorpay(trouble, RAZORPAY_OK) as (client, gateway):
        answer = await client.create_refund(AT_RAZORPAY, KEY, SHORT)

    assert isinstance(answer, RefundState)
    assert len({asked.headers["x-refund-idempotency"] for asked in gateway.asked}) == 1
    assert len({asked.body for asked in gateway.asked}) == 1


@pytest.mark.parametrize(
    ("act", "doubt"),
    [
        (problem(409, "A request with the same idempotency key is being processed."), Doubt.KEY_IN_USE),
        (Reply(409, b"<html>"), Doubt.KEY_IN_USE),
        (problem(429), Doubt.RATE_LIMITED),
        (problem(500, code="SERVER_ERROR"), Doubt.SERVER_ERROR),
        (problem(400, code="GATEWAY_ERROR"), Doubt.SERVER_ERROR),
        (Reply(body=b"<html>"), Doubt.UNREADABLE),
        (Reply(body={**rzp_refund(), "status": None}), Doubt.UNREADABLE),
        (CUT, Doubt.CONNECTION_LOST),
        (SILENCE, Doubt.TIMED_OUT),
    ],
    ids=repr,
)
async def test_what_razorpay_does_not_say_of_a_refund_is_unknown(act: Act, doubt: Doubt) -> None:
    async with razorpay(act) as (client, _):
        answer = await client.create_refund(AT_RAZORPAY, KEY, Patience(1.0))

    assert answer == Unknown(doubt)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (
            problem(400, "The payment has been fully refunded already"),
            Refused(Refusal.INVALID, "BAD_REQUEST_ERROR: The payment has been fully refunded already"),
        ),
        (
            problem(400, "Different request with the same idempotency key has already been processed."),
            Refused(
                Refusal.KEY_REUSED,
                "BAD_REQUEST_ERROR: Different request with the same idempotency key has already been processed.",
            ),
        ),
        (problem(401, "Authentication failed"), Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)),
        (problem(400, "The id provided does not exist"), Gone()),
    ],
    ids=repr,
)
async def test_f99_f104_a_refusal_of_razorpays_is_final_and_carries_its_reason(
    reply: Reply, answer: Refused | Gone
) -> None:
    async with razorpay(reply) as (client, gateway):
        told = await client.create_refund(AT_RAZORPAY, KEY, SHORT)

    assert told == answer
    assert len(gateway.asked) == 1


async def test_f56_the_sdks_shared_body_stays_empty() -> None:
    async with razorpay(RAZORPAY_OK) as (client, _):
        await client.create_refund(AT_RAZORPAY, KEY, SHORT)

    assert Payment.refund.__defaults__ == ({},)


async def test_a_refund_is_looked_for_among_all_those_of_its_payment() -> None:
    others = [rzp_refund(id=f"rfnd_{number}", notes=[]) for number in range(100, 200)]
    pages = [collection(*others), collection(rzp_refund())]
    async with razorpay(Reply(body=payment()), *pages) as (client, gateway):
        found = await client.find_refund(AT_RAZORPAY, SHORT)

    assert isinstance(found, RefundState)
    assert found.id == RZP_REFUND_ID
    refunds = f"GET /v1/payments/{PAYMENT_ID}/refunds"
    assert gateway.calls == [f"GET /v1/payments/{PAYMENT_ID}", refunds, refunds]
    assert [asked.query["skip"] for asked in gateway.asked[1:]] == ["0", "100"]


@pytest.mark.parametrize("broken", range(2))
async def test_what_went_back_through_razorpay_is_told_whole_or_not_at_all(broken: int) -> None:
    acts: list[Act] = [Reply(body=payment(amount_refunded=100_000)), collection(rzp_refund())]
    acts[broken:] = [problem(401, "Authentication failed")]
    async with razorpay(*acts) as (client, _):
        answer = await client.fetch_money_back(PAYMENT_ID, SHORT)

    assert answer == Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)


def line(number: int, settlement_id: str = SETTLEMENT_ID) -> dict[str, Any]:
    return {
        "entity_id": f"pay_{number}",
        "type": "payment",
        "debit": 0,
        "credit": 97_640,
        "amount": 100_000,
        "currency": "INR",
        "fee": 2360,
        "tax": 360,
        "settlement_id": settlement_id,
    }


async def test_the_lines_of_a_settlement_are_asked_for_by_its_day_and_the_next_to_their_end() -> None:
    made_at_night = settlement(created_at=1_568_230_200)
    mine, anothers = [line(number) for number in range(LINES_MAX)], line(5000, "setl_another")

    def answer(asked: Asked) -> Reply:
        if asked.path == f"/v1/settlements/{SETTLEMENT_ID}":
            return Reply(body=made_at_night)
        first_day, later = asked.query["day"] == "12", asked.query["skip"] != "0"
        return collection(*([] if not first_day else [anothers, line(LINES_MAX)] if later else mine))

    async with razorpay() as (client, gateway):
        gateway.answer = answer
        listed = [each async for each in client.list_payout_parts(SETTLEMENT_ID, SHORT)]

    assert [each.names for each in listed if isinstance(each, PayoutPart)] == [
        (f"pay_{number}",) for number in range(LINES_MAX + 1)
    ]
    assert [(asked.query["year"], asked.query["month"], asked.query["day"]) for asked in gateway.asked[1:]] == [
        ("2019", "09", "12"),
        ("2019", "09", "12"),
        ("2019", "09", "13"),
    ]


async def test_the_lines_of_a_settlement_end_where_razorpay_breaks() -> None:
    acts = [Reply(body=settlement()), collection(line(1)), problem(401)]
    async with razorpay(*acts) as (client, _):
        listed = [each async for each in client.list_payout_parts(SETTLEMENT_ID, SHORT)]

    assert [type(each) for each in listed] == [PayoutPart, Refused]
