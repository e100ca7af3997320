"""The shop's own backend: its pages, signing in, and what only it can know. Buying is between page and Counterfoil."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.storefront.mails import mails_to
from examples.storefront.notifications import Notifications
from examples.storefront.sessions import DEMO_USERS, Sessions, demo_address

STATIC = Path(__file__).parent / "static"

#: An address, or a notification; both are far shorter.
BODY_BYTES = 64 * 1024

#: For a list of plans. A page that waits longer looks broken.
CHECKOUT_SECONDS = 10.0

#: Where the shop is at home. A name that a stranger's DNS points at this machine is not answered (DNS rebinding).
HOSTS = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Values:
    """``sessions`` is None where the tokens are signed by somebody else: then nobody can sign in here."""

    checkout_url: str
    sessions: Sessions | None
    outbox: Path | None = None
    notifications: Notifications = field(default_factory=Notifications)


class Refused(HTTPException):
    """An answer as the checkout would give it, so that the page reads one kind of refusal."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail)
        self.code = code


def build(values: Values) -> Starlette:
    shop = Shop(values)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        async with httpx.AsyncClient(base_url=values.checkout_url, timeout=CHECKOUT_SECONDS) as checkout:
            yield {"checkout": checkout}

    return Starlette(
        routes=[
            Route("/", page("index.html")),
            Route("/account", page("account.html")),
            Route("/config", shop.configure),
            Route("/catalogue", shop.list_plans),
            Route("/session", shop.open_session, methods=["POST"]),
            Route("/mails", shop.list_mails),
            Route("/notifications", shop.list_notifications),
            Route("/notifications", shop.hear_notification, methods=["POST"]),
            Route("/healthz", tell_health),
            Route("/readyz", tell_health),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(Secured, policy=_policy(values.checkout_url)),
            Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False),
        ],
        exception_handlers={HTTPException: answer_refusal},
        lifespan=lifespan,
    )


@dataclass(frozen=True, slots=True)
class Shop:
    """The routes that know something."""

    values: Values

    async def configure(self, _: Request) -> Response:
        return JSONResponse({"checkout": self.values.checkout_url, "users": DEMO_USERS})

    async def list_plans(self, request: Request) -> Response:
        """What is for sale, for visitors too: the shop asks in its own name."""
        headers = {"Authorization": f"Bearer {self._sessions().speak_for_shop()}"}
        try:
            answer = await request.state.checkout.get("/plans", headers=headers)
            plans = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            raise Refused(503, "unavailable", "The checkout does not answer.") from None
        return JSONResponse(plans)

    async def open_session(self, request: Request) -> Response:
        asked = await read_json(request)
        address = demo_address(asked.get("email"))
        if address is None:
            raise Refused(400, "invalid_email", "Demo users have addresses such as anna@example.com.")
        return JSONResponse({"email": address, "token": self._sessions().open(address)}, 201)

    def list_mails(self, request: Request) -> Response:
        """Not on the loop: it reads files."""
        address = self._signed_in(request)
        return JSONResponse(mails_to(address, self.values.outbox) if self.values.outbox else [])

    async def list_notifications(self, request: Request) -> Response:
        return JSONResponse(self.values.notifications.about(self._signed_in(request)))

    async def hear_notification(self, request: Request) -> Response:
        if not self.values.notifications.hear(await read(request), request.headers):
            raise Refused(400, "bad_signature", "Not signed with a secret of NOTIFY_SECRET.")
        return Response(status_code=204)

    def _signed_in(self, request: Request) -> str:
        user = self._sessions().user_of(request.headers.get("Authorization", ""))
        if user is None:
            raise Refused(401, "unauthenticated", "Sign in first.")
        return user

    def _sessions(self) -> Sessions:
        if self.values.sessions is None:
            raise Refused(503, "no_sessions", "AUTH_JWT_SECRET is not set, so the shop can sign nobody in.")
        return self.values.sessions


def page(name: str) -> Callable[[Request], Response]:
    def show(request: Request) -> Response:
        if request.url.hostname == "localhost":
            # One origin: what the browser keeps for the shop is there again when the customer comes back.
            return RedirectResponse(str(request.url.replace(hostname="127.0.0.1")))
        return FileResponse(STATIC / name)

    return show


async def tell_health(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def read(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES:
            raise Refused(413, "body_too_large", f"A body may have at most {BODY_BYTES} bytes.")
    return bytes(body)


async def read_json(request: Request) -> dict[str, Any]:
    try:
        told = json.loads(await read(request))
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Refused(400, "malformed_body", "The body must be a JSON object.")
    return told


async def answer_refusal(_: Request, error: Exception) -> Response:
    """RFC 9457, with a ``code`` for programs."""
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    code = error.code if isinstance(error, Refused) else title.lower().replace(" ", "_")
    document = {"type": "about:blank", "title": title, "status": error.status_code, "code": code}
    return JSONResponse(
        {**document, "detail": error.detail},
        error.status_code,
        headers=error.headers,
        media_type="application/problem+json",
    )


def _policy(checkout_url: str) -> str:
    """The pages load what is ours, and call the checkout. No script, style or form of anybody else."""
    checkout = urlsplit(checkout_url)
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {checkout.scheme}://{checkout.netloc}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


class Secured:
    """Headers for every answer. Nothing is kept without asking: a change of a file is seen at the next load."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, secured_send)
