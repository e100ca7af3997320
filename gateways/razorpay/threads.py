"""Razorpay's blocking SDK in a bounded number of threads, with an instance of its own for every call.

Instances are cheap; what costs, the connections, is shared by all of them and made to be shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import razorpay

from gateways.calling import Answer, Denial, lost
from gateways.razorpay.answers import judge
from gateways.razorpay.wire import Wire

#: Calls at once.
THREADS = 8

#: One request through an SDK made for it.
Request = Callable[[Any], object]


class Threads:
    """Carries requests of one account. The SDK's own retries stay off: they repeat a POST without looking (F55)."""

    def __init__(self, key_id: str, key_secret: str, api_base: str | None) -> None:
        self._auth = (key_id, key_secret)
        self._options = {"base_url": api_base.rstrip("/")} if api_base else {}
        self._http = httpx.Client(limits=httpx.Limits(max_connections=THREADS))
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="razorpay")

    async def attempt(self, request: Request, seconds: float) -> Answer | Denial:
        """Raises ``NoAnswer``. A caller that gives up leaves the thread to end within its seconds."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._attempt, request, seconds)

    def close(self) -> None:
        """What waits for a thread is dropped; what is under way ends with its connection."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._http.close()

    def _attempt(self, request: Request, seconds: float) -> Answer | Denial:
        wire = Wire(self._http, seconds)
        sdk = razorpay.Client(session=wire, auth=self._auth, **self._options)
        try:
            request(sdk)
        except httpx.TransportError as error:
            raise lost(error) from None
        except Exception:
            # What the SDK makes of an answer says less than the answer.
            if wire.heard is None:
                raise
        assert wire.heard is not None, "the SDK returned without an answer"
        return judge(wire.heard)
