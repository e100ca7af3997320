"""What stands around every service: problems with codes, headers, ids, TLS, and an answer even to a bug."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import NoReturn

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from web.frame import frame
from web.problems import HANDLERS, Problem, unavailable


async def fine(_: Request) -> Response:
    structlog.get_logger("test").info("said", what="fine")
    return PlainTextResponse("fine")


async def own_policy(_: Request) -> Response:
    return PlainTextResponse("page", headers={"Content-Security-Policy": "default-src 'self'"})


async def refused(_: Request) -> NoReturn:
    raise Problem(409, "key_in_use", "That key is taken.", headers={"X-More": "yes"})


async def away(_: Request) -> NoReturn:
    raise unavailable()


async def broken(_: Request) -> NoReturn:
    raise RuntimeError("a bug with sk_live_secret in it")


async def half(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("a bug in the middle")

    return StreamingResponse(pieces())


def client(*, production: bool = False, base: str = "http://test") -> httpx.AsyncClient:
    app = Starlette(
        routes=[
            Route("/fine", fine),
            Route("/own-policy", own_policy),
            Route("/refused", refused),
            Route("/away", away),
            Route("/broken", broken),
            Route("/half", half),
            Route("/healthz", fine),
        ],
        middleware=frame(production=production, plain_paths=frozenset({"/healthz"})),
        exception_handlers=HANDLERS,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base)


async def test_a_problem_is_told_as_rfc_9457_says_with_its_code() -> None:
    async with client() as http:
        answer = await http.get("/refused")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-more"] == "yes"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "code": "key_in_use",
        "detail": "That key is taken.",
    }


async def test_the_router_s_own_refusals_are_problems_too() -> None:
    async with client() as http:
        missing, wrong = await http.get("/nowhere"), await http.post("/fine")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["content-type"] == "application/problem+json"
    assert "GET" in wrong.headers["allow"]


async def test_unavailable_says_when_to_come_again() -> None:
    async with client() as http:
        answer = await http.get("/away")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_a_bug_is_logged_and_answered_503_with_nothing_of_it_shown() -> None:
    async with client() as http:
        with structlog.testing.capture_logs() as told:
            answer = await http.get("/broken")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "retry-after" in answer.headers
    assert "secret" not in answer.text
    assert [(line["event"], line["log_level"]) for line in told] == [("request.failed", "error")]


async def test_half_an_answer_is_not_made_to_look_whole() -> None:
    async with client() as http:
        with structlog.testing.capture_logs(), pytest.raises(RuntimeError):
            await http.get("/half")


async def test_every_answer_has_the_headers_and_an_id() -> None:
    async with client() as http:
        answers = [await http.get(path) for path in ("/fine", "/refused", "/nowhere", "/broken")]

    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


async def test_a_page_s_own_policy_stands() -> None:
    async with client() as http:
        answer = await http.get("/own-policy")

    assert answer.headers.get_list("content-security-policy") == ["default-src 'self'"]


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [("a-proxy-s-id-0123", True), ("short", False), ("x" * 65, False), ("with space1", False), ("new\\nline", False)],
)
async def test_a_plausible_request_id_is_kept_and_another_replaced(given: str, is_taken: bool) -> None:
    async with client() as http:
        answer = await http.get("/fine", headers={"X-Request-Id": given})

    assert (answer.headers["x-request-id"] == given) is is_taken


async def test_what_is_logged_meanwhile_carries_the_request_s_id() -> None:
    async with client() as http:
        with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as told:
            answer = await http.get("/fine")

    assert [line["request_id"] for line in told] == [answer.headers["x-request-id"]]


async def test_production_refuses_plain_http_but_for_health() -> None:
    async with client(production=True) as http:
        refused_answer, health = await http.get("/fine"), await http.get("/healthz")

    assert (refused_answer.status_code, refused_answer.json()["code"]) == (403, "tls_required")
    assert health.status_code == 200


async def test_production_over_tls_asks_for_tls_from_now_on() -> None:
    async with client(production=True, base="https://test") as http:
        answer = await http.get("/fine")

    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_a_detail_is_left_out_where_there_is_none() -> None:
    async with client() as http:
        answer = await http.get("/nowhere")

    assert "detail" not in json.loads(answer.text)
