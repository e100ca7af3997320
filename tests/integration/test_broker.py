"""What Redis can do to a consumer: first Dramatiq's own, to see what there is to close, then ours.

A test of Dramatiq's own class that fails one day is good news: what it shows has been mended, and ours can be shorter.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import dramatiq
import pytest
import redis
import structlog
from dramatiq import Message
from dramatiq.broker import MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import DecodeError
from dramatiq.middleware import Retries

from db.pool import Pool
from gateways.gateway import Json
from gateways.registry import GATEWAYS
from local.valkey import Valkey
from payments.events import Observed
from tests.builders import BOOK, keep, place_order, session
from tests.lossy import Lossy, lossy
from tests.processes import until
from workers.broker import HintBroker, make_broker
from workers.dead_messages import drain
from workers.queues import NAMESPACE, QUEUES, WEBHOOKS
from workers.webhook_events import Desk, Worked, work_webhook_event

QUICK = 0.3


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def stock(url: str, opened: ExitStack, **options: Any) -> RedisBroker:
    """Dramatiq's own broker, with a client like ours."""
    client = make_broker(url, socket_seconds=QUICK).client
    opened.callback(client.close)
    return RedisBroker(client=client, namespace=NAMESPACE, middleware=[], **options)  # type: ignore[no-untyped-call]


def ours(url: str, opened: ExitStack) -> HintBroker:
    broker = make_broker(url, socket_seconds=QUICK)
    opened.callback(broker.client.close)
    opened.callback(broker.bell.close)
    return broker


def consumer(broker: RedisBroker, queue: str = WEBHOOKS, prefetch: int = 16) -> Any:
    return broker.consume(queue, prefetch, timeout=0)


def message(name: str, **options: Any) -> Message[None]:
    return Message[None](WEBHOOKS, "work_webhook_event", (name,), {}, {"redis_message_id": f"key-{name}", **options})


def put(url: str, *names: str) -> None:
    for name in names:
        put_raw(url, f"key-{name}", message(name).encode())


def put_raw(url: str, key: str, raw: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.hset(f"{NAMESPACE}:{WEBHOOKS}.msgs", key, raw)
        client.rpush(f"{NAMESPACE}:{WEBHOOKS}", key)


def taken(of: Any, *, patience: int = 20) -> list[str]:
    """The arguments of what the consumer gives, until it has given nothing for a while."""
    found: list[str] = []
    for _ in range(patience):
        given = next(of)
        if given is not None:
            found.append(given.args[0])
    return found


def held(url: str) -> int:
    """What some process has fetched and not acknowledged."""
    with redis.Redis.from_url(url) as client:
        return sum(client.scard(key) for key in client.keys(f"{NAMESPACE}:__acks__.*"))


def kept(url: str, suffix: str = ".msgs") -> dict[bytes, bytes]:
    with redis.Redis.from_url(url) as client:
        found: dict[bytes, bytes] = client.hgetall(f"{NAMESPACE}:{WEBHOOKS}{suffix}")
        return found


# --- answers that are lost ---


@pytest.fixture
def between(redis_url: str) -> Iterator[Lossy]:
    with lossy(redis_url) as between:
        yield between


def test_f126_stock_strands_what_a_fetch_took_whose_answer_was_lost(
    redis_url: str, between: Lossy, opened: ExitStack
) -> None:
    broker = stock(between.url, opened)
    next(consumer(broker))
    put(redis_url, "a", "b", "c")

    between.swallows_answers = True
    with pytest.raises(redis.TimeoutError):
        next(consumer(broker))
    between.swallows_answers = False

    assert taken(consumer(broker)) == []
    assert held(redis_url) == 3


def test_f126_what_a_fetch_took_whose_answer_was_lost_is_taken_again(
    redis_url: str, between: Lossy, opened: ExitStack
) -> None:
    ear = consumer(ours(between.url, opened))
    next(ear)
    put(redis_url, "a", "b", "c")

    between.swallows_answers = True
    assert next(ear) is None
    between.swallows_answers = False

    assert sorted(taken(ear, patience=5)) == ["a", "b", "c"]


def test_f126_stock_raises_when_the_answer_to_an_acknowledgement_is_lost(
    redis_url: str, between: Lossy, opened: ExitStack
) -> None:
    ear = consumer(stock(between.url, opened))
    put(redis_url, "a")
    given = next(ear)
    between.swallows_answers = True

    # Its worker thread takes that for a bug, and goes on; what was not done is done again at the next restart.
    with pytest.raises(redis.TimeoutError):
        ear.ack(given)


def test_f126_an_acknowledgement_that_failed_is_settled_as_soon_as_redis_is_back(
    own_valkey: Valkey, opened: ExitStack
) -> None:
    ear = consumer(ours(own_valkey.url, opened))
    put(own_valkey.url, "a")
    given = next(ear)

    with trouble(own_valkey, "full"):
        ear.ack(given)
        assert held(own_valkey.url) == 1

    again = [each for each in (next(ear) for _ in range(4)) if each is not None]
    assert [each.args[0] for each in again] == ["a"]
    ear.ack(again[0])
    assert held(own_valkey.url) == 0
    assert kept(own_valkey.url) == {}


# --- a Redis that refuses ---


@contextmanager
def trouble(server: Valkey, kind: str) -> Iterator[None]:
    """A server that is full, a replica that nobody may write to, one whose primary is gone, or somebody's own key."""
    with redis.Redis.from_url(server.url) as client:
        match kind:
            case "full":
                client.config_set("maxmemory", "1")
            case "readonly" | "masterdown":
                client.config_set("replica-serve-stale-data", "yes" if kind == "readonly" else "no")
                client.execute_command("REPLICAOF", "127.0.0.1", "1")
            case "wrongtype":
                client.rename(f"{NAMESPACE}:__heartbeats__", "mine")
                client.set(f"{NAMESPACE}:__heartbeats__", "not a sorted set")
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.config_set("maxmemory", "0")
        if kind == "wrongtype":
            client.rename("mine", f"{NAMESPACE}:__heartbeats__")


TROUBLES = ("full", "readonly", "masterdown", "wrongtype")


@pytest.mark.parametrize("kind", TROUBLES)
def test_f126_f129_stock_raises_what_its_threads_take_for_a_bug(
    own_valkey: Valkey, opened: ExitStack, kind: str
) -> None:
    ear = consumer(stock(own_valkey.url, opened))
    put(own_valkey.url, "a", "b")
    given = next(ear)

    with trouble(own_valkey, kind):
        with pytest.raises(redis.ResponseError):
            ear.ack(given)
        with pytest.raises(redis.ResponseError):
            consumer(ear.broker).__next__()


@pytest.mark.parametrize("kind", TROUBLES)
def test_f126_f129_a_redis_that_refuses_is_away_and_then_back(own_valkey: Valkey, opened: ExitStack, kind: str) -> None:
    ear = consumer(ours(own_valkey.url, opened))
    put(own_valkey.url, "a", "b")
    given = next(ear)

    with trouble(own_valkey, kind):
        ear.ack(given)
        assert next(ear) is None
        ear.nack(given)
        ear.requeue([given])

    assert sorted(taken(ear, patience=5)) == ["a", "b"]


@pytest.mark.parametrize("key", [WEBHOOKS, f"{WEBHOOKS}.msgs"])
def test_a_redis_that_answers_and_holds_somebody_elses_key_is_not_back_before_a_fetch_succeeds(
    redis_url: str, opened: ExitStack, key: str
) -> None:
    ear = consumer(ours(redis_url, opened))
    put(redis_url, "a", "b")
    next(ear)
    with redis.Redis.from_url(redis_url) as client:
        client.delete(f"{NAMESPACE}:{WEBHOOKS}", f"{NAMESPACE}:{WEBHOOKS}.msgs")
        client.rpush(f"{NAMESPACE}:{WEBHOOKS}", "key-c")
        client.delete(f"{NAMESPACE}:{key}")
        client.set(f"{NAMESPACE}:{key}", "not ours")

    with structlog.testing.capture_logs() as told:
        during = taken(ear, patience=6)
        told_during = [line["event"] for line in told]
        with redis.Redis.from_url(redis_url) as client:
            client.delete(f"{NAMESPACE}:{WEBHOOKS}", f"{NAMESPACE}:{WEBHOOKS}.msgs")
        put(redis_url, "d")
        after = taken(ear, patience=5)

    assert (during, after) == (["b"], ["d"])
    assert told_during == ["consumer.redis_is_away"]
    assert [line["event"] for line in told] == [*told_during, "consumer.redis_is_back"]


def test_a_redis_that_was_killed_and_came_back_empty_is_asked_again(own_valkey: Valkey, opened: ExitStack) -> None:
    ear = consumer(ours(own_valkey.url, opened))
    put(own_valkey.url, "a", "b")
    given = next(ear)

    own_valkey.kill()
    ear.ack(given)
    assert next(ear) is None
    own_valkey.start()
    put(own_valkey.url, "c")

    assert taken(ear, patience=5) == ["c"]


# --- messages that are none ---

STRANGE: list[bytes] = [
    b"",
    b"\xff not JSON",
    b"[]",
    b"{}",
    message("x").copy(queue_name="another").encode(),
    message("x", eta=0).encode(),
    json.dumps({**message("x").asdict(), "options": {}}).encode(),
    json.dumps({**message("x").asdict(), "options": ["redis_message_id"]}).encode(),
    json.dumps({**message("x").asdict(), "message_id": []}).encode(),
    json.dumps({**message("x").asdict(), "actor_name": {}}).encode(),
    json.dumps({**message("x").asdict(), "kwargs": None}).encode(),
]


def test_f130_stock_strands_the_neighbours_of_what_cannot_be_read(redis_url: str, opened: ExitStack) -> None:
    broker = stock(redis_url, opened)
    put_raw(redis_url, "strange", b"\xff")
    put(redis_url, "a", "b")

    with pytest.raises(DecodeError):
        next(consumer(broker))

    assert taken(consumer(broker)) == []
    assert held(redis_url) == 3


@pytest.mark.parametrize("raw", STRANGE, ids=range(len(STRANGE)))
def test_f130_what_cannot_be_read_is_dead_as_it_is_and_its_neighbours_are_worked(
    redis_url: str, opened: ExitStack, raw: bytes
) -> None:
    ear = consumer(ours(redis_url, opened))
    put(redis_url, "a")
    put_raw(redis_url, "strange", raw)
    put(redis_url, "b")

    found = [given for given in (next(ear) for _ in range(4)) if given is not None]
    for given in found:
        ear.ack(given)

    assert [given.args[0] for given in found] == ["a", "b"]
    assert kept(redis_url, ".XQ.msgs") == {b"strange": raw}
    assert held(redis_url) == 0


async def test_f130_and_is_a_dead_letter_then(pool: Pool, redis_url: str, opened: ExitStack) -> None:
    ear = consumer(ours(redis_url, opened))
    put_raw(redis_url, "strange", b"\xff")
    next(ear)

    drained = await drain(pool, redis_url)

    assert drained.kept == 1
    assert await pool.fetchval("SELECT source_id FROM dead_letters WHERE state = 'open'") == "strange"


def test_f129_what_an_evicting_redis_has_dropped_is_forgotten(redis_url: str, opened: ExitStack) -> None:
    ear = consumer(ours(redis_url, opened))
    put(redis_url, "a", "b")
    with redis.Redis.from_url(redis_url) as client:
        client.hdel(f"{NAMESPACE}:{WEBHOOKS}.msgs", "key-a")

    assert taken(ear, patience=4) == ["b"]
    assert held(redis_url) == 1


# --- retries and delays ---


def test_f124_stock_acknowledges_what_it_could_not_retry(own_valkey: Valkey, opened: ExitStack) -> None:
    broker = stock(own_valkey.url, opened)
    broker.add_middleware(Retries())
    dramatiq.actor(actor_name="work_webhook_event", queue_name=WEBHOOKS, broker=broker)(print)
    given = MessageProxy(message("a"))
    own_valkey.kill()

    broker.emit_after("process_message", given, exception=RuntimeError())

    assert not given.failed


async def test_f124_an_event_that_fails_while_redis_is_away_is_owed_by_its_row(pool: Pool) -> None:
    def translate(_: Json) -> Observed:
        raise ConnectionError

    order_id = await place_order(pool)
    event = await keep(pool, session(order_id))
    desk = Desk({"stripe": replace(GATEWAYS["stripe"], translate=translate)}, {}, BOOK)

    failed = await work_webhook_event(pool, desk, event)
    await pool.execute("UPDATE webhook_events SET next_attempt_at = now()")
    again = await work_webhook_event(pool, Desk(GATEWAYS, {}, BOOK), event)

    assert (failed.worked, again.worked) == (Worked.RETRY, Worked.DONE)


def test_f125_stock_strands_delayed_messages_when_their_consumer_is_made_anew(
    redis_url: str, opened: ExitStack
) -> None:
    broker = stock(redis_url, opened)
    dramatiq.actor(actor_name="work_webhook_event", queue_name=WEBHOOKS, broker=broker)(print)
    broker.enqueue(message("a"), delay=10)
    given = next(consumer(broker, f"{WEBHOOKS}.DQ"))

    anew = consumer(broker, f"{WEBHOOKS}.DQ")

    assert given is not None
    assert taken(anew) == []
    assert held(redis_url) == 1


def test_f125_nothing_of_ours_is_delayed_in_a_process_memory(redis_url: str, opened: ExitStack) -> None:
    broker = ours(redis_url, opened)
    for queue in QUEUES:
        broker.declare_queue(queue)

    assert broker.get_declared_queues() == set(QUEUES)
    assert broker.delay_queues == set()
    assert not [each for each in broker.middleware if isinstance(each, Retries)]


# --- heartbeat ---


def silence(broker: RedisBroker) -> Callable[[], float]:
    """Forget its heartbeat; what is returned tells it as it is then."""
    broker.client.zadd(f"{NAMESPACE}:__heartbeats__", {broker.broker_id: 0})
    return lambda: float(broker.client.zscore(f"{NAMESPACE}:__heartbeats__", broker.broker_id) or 0)


def test_f132_stock_is_silent_while_it_has_no_room(redis_url: str, opened: ExitStack) -> None:
    broker = stock(redis_url, opened)
    put(redis_url, "a", "b")
    ear = consumer(broker, prefetch=1)
    next(ear)
    heartbeat = silence(broker)

    next(ear)

    assert heartbeat() == 0


def test_f132_a_busy_worker_says_that_it_lives_and_takes_no_more(redis_url: str, opened: ExitStack) -> None:
    broker = ours(redis_url, opened)
    put(redis_url, "a", "b")
    ear = consumer(broker, prefetch=1)
    next(ear)
    heartbeat = silence(broker)

    given = next(ear)

    assert given is None
    assert heartbeat() > 0


# --- the end ---


def test_f134_stock_raises_in_the_midst_of_its_end_when_redis_is_away(own_valkey: Valkey, opened: ExitStack) -> None:
    ear = consumer(stock(own_valkey.url, opened))
    put(own_valkey.url, "a")
    given = next(ear)
    own_valkey.kill()

    with pytest.raises(redis.ConnectionError):
        ear.requeue([given])


# --- a real worker ---


@contextmanager
def working(broker: HintBroker, worked: list[str], *, threads: int = 2) -> Iterator[dramatiq.Worker]:
    """With one actor, that notes what it was given."""
    dramatiq.actor(actor_name="work_webhook_event", queue_name=WEBHOOKS, broker=broker)(worked.append)
    worker = dramatiq.Worker(broker, queues={WEBHOOKS}, worker_timeout=100, worker_threads=threads)
    broker.bell.listen()
    worker.start()
    try:
        yield worker
    finally:
        broker.bell.close()
        worker.stop(timeout=5000)


async def test_f136_an_actor_that_nobody_knows_is_a_dead_letter_and_the_others_are_worked(
    pool: Pool, redis_url: str, opened: ExitStack
) -> None:
    worked: list[str] = []
    unknown = message("new").copy(actor_name="of_the_next_release")
    put_raw(redis_url, "key-new", unknown.encode())
    put(redis_url, "a")

    with working(ours(redis_url, opened), worked):
        assert until(lambda: worked == ["a"] and b"key-new" in kept(redis_url, ".XQ.msgs"))
    await drain(pool, redis_url)

    assert await pool.fetchval("SELECT what FROM dead_letters WHERE state = 'open'") == "of_the_next_release"


def test_more_than_fits_in_hand_is_worked_without_waiting_for_the_clock(redis_url: str, opened: ExitStack) -> None:
    worked: list[str] = []
    names = [str(number) for number in range(500)]
    put(redis_url, *names)

    with working(ours(redis_url, opened), worked):
        assert until(lambda: len(worked) == len(names) and held(redis_url) == 0)

    assert sorted(worked) == sorted(names)


def test_f126_a_worker_goes_on_after_each_kind_of_trouble(own_valkey: Valkey, opened: ExitStack) -> None:
    worked: list[str] = []

    with working(ours(own_valkey.url, opened), worked) as worker:
        for kind in TROUBLES:
            put(own_valkey.url, f"before-{kind}")
            assert until(lambda kind=kind: f"before-{kind}" in worked)  # type: ignore[misc]
            with trouble(own_valkey, kind):
                threading.Event().wait(0.2)
            put(own_valkey.url, f"after-{kind}")
            assert until(lambda kind=kind: f"after-{kind}" in worked)  # type: ignore[misc]
        own_valkey.kill()
        own_valkey.start()
        put(own_valkey.url, "last")
        assert until(lambda: "last" in worked)

        assert all(thread.is_alive() for thread in (*worker.workers, *worker.consumers.values()))
