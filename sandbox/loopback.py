"""Who may come in: this machine alone, and no web page that calls a name of its own this machine's address."""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

FORBIDDEN = 403


class LoopbackOnly:
    """Refuses other peers, and Host headers that do not name this machine (DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (
            _is_from_here(scope) and _is_for_here(Headers(scope=scope).get("host", ""))
        ):
            refusal = PlainTextResponse("The sandbox answers its own machine only.\n", FORBIDDEN)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_from_here(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and _is_loopback(client[0])


def _is_for_here(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
