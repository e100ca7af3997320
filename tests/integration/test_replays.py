"""Done again because a person says so: bounded, spread, once for each letter, in a queue of its own, and written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import redis

from db import dead_letters, operator_actions, webhook_events
from db.dead_letters import Letter, Selection
from db.effects import Effect
from db.operator_actions import Operator
from db.pool import Pool
from gateways.gateway import Json, TranslationError, Unhandled
from gateways.registry import GATEWAYS
from local.valkey import Valkey
from payments.events import Observed
from schedules.sweep import sweep_once
from tests.builders import BOOK, keep, place_order, session
from tests.front_door import NO_REDIS
from tests.owed import NOTIFY, owe
from workers import replays
from workers.delivery.sender import NeverAgain, Settled
from workers.effects import Outcome, send_effect
from workers.hints import Hints
from workers.queues import BULK, REPLAY_WEBHOOK_EVENT, WEBHOOKS, WORK_WEBHOOK_EVENT
from workers.standby import Standby
from workers.webhook_events import Desk, Worked, work_webhook_event

DESK = Desk(GATEWAYS, {}, BOOK)
ADA = Operator("ada")
WHY = "the shape is known now"
EVERYTHING = Selection()


def desk(translate: Callable[[Json], Observed | Unhandled]) -> Desk:
    return replace(DESK, gateways={"stripe": replace(GATEWAYS["stripe"], translate=translate)})


def raising(error: Exception) -> Desk:
    def translate(_: Json) -> Observed | Unhandled:
        raise error

    return desk(translate)


class Refusing:
    async def send(self, effect: Effect) -> Settled:
        raise NeverAgain("the receiver answered 410")


async def bury(pool: Pool, *, error: Exception | None = None, plan: str = "plan-1", **more: Any) -> UUID:
    """A dead event, about an order that it would pay."""
    event = await keep(pool, session(await place_order(pool, plan=plan)), **more)
    await work_webhook_event(pool, raising(error or TranslationError("amount_total is missing")), event)
    return event


async def bury_many(pool: Pool, count: int) -> None:
    """Dead events by the hundred, each with its letter."""
    await bury(pool, error=KeyError("amount"))
    await pool.execute(
        """
        INSERT INTO webhook_events (id, gateway, event_id, event_type, status, reason, payload_raw, payload_hash,
                                    retry_count, next_attempt_at)
        SELECT uuidv7(), gateway, event_id || n, event_type, status, reason, payload_raw, n::text, 1, NULL
          FROM webhook_events, generate_series(2, $1) AS n
        """,
        count,
    )
    await pool.execute(
        """
        INSERT INTO dead_letters (source, source_id, queue, what, gateway, class, error_class, error, fingerprint, attempts)
        SELECT 'webhook_event', e.id::text, e.queue, e.event_type, e.gateway, l.class, l.error_class, l.error,
               l.fingerprint, 1
          FROM webhook_events e, (SELECT * FROM dead_letters LIMIT 1) AS l WHERE e.id::text <> l.source_id
        """
    )


async def bury_message(pool: Pool, content: dict[str, Any]) -> UUID:
    letter: UUID = await pool.fetchval(
        """
        INSERT INTO dead_letters (source, source_id, queue, what, class, error_class, error, fingerprint, attempts, message)
        VALUES ('message', 'm-1', $2, 'work_webhook_event', 'permanent', 'given_up', 'e', 'f', 1, $1) RETURNING id
        """,
        content,
        WEBHOOKS,
    )
    return letter


async def retry(pool: Pool, selection: Selection = EVERYTHING, **more: Any) -> replays.Batch:
    async with pool.acquire() as tx, tx.transaction():
        return await replays.retry(tx, selection, by=ADA, reason=WHY, **more)


async def discard(pool: Pool, selection: Selection = EVERYTHING, **more: Any) -> replays.Batch:
    async with pool.acquire() as tx, tx.transaction():
        return await replays.discard(tx, selection, by=ADA, reason=WHY, **more)


async def replay(pool: Pool, *names: str, **more: Any) -> list[replays.Replayed]:
    async with pool.acquire() as tx, tx.transaction():
        return await replays.replay(tx, names, by=ADA, reason=WHY, **more)


async def find(pool: Pool, selection: Selection = EVERYTHING, **more: Any) -> list[Letter]:
    async with pool.acquire() as tx:
        return await dead_letters.find(tx, selection, limit=1000, **more)


async def event_row(pool: Pool, event: UUID) -> asyncpg.Record:
    row = await pool.fetchrow("SELECT *, next_attempt_at - now() AS wait FROM webhook_events WHERE id = $1", event)
    assert row is not None
    return row


# --- retry ---


async def test_a_retry_begins_a_new_life_in_a_queue_of_its_own_and_works(pool: Pool) -> None:
    event = await bury(pool)

    batch = await retry(pool)
    revived = await event_row(pool, event)
    worked = await work_webhook_event(pool, DESK, event)

    assert [letter.source_id for letter in batch.letters] == [str(event)]
    assert (revived["status"], revived["epoch"], revived["queue"], revived["retry_count"]) == ("retry", 1, BULK, 0)
    assert worked.worked is Worked.DONE
    [letter] = await find(pool, state=None)
    assert (letter.state, letter.closed_by, letter.closed_reason) == ("retried", "ada", WHY)


async def test_a_retry_works_twice_in_a_row(pool: Pool) -> None:
    event = await bury(pool)

    lives = []
    for _ in range(2):
        await retry(pool)
        await work_webhook_event(pool, raising(KeyError("still")), event)
        lives.append((await event_row(pool, event))["epoch"])
    await retry(pool)
    worked = await work_webhook_event(pool, DESK, event)

    assert lives == [1, 2]
    assert worked.worked is Worked.DONE
    assert [letter.state for letter in await find(pool, state=None)] == ["retried"] * 3


async def test_an_effect_is_retried_like_an_event_with_a_new_budget(pool: Pool) -> None:
    effect = await owe(pool, NOTIFY)
    await send_effect(pool, Refusing(), effect)

    await retry(pool)
    row = await pool.fetchrow("SELECT status, epoch, attempts, queue FROM effects")
    again = await send_effect(pool, Refusing(), effect)

    assert tuple(row or ()) == ("pending", 1, 0, BULK)
    assert again is Outcome.DEAD
    assert [(letter.epoch, letter.state) for letter in await find(pool, state=None)] == [(0, "retried"), (1, "open")]


async def test_f150_four_operators_at_once_retry_five_hundred_letters_once_each(pool: Pool) -> None:
    await bury_many(pool, 500)

    batches = await asyncio.gather(*(retry(pool) for _ in range(4)))

    retried = [letter.id for batch in batches for letter in batch.letters]
    assert len(retried) == len(set(retried)) == 500
    assert await pool.fetchval("SELECT count(*) FROM webhook_events WHERE epoch = 1 AND status = 'retry'") == 500
    assert await pool.fetchval("SELECT count(*) FROM dead_letters WHERE state = 'open'") == 0


async def test_f146_a_retry_is_capped_counted_beforehand_and_spread_over_time(pool: Pool) -> None:
    await bury_many(pool, 30)

    counted = await retry(pool, cap=20, per_second=2, dry_run=True)
    untouched = await pool.fetchval("SELECT count(*) FROM webhook_events WHERE status = 'dead'")
    retried = await retry(pool, cap=20, per_second=2)

    waits = await pool.fetch(
        "SELECT extract(epoch FROM next_attempt_at - now())::float8 AS wait FROM webhook_events "
        "WHERE status = 'retry' ORDER BY 1"
    )
    assert (len(counted.letters), counted.id, untouched) == (20, None, 30)
    assert await pool.fetchval("SELECT count(*) FROM operator_actions") == 1
    assert [letter.id for letter in retried.letters] == [letter.id for letter in counted.letters]
    assert retried.seconds == 10
    assert [round(row["wait"] * 2) for row in waits] == pytest.approx(range(20), abs=1)


async def test_f146_live_events_are_worked_first_while_thousands_are_replayed(pool: Pool, redis_url: str) -> None:
    await bury_many(pool, 2000)
    await retry(pool, cap=2000, per_second=1_000_000)
    await pool.execute(
        "UPDATE webhook_events SET next_attempt_at = now() - interval '1 min', next_hint_at = now() - interval '1 min'"
    )
    live = [await keep(pool, session(await place_order(pool, plan=f"live-{n}"))) for n in range(3)]
    await pool.execute(
        "UPDATE webhook_events SET next_attempt_at = now() - interval '5 s', next_hint_at = now() WHERE queue = $1",
        WEBHOOKS,
    )
    worked: list[UUID] = []

    async def work(event: UUID) -> None:
        worked.append(event)

    async with Hints(redis_url) as hints:
        await sweep_once(pool, hints)
        depths = [await hints.depth(queue) for queue in (WEBHOOKS, BULK)]
    await Standby(pool, {WORK_WEBHOOK_EVENT: work, REPLAY_WEBHOOK_EVENT: work}).run_once()

    assert depths == [3, 1000]
    assert set(worked[:3]) == set(live)
    assert len(worked) > 3


@pytest.mark.parametrize(
    ("selection", "meant"),
    [
        (Selection(gateway="stripe"), {"stripe-a", "stripe-b", "effect"}),
        (Selection(gateway="razorpay"), {"razorpay"}),
        (Selection(what="payment.captured"), {"razorpay"}),
        (Selection(what=NOTIFY), {"effect"}),
        (Selection(source="effect"), {"effect"}),
        (Selection(trouble_class="person"), {"effect"}),
        (Selection(queue="effects"), {"effect"}),
        (Selection(ids=("evt_a", "evt_x")), {"stripe-a"}),
        (Selection(gateway="stripe", ids=("evt_r",)), set()),
        (Selection(since=datetime(2100, 1, 1, tzinfo=UTC)), set()),
        (Selection(until=datetime(2100, 1, 1, tzinfo=UTC)), {"stripe-a", "stripe-b", "razorpay", "effect"}),
        (EVERYTHING, {"stripe-a", "stripe-b", "razorpay", "effect"}),
    ],
)
async def test_a_selection_means_what_fits_all_of_it(pool: Pool, selection: Selection, meant: set[str]) -> None:
    names = {
        str(await bury(pool, event_id="evt_a")): "stripe-a",
        str(await bury(pool, plan="plan-2", event_id="evt_b")): "stripe-b",
        str(await bury_effect(pool)): "effect",
    }
    razorpay = await keep(pool, {"n": 1}, gateway="razorpay", event_type="payment.captured", event_id="evt_r")
    await work_webhook_event(
        pool, replace(DESK, gateways={"razorpay": raising(KeyError("x")).gateways["stripe"]}), razorpay
    )
    names[str(razorpay)] = "razorpay"

    assert {names[letter.source_id] for letter in await find(pool, selection)} == meant


async def bury_effect(pool: Pool) -> UUID:
    effect = await owe(pool, NOTIFY)
    await send_effect(pool, Refusing(), effect)
    return effect


async def test_a_letter_is_found_by_each_of_its_ids_and_by_its_cause(pool: Pool) -> None:
    event = await bury(pool, event_id="evt_a")
    await bury(pool, plan="plan-2", error=KeyError("other"))
    [letter] = await find(pool, Selection(ids=(str(event),)))

    found = [
        await find(pool, selection)
        for selection in (
            Selection(ids=(str(letter.id),)),
            Selection(ids=("evt_a",)),
            Selection(fingerprint=letter.fingerprint),
        )
    ]
    async with pool.acquire() as tx:
        shown = await dead_letters.show(tx, "evt_a")
        unknown = await dead_letters.show(tx, "no such thing")

    assert found == [[letter]] * 3
    assert (shown, unknown) == (letter, None)


async def test_two_thousand_failures_are_shown_as_their_causes(pool: Pool) -> None:
    await bury_many(pool, 40)
    await bury(pool, plan="plan-2")

    async with pool.acquire() as tx:
        groups = await dead_letters.group(tx)

    assert [(group.count, group.error_class) for group in groups] == [(40, "KeyError"), (1, "unknown_shape")]
    assert groups[0].first_at <= groups[0].last_at
    assert groups[1].sample == (await find(pool, Selection(fingerprint=groups[1].fingerprint)))[0].id


async def test_letters_are_paged_without_a_gap(pool: Pool) -> None:
    await bury_many(pool, 10)
    everything = [letter.id for letter in await find(pool)]

    async with pool.acquire() as tx:
        first = await dead_letters.find(tx, EVERYTHING, limit=4)
        rest = await dead_letters.find(tx, EVERYTHING, limit=100, after=first[-1].id)

    assert [letter.id for letter in [*first, *rest]] == everything


async def test_a_letter_is_closed_once_and_keeps_the_first_name(pool: Pool) -> None:
    await bury(pool)
    [letter] = await find(pool)

    async with pool.acquire() as tx:
        first = await dead_letters.close(tx, [letter.id], state="retried", by="ada", reason=WHY)
        second = await dead_letters.close(tx, [letter.id], state="discarded", by="grace", reason="too late")

    [closed] = await find(pool, state=None)
    assert (first, second) == ({letter.id}, set())
    assert (closed.state, closed.closed_by) == ("retried", "ada")


async def test_a_letter_whose_row_is_in_a_workers_hands_is_left_for_the_next_time(pool: Pool) -> None:
    event = await bury(pool)
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM webhook_events WHERE id = $1 FOR UPDATE", event)

        batch = await asyncio.wait_for(retry(pool), 10)

    assert batch.letters == ()
    assert [letter.state for letter in await find(pool)] == ["open"]


async def test_every_act_is_written_down_with_who_why_before_and_after(pool: Pool) -> None:
    event = await bury(pool)
    [letter] = await find(pool)

    batch = await retry(pool, Selection(gateway="stripe"))

    async with pool.acquire() as tx:
        [act] = await operator_actions.newest(tx)
    assert (act.actor, act.via, act.action, act.reason, act.batch_id) == ("ada", "cli", "dead.retry", WHY, batch.id)
    assert act.target == {"gateway": "stripe"}
    assert act.before == {"open": 1, "causes": {letter.fingerprint: 1}}
    assert act.after is not None
    assert act.after["closed"] == [str(letter.id)]
    assert str(event) == letter.source_id


async def test_no_act_without_a_reason(pool: Pool) -> None:
    event = await bury(pool)

    with pytest.raises(asyncpg.CheckViolationError):
        async with pool.acquire() as tx, tx.transaction():
            await replays.retry(tx, EVERYTHING, by=ADA, reason="")

    assert (await event_row(pool, event))["status"] == "dead"


# --- discard ---


async def test_a_discarded_letter_is_closed_and_its_row_stays_dead(pool: Pool) -> None:
    event = await bury(pool)

    counted = await discard(pool, dry_run=True)
    discarded = await discard(pool)
    again = await discard(pool)

    [letter] = await find(pool, state=None)
    assert [len(batch.letters) for batch in (counted, discarded, again)] == [1, 1, 0]
    assert (letter.state, letter.closed_by, letter.closed_reason) == ("discarded", "ada", WHY)
    assert (await event_row(pool, event))["status"] == "dead"
    assert (await retry(pool)).letters == ()


async def test_what_was_discarded_lives_again_if_the_gateway_sends_it_again(pool: Pool) -> None:
    event = await bury(pool)
    await discard(pool)

    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.count_delivery(tx, event)

    assert (await work_webhook_event(pool, DESK, event)).worked is Worked.DONE
    assert [letter.state for letter in await find(pool, state=None)] == ["discarded"]


async def test_f149_an_open_letter_cannot_be_deleted(pool: Pool) -> None:
    await bury(pool)

    with pytest.raises(asyncpg.RestrictViolationError):
        await pool.execute("DELETE FROM dead_letters")


# --- messages ---


async def test_a_message_is_sent_again_as_a_new_one(pool: Pool, redis_url: str) -> None:
    content = {"actor": "work_webhook_event", "args": ["x"], "kwargs": {}, "options": {"retries": 3, "eta": 1}}
    await bury_message(pool, content)

    batch = await retry(pool)
    async with Hints(redis_url) as hints:
        sent = await replays.send_messages(pool, hints, batch)

    with redis.Redis.from_url(redis_url) as client:
        [key] = client.lrange(f"counterfoil:{WEBHOOKS}", 0, -1)
        message = json.loads(client.hget(f"counterfoil:{WEBHOOKS}.msgs", key))
    assert sent == 1
    assert (message["actor_name"], message["args"]) == ("work_webhook_event", ["x"])
    assert message["options"] == {"redis_message_id": key.decode()}
    assert [letter.state for letter in await find(pool, state=None)] == ["retried"]


async def test_a_message_that_could_not_be_sent_waits_for_a_person_as_before(pool: Pool) -> None:
    await bury_message(pool, {"actor": "work_webhook_event", "args": ["x"], "kwargs": {}, "options": {}})

    batch = await retry(pool)
    async with Hints(NO_REDIS) as hints:
        sent = await replays.send_messages(pool, hints, batch)

    assert (len(batch.messages), sent) == (1, 0)
    assert [letter.state for letter in await find(pool)] == ["open"]


async def test_a_message_that_nobody_can_read_can_only_be_discarded(pool: Pool) -> None:
    await bury_message(pool, {"base64": "AAAA", "bytes": 3})

    retried, discarded = await retry(pool), await discard(pool)

    assert (retried.letters, len(discarded.letters)) == ((), 1)


# --- replay ---


@pytest.mark.parametrize("name", ["ours", "theirs"])
async def test_f147_a_done_event_is_replayed_only_if_forced(pool: Pool, name: str) -> None:
    event = await keep(pool, session(await place_order(pool)), event_id="evt_a")
    await work_webhook_event(pool, DESK, event)
    called = str(event) if name == "ours" else "evt_a"

    [refused] = await replay(pool, called)
    still = await event_row(pool, event)
    [forced] = await replay(pool, called, force=True)
    worked = await work_webhook_event(pool, DESK, event)

    assert (refused.was, refused.refused, still["status"], still["epoch"]) == ("done", "it is done", "done", 0)
    assert (forced.id, forced.refused) == (event, None)
    assert (worked.worked, worked.reason) == (Worked.DONE, "stale")
    assert await pool.fetchval("SELECT count(*) FROM history") == 1
    assert await pool.fetchval("SELECT count(*) FROM operator_actions") == 1


async def test_an_ignored_or_dead_event_is_replayed_and_its_letter_closed(pool: Pool) -> None:
    dead = await bury(pool)
    ignored = await keep(pool, session(await place_order(pool, plan="plan-2")))
    await work_webhook_event(pool, desk(lambda _: Unhandled("unhandled_type")), ignored)

    told = await replay(pool, str(dead), str(ignored))
    worked = [(await work_webhook_event(pool, DESK, event)).worked for event in (dead, ignored)]

    assert [(each.was, each.refused) for each in told] == [("dead", None), ("ignored", None)]
    assert worked == [Worked.DONE, Worked.DONE]
    assert [(letter.state, letter.closed_by) for letter in await find(pool, state=None)] == [("retried", "ada")]


async def test_f148_an_event_that_is_gone_is_not_replayed_for_ever(pool: Pool) -> None:
    assert await replay(pool, "evt_gone", "5b0e6a0e-3c5f-4f0e-9d56-1f6f6d1c2b3a") == []


async def test_an_event_in_a_workers_hands_is_not_replayed(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    async with pool.acquire() as holder, holder.transaction():
        await webhook_events.claim(holder, event)

        [told] = await replay(pool, str(event))

    assert told.refused == "a worker has it in hand"


# --- rehearsal ---


async def test_a_rehearsal_tells_what_would_change_and_changes_nothing(pool: Pool) -> None:
    order = await place_order(pool)
    event = await keep(pool, session(order))
    before = await pool.fetch("SELECT * FROM webhook_events")

    told = await replays.rehearse(pool, DESK, event)

    assert told is not None
    assert (told.worked, told.reason, told.order_id) == (Worked.DONE, "moved_to_paid", order)
    assert told.before is not None
    assert told.after is not None
    assert (told.before.status, told.after.status) == ("pending", "paid")
    assert (told.before.has_access, told.after.has_access) == (False, True)
    assert (told.before.payments, list(told.after.payments.values())) == ({}, ["succeeded"])
    assert (len(told.before.effects), len(told.after.effects)) == (0, 3)
    assert (told.before.moves, told.after.moves) == ((), ("paid",))
    assert await pool.fetch("SELECT * FROM webhook_events") == before
    tables = ("payments", "entitlements", "effects", "history", "work_attempts", "dead_letters")
    assert [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables] == [0] * 6
    assert await pool.fetchval("SELECT status FROM orders") == "pending"


async def test_a_dead_event_is_rehearsed_against_the_code_of_today(pool: Pool) -> None:
    event = await bury(pool)

    mended = await replays.rehearse(pool, DESK, event)
    not_yet = await replays.rehearse(pool, raising(TranslationError("amount_total is missing")), event)

    assert mended is not None
    assert not_yet is not None
    assert mended.worked is Worked.DONE
    assert (not_yet.worked, not_yet.reason) == (Worked.DEAD, "unknown_shape: amount_total is missing")
    assert (await event_row(pool, event))["status"] == "dead"


async def test_a_done_an_ignored_and_a_parked_event_can_be_rehearsed_too(pool: Pool) -> None:
    done = await keep(pool, session(await place_order(pool)))
    await work_webhook_event(pool, DESK, done)
    stranger = await keep(pool, session("nobody"))
    await work_webhook_event(pool, DESK, stranger)

    told = [await replays.rehearse(pool, DESK, event) for event in (done, stranger)]
    ignored = await replays.rehearse(pool, desk(lambda _: Unhandled("unhandled_type")), done)

    assert [(each.worked, each.reason) for each in told if each] == [
        (Worked.DONE, "stale"),
        (Worked.IGNORED, "unmatched"),
    ]
    assert ignored is not None
    assert (ignored.worked, ignored.reason) == (Worked.IGNORED, "unhandled_type")
    assert [(await event_row(pool, event))["status"] for event in (done, stranger)] == ["done", "ignored"]


async def test_what_is_gone_or_in_other_hands_is_not_rehearsed(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    async with pool.acquire() as holder, holder.transaction():
        await webhook_events.claim(holder, event)

        assert await replays.rehearse(pool, DESK, event) is None
    await pool.execute("DELETE FROM webhook_events")
    assert await replays.rehearse(pool, DESK, event) is None


async def test_f136_a_hint_that_an_older_worker_does_not_know_is_repeated_until_somebody_does(
    pool: Pool, own_valkey: Valkey
) -> None:
    """The older worker gives the message up; the row is owed as before, and the next sweep hints it again."""
    event = await bury(pool)
    await retry(pool)
    depths = []

    async with Hints(own_valkey.url) as hints:
        for _ in range(2):
            await pool.execute("UPDATE webhook_events SET next_hint_at = now() - interval '1 s'")
            await sweep_once(pool, hints)
            depths.append(await hints.depth(BULK))
            with redis.Redis.from_url(own_valkey.url) as client:
                client.delete(f"counterfoil:{BULK}", f"counterfoil:{BULK}.msgs")

    assert depths == [1, 1]
    assert (await work_webhook_event(pool, DESK, event)).worked is Worked.DONE
