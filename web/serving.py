"""Run an application on a port: the one way in which all our HTTP services listen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from web.protocol import LimitedProtocol

log = structlog.get_logger(__name__)

#: Connections at once; more are answered 503. Bounds what bodies can hold in memory, together with their own limit.
CONNECTIONS = 1000

#: Longer than the 60 seconds after which the usual proxies close, so that none sends into a closing connection.
KEEP_ALIVE_SECONDS = 65

#: What is being answered when we are told to stop may end first.
GRACE_SECONDS = 10


def config(app: ASGIApp, *, host: str, port: int, trusted_proxies: str) -> uvicorn.Config:
    """``trusted_proxies``: comma-separated addresses or networks whose ``X-Forwarded-*`` is believed; '' for none."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=LimitedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
        access_log=False,
        log_config=None,
    )


def serve(app: ASGIApp, *, host: str, port: int, trusted_proxies: str) -> None:
    """Until a signal says stop."""
    uvicorn.Server(config(app, host=host, port=port, trusted_proxies=trusted_proxies)).run()


class _Guest(uvicorn.Server):
    """In a loop whose signals are somebody else's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


#: Who watches asks again; nobody's answer holds up the end of a process.
GUEST_SECONDS = 1.0


@asynccontextmanager
async def serving_beside(app: ASGIApp, *, host: str, port: int) -> AsyncIterator[None]:
    """Beside the work of this process, in its loop. Without the port the work goes on, and nobody can watch it."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        log.warning("watching.cannot_listen", host=host, port=port, error=error.strerror)
        yield
        return
    guest = _Guest(config(app, host=host, port=port, trusted_proxies=""))
    guest.config.lifespan = "off"
    serving = asyncio.create_task(guest.serve(sockets=[listener]))
    try:
        yield
    finally:
        guest.should_exit = True
        await asyncio.wait({serving}, timeout=GUEST_SECONDS)
        serving.cancel()
        listener.close()
