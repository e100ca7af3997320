"""Both gateways, their pages and their controls as one application.

``/stripe`` and ``/razorpay`` are the bases to give to the SDKs, which keep a path in their base address. Tools that do
not, find the same under ``/v1``: the key they use says whose API they mean.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import payout_days
from sandbox.call_log import Recorded, read_flat
from sandbox.control import Control
from sandbox.desk import Desk
from sandbox.loopback import LoopbackOnly
from sandbox.razorpay.api import KeyRing, razorpay_app
from sandbox.razorpay.pages import LinkPages
from sandbox.store import Json
from sandbox.stripe import forms
from sandbox.stripe.api import stripe_app
from sandbox.stripe.errors import StripeError
from sandbox.stripe.pages import CheckoutPages
from sandbox.world import World


def sandbox_app(world: World) -> ASGIApp:
    """The whole of it, for this machine only."""
    keys = KeyRing()
    payout_days.enter(world)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with world.alive():
            yield

    app = Starlette(
        routes=[
            Mount("/stripe", Recorded(stripe_app(world), "stripe", world.calls, world.faults, _read_form)),
            Mount("/razorpay", Recorded(razorpay_app(world, keys), "razorpay", world.calls, world.faults)),
            Mount("/_control", Control(world).app()),
            *Desk(world).routes(),
            *CheckoutPages(world).routes(),
            *LinkPages(world, keys).routes(),
            Route("/healthz", _tell_health, methods=["GET"]),
            Route("/readyz", _tell_health, methods=["GET"]),
        ],
        exception_handlers={ClientDisconnect: _answer_nobody},
        lifespan=lifespan,
    )
    return LoopbackOnly(BareBase(app))


class BareBase:
    """``/v1/...`` goes to the gateway that issued the caller's key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/"):
            gateway = "/razorpay" if _is_razorpays(Headers(scope=scope).get("authorization", "")) else "/stripe"
            scope = {**scope, "path": gateway + scope["path"]}
        await self._app(scope, receive, send)


def _is_razorpays(authorization: str) -> bool:
    scheme, _, credentials = authorization.partition(" ")
    try:
        return scheme.lower() == "basic" and base64.b64decode(credentials).startswith(b"rzp_")
    except (binascii.Error, ValueError):
        return False


def _read_form(text: str) -> Json:
    """As Stripe reads it, for the log of calls; what Stripe refuses to read, as it stands there."""
    try:
        return forms.decode(text)
    except StripeError:
        return read_flat(text)


async def _tell_health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _answer_nobody(_: Request, __: Exception) -> Response:
    """The client left before its request was complete: nothing was done, and nobody is there to be told."""
    return Response(status_code=400)
