"""The keys of the application's identity provider (JWKS): fetched, kept, and fetched anew when they rotate.

1. A key that we hold is used at once. Once the set is old, it is fetched again behind the caller's back.
2. A key that we do not hold may be new: the set is fetched, once for all who ask, and not again for a while, or anybody
   could make us call the provider by inventing key ids.
3. The provider is away: what we hold serves on for an hour. A key that we do not hold cannot be judged then: 503.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import jwt
import structlog

from checkout.tokens import KeysAway, NotBelieved
from checkout.wrong_setting import WrongSetting

log = structlog.get_logger(__name__)

#: No symmetric one among them: whoever can read a published key could sign with it.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

FRESH_SECONDS = 300.0
#: A withdrawn key is believed for so long at most, and only while the provider cannot be asked.
STALE_SECONDS = 3600.0
#: Between two fetches, whatever is asked for.
PAUSE_SECONDS = 10.0
FETCH_SECONDS = 5.0


class RemoteKeys:
    """For one event loop. ``now`` is a clock that only runs forward."""

    def __init__(self, url: str, *, production: bool, now: Callable[[], float] = time.monotonic) -> None:
        if urlsplit(url).scheme not in ({"https"} if production else {"https", "http"}):
            raise WrongSetting("AUTH_JWKS_URL must begin with https://")
        # Its own cache asks again for every unknown key while the provider fails; ours does not.
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_SECONDS)
        self._now = now
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = self._tried_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    @property
    def algorithms(self) -> Sequence[str]:
        return ALGORITHMS

    async def find(self, token: str) -> jwt.PyJWK:
        name = jwt.get_unverified_header(token).get("kid")
        if not isinstance(name, str):
            raise NotBelieved("it does not name its key")
        if self._age > FRESH_SECONDS or name not in self._keys:
            fetching = self._fetch()
            if name not in self._keys or self._age > STALE_SECONDS:
                await asyncio.shield(fetching)
        return self._held(name)

    def _held(self, name: str) -> jwt.PyJWK:
        if self._age <= STALE_SECONDS and name in self._keys:
            return self._keys[name]
        if self._fetched_at < self._tried_at:
            raise KeysAway
        raise NotBelieved("it is signed with a key that is not published")

    @property
    def _age(self) -> float:
        return self._now() - self._fetched_at

    def _fetch(self) -> asyncio.Task[None]:
        """The fetch that runs, or a new one; or the last one, if that was just now."""
        is_due = self._now() - self._tried_at > PAUSE_SECONDS
        if self._fetching is None or (self._fetching.done() and is_due):
            self._tried_at = self._now()
            self._fetching = asyncio.create_task(self._replace(self._tried_at), name="jwks")
        return self._fetching

    async def _replace(self, tried_at: float) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                published = await asyncio.to_thread(self._client.get_jwk_set)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            log.warning("jwks.not_fetched", error_class=type(error).__name__)
            return
        self._keys = {
            key.key_id: key
            for key in published.keys
            if key.key_id and key.public_key_use in ("sig", None) and key.algorithm_name in ALGORITHMS
        }
        self._fetched_at = tried_at
