"""Every way in which a call to Razorpay can end, and each trap of its SDK, over real HTTP from a scripted server."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from razorpay.resources import Payment
from structlog.testing import capture_logs

from gateways.calling import CREDENTIALS_REASON, Line
from gateways.client import (
    Absent,
    Captured,
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
from gateways.pacing import Bucket
from gateways.razorpay.client import Razorpay
from gateways.razorpay.threads import THREADS
from payments.events import PaymentSucceeded
from payments.money import Money
from tests.scripted import CUT, SILENCE, Act, Asked, Gateway, Reply, running_gateway

KEY_ID, SECRET = "rzp_test_counterfoil", "a secret that nobody may see"
EXPIRES_AT = datetime(2026, 11, 22, 12, 31, tzinfo=UTC)
FROZEN = {
    "amount": 49900,
    "currency": "INR",
    "reference_id": "order-1",
    "expire_by": int(EXPIRES_AT.timestamp()),
}
LINK = {"id": "plink_1", "status": "created", "short_url": "https://rzp.io/i/1", "notes": [], **FROZEN}
CREATED = Created(Session("plink_1", "https://rzp.io/i/1", EXPIRES_AT))
OK, FOUND, ABSENT = Reply(body=LINK), Reply(body={"payment_links": [LINK]}), Reply(body={"payment_links": []})
PRICE = Money(49900, "inr")

POST, LOOK, FETCH = "POST /v1/payment_links", "GET /v1/payment_links", "GET /v1/payment_links/plink_1"

#: Long enough for the retries that a test means, short enough to wait for.
SHORT = Patience(2.0)


def problem(status: int, description: str = "no", code: str = "BAD_REQUEST_ERROR", **headers: str) -> Reply:
    return Reply(status, {"error": {"code": code, "description": description}}, headers)


BROKEN = problem(500, code="SERVER_ERROR")
PAGE = Reply(502, b"<html><h1>502 Bad Gateway</h1></html>", {"Content-Type": "text/html"})
TAKEN = problem(400, "payment link creation with reference ID already attempted")
NO_SUCH_ID = problem(400, "The id provided does not exist")


@asynccontextmanager
async def calling(
    *script: Act, attempt_seconds: float = 5.0, attempts_max: int = 5, rate: float = 100.0
) -> AsyncIterator[tuple[Razorpay, Gateway]]:
    async with running_gateway(*script) as gateway:
        line = Line("razorpay", Bucket(rate), attempt_seconds=attempt_seconds, attempts_max=attempts_max)
        client = Razorpay(KEY_ID, SECRET, line, api_base=f"{gateway.url}/")
        try:
            yield client, gateway
        finally:
            await client.aclose()


async def create(client: Razorpay, patience: Patience = SHORT) -> Created | Refused | Unknown:
    return await client.create_session(FROZEN, "key-1", patience)


async def test_what_is_sent_is_what_was_frozen() -> None:
    async with calling(OK) as (client, gateway):
        answer = await create(client)

    (asked,) = gateway.asked
    assert answer == CREATED
    assert f"{asked.method} {asked.path}" == POST
    assert json.loads(asked.body) == FROZEN
    assert asked.headers["authorization"].startswith("Basic ")


# A lost answer to a POST: never sent again, always looked up.


@pytest.mark.parametrize(
    "trouble",
    [
        BROKEN,
        PAGE,
        CUT,
        SILENCE,
        problem(400, code="GATEWAY_ERROR"),
        Reply(body=b"<html>"),
        Reply(204, b""),
        Reply(body=[]),
        Reply(403, b"<html>blocked</html>"),
        Reply(302, b"", {"Location": "/v1/elsewhere"}),
        Reply(body=LINK, pause_seconds=0.05),
    ],
    ids=repr,
)
async def test_f55_a_post_without_an_answer_is_looked_up_and_not_repeated(
    trouble: Act, capsys: pytest.CaptureFixture[str]
) -> None:
    async with calling(trouble, FOUND, OK, attempt_seconds=0.3) as (client, gateway):
        with capture_logs():
            answer = await create(client)

    assert answer == CREATED
    assert gateway.calls == [POST, LOOK, FETCH]
    # The SDK would have printed some of these.
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("trouble", [BROKEN, CUT], ids=repr)
async def test_f55_what_is_looked_up_and_absent_stays_unknown(trouble: Act) -> None:
    async with calling(trouble, ABSENT) as (client, gateway):
        answer = await create(client)

    assert isinstance(answer, Unknown)
    assert gateway.calls == [POST, LOOK]


async def test_a_post_that_was_refused_for_its_rate_has_not_acted_and_is_repeated() -> None:
    slow_down = Reply(429, {"error": {"code": "BAD_REQUEST_ERROR", "description": "slow"}}, {"Retry-After": "1"})
    async with calling(slow_down, OK) as (client, gateway):
        began = time.monotonic()
        answer = await create(client)
        took = time.monotonic() - began

    assert answer == CREATED
    assert gateway.calls == [POST, POST]
    assert took >= 1


async def test_a_gateway_that_is_not_there_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    async with running_gateway() as gateway:
        url = gateway.url
    client = Razorpay(KEY_ID, SECRET, Line("razorpay", Bucket(100)), api_base=url)

    with capture_logs():
        answer = await create(client, Patience(0.5))

    assert answer == Unknown(Doubt.CONNECTION_LOST)
    assert capsys.readouterr().out == ""
    await client.aclose()


@pytest.mark.parametrize(
    ("trouble", "doubt"),
    [
        (SILENCE, Doubt.TIMED_OUT),
        (CUT, Doubt.CONNECTION_LOST),
        (BROKEN, Doubt.SERVER_ERROR),
        (PAGE, Doubt.SERVER_ERROR),
        (problem(429), Doubt.RATE_LIMITED),
        (problem(429, **{"Retry-After": "3600"}), Doubt.RATE_LIMITED),
        (Reply(204, b""), Doubt.UNREADABLE),
        (Reply(body=b"<html>"), Doubt.UNREADABLE),
        (Reply(body=b"[" * 100_000), Doubt.UNREADABLE),
        (Reply(body={}), Doubt.UNREADABLE),
        (Reply(body={"error": None}), Doubt.UNREADABLE),
        (Reply(400, {"error": ["no"]}), Doubt.UNREADABLE),
        (Reply(400, "no"), Doubt.UNREADABLE),
        (Reply(403, b"<html>blocked</html>"), Doubt.UNREADABLE),
        (Reply(body=LINK, pause_seconds=0.05), Doubt.TIMED_OUT),
        (Reply(body=b" " * (5 * 1024 * 1024)), Doubt.CONNECTION_LOST),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_what_gives_no_answer_in_time_is_unknown(trouble: Act, doubt: Doubt) -> None:
    async with calling(trouble, attempt_seconds=0.5, attempts_max=2) as (client, _):
        answer = await client.fetch_session("plink_1", Patience(5.0))

    assert answer == Unknown(doubt)


async def test_answers_that_drip_do_not_keep_the_threads() -> None:
    drip = Reply(body=LINK, pause_seconds=0.05)
    async with calling(*[drip] * THREADS, OK, attempt_seconds=0.3) as (client, _):
        drips = await asyncio.gather(*(client.fetch_session("plink_1", Patience(0.3)) for _ in range(THREADS)))
        answer = await client.fetch_session("plink_1", SHORT)

    assert set(drips) == {Unknown(Doubt.TIMED_OUT)}
    assert isinstance(answer, SessionState)


# The SDK calls all of these BadRequestError; here each is what it is.


async def test_f55_a_reference_that_is_taken_is_ours_if_the_link_is() -> None:
    async with calling(TAKEN, FOUND, OK) as (client, gateway):
        answer = await create(client)

    assert answer == CREATED
    assert gateway.calls == [POST, LOOK, FETCH]


@pytest.mark.parametrize("other", [{"amount": 1}, {"currency": "USD"}, {"expire_by": 1}], ids=repr)
async def test_a_reference_that_is_taken_by_another_request_is_an_alarm(other: dict[str, Any]) -> None:
    async with calling(TAKEN, Reply(body={"payment_links": [{**LINK, **other}]})) as (client, _):
        answer = await create(client)

    assert answer == Refused(Refusal.KEY_REUSED, "another request has made a link with this reference")


async def test_a_reference_that_is_taken_though_no_link_is_there_is_still_being_made() -> None:
    async with calling(TAKEN, ABSENT) as (client, _):
        answer = await create(client)

    assert answer == Unknown(Doubt.KEY_IN_USE)


@pytest.mark.parametrize(
    ("trouble", "doubt"), [(problem(401), Doubt.UNREADABLE), (BROKEN, Doubt.SERVER_ERROR)], ids=repr
)
async def test_a_refusal_is_not_believed_while_we_cannot_look(trouble: Reply, doubt: Doubt) -> None:
    async with calling(TAKEN, trouble, attempts_max=1) as (client, _):
        answer = await create(client)

    assert answer == Unknown(doubt)


async def test_a_refusal_is_believed_only_when_nothing_was_made() -> None:
    too_late = problem(400, "timestamp must be atleast 15 minutes in future")
    async with calling(too_late, FOUND, OK) as (client, _):
        found = await create(client)
    async with calling(too_late, ABSENT) as (client, _):
        refused = await create(client)

    assert found == CREATED
    assert refused == Refused(Refusal.OUTDATED, "BAD_REQUEST_ERROR: timestamp must be atleast 15 minutes in future")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_is_told_apart_and_says_nothing_about_the_key(status: int) -> None:
    async with calling(problem(status, f"Authentication failed for {KEY_ID}")) as (client, gateway):
        answers = [await create(client), await client.find_session(FROZEN, SHORT)]

    assert answers == [Refused(Refusal.CREDENTIALS, CREDENTIALS_REASON)] * 2
    assert gateway.calls == [POST, LOOK]


async def test_f113_an_object_that_is_gone_is_told_apart_from_a_wrong_address() -> None:
    async with calling(NO_SUCH_ID, NO_SUCH_ID, problem(404, "The requested URL was not found")) as (client, _):
        answers = [
            await client.fetch_session("plink_1", SHORT),
            await client.fetch_payment("pay_1", SHORT),
            await client.fetch_session("plink_1", SHORT),
        ]

    assert answers == [
        Gone(),
        Gone(),
        Refused(Refusal.INVALID, "BAD_REQUEST_ERROR: The requested URL was not found"),
    ]


async def test_a_filter_that_was_not_applied_proves_no_absence() -> None:
    others = Reply(body={"payment_links": [{**LINK, "reference_id": "other"}]})
    async with calling(others, OK) as (client, _):
        found = await client.find_session(FROZEN, SHORT)

    assert found == Unknown(Doubt.UNREADABLE)


async def test_what_is_not_there_is_absent() -> None:
    async with calling(ABSENT) as (client, gateway):
        found = await client.find_session(FROZEN, SHORT)

    assert found == Absent()
    assert gateway.asked[0].query == {"reference_id": "order-1"}


async def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    async with calling(OK) as (client, gateway):
        answers = [
            await client.fetch_session("../payments", SHORT),
            await client.close_session("plink_1/../../payments", SHORT),
            await client.fetch_payment("pay_1?expand[]=card", SHORT),
            await client.capture_payment("", PRICE, SHORT),
        ]

    assert answers == [Gone()] * 4
    assert gateway.asked == []


# Payments.


def payment(payment_id: str, status: str = "captured", **more: Any) -> dict[str, Any]:
    return {
        "id": payment_id,
        "amount": 49900,
        "currency": "INR",
        "status": status,
        "captured": status == "captured",
        "created_at": 1795350000,
        "notes": {"order_id": "order-1"},
        **more,
    }


async def test_a_session_is_read_with_every_attempt_at_its_order() -> None:
    attempts = {"items": [payment("pay_2"), payment("pay_1", "failed", created_at=1795349000)]}
    paid = {**LINK, "status": "paid", "order_id": "order_1"}
    async with calling(Reply(body=paid), Reply(body=attempts)) as (client, gateway):
        state = await client.fetch_session("plink_1", SHORT)

    assert isinstance(state, SessionState)
    assert [type(observed.event).__name__ for observed in state.observed] == ["PaymentFailed", "PaymentSucceeded"]
    assert gateway.calls == [FETCH, "GET /v1/orders/order_1/payments"]


async def test_f56_captures_at_once_take_each_their_own_amount() -> None:
    amounts = {f"pay_{number}": 10000 + number for number in range(24)}

    def answer(asked: Asked) -> Act:
        payment_id = asked.path.split("/")[3]
        taken = json.loads(asked.body)["amount"] if asked.method == "POST" else amounts[payment_id]
        return Reply(body=payment(payment_id, amount=taken))

    async with calling(rate=1000) as (client, gateway):
        gateway.answer = answer
        captures = [client.capture_payment(each, Money(amount, "inr"), SHORT) for each, amount in amounts.items()]
        answers = await asyncio.gather(*captures)

    sent = {asked.path.split("/")[3]: json.loads(asked.body) for asked in gateway.asked if asked.method == "POST"}
    assert sent == {each: {"amount": amount, "currency": "INR"} for each, amount in amounts.items()}
    assert all(isinstance(each, Captured) for each in answers)
    # The dictionary that the SDK shares among all callers has not been touched.
    assert Payment.capture.__defaults__ == ({},)


@pytest.mark.parametrize(
    ("asked", "shown", "outcome"),
    [
        (problem(400, "This payment has already been captured"), Reply(body=payment("pay_1")), PRICE),
        (CUT, Reply(body=payment("pay_1")), PRICE),
        (CUT, Reply(body=payment("pay_1", "authorized")), Unknown(Doubt.CONNECTION_LOST)),
        (
            problem(400, "Capture amount must be equal to the amount authorized."),
            Reply(body=payment("pay_1", "authorized")),
            Refused(Refusal.INVALID, "BAD_REQUEST_ERROR: Capture amount must be equal to the amount authorized."),
        ),
        (NO_SUCH_ID, NO_SUCH_ID, Gone()),
        (Reply(body=payment("pay_1")), Reply(body=payment("pay_1", "authorized")), Unknown(Doubt.UNREADABLE)),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_a_capture_is_what_the_payment_shows_afterwards(asked: Act, shown: Act, outcome: object) -> None:
    async with calling(asked, shown) as (client, gateway):
        answer = await client.capture_payment("pay_1", PRICE, SHORT)

    if isinstance(outcome, Money):
        assert isinstance(answer, Captured)
        assert answer.observed.event == PaymentSucceeded("pay_1", outcome)
    else:
        assert answer == outcome
    assert gateway.calls == ["POST /v1/payments/pay_1/capture", "GET /v1/payments/pay_1"]


async def test_f112_a_list_is_read_in_closed_slices_and_each_payment_once() -> None:
    """An hour and a half with more than fits into a page: its halves are asked for, and one of them is paged."""
    pages = {
        # A payment came while the first page was read: its last line moves to the next page.
        0: [payment(f"pay_{number}") for number in range(100)],
        100: [payment("pay_99"), payment("pay_100")],
    }
    end = int(EXPIRES_AT.timestamp())
    first, middle, last = str(end - 5400), str(end - 2701), str(end - 1)

    def answer(asked: Asked) -> Act:
        is_second_half = asked.query["from"] != first
        items = [payment("pay_101")] if is_second_half else pages[int(asked.query["skip"])]
        return Reply(body={"entity": "collection", "items": items})

    async with calling() as (client, gateway):
        gateway.answer = answer
        found = [each async for each in client.list_payments(EXPIRES_AT - timedelta(minutes=90), EXPIRES_AT)]

    windows = [(asked.query["from"], asked.query["to"], asked.query["skip"]) for asked in gateway.asked]
    assert [each.id for each in found if isinstance(each, GatewayPayment)] == [f"pay_{n}" for n in range(102)]
    assert windows == [
        (first, last, "0"),
        (first, middle, "0"),
        (first, middle, "100"),
        (str(int(middle) + 1), last, "0"),
    ]


async def test_where_little_is_sold_a_day_is_one_question() -> None:
    async with calling(Reply(body={"items": [payment("pay_1")]})) as (client, gateway):
        found = [each async for each in client.list_payments(EXPIRES_AT - timedelta(days=30), EXPIRES_AT)]

    assert len(found) == len(gateway.asked) == 30
    bounds = [(int(asked.query["from"]), int(asked.query["to"])) for asked in gateway.asked]
    assert [later[0] - earlier[1] for earlier, later in pairwise(bounds)] == [1] * 29


async def test_a_list_that_is_cut_short_says_so_and_ends() -> None:
    page = Reply(body={"items": [payment("pay_1")]})
    async with calling(page, problem(401), page) as (client, gateway):
        found = [each async for each in client.list_payments(EXPIRES_AT - timedelta(days=3), EXPIRES_AT)]

    assert [type(each) for each in found] == [GatewayPayment, Refused]
    assert len(gateway.asked) == 2


async def test_a_half_that_is_cut_short_ends_the_whole_list() -> None:
    full = Reply(body={"items": [payment(f"pay_{number}") for number in range(100)]})
    async with calling(full, problem(401), full) as (client, gateway):
        found = [each async for each in client.list_payments(EXPIRES_AT - timedelta(hours=3), EXPIRES_AT)]

    assert [type(each) for each in found] == [Refused]
    assert len(gateway.asked) == 2


async def test_razorpay_has_no_list_of_events() -> None:
    async with calling(OK) as (client, gateway):
        events = [each async for each in client.list_events(EXPIRES_AT, EXPIRES_AT)]

    assert events == []
    assert gateway.asked == []


# What is written, and what is not.


async def test_every_attempt_leaves_one_line_and_no_line_holds_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as lines, caplog.at_level(logging.INFO):
        async with calling(BROKEN, problem(401, f"{KEY_ID}:{SECRET} is wrong")) as (client, _):
            answer = await create(client)
            written = repr((lines, caplog.records, client, vars(client), answer))

    assert answer == Unknown(Doubt.SERVER_ERROR)
    assert [(line["operation"], line["outcome"]) for line in lines] == [
        ("create_session", "server_error"),
        ("find_session", "credentials"),
    ]
    assert SECRET not in written
    assert not re.search("plink|order-1", repr(lines))
