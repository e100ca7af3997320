"""Reading bodies: how much, how long, and what happens to the connection when the answer comes first."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from web import bodies
from web.bodies import HangUp
from web.problems import Problem

LIMIT = 10
MEGABYTE = 1024 * 1024


class Sender:
    """A client as the server hands it over: pieces of a body, then silence, its end, or its disappearance."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.asked = 0

    async def __call__(self) -> Message:
        self.asked += 1
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)


def piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


GONE: Message = {"type": "http.disconnect"}


def request(sender: Sender, **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, sender)


async def read(sender: Sender, *, seconds: float = 5, **headers: str) -> bytes:
    return await bodies.read(request(sender, **headers), limit_bytes=LIMIT, limit_seconds=seconds)


async def test_a_body_in_pieces_is_read_as_it_was_sent() -> None:
    sender = Sender(piece(b"12345", more=True), piece(b"", more=True), piece(b"67890", more=False))

    body = await read(sender, content_length="10")

    assert body == b"1234567890"


@pytest.mark.parametrize("length", ["11", "00011", "9" * 5000])
async def test_a_declared_length_beyond_the_limit_is_refused_unread(length: str) -> None:
    sender = Sender(piece(b"12345678901", more=False))

    with pytest.raises(Problem) as refused:
        await read(sender, content_length=length)

    assert (refused.value.status, refused.value.code, sender.asked) == (413, "body_too_large", 0)


@pytest.mark.parametrize("length", ["", "-1", "ten", "\xb2", "1e9", "0010"])
async def test_a_declared_length_that_says_nothing_is_not_believed(length: str) -> None:
    body = await read(Sender(piece(b"1", more=False)), content_length=length)

    assert body == b"1"


async def test_a_stream_is_refused_as_soon_as_it_passes_the_limit() -> None:
    sender = Sender(piece(b"123456", more=True), piece(b"123456", more=True), piece(b"never read", more=True))

    with pytest.raises(Problem) as refused:
        await read(sender)

    assert (refused.value.status, sender.asked) == (413, 2)


async def test_a_body_that_trickles_is_refused_in_time() -> None:
    with pytest.raises(Problem) as refused:
        await read(Sender(piece(b"1", more=True)), seconds=0.01)

    assert (refused.value.status, refused.value.code) == (408, "body_too_slow")


async def test_a_sender_that_goes_away_ends_the_request() -> None:
    with pytest.raises(Problem) as refused:
        await read(Sender(piece(b"1", more=True), GONE))

    assert (refused.value.status, refused.value.code) == (400, "incomplete_body")


async def answer_at_once(_: Request) -> Response:
    return PlainTextResponse("no", 403)


async def answer_after_reading(request: Request) -> Response:
    return PlainTextResponse(await request.body())


APP = HangUp(
    Starlette(
        routes=[
            Route("/at-once", answer_at_once, methods=["GET", "POST"]),
            Route("/after", answer_after_reading, methods=["POST"]),
        ]
    )
)


async def exchange(path: str, sender: Sender, method: str = "POST", **headers: str) -> tuple[list[Message], bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b"", "root_path": ""}
    await APP(scope, sender, send)
    return sent, dict(sent[0]["headers"]).get(b"connection", b"")


async def test_who_is_answered_before_his_body_was_read_is_hung_up_on() -> None:
    sender = Sender(piece(b"1", more=True), piece(b"2", more=False), piece(b"another request", more=False))

    sent, connection = await exchange("/at-once", sender, content_length="2")

    assert connection == b"close"
    # The whole answer goes out before what is left of the body is thrown away, and only then does it end.
    assert [(message.get("body"), message.get("more_body")) for message in sent[1:]] == [(b"no", True), (b"", False)]
    assert sender.asked == 2


async def test_who_goes_away_meanwhile_is_not_waited_for() -> None:
    sent, _ = await exchange("/at-once", Sender(GONE), transfer_encoding="chunked")

    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_what_is_thrown_away_is_limited() -> None:
    sender = Sender(*[piece(b"x" * MEGABYTE, more=True)] * 1000)

    await exchange("/at-once", sender, content_length="99999999999")

    assert sender.asked == bodies.LINGER_BYTES // MEGABYTE


async def test_who_was_heard_out_keeps_the_connection() -> None:
    sent, connection = await exchange("/after", Sender(piece(b"hello", more=False)), content_length="5")

    assert (sent[1]["body"], connection) == (b"hello", b"")


async def test_who_sent_no_body_keeps_the_connection() -> None:
    _, connection = await exchange("/at-once", Sender(), method="GET")

    assert connection == b""
