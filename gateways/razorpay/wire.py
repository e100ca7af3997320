"""The wire under Razorpay's SDK: its place for an HTTP session, taken by one that keeps time and remembers the answer.

The SDK sets no timeout, shares its session among threads, follows redirects (a POST then becomes a GET), prints to
stdout when ``requests`` raises, and throws the status of an answer away. Over this none of that happens: every call has
a wire of its own, over connections that threads may share, and ``requests`` is never reached.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

CONNECT_SECONDS = 3.0

#: A page of a hundred payments is a tenth of it.
BODY_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer, as much of it as the SDK asks for, and what it would forget."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Wire:
    """Carries one request, in at most so many seconds. ``heard`` is its answer, once there is one."""

    def __init__(self, http: httpx.Client, seconds: float) -> None:
        self._http = http
        self._seconds = seconds
        self.heard: Heard | None = None

    def get(self, url: str, **options: Any) -> Heard:
        return self._send("GET", url, **options)

    def post(self, url: str, **options: Any) -> Heard:
        return self._send("POST", url, **options)

    def patch(self, url: str, **options: Any) -> Heard:
        return self._send("PATCH", url, **options)

    def _send(
        self,
        method: str,
        url: str,
        *,
        auth: tuple[str, str],
        headers: Mapping[str, str],
        params: Mapping[str, Any] | None = None,
        data: str | None = None,
        verify: str,
    ) -> Heard:
        """Raises httpx's errors and no others."""
        # The SDK's own list of authorities is as old as the package; httpx's is kept up to date.
        del verify
        # The SDK's name for itself ends in a space, which HTTP does not allow and ``requests`` lets through.
        tidy = {name: value.strip() for name, value in headers.items()}
        until = time.monotonic() + self._seconds
        timeout = httpx.Timeout(self._seconds, connect=min(CONNECT_SECONDS, self._seconds))
        with self._http.stream(
            method, url, auth=auth, headers=tidy, params=params or None, content=data, timeout=timeout
        ) as response:
            content = b"".join(_read(response, until))
        self.heard = Heard(response.status_code, response.headers, content)
        return self.heard


def _read(response: httpx.Response, until: float) -> Iterator[bytes]:
    """The body, bounded in time and size: httpx's own timeout begins anew with every piece."""
    length = 0
    for piece in response.iter_bytes():
        length += len(piece)
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer did not end in time")
        if length > BODY_LIMIT:
            raise httpx.ReadError("the answer did not end")
        yield piece
