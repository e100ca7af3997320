"""One URL that we post JSON to, and what its answers mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from workers.delivery.guarded_http import Guard, Resolve, open_client, resolve
from workers.delivery.sender import NeverAgain, NotNow, WrongSetting

#: Answers that speak of the receiver, which can change: it is being deployed, is overloaded, has lost our credentials,
#: or sends us elsewhere for now. The other answers below 500 speak of our bytes, which stay as they are.
RECEIVER_MAY_CHANGE = frozenset({302, 303, 307, 401, 403, 404, 408, 409, 421, 425, 429})

#: Of those, the ones that stay until somebody mends a credential.
REFUSES_US = frozenset({401, 403})

#: The status is the answer. A short body is read to its end so that the connection can serve again; no more than that.
BODY_LIMIT = 4096
BODY_SECONDS = 1.0

# It writes whole URLs at INFO, and a URL's query may hold somebody's token.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Receiver:
    """Somebody's endpoint. ``setting`` is the name of the setting that its URL came from.

    User and password in the URL become basic authentication, and stay out of everything that is written.
    """

    def __init__(self, setting: str, url: str, guard: Guard, resolve: Resolve = resolve) -> None:
        parsed = _parse(setting, url, guard)
        self._url = parsed.copy_with(userinfo=b"")
        self._auth = httpx.BasicAuth(parsed.username, parsed.password) if parsed.userinfo else None
        self._client = open_client(guard, resolve)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns once the receiver has said 2xx; otherwise raises what is to be done."""
        headers = {"content-type": "application/json", "user-agent": "Counterfoil", **headers}
        try:
            async with self._client.stream(
                "POST", self._url, content=body, headers=headers, auth=self._auth
            ) as response:
                await _drain(response)
        except httpx.TimeoutException:
            raise NotNow("the receiver did not answer in time") from None
        except httpx.TransportError as error:
            raise NotNow(f"the connection to the receiver failed ({type(error).__name__})") from None
        _judge(response, datetime.now(UTC))

    async def aclose(self) -> None:
        await self._client.aclose()


def _parse(setting: str, url: str, guard: Guard) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise WrongSetting(f"{setting} is not a URL") from None
    if parsed.scheme not in ("https", "http") or not parsed.host:
        raise WrongSetting(f"{setting} must be an https URL")
    if parsed.scheme == "http" and not guard.may_be_plain(parsed):
        raise WrongSetting(f"{setting} must be an https URL in production, unless NOTIFY_ALLOW lists its host")
    return parsed


async def _drain(response: httpx.Response) -> None:
    # Whatever happens from here on, the receiver has given its answer.
    with suppress(httpx.TransportError, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            async for _ in response.aiter_raw():
                if response.num_bytes_downloaded > BODY_LIMIT:
                    return


def _judge(response: httpx.Response, now: datetime) -> None:
    status = response.status_code
    if response.is_success:
        return
    if response.is_server_error or status in RECEIVER_MAY_CHANGE:
        wish = retry_after_seconds(response.headers.get("retry-after"), now)
        raise NotNow(f"the receiver answered {status}", retry_after_seconds=wish, needs_person=status in REFUSES_US)
    raise NeverAgain(f"the receiver answered {status}")


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """The header's wish in seconds from now, from either of its forms (RFC 9110, 10.2.3); None where it has none."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
