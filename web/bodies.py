"""Request bodies, read with a limit on their size and on their time; who is refused is not listened to any longer."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import Problem

#: How long, and how far, a refused body is still heard before its connection is closed.
LINGER_SECONDS = 2.0
LINGER_BYTES = 16 * 1024 * 1024


async def read(request: Request, *, limit_bytes: int, limit_seconds: float) -> bytes:
    """The exact bytes of the body. Raises ``Problem`` 413 as soon as it is, or says it is, too large; 408 when it
    trickles; 400 when its sender went away."""
    if _declares_more_than(limit_bytes, request):
        raise _too_large(limit_bytes)
    try:
        async with asyncio.timeout(limit_seconds):
            return await _gather(request, limit_bytes)
    except TimeoutError:
        raise Problem(408, "body_too_slow", f"The body took more than {limit_seconds:g} seconds.") from None
    except ClientDisconnect:
        # Nobody is left to read this answer; it ends the request and is counted.
        raise Problem(400, "incomplete_body") from None


async def _gather(request: Request, limit_bytes: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
    return bytes(body)


def _declares_more_than(limit_bytes: int, request: Request) -> bool:
    declared = _header(request.scope, b"content-length").lstrip(b"0")
    # The length of the number first: int() of a million digits is itself an attack.
    return declared.isdigit() and (len(declared) > len(str(limit_bytes)) or int(declared) > limit_bytes)


def _too_large(limit_bytes: int) -> Problem:
    return Problem(413, "body_too_large", f"The body may have at most {limit_bytes} bytes.")


def _header(scope: Scope, name: bytes) -> bytes:
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


class HangUp:
    """An answer that comes before the whole body was read closes the connection.

    The answer is sent at once. What its sender still writes is thrown away for a moment and not kept: a socket that
    is closed with bytes unread resets, and the sender would see a broken connection in the place of the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return

        heard_out = False

        async def watched_receive() -> Message:
            nonlocal heard_out
            message = await receive()
            heard_out = heard_out or _is_last(message)
            return message

        async def closing_send(message: Message) -> None:
            if heard_out:
                await send(message)
            elif message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
            else:
                await send({**message, "more_body": True})
                if not message.get("more_body", False):
                    await _throw_away(watched_receive)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, watched_receive, closing_send)


async def _throw_away(receive: Receive) -> None:
    thrown_away = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while thrown_away < LINGER_BYTES:
                message = await receive()
                if _is_last(message):
                    return
                thrown_away += len(message.get("body", b""))


def _is_last(message: Message) -> bool:
    return message["type"] != "http.request" or not message.get("more_body", False)


def _has_body(scope: Scope) -> bool:
    return bool(_header(scope, b"transfer-encoding") or _header(scope, b"content-length").strip(b"0"))
