"""GET /order-status/{orderId} and GET /orders: a user's own, and nobody else's."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from checkout.callers import Callers
from checkout.healing import Healing
from checkout.page_addresses import PageAddresses
from checkout.record import Record
from checkout.standing import describe, order_id_of
from db import own_orders
from db.own_orders import Mark, OwnOrder
from web.problems import Problem

PAGE_SIZE, PAGE_SIZE_MAX = 20, 100

#: A cursor: microseconds since 1970, and the id that settles ties.
CURSOR = struct.Struct(">Q16s")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS_MAX = 2**52  # in the year 2112


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
        size, after = _size(request), _after(request)
        async with self.record.transaction() as tx:
            found = await own_orders.page_of_user(tx, caller.user_id, after=after, limit=size + 1)
        page = found[:size]
        return JSONResponse(
            {
                "data": [self._describe(order) for order in page],
                "nextCursor": _cursor(page[-1]) if len(found) > size else None,
            }
        )

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


def _size(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PAGE_SIZE_MAX))):
        raise _bad_limit()
    if not 1 <= int(text) <= PAGE_SIZE_MAX:
        raise _bad_limit()
    return int(text)


def _bad_limit() -> Problem:
    return Problem(400, "invalid_limit", f"limit is a number from 1 to {PAGE_SIZE_MAX}.")


def _cursor(order: OwnOrder) -> str:
    microseconds = (order.created_at - EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(CURSOR.pack(microseconds, order.id.bytes)).decode()


def _after(request: Request) -> Mark | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        microseconds, order_id = CURSOR.unpack(urlsafe_b64decode(text))
    except (ValueError, struct.error):
        raise _bad_cursor() from None
    if microseconds > MICROSECONDS_MAX:
        raise _bad_cursor()
    return Mark(EPOCH + timedelta(microseconds=microseconds), UUID(bytes=order_id))


def _bad_cursor() -> Problem:
    return Problem(400, "invalid_cursor", "cursor is the nextCursor of an earlier page.")
