"""A token bucket for each gateway account: we slow down before the gateway makes us, and live traffic goes first.

It paces one process. Several processes share an account by each being given its part of the rate; what slips through
is answered 429 and retried.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

#: Background work leaves this part of a full bucket to whoever has a customer waiting.
RESERVED_SHARE = 0.5

#: Below it, the reserve would leave no whole token.
RATE_MIN = 2

#: No wait is shorter, so that rounding cannot make a loop spin.
SECONDS_MIN = 0.001


class Bucket:
    """Holds up to one second's worth of calls, and refills steadily.

    A live call takes a token at once, if need be one of the future, and waits until that is due: first come, first
    served. A background call takes none before the bucket is fuller than the reserve.
    """

    def __init__(
        self,
        rate_per_second: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if rate_per_second < RATE_MIN:
            raise ValueError(f"a bucket lets through {RATE_MIN} calls a second at least, or background work never runs")
        self._rate = rate_per_second
        self._reserve = rate_per_second * RESERVED_SHARE
        self._tokens = rate_per_second
        self._filled_at = now()
        self._now, self._sleep = now, sleep

    async def take(self, *, within_seconds: float, is_background: bool = False) -> bool:
        """Wait for a turn. False where there is none within the time: nothing was taken, and nothing may be sent."""
        if is_background:
            return await self._take_spare(within_seconds)
        return await self._take_next(within_seconds)

    async def _take_next(self, within_seconds: float) -> bool:
        self._fill()
        wait = (1 - self._tokens) / self._rate
        if wait > within_seconds:
            return False
        self._tokens -= 1
        if wait > 0:
            try:
                await self._sleep(wait)
            except BaseException:
                # Whoever was waiting has been cancelled and will not call.
                self._tokens += 1
                raise
        return True

    async def _take_spare(self, within_seconds: float) -> bool:
        give_up_at = self._now() + within_seconds
        while (wait := self._seconds_to_spare()) > 0:
            if self._now() + wait > give_up_at:
                return False
            await self._sleep(max(wait, SECONDS_MIN))
        self._tokens -= 1
        return True

    def _seconds_to_spare(self) -> float:
        """Until a token lies above the reserve, if no live call comes meanwhile."""
        self._fill()
        return (self._reserve + 1 - self._tokens) / self._rate

    def _fill(self) -> None:
        now = self._now()
        self._tokens = min(self._rate, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
