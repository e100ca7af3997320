"""How ``/_control`` is spoken to: orders and questions read with limits, and a refusal that names what was wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sandbox import wire
from sandbox.store import Json

TEXT_MAX = 255

_OK = 200


class Refused(Exception):
    """The order cannot be carried out; told to whoever gave it as a problem with a stable code."""

    def __init__(self, code: str, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code, self.detail, self.status = code, detail, status


def obeying(order: Callable[[Json], Awaitable[Json]]) -> Callable[[Request], Awaitable[Response]]:
    """An order comes as JSON and says so: a form on some web page cannot send that without being asked first."""

    async def serve(request: Request) -> Response:
        try:
            return _answer(await order(await _read(request)))
        except Refused as refused:
            return _problem(refused)

    return serve


def telling(question: Callable[[Json], Json]) -> Callable[[Request], Awaitable[Response]]:
    """A question's parts are its query's."""

    async def serve(request: Request) -> Response:
        try:
            return _answer(question(dict(request.query_params)))
        except Refused as refused:
            return _problem(refused)

    return serve


def only(said: Json, known: Collection[str]) -> None:
    """Refuses whatever else was said."""
    unknown = sorted(set(said) - set(known))
    if unknown:
        named = ", ".join(name[:40] for name in unknown[:10])
        raise Refused("unknown_fields", f"unknown: {named}; known are {', '.join(sorted(known)) or 'none'}")


def text(said: Json, name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value.isprintable() or len(value) > TEXT_MAX:
        raise Refused(f"invalid_{name}", f"{name} must be a text of at most {TEXT_MAX} characters")
    return value


def seconds(said: Json, name: str, highest: float, default: float | None = None) -> float:
    value: Any = said.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise Refused(f"invalid_{name}", f"{name} must be a number of seconds from 0 to {highest:g}")
    return float(value)


def whole(said: Json, name: str, highest: int) -> int:
    """A whole number from 1; a query's is written in digits."""
    value: Any = said.get(name)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(highest)):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= highest:
        raise Refused(f"invalid_{name}", f"{name} must be a whole number from 1 to {highest}")
    return value


def one_of(said: Json, name: str, known: Collection[str]) -> str:
    value = said.get(name)
    if not isinstance(value, str) or value not in known:
        raise Refused(f"invalid_{name}", f"{name} must be one of: {', '.join(known)}")
    return value


async def _read(request: Request) -> Json:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused("not_json", "orders are JSON, with the content type application/json", 415)
    try:
        order = json.loads(await wire.read_body(request))
    except wire.TooLarge:
        raise Refused("too_large", "the order is too large", 413) from None
    except (ValueError, RecursionError):
        raise Refused("not_json", "the order is not JSON") from None
    if not isinstance(order, dict):
        raise Refused("not_json", "the order is not a JSON object")
    return order


def _answer(told: Json, status: int = _OK, media_type: str = "application/json") -> Response:
    # In ASCII, which carries whatever a caller's texts hold, halves of surrogate pairs included.
    return Response(json.dumps(told), status, media_type=media_type)


def _problem(refused: Refused) -> Response:
    problem = {"type": "about:blank", "status": refused.status, "code": refused.code, "detail": refused.detail}
    return _answer(problem, refused.status, "application/problem+json")
