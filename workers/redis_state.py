"""How Redis is, and what to do about it. Nothing depends on it: a bad one makes work late, and never loses any."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError

from workers.hints import AWAY
from workers.queues import NAMESPACE, QUEUES

SOCKET_SECONDS = 2.0
ANSWER_SECONDS = 5.0

#: From here on hints are about to be refused, or dropped.
NEARLY_FULL = 0.7

ADVICE = {
    "away": "bring it back, or mend REDIS_URL; until then work is some seconds late",
    "refused": "mend the user or the password in REDIS_URL; its role must be allowed INFO and TYPE",
    "foreign_keys": "give Redis, or its database in REDIS_URL, to us alone; delete what is not ours there",
    "evicts": "set maxmemory-policy to noeviction: it drops hints at random",
    "nearly_full": "raise maxmemory, or find out what else is kept there; when full, it takes no hints",
}


#: What Dramatiq keeps under our names, and as which type.
KEYS = {f"{NAMESPACE}:__heartbeats__": b"zset"} | {
    f"{NAMESPACE}:{queue}{suffix}": kind
    for queue in QUEUES
    for suffix, kind in (("", b"list"), (".msgs", b"hash"), (".XQ", b"zset"), (".XQ.msgs", b"hash"))
}


@dataclass(frozen=True, slots=True)
class RedisState:
    """What it says of itself. ``limit`` 0 is none; ``problem`` is a key of ``ADVICE``, or None: all is well."""

    reachable: bool
    version: str | None = None
    policy: str | None = None
    used: int = 0
    limit: int = 0
    problem: str | None = None

    @property
    def advice(self) -> str | None:
        return ADVICE[self.problem] if self.problem else None


async def redis_state(url: str) -> RedisState:
    """Ask it, in bounded time. INFO tells all of it: managed services forbid CONFIG."""
    redis = Redis.from_url(url, socket_timeout=SOCKET_SECONDS, socket_connect_timeout=SOCKET_SECONDS)
    try:
        async with asyncio.timeout(ANSWER_SECONDS), redis:
            return _judge(await redis.info(), has_foreign_keys=await _has_foreign_keys(redis))
    except (AuthenticationError, NoPermissionError):
        return RedisState(reachable=True, problem="refused")
    except AWAY:
        return RedisState(reachable=False, problem="away")


async def _has_foreign_keys(redis: Redis) -> bool:
    """Whether something else stands under our names: every command on it fails, and our queue with it."""
    pipeline = redis.pipeline(transaction=False)
    for key in KEYS:
        pipeline.type(key)
    types = await pipeline.execute()
    return any(found not in (b"none", ours) for found, ours in zip(types, KEYS.values(), strict=True))


def _judge(told: dict[str, Any], *, has_foreign_keys: bool) -> RedisState:
    policy, used, limit = (
        str(told.get("maxmemory_policy", "")),
        int(told.get("used_memory", 0)),
        int(told.get("maxmemory", 0)),
    )
    problem = None
    if has_foreign_keys:
        problem = "foreign_keys"
    elif policy.startswith("allkeys-"):  # the others take what has an end of its own; hints have none
        problem = "evicts"
    elif limit and used >= NEARLY_FULL * limit:
        problem = "nearly_full"
    version = str(told.get("valkey_version") or told.get("redis_version") or "")
    return RedisState(True, version, policy, used, limit, problem)
