"""GET /payment/success and GET /payment/cancel: pages for the eye alone. Nothing in their address decides anything.

The success page shows how its order stands in our record at this moment, and polls while that may change. It works
without scripts: the browser then loads it anew every few seconds.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from checkout.page_tokens import PageTokens
from checkout.record import Record
from checkout.standing import failure_of, order_id_of, shown_status
from db import own_orders
from db.own_orders import OwnOrder
from payments.failure import REMEDIES, FailureCode
from payments.money import exponent, written
from payments.order import OrderStatus
from web.problems import Problem

FOLDER = Path(__file__).parent

#: What a page may load: our own script, style and icon, and the status that it polls. Nothing inline, nobody else's.
POLICY = "; ".join(
    (
        *("default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"),
        *("base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"),
    )
)
HEADERS = {"Content-Security-Policy": POLICY, "X-Robots-Tag": "noindex, nofollow"}

#: A deployment is seen by every customer within this time.
STATIC_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Particulars:
    """An order as people write it; what is not known is empty, and not shown."""

    plan: str = ""
    amount: str = ""
    failure: str = ""
    paid_at: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """``return_url`` leads back to the application, if it gave an address."""

    record: Record
    tokens: PageTokens
    return_url: str | None
    templates: Environment
    static: Mapping[str, bytes]

    async def show_success(self, request: Request) -> Response:
        order_id = order_id_of(request.query_params.get("order", ""))
        token = request.query_params.get("token", "")
        if order_id is None or not self.tokens.fits(order_id, token):
            return self._render("nothing.html", 404)
        try:
            async with self.record.transaction() as tx:
                order = await own_orders.find(tx, order_id)
        except Problem:
            # The page asks again by itself, and the customer sees no fault of ours meanwhile.
            return self._render_order(order_id, "processing", Particulars())
        if order is None:
            return self._render("nothing.html", 404)
        return self._render_order(order_id, state_of(order), particulars(order))

    async def show_cancel(self, _: Request) -> Response:
        return self._render("cancel.html", 200)

    async def send_static(self, request: Request) -> Response:
        """Read once at the start: no path from outside ever reaches a disk."""
        name = request.path_params["name"]
        if name not in self.static:
            raise HTTPException(404)
        return Response(
            self.static[name],
            media_type=mimetypes.guess_type(name)[0],
            headers={"Cache-Control": f"public, max-age={STATIC_SECONDS}"},
        )

    def _render_order(self, order_id: UUID, state: str, shown: Particulars) -> Response:
        token = self.tokens.make(order_id)
        return self._render("success.html", 200, state=state, order_id=order_id, token=token, shown=shown)

    def _render(self, template: str, status: int, **values: Any) -> Response:
        text = self.templates.get_template(template).render(return_url=self.return_url, **values)
        return HTMLResponse(text, status, headers=HEADERS)


def pages(record: Record, tokens: PageTokens, return_url: str | None) -> Pages:
    templates = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    static = {path.name: path.read_bytes() for path in (FOLDER / "static").iterdir() if path.is_file()}
    return Pages(record, tokens, return_url, templates, static)


def state_of(order: OwnOrder) -> str:
    """Which of the page's sections is shown; the page's script decides in the same way."""
    if (status := shown_status(order)) != OrderStatus.PENDING:
        return status
    match failure_of(order):
        case None:
            return "processing"
        case FailureCode.UNKNOWN:
            return "unknown"
        case _:
            return "declined"


def particulars(order: OwnOrder) -> Particulars:
    code = failure_of(order)
    decimals = exponent(order.gateway, order.currency)
    return Particulars(
        plan=order.plan_name or "",
        amount=written(order.amount, order.currency, exponent=decimals),
        failure=REMEDIES[code].message if code else "",
        paid_at=f"{order.paid_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC" if order.paid_at else "",
    )
