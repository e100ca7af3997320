"""A server between a client and Redis that passes everything on, or swallows the answers: done, and nobody heard."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Lossy:
    """``url`` leads through it."""

    target: tuple[str, int]
    listener: socket.socket
    password: str
    swallows_answers: bool = False
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.listener.getsockname()[1]}/0"

    def accept_for_ever(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                self.connections += [client, server]
                threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                if not (is_answer and self.swallows_answers):
                    sink.sendall(piece)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def lossy(url: str) -> Iterator[Lossy]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    with socket.create_server(("127.0.0.1", 0)) as listener:
        between = Lossy((parts.hostname, parts.port), listener, parts.password or "")
        threading.Thread(target=between.accept_for_ever, daemon=True).start()
        yield between
        listener.shutdown(socket.SHUT_RDWR)
        for connection in between.connections:
            connection.close()
