"""Bodies, paths and headers built to hurt: refused with a code, never a 500, and nothing is written for a stranger."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from checkout.app import build
from db.pool import Pool
from tests.counter import Shop, bearer, counter, problem, put_on_sale, values
from tests.fake_client import FakeClient

#: One database serves a hundred bodies: nothing that these tests send may change what the next one sees.
MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WISHES = st.fixed_dictionaries({}, optional={"planId": JSON, "gateway": JSON, "amount": JSON, "status": JSON})
HEADER = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)


def ask(database_url: str, *requests: tuple[str, str, dict[str, Any]]) -> list[httpx.Response]:
    """In a loop of its own, since hypothesis has none."""

    async def go() -> list[httpx.Response]:
        async with counter(database_url) as shop:
            return [await shop.http.request(method, path, **more) for method, path, more in requests]

    return asyncio.run(go())


def is_refusal(answer: httpx.Response) -> bool:
    return answer.status_code in (400, 401, 404, 405, 413, 431) and "code" in answer.json()


@MANY
@given(body=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()) | WISHES.map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
@example(body=b'{"planId": "\\ud800", "gateway": "\\u0000"}')
@example(body=b'{"planId": 1e999}')
@example(body=b'{"planId": ' + b"9" * 5000 + b"}")
@example(body=b'{"planId": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}")
def test_no_body_is_more_than_a_refusal(database_url: str, body: bytes) -> None:
    [answer] = ask(database_url, ("POST", "/create-payment", {"content": body, "headers": bearer()}))

    assert is_refusal(answer), answer.text


@MANY
@given(path=st.text(max_size=60), method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]))
@example(path="order-status/\0", method="GET")
@example(path="order-status/" + "a/" * 50, method="GET")
@example(path="users/../../etc/passwd/access", method="GET")
@example(path="create-payment/", method="POST")
def test_no_path_is_more_than_a_refusal(database_url: str, path: str, method: str) -> None:
    quoted = "/" + quote(path, safe="/.", errors="replace")
    [answer] = ask(database_url, (method, quoted, {"headers": bearer()}))

    assert is_refusal(answer) or answer.status_code == 200, (quoted, answer.text)


@MANY
@given(authorization=HEADER, key=HEADER, forwarded=HEADER)
def test_no_header_lets_anybody_in(database_url: str, authorization: str, key: str, forwarded: str) -> None:
    headers = [
        (b"authorization", authorization.encode("latin-1")),
        (b"idempotency-key", key.encode("latin-1")),
        (b"x-forwarded-for", forwarded.encode("latin-1")),
        (b"x-request-id", forwarded.encode("latin-1")),
    ]
    answers = ask(
        database_url,
        ("POST", "/create-payment", {"headers": headers, "content": b'{"planId": "lifetime"}'}),
        ("GET", "/orders", {"headers": headers}),
    )

    assert [answer.status_code for answer in answers] == [401, 401]


async def test_nothing_is_written_for_a_stranger(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        for headers in ({}, {"Authorization": "Bearer x"}, bearer(lifetime_seconds=-60)):
            await shop.http.post("/create-payment", json={"planId": "lifetime"}, headers=headers)

        for table in ("users", "orders", "payment_attempts", "idempotency_keys"):
            assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0
        assert shop.stripe.asked == []


@pytest.mark.parametrize("path", ["/create-payment", "/plans", "/orders", "/access", "/payment/success", "/healthz"])
async def test_every_answer_carries_the_headers_of_the_house(database_url: str, path: str) -> None:
    async with counter(database_url) as shop:
        answer = await shop.http.get(path)

        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
        assert "set-cookie" not in answer.headers


async def test_production_speaks_https_alone(database_url: str) -> None:
    app = build(values(database_url, production=True))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pay.test") as plain,
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://pay.test") as encrypted,
    ):
        refused = [await plain.get(path, headers=bearer()) for path in ("/plans", "/payment/success", "/openapi.json")]
        healthy = await plain.get("/healthz")
        served = await encrypted.get("/plans", headers=bearer())

    assert [problem(answer) for answer in refused] == [(403, "tls_required")] * 3
    assert healthy.status_code == served.status_code == 200
    assert served.headers["strict-transport-security"]


class TestOtherOrigins:
    """Frontends on another origin call us from a browser, which asks first."""

    ASKS = {  # noqa: RUF012 - a constant of the tests
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }

    async def preflight(self, shop: Shop, origin: str) -> httpx.Response:
        return await shop.http.options("/create-payment", headers={"Origin": origin, **self.ASKS})

    async def test_none_is_let_in_unless_it_is_listed(self, database_url: str) -> None:
        async with counter(database_url) as shop:
            answer = await self.preflight(shop, "https://shop.example")

        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers

    async def test_a_listed_one_may_call_and_read_what_it_needs(self, pool: Pool, database_url: str) -> None:
        await put_on_sale(pool)
        async with counter(database_url, cors_origins=("https://shop.example",)) as shop:
            asked = await self.preflight(shop, "https://shop.example")
            answer = await shop.http.post(
                "/create-payment", json={"planId": "lifetime"}, headers=bearer() | {"Origin": "https://shop.example"}
            )
            refused = await shop.http.get("/plans", headers={"Origin": "https://shop.example"})

        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "https://shop.example"
        assert "idempotency-key" in asked.headers["access-control-allow-headers"].lower()
        assert "access-control-allow-credentials" not in asked.headers
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null"]
    )
    async def test_an_origin_that_looks_like_it_is_not_it(self, database_url: str, origin: str) -> None:
        async with counter(database_url, cors_origins=("https://shop.example",)) as shop:
            asked = await self.preflight(shop, origin)
            answer = await shop.http.get("/plans", headers=bearer() | {"Origin": origin})

        assert asked.status_code == 400
        assert "access-control-allow-origin" not in answer.headers


async def test_an_answer_of_no_client_of_ours_is_a_503_and_not_a_traceback(pool: Pool, database_url: str) -> None:
    """What nobody foresaw: a gateway's client that raises."""

    class Broken(FakeClient):
        async def create_session(self, *_: object, **__: object) -> Any:
            raise RuntimeError("sk_test_secret")

    await put_on_sale(pool)
    async with counter(database_url, clients={"stripe": Broken()}) as shop:
        answer = await shop.buy()

        assert problem(answer) == (503, "unavailable")
        assert "secret" not in answer.text
        assert await pool.fetchval("SELECT status FROM payment_attempts") == "intended"
