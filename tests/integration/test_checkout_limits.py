"""Ten requests per address and window: in Redis for all processes, in memory while Redis is away, and never a 500."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from checkout import limiting
from checkout.limiting import Limiter, rule
from db.pool import Pool
from local.valkey import Valkey
from tests.counter import NO_REDIS, bearer, counter, problem, put_on_sale, values
from tests.front_door import listening

TEN = rule("10/15minutes")


async def test_the_eleventh_request_of_an_address_is_refused_whoever_it_is_for(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url, redis_url, rate_limit=TEN) as shop:
        answers = [await shop.buy(user=f"user-{n}") for n in range(11)]

        assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 1}
        assert problem(answers[-1]) == (429, "too_many_requests")
        assert 0 < int(answers[-1].headers["retry-after"]) <= 900
        assert answers[-1].headers["ratelimit-remaining"] == "0"
        assert [answer.headers["ratelimit-remaining"] for answer in answers[:3]] == ["9", "8", "7"]
        assert answers[0].headers["ratelimit-limit"] == "10"
        assert len(shop.stripe.asked) == 10


async def test_what_is_refused_for_another_reason_counts_and_says_so(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    async with counter(database_url, redis_url, rate_limit=TEN) as shop:
        answers = [await shop.http.post("/create-payment") for _ in range(11)]

        assert [problem(answer)[0] for answer in answers] == [401] * 10 + [429]
        assert answers[0].headers["ratelimit-remaining"] == "9"


async def test_another_address_has_its_own_window_and_reading_is_not_counted(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url, redis_url, rate_limit=rule("1/minute")) as shop:
        first = await shop.buy()
        reads = [await shop.get("/orders") for _ in range(5)]
        assert (await shop.buy()).status_code == 429
    async with counter(database_url, redis_url, rate_limit=rule("1/minute"), address="203.0.113.8") as shop:
        elsewhere = await shop.buy(user="bob")

    assert first.status_code == elsewhere.status_code == 201
    assert {answer.status_code for answer in reads} == {200}


async def test_two_processes_count_together(pool: Pool, database_url: str, redis_url: str) -> None:
    await put_on_sale(pool)
    async with (
        counter(database_url, redis_url, rate_limit=TEN) as one,
        counter(database_url, redis_url, rate_limit=TEN) as other,
    ):
        answers = await asyncio.gather(*(shop.http.post("/create-payment") for shop in [one, other] * 10))

        assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 10}


async def test_without_redis_each_process_still_counts(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url, NO_REDIS, rate_limit=TEN) as shop:
        answers = [await shop.buy() for _ in range(12)]

        assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 2}
        assert await shop.metric("counterfoil_rate_limits_alone") == 1


async def test_redis_may_go_and_come_back(database_url: str, own_valkey: Valkey) -> None:
    async with counter(database_url, own_valkey.url, rate_limit=TEN) as shop:
        before = await shop.http.post("/create-payment")
        own_valkey.kill()
        away = [await shop.http.post("/create-payment") for _ in range(11)]

        assert before.status_code == 401
        assert [answer.status_code for answer in away] == [401] * 10 + [429]


async def test_redis_is_asked_again_after_a_while(own_valkey: Valkey) -> None:
    limiter = Limiter(own_valkey.url, TEN)
    own_valkey.kill()
    away = await limiter.count("route", "203.0.113.7")
    own_valkey.start()
    async with asyncio.timeout(limiting.ALONE_SECONDS + 10):
        while limiter.is_alone:
            await limiter.count("route", "203.0.113.9")
            await asyncio.sleep(0.2)
    back = [await limiter.count("route", "203.0.113.7") for _ in range(2)]
    await limiter.aclose()

    assert away.remaining == 9
    assert [verdict.remaining for verdict in back] == [9, 8]


async def test_a_redis_that_is_full_is_as_good_as_away(own_valkey: Valkey) -> None:
    limiter = Limiter(own_valkey.url, rule("1/minute"))
    with own_valkey_client(own_valkey) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
    verdicts = [await limiter.count("route", "203.0.113.7") for _ in range(2)]
    await limiter.aclose()

    assert [verdict.allowed for verdict in verdicts] == [True, False]
    assert limiter.is_alone


def own_valkey_client(server: Valkey):  # type: ignore[no-untyped-def]  # redis-py's own generic
    import redis

    return redis.Redis.from_url(server.url)


async def test_a_stranger_cannot_choose_the_address_that_is_counted(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    forwarded = [{"X-Forwarded-For": f"198.51.100.{n}"} for n in range(3)]
    async with counter(database_url, redis_url, rate_limit=rule("1/minute")) as shop:
        async with listening(shop.app) as (host, port), httpx.AsyncClient(base_url=f"http://{host}:{port}") as http:
            strangers = [await http.post("/create-payment", headers=bearer() | own) for own in forwarded]
        async with (
            listening(shop.app, trusted_proxies="127.0.0.1") as (host, port),
            httpx.AsyncClient(base_url=f"http://{host}:{port}") as http,
        ):
            proxied = [await http.post("/create-payment", headers=bearer() | own) for own in forwarded]

    assert [answer.status_code for answer in strangers] == [400, 429, 429]
    assert [answer.status_code for answer in proxied] == [400, 400, 400]


def test_values_hide_their_secrets(database_url: str) -> None:
    shown = repr(values(database_url))

    assert "secret of the tests" not in shown
    assert "postgresql://" not in shown
