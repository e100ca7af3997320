"""uvicorn's fast HTTP protocol, with the limits it lacks: on what it hears before, between and behind the bodies."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes that are neither body nor a finished head: request line, headers, chunk sizes, trailers. h11 has the same.
FRAMING_LIMIT = 64 * 1024

#: From the connection, or the first byte of a further request, to the end of its headers.
HEAD_SECONDS = 10.0

TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class LimitedProtocol(HttpToolsProtocol):
    """Without these limits, a stranger who sends headers without end fills the memory, and one who sends them without
    haste keeps his connection for ever."""

    head_seconds = HEAD_SECONDS
    framing = 0
    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows its own base class
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.framing += len(data)
        super().data_received(data)
        if self.framing > FRAMING_LIMIT and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        self.framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self.framing = max(0, self.framing - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.framing = 0
        super().on_message_complete()

    def _await_head(self) -> None:
        self._head_came()
        self.head_timer = self.loop.call_later(self.head_seconds, self._close_unless_answering)

    def _head_came(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _close_unless_answering(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first
            self.transport.close()
        else:  # The late head is pipelined behind a request that is still being answered.
            self._await_head()
