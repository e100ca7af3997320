"""One Razorpay account through the official SDK: how anything is asked of it, and how its lists are read in slices."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

from gateways.calling import Answer, Deadline, Denial, Line, told
from gateways.client import Refused, Unknown
from gateways.gateway import Json
from gateways.razorpay.objects import read_items
from gateways.razorpay.threads import Request, Threads
from gateways.reading import as_id
from gateways.translating import Unreadable

PAGE_SIZE = 100

#: Lists are paged by counting from the newest, which shifts as objects come: so they are asked for in closed slices
#: of time (F112); and deep counting is slow: so slices become shorter where there is much.
SLICE_MAX, SLICE_MIN = timedelta(days=1), timedelta(hours=1)

#: The SDK puts ids into paths as they are.
ID = re.compile(r"[A-Za-z]+_[A-Za-z0-9]+")

#: One page of a list, through an SDK made for it.
ListPage = Callable[[Any, dict[str, Any]], object]

#: A deadline for each page, or the same for all.
Begin = Callable[[], Deadline]


class Account:
    """To be used and closed in one event loop."""

    def __init__(self, key_id: str, key_secret: str, line: Line, *, api_base: str | None = None) -> None:
        self._line = line
        self._threads = Threads(key_id, key_secret, api_base)

    async def aclose(self) -> None:
        self._threads.close()

    async def _read(self, operation: str, request: Request, deadline: Deadline) -> Answer | Denial | Unknown:
        return await self._line.call(operation, partial(self._threads.attempt, request), deadline, is_repeatable=True)

    async def _repeat(self, operation: str, request: Request, deadline: Deadline) -> Answer | Denial | Unknown:
        """As often as it takes: it bears a key, under which it is done once."""
        return await self._read(operation, request, deadline)

    async def _send(self, operation: str, request: Request, deadline: Deadline) -> Answer | Denial | Unknown:
        """Once, unless it cannot have arrived."""
        return await self._line.call(operation, partial(self._threads.attempt, request), deadline, is_repeatable=False)

    async def _list_window(
        self, operation: str, list_page: ListPage, since: datetime, until: datetime, begin: Begin
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """What was made from ``since`` to before ``until``. A ``Refused`` or ``Unknown`` is the last item."""
        for first, last in _slices(since, until):
            async for found in self._list_slice(operation, list_page, first, last, begin):
                yield found
                if isinstance(found, Refused | Unknown):
                    return

    async def _list_slice(
        self, operation: str, list_page: ListPage, first: int, last: int, begin: Begin
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """What was made in these seconds, both counted in. A slice that does not fit into a page is halved, down to
        short ones, which are paged."""
        window = {"from": first, "to": last}
        page = await self._list_page(operation, list_page, window, begin())
        is_long = last - first >= SLICE_MIN.total_seconds()
        if is_long and not isinstance(page, Refused | Unknown) and len(page) == PAGE_SIZE:
            middle = (first + last) // 2
            for half in ((first, middle), (middle + 1, last)):
                async for found in self._list_slice(operation, list_page, *half, begin):
                    yield found
                    if isinstance(found, Refused | Unknown):
                        return
            return
        async for found in self._list_on(operation, list_page, window, begin, page):
            yield found

    async def _list(
        self, operation: str, list_page: ListPage, asked: Json, begin: Begin
    ) -> AsyncIterator[Json | Refused | Unknown]:
        """A list that is short, or holds still: page after page, to its end."""
        page = await self._list_page(operation, list_page, asked, begin())
        async for found in self._list_on(operation, list_page, asked, begin, page):
            yield found

    async def _list_on(
        self, operation: str, list_page: ListPage, asked: Json, begin: Begin, page: list[Json] | Refused | Unknown
    ) -> AsyncIterator[Json | Refused | Unknown]:
        seen: set[str | None] = set()
        for skip in count(PAGE_SIZE, PAGE_SIZE):
            if isinstance(page, Refused | Unknown):
                yield page
                return
            for each in page:
                # A list that reaches up to now still grows, and shifts what was seen into the next page.
                if (name := as_id(each)) not in seen:
                    seen.add(name)
                    yield each
            if len(page) < PAGE_SIZE:
                return
            page = await self._list_page(operation, list_page, {**asked, "skip": skip}, begin())

    async def _list_page(
        self, operation: str, list_page: ListPage, asked: Json, deadline: Deadline
    ) -> list[Json] | Refused | Unknown:
        whole = {"skip": 0, **asked, "count": PAGE_SIZE}
        answer = await self._read(operation, lambda sdk: list_page(sdk, dict(whole)), deadline)
        return told(answer, _read_page)


def _read_page(collection: Json) -> list[Json]:
    items = read_items(collection)
    if not all(as_id(each) for each in items):
        raise Unreadable("items without ids")
    return items


def _slices(since: datetime, until: datetime) -> Iterator[tuple[int, int]]:
    """First and last second of each slice; Razorpay counts both in."""
    end, length = int(until.timestamp()), int(SLICE_MAX.total_seconds())
    for first in range(int(since.timestamp()), end, length):
        yield first, min(first + length, end) - 1
