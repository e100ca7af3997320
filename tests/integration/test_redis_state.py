"""How Redis is, in a word and with what to do; and a clock that tells it once."""

from __future__ import annotations

import pytest
import redis
import structlog
from dramatiq import Message
from prometheus_client import CollectorRegistry

from local.valkey import Valkey
from schedules.redis_watch import RedisWatch
from tests.front_door import NO_REDIS
from tests.lossy import lossy
from workers.broker import make_broker
from workers.queues import NAMESPACE, WEBHOOKS
from workers.redis_state import ADVICE, RedisState, redis_state


def configure(server: Valkey, **options: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        for name, value in options.items():
            client.config_set(name.replace("_", "-"), value)


async def test_one_that_is_well(redis_url: str) -> None:
    state = await redis_state(redis_url)

    assert state.reachable
    assert state.version
    assert (state.policy, state.limit, state.problem, state.advice) == ("noeviction", 0, None, None)
    assert state.used > 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"maxmemory": "100mb"}, None),
        ({"maxmemory": "100mb", "maxmemory_policy": "volatile-lru"}, None),
        ({"maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"}, "evicts"),
        ({"maxmemory_policy": "allkeys-random"}, "evicts"),
        ({"maxmemory": "1mb"}, "nearly_full"),
    ],
)
async def test_f129_one_that_may_lose_or_refuse_hints(
    own_valkey: Valkey, options: dict[str, str], problem: str | None
) -> None:
    configure(own_valkey, **options)

    state = await redis_state(own_valkey.url)

    assert (state.reachable, state.problem) == (True, problem)
    assert state.advice == (ADVICE[problem] if problem else None)


@pytest.mark.parametrize("key", ["webhooks", "effects.msgs", "bulk.XQ", "reconcile.XQ.msgs", "__heartbeats__"])
async def test_one_where_somebody_else_uses_our_names(own_valkey: Valkey, key: str) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.set(f"{NAMESPACE}:{key}", "not ours")

    state = await redis_state(own_valkey.url)

    assert (state.reachable, state.problem, state.advice) == (True, "foreign_keys", ADVICE["foreign_keys"])


async def test_our_own_keys_are_none_of_somebody_else(own_valkey: Valkey) -> None:
    broker = make_broker(own_valkey.url)
    for name in ("worked", "given_up"):
        broker.enqueue(Message[None](WEBHOOKS, name, (), {}, {}))
    broker.do_nack(WEBHOOKS, Message[None].decode(broker.do_fetch(WEBHOOKS, 1)[0]).options["redis_message_id"])
    with broker.client as client:
        kept = {key for key in client.keys(f"{NAMESPACE}:*") if b"__acks__" not in key}

    state = await redis_state(own_valkey.url)

    assert state.problem is None
    assert len(kept) == 5


async def test_one_that_is_away() -> None:
    assert await redis_state(NO_REDIS) == RedisState(reachable=False, problem="away")


async def test_one_that_takes_our_question_and_never_answers(redis_url: str) -> None:
    with lossy(redis_url) as between:
        between.swallows_answers = True

        assert await redis_state(between.url) == RedisState(reachable=False, problem="away")


async def test_one_that_does_not_let_us_in(own_valkey: Valkey) -> None:
    stranger = f"redis://:wrong@127.0.0.1:{own_valkey.port}/0"

    state = await redis_state(stranger)

    assert (state.reachable, state.problem) == (True, "refused")
    assert "wrong" not in repr(state)


async def test_a_clock_tells_a_problem_once_and_its_end_too(own_valkey: Valkey) -> None:
    watch = RedisWatch(own_valkey.url)
    registry = CollectorRegistry()
    registry.register(watch)
    problem = "counterfoil_redis_problem"

    with structlog.testing.capture_logs() as told:
        await watch.look()
        configure(own_valkey, maxmemory_policy="allkeys-lru")
        await watch.look()
        await watch.look()
        during = registry.get_sample_value(problem, {"problem": "evicts"})
        configure(own_valkey, maxmemory_policy="noeviction")
        await watch.look()

    assert [line["event"] for line in told] == ["redis.is_not_well", "redis.is_well_again"]
    assert told[0]["advice"] == ADVICE["evicts"]
    assert (during, registry.get_sample_value(problem, {"problem": "evicts"})) == (1, 0)
