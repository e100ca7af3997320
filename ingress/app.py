"""The ingress as an application: its routes, and what lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateways.gateway import Gateway, Secret
from ingress.keeping import Keeping
from ingress.metrics import Metrics
from ingress.webhooks import BODY_SECONDS, FrontDoor
from web.frame import frame
from web.problems import HANDLERS, unavailable
from workers.hints import Hints

#: Asked from inside the network, by what watches over us.
PLAIN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})


def build(
    *,
    database_url: str,
    hints: Hints,
    gateways: Mapping[str, Gateway],
    secrets: Mapping[str, tuple[Secret, ...]],
    production: bool,
    body_seconds: float = BODY_SECONDS,
) -> Starlette:
    """Starts, and answers 503, while the database is away; needs no restart when it returns."""
    metrics = Metrics(hints)
    keeping = Keeping(database_url, metrics)
    door = FrontDoor(gateways, secrets, keeping, hints, metrics, body_seconds)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with keeping, hints:
            yield

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if not await keeping.is_ready():
            raise unavailable("The database does not answer.")
        return JSONResponse({"status": "ready"})

    async def expose(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(
        routes=[
            Route("/webhooks/{gateway}", door.answer, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", expose),
        ],
        middleware=frame(production=production, plain_paths=PLAIN_PATHS),
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    # Gateways count a redirect as a failure; a wrong path is a 404 that somebody sees.
    app.router.redirect_slashes = False
    return app
