"""Servers on loopback that stand for the outside world: one that takes webhooks, one that takes mail. Written by hand."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for that host name, and the file that makes a client trust it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    key, pem = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", pem],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    return context, pem


@dataclass(frozen=True)
class Request:
    """One request as it came in over the socket."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class HttpReceiver:
    """Answers each request with the next of ``answers``, and the last one for ever; keeps what it got."""

    answers: list[bytes]
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                self.requests.append(await _read(reader))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                writer.write(answer)
                await writer.drain()
                if b"content-length" not in answer:
                    break
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(head[0].split(" ")[1], headers, body)


def answer(status: int, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def http_receiver(
    *answers: bytes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpReceiver]:
    receiver = HttpReceiver(list(answers) or [answer(200)])
    server = await asyncio.start_server(receiver.serve, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@dataclass
class MailServer:
    """An SMTP server that answers as it is told, by command, and keeps what it takes."""

    refusals: dict[str, list[str]]
    port: int = 0
    taken: list[Envelope] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_MAIL(self, _: SMTP, __: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's names
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._next("MAIL")

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]) -> str:  # noqa: N802
        verdict = self._next("RCPT")
        if verdict.startswith("2"):
            envelope.rcpt_tos.append(address)
        return verdict

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        verdict = self._next("DATA")
        if verdict.startswith("2"):
            self.taken.append(envelope)
            self.encrypted.append(session.ssl is not None)
        return verdict

    def _next(self, command: str) -> str:
        told = self.refusals.get(command, [])
        return told.pop(0) if told else "250 OK"

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, ____: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"right p@ss", handled=False)


@asynccontextmanager
async def mail_server(
    refusals: dict[str, list[str]] | None = None, *, tls: ssl.SSLContext | None = None, login: bool = False
) -> AsyncIterator[MailServer]:
    """``refusals`` hold, per SMTP command, what to answer before all is well; ``login`` insists on our one password."""
    taker = MailServer(refusals or {})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(
            taker,
            loop=loop,
            hostname="mail.example.test",
            enable_SMTPUTF8=True,
            tls_context=tls,
            authenticator=taker.authenticate if login else None,
            auth_require_tls=not login,
        ),
        "127.0.0.1",
        0,
    )
    taker.port = server.sockets[0].getsockname()[1]
    try:
        yield taker
    finally:
        server.close()
