"""The refusals of the checkout that carry more than a code: an order that was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ExceptionHandler

from web.problems import HANDLERS, Problem, answer


class OrderProblem(Problem):
    """No page for now, and the order is kept: its id is in the answer, so that it can be asked after."""

    def __init__(
        self, status: int, code: str, detail: str, order_id: UUID, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, code, detail, headers=headers)
        self.order_id = order_id


def _answer_with_order(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OrderProblem)
    document = json.loads(bytes(answer(error).body))
    return JSONResponse(
        {**document, "orderId": str(error.order_id)},
        error.status,
        headers=error.headers,
        media_type="application/problem+json",
    )


PROBLEM_HANDLERS: Mapping[type[Exception], ExceptionHandler] = {**HANDLERS, OrderProblem: _answer_with_order}
