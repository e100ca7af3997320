"""A customer is back and their order is still pending: its gateway is asked, beside the answer, never before it (F122).

The webhook is usually here within a second or two. Where it is not, nobody has to wait for the clock's hourly look: the
next poll shows what this one has found. It is the same look, by the same rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from checkout.record import Record
from db import orphans
from db.history import Cause
from db.orphans import Orphan
from db.own_orders import OwnOrder
from gateways.client import Client, Patience
from payments.order import OrderStatus
from workers.apply import Book
from workers.looking import look_at
from workers.two_clocks import set_right

log = structlog.get_logger(__name__)

#: How long the webhook has for itself.
WEBHOOK_TIME = timedelta(seconds=20)

#: Between two looks at one order, by all processes together: the longer it has been open, the rarer. A frontend may
#: well poll for as long as its customer takes to find a card.
PAUSE_MIN, PAUSE_PART = timedelta(seconds=15), 4

#: Takes what live traffic leaves of the gateway's rate limit.
PATIENCE = Patience(5, is_background=True)

#: Looks at once in this process; what comes beyond is left to the next poll.
AT_ONCE = 8

CLOSE_SECONDS = 3.0


class Healing:
    """Enter it in the loop that uses it, after the clients are there and before they go."""

    def __init__(self, record: Record, clients: Mapping[str, Client], book: Book) -> None:
        self._record = record
        self._clients = clients
        self._book = book
        self._looks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looks:
            _, late = await asyncio.wait(self._looks, timeout=CLOSE_SECONDS)
            for look in late:
                look.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def offer(self, order: OwnOrder) -> None:
        """Somebody looks at this order. Begins a look of our own if it is time for one; neither waits nor fails."""
        if self._is_overdue(order) and len(self._looks) < AT_ONCE:
            look = asyncio.create_task(self._look(order))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    def _is_overdue(self, order: OwnOrder) -> bool:
        """Its page is known, and can be paid for all we know. Other cases are the next request's, or recovery's."""
        is_waiting = order.status == OrderStatus.PENDING and order.page_is_open and order.gateway in self._clients
        return is_waiting and self._book.clock() - order.created_at >= WEBHOOK_TIME

    async def _look(self, order: OwnOrder) -> None:
        try:
            async with self._record.pool.acquire() as connection:
                now = (await set_right(connection, self._book)).clock()
                pause = max(PAUSE_MIN, (now - order.created_at) / PAUSE_PART)
                if not await orphans.claim_one(connection, order.id, now, pause=pause):
                    return
            seen = await look_at(
                self._record.pool,
                self._clients,
                self._book,
                Orphan(order.id, order.gateway),
                Cause("reconciliation", "success_page"),
                patience=PATIENCE,
                settles_findings=False,
            )
            log.info("order.looked_at", order_id=str(order.id), look=seen.look.value)
        except Exception as error:  # noqa: BLE001 - the page has been answered already; recovery comes by
            log.warning("order.look_failed", order_id=str(order.id), error_class=type(error).__name__)
