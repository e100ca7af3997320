"""Every way in which a call to Stripe can end, over real HTTP, from a server that does what the test has written down."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import stripe
from structlog.testing import capture_logs

from gateways.calling import CREDENTIALS_REASON, Line
from gateways.client import (
    Absent,
    Created,
    Doubt,
    GatewayPayment,
    Gone,
    Patience,
    Refusal,
    Refused,
    Session,
    SessionState,
    Unknown,
)
from gateways.customers import Customer, NewCustomer
from gateways.pacing import Bucket
from gateways.stripe.account import API_VERSION
from gateways.stripe.client import Stripe
from tests.scripted import CUT, SILENCE, Act, Gateway, Reply, running_gateway

# The SDK hands httpx a text where httpx would rather have it named.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

KEY = "sk_test_a_key_that_nobody_may_see"
EXPIRES_AT = datetime(2026, 11, 22, 12, 31, tzinfo=UTC)
FROZEN = {
    "mode": "payment",
    "client_reference_id": "order-1",
    "metadata": {"order_id": "order-1", "counterfoil": "counterfoil"},
    "line_items": [{"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 1000}}],
    "allow_promotion_codes": False,
    "expires_at": int(EXPIRES_AT.timestamp()),
}
SESSION: dict[str, Any] = {
    "id": "cs_1",
    "object": "checkout.session",
    "mode": "payment",
    "status": "open",
    "payment_status": "unpaid",
    "url": "https://checkout.stripe.com/c/pay/cs_1",
    "client_reference_id": "order-1",
    "metadata": {"order_id": "order-1", "counterfoil": "counterfoil"},
    "expires_at": int(EXPIRES_AT.timestamp()),
}
CREATED = Created(Session("cs_1", "https://checkout.stripe.com/c/pay/cs_1", EXPIRES_AT))
OK = Reply(body=SESSION, headers={"Request-Id": "req_ok"})

#: Long enough for the retries that a test means, short enough to wait for.
SHORT = Patience(2.0)


def problem(status: int, kind: str = "api_error", headers: dict[str, str] | None = None, **more: Any) -> Reply:
    return Reply(status, {"error": {"type": kind, "message": "no", **more}}, headers or {})


BROKEN = problem(500)
PAGE = Reply(502, b"<html><h1>502 Bad Gateway</h1></html>", {"Content-Type": "text/html"})


@asynccontextmanager
async def calling(
    *script: Act, attempt_seconds: float = 5.0, attempts_max: int = 5, rate: float = 100.0
) -> AsyncIterator[tuple[Stripe, Gateway]]:
    async with running_gateway(*script) as gateway:
        line = Line("stripe", Bucket(rate), attempt_seconds=attempt_seconds, attempts_max=attempts_max)
        client = Stripe(KEY, line, api_base=f"{gateway.url}/stripe/")
        try:
            yield client, gateway
        finally:
            await client.aclose()


def customer_of(user_id: str, **more: str) -> dict[str, Any]:
    return {"id": f"cus_{user_id}", "object": "customer", "metadata": {"user_id": user_id, **more}}


async def create(client: Stripe, patience: Patience = SHORT) -> Created | Refused | Unknown:
    return await client.create_session(FROZEN, "key-1", patience)


async def test_what_is_sent_is_what_was_frozen_under_our_key_and_in_our_version() -> None:
    async with calling(OK) as (client, gateway):
        answer = await create(client)

    (asked,) = gateway.asked
    assert answer == CREATED
    assert (asked.method, asked.path) == ("POST", "/stripe/v1/checkout/sessions")
    assert asked.headers["idempotency-key"] == "key-1"
    assert asked.headers["stripe-version"] == API_VERSION
    assert parse_qs(asked.body.decode()) == {
        "mode": ["payment"],
        "client_reference_id": ["order-1"],
        "metadata[order_id]": ["order-1"],
        "metadata[counterfoil]": ["counterfoil"],
        "line_items[0][quantity]": ["1"],
        "line_items[0][price_data][currency]": ["usd"],
        "line_items[0][price_data][unit_amount]": ["1000"],
        "allow_promotion_codes": ["false"],
        "expires_at": [str(FROZEN["expires_at"])],
    }


def test_the_version_that_we_read_is_the_one_that_the_sdk_was_made_for() -> None:
    assert stripe.api_version == API_VERSION


async def test_nothing_of_this_machine_is_told() -> None:
    async with calling(OK) as (client, gateway):
        await create(client)
        await create(client)

    for asked in gateway.asked:
        assert not {"telemetry_id", "platform"} & json.loads(asked.headers["x-stripe-client-user-agent"]).keys()
        assert "x-stripe-client-telemetry" not in asked.headers


@pytest.mark.parametrize("trouble", [BROKEN, PAGE, CUT, Reply(body=b"<html>"), problem(409)], ids=repr)
async def test_f52_trouble_is_met_by_asking_again_under_the_same_key(trouble: Act) -> None:
    async with calling(trouble, OK) as (client, gateway):
        answer = await create(client)

    first, second = gateway.asked
    assert answer == CREATED
    assert (first.headers["idempotency-key"], first.body) == (second.headers["idempotency-key"], second.body)


async def test_an_attempt_without_an_answer_leaves_time_for_another() -> None:
    async with calling(SILENCE, OK, attempt_seconds=0.3) as (client, gateway):
        answer = await create(client)

    assert answer == CREATED
    assert len(gateway.asked) == 2


@pytest.mark.parametrize(
    ("trouble", "doubt"),
    [
        (SILENCE, Doubt.TIMED_OUT),
        (CUT, Doubt.CONNECTION_LOST),
        (BROKEN, Doubt.SERVER_ERROR),
        (PAGE, Doubt.SERVER_ERROR),
        (problem(429, code="lock_timeout"), Doubt.RATE_LIMITED),
        (Reply(body=b"<html>"), Doubt.UNREADABLE),
        (Reply(body=[]), Doubt.UNREADABLE),
        (Reply(body=b"null"), Doubt.UNREADABLE),
        (Reply(body="text"), Doubt.UNREADABLE),
        (Reply(body={"id": "cs_1"}), Doubt.UNREADABLE),
        (Reply(body=b"\xff"), Doubt.UNREADABLE),
        (Reply(400, {"error": None}), Doubt.UNREADABLE),
        (Reply(400, {"error": ["no"]}), Doubt.UNREADABLE),
        (Reply(403, b"<html>blocked</html>"), Doubt.UNREADABLE),
        (Reply(302, b"", {"Location": "http://127.0.0.1:9/"}), Doubt.UNREADABLE),
    ],
    ids=repr,
)
async def test_what_gives_no_answer_in_time_is_unknown(trouble: Act, doubt: Doubt) -> None:
    async with calling(trouble, attempt_seconds=0.5, attempts_max=2) as (client, _):
        answer = await create(client, Patience(5.0))

    assert answer == Unknown(doubt)


@pytest.mark.parametrize(
    ("before", "outcome"),
    [
        (CUT, Unknown(Doubt.CONNECTION_LOST)),
        (problem(429), Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)),
    ],
    ids=repr,
)
async def test_a_key_refused_after_a_lost_answer_does_not_say_that_nothing_was_made(
    before: Act, outcome: object
) -> None:
    async with calling(before, problem(401)) as (client, _):
        answer = await create(client)

    assert answer == outcome


async def test_f53_a_key_in_use_is_asked_for_again_until_the_time_is_over() -> None:
    in_use = problem(409, "idempotency_error", code="idempotency_key_in_use")
    async with calling(in_use, attempts_max=1) as (client, gateway):
        answer = await create(client, Patience(1.0))

    assert answer in {Unknown(Doubt.KEY_IN_USE), Unknown(Doubt.TIMED_OUT)}
    assert len(gateway.asked) > 1


async def test_a_call_ends_with_its_time() -> None:
    async with calling(SILENCE, attempt_seconds=0.2, attempts_max=100) as (client, gateway):
        began = time.monotonic()
        answer = await create(client, Patience(1.0))
        took = time.monotonic() - began

    assert answer == Unknown(Doubt.TIMED_OUT)
    assert len(gateway.asked) > 1
    assert took < 3


async def test_a_gateway_that_is_not_there_is_unknown() -> None:
    async with running_gateway() as gateway:
        url = gateway.url
    client = Stripe(KEY, Line("stripe", Bucket(100)), api_base=url)

    answer = await create(client, Patience(0.5))

    assert answer == Unknown(Doubt.CONNECTION_LOST)
    await client.aclose()


async def test_f53_a_stored_server_error_is_not_asked_for_again() -> None:
    replayed = problem(500, headers={"Idempotent-Replayed": "true"})
    async with calling(BROKEN, replayed, OK) as (client, gateway):
        answer = await create(client)

    assert answer == Unknown(Doubt.KEY_SPENT)
    assert len(gateway.asked) == 2


async def test_a_server_error_that_forbids_a_retry_is_not_retried() -> None:
    async with calling(problem(500, headers={"Stripe-Should-Retry": "false"}), OK) as (client, gateway):
        answer = await create(client)

    assert answer == Unknown(Doubt.SERVER_ERROR)
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    ("no", "code"),
    [
        (problem(400, "idempotency_error"), Refusal.KEY_REUSED),
        (problem(400, "invalid_request_error", param="expires_at"), Refusal.OUTDATED),
        (problem(400, "invalid_request_error", param="line_items", code="parameter_missing"), Refusal.INVALID),
        (problem(400, "invalid_request_error", code="amount_too_small"), Refusal.INVALID),
        (problem(402, "card_error", code="card_declined"), Refusal.INVALID),
        (problem(404, "invalid_request_error"), Refusal.INVALID),
        (problem(401, "invalid_request_error"), Refusal.CREDENTIALS),
        (problem(403, "invalid_request_error"), Refusal.CREDENTIALS),
    ],
    ids=repr,
)
async def test_f53_a_clear_no_is_a_refusal_and_is_not_repeated(no: Reply, code: Refusal) -> None:
    async with calling(no, OK) as (client, gateway):
        answer = await create(client)

    assert isinstance(answer, Refused)
    assert answer.code is code
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("body", [problem(429).body, b"<html>slow down</html>"])
async def test_f120_a_wish_to_wait_is_honoured(body: object) -> None:
    async with calling(Reply(429, body, {"Retry-After": "1"}), OK) as (client, gateway):
        began = time.monotonic()
        answer = await create(client)
        took = time.monotonic() - began

    assert answer == CREATED
    assert len(gateway.asked) == 2
    assert took >= 1


async def test_a_wish_to_wait_for_longer_than_we_can_ends_the_call_at_once() -> None:
    async with calling(problem(429, headers={"Retry-After": "3600"}), OK) as (client, gateway):
        answer = await create(client)

    assert answer == Unknown(Doubt.RATE_LIMITED)
    assert len(gateway.asked) == 1


async def test_f120_background_work_that_gets_no_turn_sends_nothing() -> None:
    async with calling(OK, rate=2) as (client, gateway):
        for _ in range(2):
            await client.fetch_session("cs_1", SHORT)
        answer = await client.fetch_session("cs_1", Patience(0.2, is_background=True))

    assert answer == Unknown(Doubt.BUSY)
    assert len(gateway.asked) == 2


async def test_f113_an_object_that_is_gone_is_told_apart_from_a_wrong_address() -> None:
    missing = problem(404, "invalid_request_error", code="resource_missing", param="id")
    wrong = problem(404, "invalid_request_error")
    async with calling(missing, missing, wrong) as (client, _):
        answers = [
            await client.fetch_session("cs_1", SHORT),
            await client.fetch_payment("pi_1", SHORT),
            await client.fetch_session("cs_1", SHORT),
        ]

    assert answers == [Gone(), Gone(), Refused(Refusal.INVALID, "no")]


async def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    async with calling(problem(404, "invalid_request_error", code="resource_missing")) as (client, gateway):
        await client.fetch_payment("../events?limit=1", SHORT)

    assert gateway.calls == ["GET /stripe/v1/payment_intents/..%2Fevents%3Flimit%3D1"]


# Lists.


def page(*objects: dict[str, Any], has_more: bool = False) -> Reply:
    return Reply(body={"object": "list", "data": list(objects), "has_more": has_more, "url": "/v1/things"})


def intent(number: int) -> dict[str, Any]:
    return {"id": f"pi_{number}", "object": "payment_intent", "status": "requires_action", "created": 1795350000}


async def listed(client: Stripe, **more: Any) -> list[object]:
    until = EXPIRES_AT
    return [each async for each in client.list_payments(until - timedelta(hours=1), until, **more)]


async def test_a_list_is_read_to_its_end_page_after_page() -> None:
    async with calling(page(intent(3), intent(2), has_more=True), page(intent(1))) as (client, gateway):
        found = await listed(client)

    first, second = (asked.query for asked in gateway.asked)
    window = {"created[gte]": "1795347060", "created[lt]": "1795350660", "limit": "100"}
    assert [payment.id for payment in found if isinstance(payment, GatewayPayment)] == ["pi_3", "pi_2", "pi_1"]
    assert first == window
    assert second == {**window, "starting_after": "pi_2"}


@pytest.mark.parametrize(
    ("trouble", "end"),
    [
        (problem(401), Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)),
        (PAGE, Unknown(Doubt.SERVER_ERROR)),
        (page(has_more=True), Unknown(Doubt.UNREADABLE)),
        (page({"id": "pi_0", "object": "payment_intent"}), Unknown(Doubt.UNREADABLE)),
    ],
    ids=repr,
)
async def test_a_list_that_is_cut_short_says_so(trouble: Reply, end: object) -> None:
    async with calling(page(intent(1), has_more=True), trouble) as (client, _):
        found = await listed(client, patience=Patience(0.5))

    assert [type(each) for each in found] == [GatewayPayment, type(end)]
    assert found[-1] == end


async def test_undelivered_events_can_be_asked_for() -> None:
    event = {"id": "evt_1", "object": "event", "type": "checkout.session.completed"}
    async with calling(page(event)) as (client, gateway):
        until = EXPIRES_AT
        events = [each async for each in client.list_events(until - timedelta(days=1), until, only_undelivered=True)]

    assert events == [event]
    assert gateway.asked[0].query["delivery_success"] == "false"


async def test_f54_a_session_is_found_again_by_our_reference_and_by_its_expiry() -> None:
    other_attempt = {**SESSION, "id": "cs_2", "expires_at": SESSION["expires_at"] + 600}
    other_order = {**SESSION, "id": "cs_3", "client_reference_id": "order-2"}
    other_instance = {**SESSION, "id": "cs_4", "metadata": {"order_id": "order-1", "counterfoil": "another"}}
    async with calling(page(other_attempt, other_order, other_instance, SESSION), OK) as (client, gateway):
        found = await client.find_session(FROZEN, SHORT)

    looked, fetched = gateway.asked
    assert isinstance(found, SessionState)
    assert found.session.id == "cs_1"
    # A session expires at the soonest 30 minutes and at the latest a day after it was made.
    assert looked.query["created[gte]"] == str(int((EXPIRES_AT - timedelta(hours=24, minutes=5)).timestamp()))
    assert looked.query["created[lt]"] == str(int((EXPIRES_AT - timedelta(minutes=25)).timestamp()))
    assert fetched.path == "/stripe/v1/checkout/sessions/cs_1"


async def test_a_search_begins_when_the_request_was_first_sent() -> None:
    async with calling(page()) as (client, gateway):
        found = await client.find_session(FROZEN, SHORT, since=EXPIRES_AT - timedelta(minutes=31))

    assert found == Absent()
    assert gateway.asked[0].query["created[gte]"] == str(int((EXPIRES_AT - timedelta(minutes=36)).timestamp()))


# What is written, and what is not.


async def test_every_attempt_leaves_one_line_and_no_line_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    tells_the_key = f"Invalid API Key provided: {KEY}"
    denied = Reply(401, {"error": {"type": "invalid_request_error", "message": tells_the_key}}, {"Request-Id": "req_2"})
    with capture_logs() as lines, caplog.at_level(logging.INFO):
        async with calling(problem(429), denied) as (client, _):
            answer = await create(client)

    assert answer == Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)
    assert [(line["event"], line["operation"], line["outcome"], line["request_id"]) for line in lines] == [
        ("gateway.called", "create_session", "rate_limited", None),
        ("gateway.called", "create_session", "credentials", "req_2"),
    ]
    assert all(line["gateway"] == "stripe" and line["duration_ms"] >= 0 for line in lines)
    written = repr((lines, caplog.records, client, vars(client), answer))
    assert KEY not in written
    assert [record for record in caplog.records if record.name in {"stripe", "httpx"}] == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([customer_of("bob", counterfoil="ours")], Absent()),
        ([customer_of("Bob", counterfoil="another's")], Absent()),
        ([customer_of("Bob")], Absent()),
        (
            [customer_of("bob", counterfoil="ours"), customer_of("Bob", counterfoil="ours", note="x")],
            Customer("cus_Bob"),
        ),
    ],
)
async def test_of_what_a_search_brings_only_the_customer_with_the_very_marks_is_taken_and_addressed(
    found: list[dict[str, Any]], expected: Customer | Absent
) -> None:
    page = {"object": "search_result", "data": found, "has_more": False, "next_page": None}
    async with calling(Reply(body=page), Reply(body=customer_of("Bob", counterfoil="ours"))) as (client, gateway):
        answer = await client.find_customer(NewCustomer("Bob", "ours", "bob@example.com"), SHORT)

        assert answer == expected
        asked = [request.path for request in gateway.asked]
        assert [path.rsplit("/", 1)[1] for path in asked] == ["search"] + ["cus_Bob"] * (expected != Absent())
