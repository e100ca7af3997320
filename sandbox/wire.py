"""The wire between client and stand-in: bodies read with a limit, answers withheld, connections cut without a word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandbox.faults import Faults

BODY_BYTES_MAX = 1024 * 1024

#: What a load balancer in front of a gateway says when there is nobody behind it.
BAD_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><h1>502 Bad Gateway</h1></body>\r\n</html>\r\n"
)

#: Open connections by the address of their other end: how an answer's own connection is found again.
_OPEN: dict[tuple[str, int], asyncio.Transport] = {}


class CuttableProtocol(H11Protocol):
    """HTTP as uvicorn speaks it, except that a connection can be broken off in the middle of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client is not None:
            _OPEN[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            _OPEN.pop(self.client, None)
        super().connection_lost(exc)


class Cut(Response):
    """No answer at all: the client sees its connection closed after it sent its request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del send
        connection = _OPEN.get(tuple(scope["client"]))
        if connection is not None:
            connection.abort()
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()


class TooLarge(Exception):
    """The body is over ``BODY_BYTES_MAX``; the rest of it was not read."""


async def read_body(request: Request) -> bytes:
    """The whole body. Raises ``TooLarge``, and starlette's ``ClientDisconnect``: half a request is none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise TooLarge
    return body


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway's API says, before anything happens to it on its way."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    has_changed: bool = False

    def as_response(self) -> Response:
        return Response(self.body, self.status, self.headers, self.media_type)


def bad_gateway() -> Answer:
    """An error that is not even JSON."""
    return Answer(502, BAD_GATEWAY_PAGE, media_type="text/html")


def lane(gateway: str, handler: Callable[..., object]) -> str:
    """One route of one gateway: callers keep their own calls to it in order, and no others."""
    return f"{gateway} {handler.__module__}.{handler.__name__}"


async def send_through(faults: Faults, answer: Answer, lane: str) -> Response:
    """The answer as it arrives: at once, late, or not at all although what was asked has been done."""
    if answer.has_changed and faults.strikes("cutAfterCommit", lane):
        return Cut()
    await asyncio.sleep(faults.timeout_seconds(lane))
    return answer.as_response()
