"""The stand-ins as a server on loopback: a socket, the application behind it, and a word when it serves."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from sandbox.app import sandbox_app
from sandbox.wire import CuttableProtocol
from sandbox.world import World

HOST = "127.0.0.1"
#: How long open answers get at the end; a withheld one would take minutes.
GRACE_SECONDS = 1


def bind(port: int) -> socket.socket:
    """A socket on loopback; port 0 takes a free one. Raises ``OSError`` where the port is taken."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError:
        listening.close()
        raise
    return listening


def address(listening: socket.socket) -> str:
    """The base URL behind a socket."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


class Server(uvicorn.Server):
    """uvicorn, which also says when it serves."""

    def __init__(self, world: World, when_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox_app(world),
                http=CuttableProtocol,
                ws="none",
                lifespan="on",
                log_level="warning",
                access_log=False,
                # Whoever asks is who connects: no header may claim to come from this machine.
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._when_ready()
