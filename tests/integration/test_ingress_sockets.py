"""The front door on a real socket: large, slow, endless and broken-off requests, none of which hurts another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from db.pool import Pool
from tests.front_door import STRIPE_SECRET, Door, front_door, listening, raw, stripe_event
from tests.signed import stripe_headers

MEGABYTE = 1024 * 1024

Address = tuple[str, int]


#: Waited out by tests whose client is slow; longer than an honest delivery takes on a busy machine.
SHORT_SECONDS = 1.0


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    async with front_door(database_url, body_seconds=SHORT_SECONDS) as opened:
        yield opened


@pytest.fixture
async def address(door: Door) -> AsyncIterator[Address]:
    async with listening(door.app, head_seconds=SHORT_SECONDS) as found:
        yield found


class Client:
    """Bytes as they come: what a client library would not let us send."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: Address) -> Client:
        return cls(*await asyncio.open_connection(*address))

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def answer(self, seconds: float = 5) -> bytes:
        """All that the server says until it closes the connection."""
        async with asyncio.timeout(seconds):
            return await self._reader.read()

    async def head(self) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def close(self) -> None:
        self._writer.close()


def request(body: bytes, *, length: int | None = None, headers: str = "") -> bytes:
    signed = stripe_headers(body, STRIPE_SECRET, int(time.time()))
    lines = [
        *("POST /webhooks/stripe HTTP/1.1", "Host: ingress.test"),
        f"Content-Length: {len(body) if length is None else length}",
        f"Stripe-Signature: {signed['Stripe-Signature']}",
        headers,
    ]
    return "\r\n".join(line for line in lines if line).encode() + b"\r\n\r\n"


async def deliver(address: Address) -> bytes:
    """One honest delivery; returns the answer's status line and headers."""
    client = await Client.connect(address)
    body = raw(stripe_event())
    await client.send(request(body), body)
    try:
        return await client.head()
    finally:
        await client.close()


async def test_a_signed_delivery_is_answered_and_the_connection_kept(pool: Pool, address: Address) -> None:
    client = await Client.connect(address)
    first, second = raw(stripe_event()), raw(stripe_event())

    await client.send(request(first), first)
    head = await client.head()
    await asyncio.sleep(1.5 * SHORT_SECONDS)  # The time for a head is not the time between two requests.
    await client.send(request(second, headers="Connection: close"), second)
    rest = await client.answer()

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" not in head.lower()
    assert b"HTTP/1.1 200 OK\r\n" in rest
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 2
    await client.close()


async def test_f14_five_declared_megabytes_are_refused_before_they_are_sent(address: Address) -> None:
    client = await Client.connect(address)

    await client.send(request(b"", length=5 * MEGABYTE, headers="Expect: 100-continue"))
    answer = await client.answer()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert b"connection: close" in answer.lower()
    assert b'"code":"body_too_large"' in answer
    await client.close()


async def test_f14_an_endless_stream_is_cut_off(address: Address) -> None:
    client = await Client.connect(address)
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: ingress.test\r\nTransfer-Encoding: chunked\r\n\r\n"

    with pytest.raises(ConnectionError):
        await client.send(head, *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 1600)

    await client.close()


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_f14_who_sends_five_megabytes_without_a_pause_reads_the_refusal(
    address: Address, is_chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b"x" * 65536

    content = pieces() if is_chunked else b"x" * 5 * MEGABYTE
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"http://{address[0]}:{address[1]}/webhooks/stripe", content=content)

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_f14_an_unknown_gateway_does_not_read_what_is_sent_to_it(address: Address) -> None:
    client = await Client.connect(address)

    await client.send(b"POST /webhooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n")
    answer = await client.answer()

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close" in answer.lower()
    await client.close()


async def test_f14_a_body_that_trickles_is_cut_off_and_delays_nobody(address: Address) -> None:
    client = await Client.connect(address)
    body = raw(stripe_event())

    await client.send(request(body), body[:10])
    honest = await deliver(address)
    answer = await client.answer()

    assert honest.startswith(b"HTTP/1.1 200 ")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()
    await client.close()


async def test_a_client_that_goes_away_in_the_middle_writes_nothing(pool: Pool, door: Door, address: Address) -> None:
    client = await Client.connect(address)
    body = raw(stripe_event())

    await client.send(request(body), body[:10])
    await client.close()

    incomplete = 'counterfoil_deliveries_total{gateway="stripe",outcome="incomplete_body"}'
    async with asyncio.timeout(5):
        while await door.metric(incomplete) == 0:
            await asyncio.sleep(0.01)
    assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 0


async def test_a_client_that_does_not_wait_for_the_answer_loses_nothing(pool: Pool, address: Address) -> None:
    client = await Client.connect(address)
    body = raw(stripe_event())

    await client.send(request(body), body)
    await client.close()

    async with asyncio.timeout(5):
        while await pool.fetchval("SELECT count(*) FROM webhook_events") == 0:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("beginning", "endless"),
    [
        (b"GET /", b"x" * 200_000),
        (b"GET / HTTP/1.1\r\nX: ", b"x" * 200_000),
        (b"GET / HTTP/1.1\r\n", b"X-Header: 1\r\n" * 20_000),
    ],
    ids=["line", "header", "headers"],
)
async def test_a_head_without_an_end_is_refused(address: Address, beginning: bytes, endless: bytes) -> None:
    client = await Client.connect(address)

    with pytest.raises(ConnectionError):
        await client.send(beginning, *[endless] * 200)

    await client.close()


async def test_trailers_without_an_end_are_refused(address: Address) -> None:
    client = await Client.connect(address)
    head = b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"

    with pytest.raises(ConnectionError):
        await client.send(head, *[b"X-Trailer: 1\r\n" * 10_000] * 200)

    await client.close()


async def test_who_connects_and_says_nothing_is_not_waited_for(address: Address) -> None:
    silent, dawdling = await Client.connect(address), await Client.connect(address)

    await dawdling.send(b"POST /webhooks/stripe HTTP/1.1\r\nX-Slow: ")

    assert await silent.answer() == b""
    assert await dawdling.answer() == b""
    await silent.close()
    await dawdling.close()


async def test_what_is_no_http_is_refused_and_delays_nobody(address: Address) -> None:
    garbage = [
        *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\xff" * 100, b"\r\n\r\n{}\r\n"),
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /webhooks/\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    clients = [await Client.connect(address) for _ in garbage]

    for client, bytes_ in zip(clients, garbage, strict=True):
        await client.send(bytes_)
    honest = await deliver(address)
    answers = [await client.answer() for client in clients]

    assert honest.startswith(b"HTTP/1.1 200 ")
    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 400 "] * len(garbage)
    for client in clients:
        await client.close()
