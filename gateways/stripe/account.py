"""One Stripe account through the official SDK: how anything is asked of it, and how its lists are read.

The SDK's traps, and what stands against them here. Its own retries are off, as they know no 429 and no deadline. Its
objects are not dictionaries and hold decimals: we take the JSON that came. For an answer that is JSON but not Stripe's
it raises whatever its code trips over.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import httpx
import stripe

from gateways.calling import Answer, Deadline, Denial, Line, told
from gateways.client import Refused, Unknown
from gateways.gateway import Json
from gateways.stripe.answers import Send, read_page, send_once

#: Said with every call, so that an upgrade of the SDK does not change the shapes we read; a test compares the two.
API_VERSION = "2026-10-28.endive"

CONNECT_SECONDS = 3.0
PAGE_SIZE = 100

# The SDK would write an id into the home directory, and send it with this machine's details along with every call.
stripe.enable_telemetry = False
# At INFO it writes the gateway's error messages, which may show parts of a key.
logging.getLogger("stripe").setLevel(logging.WARNING)


class Account:
    """To be used and closed in one event loop."""

    def __init__(self, secret_key: str, line: Line, *, api_base: str | None = None) -> None:
        self._line = line
        self._http = stripe.HTTPXClient(timeout=httpx.Timeout(line.attempt_seconds, connect=CONNECT_SECONDS))
        self._sdk = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")} if api_base else {},
            max_network_retries=0,
            http_client=self._http,
        )

    async def aclose(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def _list(
        self,
        operation: str,
        list_page: Callable[[Any], Awaitable[object]],
        parameters: Json,
        begin: Callable[[], Deadline],
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """Page after page. The cursor is an object, so that new ones do not shift what is still to come."""
        cursor: Json = {}
        while True:
            asked = {**parameters, "limit": PAGE_SIZE, **cursor}
            page = told(await self._ask(operation, partial(list_page, asked), begin()), read_page)
            if isinstance(page, Refused | Unknown):
                yield page
                return
            objects, has_more = page
            for each in objects:
                yield each
            if not has_more:
                return
            cursor = {"starting_after": objects[-1]["id"]}

    async def _ask(self, operation: str, send: Send, deadline: Deadline) -> Answer | Denial | Unknown:
        """Everything asked here may be asked twice: reads, closing, and whatever has a key of ours."""

        async def attempt(_: float) -> Answer | Denial:
            return await send_once(send)

        return await self._line.call(operation, attempt, deadline, is_repeatable=True)


def window(since: datetime, until: datetime) -> Json:
    return {"gte": int(since.timestamp()), "lt": int(until.timestamp())}
