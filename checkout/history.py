"""GET /orders/{orderId}/history: everything that touched an order, the oldest first, for the application's backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout import paging
from checkout.access import SUPPORT
from checkout.callers import Callers
from checkout.record import Record
from checkout.standing import order_id_of
from db import timeline, timeline_subjects
from db.timeline import About
from db.timeline_subjects import OrderStands
from gateways.dashboards import with_page
from payments.secrecy import mask
from payments.telling import say
from payments.timeline import Entry, Mark, NoMark, Page
from web.problems import Problem


@dataclass(frozen=True, slots=True)
class History:
    record: Record
    callers: Callers

    async def show(self, request: Request) -> Response:
        """Redacted: no payload, no link that can be paid, no address. Those are the desk's to show."""
        await self.callers.identify(request, scope=SUPPORT)
        order_id = order_id_of(request.path_params["order_id"])
        limit, after = paging.size(request), _after(request)
        async with self.record.transaction() as tx:
            orders = await timeline_subjects.orders_stand(tx, [order_id] if order_id else [])
            if not orders:
                raise Problem(404, "order_not_found", "There is no such order.")
            [order] = orders
            about = About([order.id], [order.subscription_id] if order.subscription_id else [])
            page = await timeline.read(tx, about, limit=limit, after=after)
        return JSONResponse(_describe(order, page))


def _after(request: Request) -> Mark | None:
    text = request.query_params.get("cursor")
    try:
        return Mark.read(text) if text is not None else None
    except NoMark:
        raise Problem(400, "invalid_cursor", "cursor is the nextCursor of an earlier page.") from None


def _describe(order: OrderStands, page: Page) -> dict[str, Any]:
    return {
        "orderId": str(order.id),
        "userId": order.user_id,
        "planId": order.plan_id,
        "status": order.status,
        "amount": order.amount,
        "amountRefunded": order.amount_refunded,
        "currency": order.currency,
        "gateway": order.gateway,
        "hasAccess": order.has_access,
        "data": [_line(with_page(entry)) for entry in page.entries],
        "nextCursor": str(page.next) if page.next else None,
    }


def _line(entry: Entry) -> dict[str, Any]:
    return {
        "at": entry.at.isoformat(),
        "recordedAt": entry.recorded_at.isoformat(),
        "kind": entry.kind.value,
        "id": str(entry.id),
        "subject": entry.subject,
        "subjectId": entry.subject_id,
        "says": mask(say(entry)),
        "detail": _masked(entry.detail),
    }


def _masked(told: Any) -> Any:
    match told:
        case str():
            return mask(told)
        case dict():
            return {name: _masked(value) for name, value in told.items()}
        case list():
            return [_masked(each) for each in told]
        case _:
            return told
