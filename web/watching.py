"""What watches over a process that serves nobody else asks here: does it live, can it work, what does it count?"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from web.frame import frame
from web.problems import HANDLERS, unavailable

#: Asked from inside the network, without TLS and without a login.
PLAIN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a process can be watched."""

    host: str
    port: int


async def _nothing() -> None:
    """For registries that need no preparation."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A process as its watchers see it. ``prepare`` gathers figures that take a question, before they are exposed."""

    registry: CollectorRegistry
    is_alive: Callable[[], bool]
    is_ready: Callable[[], Awaitable[bool]]
    prepare: Callable[[], Awaitable[None]] = _nothing


@asynccontextmanager
async def watched_at(address: Address | None, watched: Watched, *, production: bool) -> AsyncIterator[None]:
    """Answer there meanwhile; without an address, nowhere."""
    if address is None:
        yield
        return
    # Most processes are watched nowhere, and start without a server of HTTP.
    from web.serving import serving_beside

    async with serving_beside(build(watched, production=production), host=address.host, port=address.port):
        yield


def build(watched: Watched, *, production: bool) -> Starlette:
    async def healthz(_: Request) -> Response:
        if not watched.is_alive():
            raise unavailable("A part of this process has ended.")
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if not await watched.is_ready():
            raise unavailable("The database does not answer.")
        return JSONResponse({"status": "ready"})

    async def expose(_: Request) -> Response:
        await watched.prepare()
        return Response(generate_latest(watched.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", expose)],
        middleware=frame(production=production, plain_paths=PLAIN_PATHS),
        exception_handlers=HANDLERS,
    )
