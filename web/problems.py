"""Refusals and failures as RFC 9457 problem documents, each with a stable ``code`` that a client may rely on."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

#: Long enough for a failover to end, short enough that nobody waits for nothing.
RETRY_AFTER_SECONDS = 10


class Problem(Exception):
    """Raise it anywhere below a route, and this is the answer. ``detail`` is for the client: no secret, no payload.

    ``members`` are what else the document says, for programs (RFC 9457, 3.2).
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, str | int] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})


def unavailable(detail: str = "Please try again shortly.") -> Problem:
    """We could not do our part; the caller is asked to come again."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def answer(problem: Problem) -> JSONResponse:
    document: dict[str, str | int] = {"type": "about:blank", "title": HTTPStatus(problem.status).phrase}
    document |= {"status": problem.status, "code": problem.code}
    if problem.detail:
        document["detail"] = problem.detail
    document |= problem.members
    return JSONResponse(document, problem.status, headers=problem.headers, media_type="application/problem+json")


def _answer_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return answer(error)


def _answer_router(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    return answer(Problem(error.status_code, code, headers=error.headers))


#: For Starlette's ``exception_handlers``: our own refusals, and the router's 404 and 405.
HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    Problem: _answer_problem,
    HTTPException: _answer_router,
}


class LastResort:
    """What nobody foresaw is logged and answered 503: the caller comes again, and nothing it said is lost."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched_send)
        except Exception:
            log.exception("request.failed", method=scope["method"], path=scope["path"][:200])
            if started:  # Half an answer cannot be taken back: the server cuts the connection.
                raise
            await answer(unavailable())(scope, receive, send)
