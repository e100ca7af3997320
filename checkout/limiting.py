"""How often one address may ask for a payment: a moving window, counted in Redis for all processes together.

While Redis is away each process counts for itself, from nothing: the limit is looser then by the number of processes,
and still there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

import structlog
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from checkout.wrong_setting import WrongSetting
from web.problems import Problem

log = structlog.get_logger(__name__)

KEY_PREFIX = "counterfoil:limits"

#: Redis answers in a millisecond or is away, and a customer waits.
SOCKET_SECONDS = 0.25
ASK_SECONDS = 0.5
#: So long after a failure Redis is not asked again.
ALONE_SECONDS = 5.0

#: What one household or one rented server has to itself (RFC 6177).
IPV6_PREFIX = 64

AWAY = (RedisError, OSError, TimeoutError)


RATE_HEADERS = {
    "RateLimit-Limit": "Requests that one address may make in the window.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until there is one more.",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """``remaining`` requests are left of ``limit``; after ``reset_seconds`` there is one more."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        told = dict(zip(RATE_HEADERS, map(str, (self.limit, self.remaining, self.reset_seconds)), strict=True))
        return told if self.allowed else {**told, "Retry-After": str(self.reset_seconds)}


def rule(text: str) -> RateLimitItem:
    """From RATE_LIMIT: ``10/15minutes``."""
    try:
        [item] = parse_many(text)
    except ValueError:
        raise WrongSetting("RATE_LIMIT must be a count and a time, such as 10/15minutes") from None
    if item.amount < 1 or item.get_expiry() < 1:
        raise WrongSetting("RATE_LIMIT must let at least one request through")
    return item


class Limiter:
    """For one event loop."""

    def __init__(self, redis_url: str, item: RateLimitItem) -> None:
        self._item = item
        self._connections = ConnectionPool.from_url(
            redis_url,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            # One retry, since after a restart of Redis every pooled connection is a dead one.
            retry=Retry(NoBackoff(), 1),
        )
        storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=KEY_PREFIX,
            connection_pool=self._connections,  # type: ignore[arg-type]  # documented, and missing from its types
        )
        self._together = MovingWindowRateLimiter(storage)
        self._alone = MovingWindowRateLimiter(MemoryStorage())
        self._alone_until = -math.inf
        self.is_alone = False

    async def admit(self, request: Request, route: str) -> Verdict:
        """Count this request. Raises ``Problem`` 429 once there were too many."""
        verdict = await self.count(route, who(request))
        if not verdict.allowed:
            raise Problem(
                429, "too_many_requests", "There were too many requests from your address.", headers=verdict.headers
            )
        return verdict

    async def count(self, *key: str) -> Verdict:
        """One more for this key, in Redis or, while that is away, here."""
        if time.monotonic() < self._alone_until:
            return await self._ask(self._alone, key)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                verdict = await self._ask(self._together, key)
        except AWAY as error:
            self._alone_until = time.monotonic() + ALONE_SECONDS
            if not self.is_alone:  # Once per outage.
                self.is_alone = True
                log.warning("limits.redis_is_away", error_class=type(error).__name__)
            return await self._ask(self._alone, key)
        if self.is_alone:
            self.is_alone = False
            log.info("limits.redis_is_back")
        return verdict

    async def aclose(self) -> None:
        await self._connections.aclose()

    async def _ask(self, counted: MovingWindowRateLimiter, key: tuple[str, ...]) -> Verdict:
        allowed = await counted.hit(self._item, *key)
        window = await counted.get_window_stats(self._item, *key)
        left = math.ceil(window.reset_time - time.time())
        return Verdict(allowed, self._item.amount, max(0, window.remaining), max(1, left))


async def tell(verdict: Verdict, answering: Awaitable[Response]) -> Response:
    """Let the caller know what is left to them, whatever the answer is."""
    try:
        response = await answering
    except Problem as problem:
        problem.headers |= verdict.headers
        raise
    response.headers.update(verdict.headers)
    return response


def who(request: Request) -> str:
    """The address that is counted: the server's word, which believes ``X-Forwarded-For`` of trusted proxies alone."""
    text = request.client.host if request.client else ""
    try:
        address = ip_address(text)
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((int(address), IPV6_PREFIX), strict=False).network_address)
    return str(address)
