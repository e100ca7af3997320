"""What every answer carries, and what production refuses: plain HTTP.

The scheme is the server's word. Behind a proxy the server takes it from ``X-Forwarded-Proto``, and only from the
proxies that it was told to trust (``web.serving``).
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import Problem, answer

HSTS = "max-age=31536000"

#: Right for an API. A service with pages sets its own Content-Security-Policy and Cache-Control, which stand.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


class RequireTls:
    """Refuses plain HTTP, except on ``plain_paths``: a load balancer asks for health without TLS."""

    def __init__(self, app: ASGIApp, *, plain_paths: frozenset[str]) -> None:
        self.app = app
        self.plain_paths = plain_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["scheme"] != "https" and scope["path"] not in self.plain_paths:
            detail = "Use https. A proxy that ends TLS must be named in TRUSTED_PROXIES."
            await answer(Problem(403, "tls_required", detail))(scope, receive, send)
            return
        await self.app(scope, receive, send)
