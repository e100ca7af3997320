"""What strangers send: never a 500, never a row. What a gateway signed, however odd: kept, or refused for good."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.pool import Pool
from ingress.webhooks import BODY_BYTES
from tests.front_door import (
    RAZORPAY_SECRET,
    STRIPE_SECRET,
    Door,
    front_door,
    hinted,
    raw,
    razorpay_event,
    stripe_event,
)
from tests.signed import as_received, razorpay_headers, stripe_headers

NESTED = b'{"id": "evt_1", "deep": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"


async def count_rows(pool: Pool) -> int:
    return int(
        await pool.fetchval("SELECT (SELECT count(*) FROM webhook_events) + (SELECT count(*) FROM webhook_keys)")
    )


async def test_f6_a_signature_is_good_for_five_minutes_on_both_sides(pool: Pool, database_url: str) -> None:
    now = int(time.time())

    async with front_door(database_url) as door:
        answers = [
            await door.stripe(raw(stripe_event()), timestamp=now + seconds_off)
            for seconds_off in (-301, -280, 280, 330, 3600)
        ]

    assert [answer.status_code for answer in answers] == [400, 200, 200, 400, 400]
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 2


async def test_f6_one_right_signature_among_wrong_ones_is_enough_and_v0_is_none(pool: Pool, database_url: str) -> None:
    body, now = raw(stripe_event()), int(time.time())
    right = stripe_headers(body, STRIPE_SECRET, now)["Stripe-Signature"].split("v1=")[1]

    async with front_door(database_url) as door:
        among = await door.http.post(
            "/webhooks/stripe", content=body, headers={"Stripe-Signature": f"t={now},v1={'0' * 64},v1={right}"}
        )
        only_v0 = await door.http.post(
            "/webhooks/stripe", content=body, headers={"Stripe-Signature": f"t={now},v0={right}"}
        )

    assert (among.status_code, only_v0.status_code) == (200, 400)
    assert await count_rows(pool) == 2


async def test_of_a_header_sent_twice_the_first_counts(pool: Pool, database_url: str) -> None:
    body = raw(razorpay_event())
    right = ("X-Razorpay-Signature", razorpay_headers(body, RAZORPAY_SECRET, None)["X-Razorpay-Signature"])
    wrong = ("X-Razorpay-Signature", "0" * 64)

    async with front_door(database_url) as door:
        answers = [
            await door.http.post("/webhooks/razorpay", content=body, headers=headers)
            for headers in ([wrong, right], [right, wrong])
        ]

    assert [answer.status_code for answer in answers] == [400, 200]


async def test_f7_a_hostile_header_is_a_400(pool: Pool, database_url: str) -> None:
    signatures = [
        b"",
        b"t=1700000000,v1=\xff\xfe",
        "t=١٢٣,v1=é".encode(),
        b"t=" + b"9" * 5000 + b",v1=00",
        b"t=1,t=2,v1=00",
        b"," * 8000,
    ]

    async with front_door(database_url) as door:
        answers = [await door.http.post("/webhooks/stripe"), await door.http.post("/webhooks/razorpay")]
        for name, signature in product(("stripe-signature", "x-razorpay-signature"), signatures):
            path = "/webhooks/stripe" if name.startswith("stripe") else "/webhooks/razorpay"
            answers.append(await door.http.post(path, content=b"{}", headers=[(name.encode(), signature)]))

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "invalid_signature")] * 14
    assert await count_rows(pool) == 0


async def test_f7_a_signed_body_that_is_no_json_object_is_a_400(pool: Pool, database_url: str) -> None:
    bodies = [
        *(b"", b"null", b"[]", b"1", b'"text"', b"{", b'{"id": ', b"\xff\xfe{}", b'{"id": "\xff"}', b'{"a": NaN}'),
        b'{"a": ' + b"9" * 5000 + b"}",
        NESTED,
    ]

    async with front_door(database_url) as door:
        answers = [await door.stripe(body) for body in bodies] + [await door.razorpay(body) for body in bodies]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "malformed_body")] * 24
    assert await count_rows(pool) == 0


@pytest.mark.parametrize("secrets", [{}, {"stripe": ()}])
async def test_f11_a_gateway_without_a_secret_is_not_there(
    pool: Pool, database_url: str, secrets: dict[str, Any]
) -> None:
    async with front_door(database_url, secrets=secrets) as door:
        unconfigured = await door.stripe(raw(stripe_event()), secret="")
        unheard_of = await door.http.post("/webhooks/adyen", content=b"{}")

    assert unconfigured.status_code == unheard_of.status_code == 404
    assert unconfigured.json() == unheard_of.json()
    assert unheard_of.json()["code"] == "unknown_gateway"
    assert await count_rows(pool) == 0


@pytest.mark.parametrize("poison", ["\\u0000", "\\ud800", "\\u0000\\udfff"])
async def test_f13_poison_in_a_text_is_kept_and_hinted(
    pool: Pool, database_url: str, redis_url: str, poison: str
) -> None:
    body = json.dumps(stripe_event(id="evt_1", note="?")).replace("?", poison).encode()

    async with front_door(database_url, redis_url) as door:
        answer = await door.stripe(body)

        assert answer.status_code == 200
        row = await pool.fetchrow("SELECT id, payload, payload_raw FROM webhook_events")
        assert row is not None
        assert row["payload"] is None
        assert bytes(row["payload_raw"]) == body
        assert await hinted(door, redis_url) == [row["id"]]


async def test_f13_poison_in_the_envelope_is_kept(pool: Pool, database_url: str) -> None:
    fields = ("id", "type", "api_version", "account")
    values = ('"a\\u0000b"', '"\\ud800"', '""', "null", "7", "[]", '"' + "x" * 100_000 + '"')
    bodies = [
        json.dumps(stripe_event(**{field: "?"})).replace('"?"', value).encode()
        for field, value in product(fields, values)
    ]

    async with front_door(database_url) as door:
        answers = [await door.stripe(body) for body in bodies]

    assert [answer.status_code for answer in answers] == [200] * 28
    kept = await pool.fetch("SELECT payload_raw FROM webhook_events")
    assert {bytes(row["payload_raw"]) for row in kept} == set(bodies)


async def test_a_poisoned_header_beside_a_good_signature_is_kept_without_its_poison(
    pool: Pool, database_url: str
) -> None:
    body = raw(razorpay_event())
    headers = as_received(razorpay_headers(body, RAZORPAY_SECRET, None)) | {b"x-razorpay-event-id": b"a\0\xff"}

    async with front_door(database_url) as door:
        status = await post_raw(door, "/webhooks/razorpay", headers, body)

    assert status == 200
    assert await pool.fetchval("SELECT event_id LIKE 'sha256:%' FROM webhook_events")


async def test_other_paths_and_methods_are_refused(database_url: str) -> None:
    expected = [
        ("POST", "/webhooks/%00", 404),
        ("POST", "/webhooks/" + "x" * 20_000, 404),
        ("POST", "/webhooks/", 404),
        ("POST", "/webhooks/stripe/", 404),
        ("POST", "/webhooks/../metrics", 405),
        ("POST", "/webhooks/%2e%2e%2f", 404),
        ("POST", "/webhooks/STRIPE", 404),
        ("GET", "/webhooks/stripe", 405),
        ("HEAD", "/webhooks/stripe", 405),
        ("PUT", "/webhooks/stripe", 405),
        ("OPTIONS", "/webhooks/stripe", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
    ]

    async with front_door(database_url) as door:
        answers = [await door.http.request(method, path) for method, path, _ in expected]

    assert [answer.status_code for answer in answers] == [status for _, _, status in expected]
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


async def test_what_is_declared_too_large_is_refused_unread(pool: Pool, database_url: str) -> None:
    async with front_door(database_url) as door:
        for declared in (str(BODY_BYTES + 1), "9" * 5000):
            headers = {b"content-length": declared.encode()}
            assert await post_raw(door, "/webhooks/stripe", headers, None) == 413

        at_the_limit = await door.stripe(raw(stripe_event(padding="x" * (BODY_BYTES - 400))))

    assert at_the_limit.status_code == 200
    assert await count_rows(pool) == 2


async def post_raw(door: Door, path: str, headers: dict[bytes, bytes], body: bytes | None) -> int:
    """A request as the server hands it over, with bytes that no client library would send; None: unread until answered."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        assert body is not None or statuses, "the body was to be left unread"
        return {"type": "http.request", "body": body or b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await door.app(scope, receive, send)
    (status,) = statuses
    return status


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.dictionaries(
    st.sampled_from(["id", "type", "object", "account", "livemode", "api_version", "created", "event", "data", "x"]),
    JSON_VALUES,
)
BODIES = st.one_of(
    st.binary(max_size=200), EVENTS.map(raw), JSON_VALUES.map(raw), st.sampled_from([NESTED, b"{}", b"null"])
)
HEADER_NAMES = st.sampled_from(
    [b"stripe-signature", b"x-razorpay-signature", b"x-razorpay-event-id", b"content-length", b"x-request-id"]
)
HEADER_VALUES = st.binary(max_size=80) | st.sampled_from([b"t=1,v1=0", b"-1", b"\xb2", b"1e9", b"0"])
PATHS = st.one_of(
    st.sampled_from(["/webhooks/stripe", "/webhooks/razorpay"]),
    st.text(max_size=30).map("/webhooks/".__add__),
    st.text(max_size=30).map("/".__add__),
)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    """One for all the examples of a test."""
    async with front_door(database_url) as opened:
        yield opened


@FUZZ
@given(path=PATHS, headers=st.dictionaries(HEADER_NAMES, HEADER_VALUES), body=BODIES)
async def test_fuzz_whatever_strangers_send_is_refused_and_writes_nothing(
    pool: Pool, door: Door, path: str, headers: dict[bytes, bytes], body: bytes
) -> None:
    status = await post_raw(door, path, headers, body)

    assert status in {400, 404, 405, 413}
    assert await count_rows(pool) == 0


@FUZZ
@given(body=BODIES, event_id=st.binary(max_size=300))
async def test_fuzz_whatever_a_gateway_signed_is_kept_or_refused_for_good(
    pool: Pool, door: Door, body: bytes, event_id: bytes
) -> None:
    stripe = as_received(stripe_headers(body, STRIPE_SECRET, int(time.time())))
    razorpay = as_received(razorpay_headers(body, RAZORPAY_SECRET, None)) | {b"x-razorpay-event-id": event_id}

    statuses = [
        await post_raw(door, "/webhooks/stripe", stripe, body),
        await post_raw(door, "/webhooks/razorpay", razorpay, body),
    ]

    held = await pool.fetchval("SELECT count(*) FROM webhook_events WHERE payload_raw = $1", body)
    assert statuses in ([200, 200], [400, 400])
    # A Stripe id that an earlier example took for itself keeps its first bytes.
    assert held == (2 if statuses == [200, 200] else 0) or "id" in json.loads(body)
