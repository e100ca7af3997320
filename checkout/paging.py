"""Lists that are read in pages: how many, and from where the last page ended."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar
from uuid import UUID

from starlette.requests import Request

from db.own_orders import Mark
from web.problems import Problem

PAGE_SIZE, PAGE_SIZE_MAX = 20, 100

#: A cursor: microseconds since 1970, and the id that settles ties.
CURSOR = struct.Struct(">Q16s")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS_MAX = 2**52  # in the year 2112


class Listed(Protocol):
    """What a list is ordered by."""

    @property
    def id(self) -> UUID: ...

    @property
    def created_at(self) -> datetime: ...


Each = TypeVar("Each", bound=Listed)


def size(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE_SIZE))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PAGE_SIZE_MAX))):
        raise _bad_limit()
    if not 1 <= int(text) <= PAGE_SIZE_MAX:
        raise _bad_limit()
    return int(text)


def _bad_limit() -> Problem:
    return Problem(400, "invalid_limit", f"limit is a number from 1 to {PAGE_SIZE_MAX}.")


def cut(found: Sequence[Each], limit: int) -> tuple[Sequence[Each], str | None]:
    """The page, and the cursor to the next one: one more than a page was asked for, to see whether there is one."""
    page = found[:limit]
    return page, _cursor(page[-1]) if len(found) > limit else None


def _cursor(last: Listed) -> str:
    microseconds = (last.created_at - EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(CURSOR.pack(microseconds, last.id.bytes)).decode()


def after(request: Request) -> Mark | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        microseconds, last_id = CURSOR.unpack(urlsafe_b64decode(text))
    except (ValueError, struct.error):
        raise _bad_cursor() from None
    if microseconds > MICROSECONDS_MAX:
        raise _bad_cursor()
    return Mark(EPOCH + timedelta(microseconds=microseconds), UUID(bytes=last_id))


def _bad_cursor() -> Problem:
    return Problem(400, "invalid_cursor", "cursor is the nextCursor of an earlier page.")
