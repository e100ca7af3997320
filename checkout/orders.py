"""GET /order-status/{orderId} and GET /orders: a user's own, and nobody else's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout import paging
from checkout.callers import Callers
from checkout.healing import Healing
from checkout.page_addresses import PageAddresses
from checkout.record import Record
from checkout.standing import describe, order_id_of
from db import own_orders
from db.own_orders import OwnOrder
from web.problems import Problem


@dataclass(frozen=True, slots=True)
class Orders:
    record: Record
    callers: Callers
    addresses: PageAddresses
    healing: Healing

    async def show_status(self, request: Request) -> Response:
        """For the owner, by their token; or for our own page, by the page's token (``?token=``), this order alone."""
        order_id = order_id_of(request.path_params["order_id"])
        page_token = request.query_params.get("token")
        if page_token is not None and "authorization" not in request.headers:
            order = await self._find_by_page(order_id, page_token)
        else:
            caller = await self.callers.identify(request)
            order = await self._find(order_id, caller.user_id)
        if order is None:
            # The same answer for another user's order as for one that never was.
            raise Problem(404, "order_not_found", "You have no such order.")
        self.healing.offer(order)
        return JSONResponse(describe(order))

    async def list_orders(self, request: Request) -> Response:
        caller = await self.callers.identify(request)
        limit, after = paging.size(request), paging.after(request)
        async with self.record.transaction() as tx:
            found = await own_orders.page_of_user(tx, caller.user_id, after=after, limit=limit + 1)
        page, cursor = paging.cut(found, limit)
        return JSONResponse({"data": [self._describe(order) for order in page], "nextCursor": cursor})

    async def _find(self, order_id: UUID | None, user_id: str) -> OwnOrder | None:
        if order_id is None:
            return None
        async with self.record.transaction() as tx:
            return await own_orders.find_of_user(tx, user_id, order_id)

    async def _find_by_page(self, order_id: UUID | None, token: str) -> OwnOrder | None:
        if order_id is None or not self.addresses.tokens.fits(order_id, token):
            return None
        async with self.record.transaction() as tx:
            return await own_orders.find(tx, order_id)

    def _describe(self, order: OwnOrder) -> dict[str, Any]:
        told = {
            **describe(order),
            "planId": order.plan_id,
            "planName": order.plan_name,
            "gateway": order.gateway,
            "createdAt": order.created_at.isoformat(),
        }
        if order.paid_at is not None:
            told["receiptUrl"] = self.addresses.of_order(order.id)
        return told
