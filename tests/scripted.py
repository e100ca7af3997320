"""A gateway that answers as the test has written it down, byte for byte, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Reply:
    """``body`` is sent as JSON unless it is bytes. ``pause_seconds`` lies before each of its bytes: a slow drip."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    pause_seconds: float = 0.0


@dataclass(frozen=True)
class Silence:
    """No answer, and the connection stays open."""


@dataclass(frozen=True)
class Cut:
    """No answer: the connection is closed once the request has arrived."""


SILENCE, CUT = Silence(), Cut()
Act = Reply | Silence | Cut


@dataclass
class Gateway:
    """``answer`` decides; by default the next line of ``script``, whose last line is repeated."""

    url: str = ""
    script: list[Act] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Act] | None = None

    def next_act(self, asked: Asked) -> Act:
        if self.answer is not None:
            return self.answer(asked)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    @property
    def calls(self) -> list[str]:
        return [f"{asked.method} {asked.path}" for asked in self.asked]


@asynccontextmanager
async def running_gateway(*script: Act) -> AsyncIterator[Gateway]:
    """Serves on a free port of loopback."""
    gateway = Gateway(script=list(script))
    conversations: list[asyncio.Task[None]] = []

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversations.append(asyncio.create_task(_serve(gateway, reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    gateway.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield gateway
    finally:
        server.close()
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


async def _serve(gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await _converse(gateway, reader, writer):
            pass
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _converse(gateway: Gateway, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One request and what follows; whether the connection lives on."""
    asked = await _read(reader)
    gateway.asked.append(asked)
    match gateway.next_act(asked):
        case Reply() as reply:
            await _write(writer, reply)
            return True
        case Cut():
            return False
        case Silence():
            await reader.read()
            return False


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {reply.status} Scripted\r\n{head}\r\n".encode())
    pieces = [bytes([byte]) for byte in body] if reply.pause_seconds else [body]
    for piece in pieces:
        await asyncio.sleep(reply.pause_seconds)
        writer.write(piece)
        await writer.drain()
