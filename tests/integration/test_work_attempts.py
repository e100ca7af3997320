"""Attempts that did not simply succeed are told, one row each; what died of them has its letter, in every life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from db import webhook_events, work_attempts
from db.effects import Effect
from db.pool import Pool
from db.work_attempts import WorkAttempt
from gateways.gateway import Json, TranslationError, Unhandled
from gateways.registry import GATEWAYS
from payments.events import Observed
from tests.builders import BOOK, keep, observed, paid, place_order, session
from tests.owed import MAIL, NOTIFY, ORDER, make_due, owe
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled
from workers.effects import send_effect
from workers.webhook_events import BUDGET, Desk, Worked, work_webhook_event
from workers.whoami import this_process

DESK = Desk(GATEWAYS, {}, BOOK)


def desk(translate: Callable[[Json], Observed | Unhandled]) -> Desk:
    return replace(DESK, gateways={"stripe": replace(GATEWAYS["stripe"], translate=translate)})


def raising(error: Exception) -> Desk:
    def translate(_: Json) -> Observed | Unhandled:
        raise error

    return desk(translate)


class Post:
    """Fails as it is told, then sends."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    async def send(self, effect: Effect) -> Settled:
        if self._failures:
            raise self._failures.pop(0)
        return SENT


async def make_event_due(pool: Pool) -> None:
    await pool.execute("UPDATE webhook_events SET next_attempt_at = now() WHERE status IN ('received', 'retry')")


async def attempts(pool: Pool, source: work_attempts.Source, row: UUID) -> list[WorkAttempt]:
    async with pool.acquire() as tx:
        return await work_attempts.of(tx, source, row)


async def letters(pool: Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM dead_letters ORDER BY epoch, created_at")


async def test_what_succeeds_at_the_first_try_has_no_row_of_its_own(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    effect = await owe(pool, MAIL)

    await work_webhook_event(pool, DESK, event)
    await send_effect(pool, Post(), effect)

    assert await pool.fetchval("SELECT count(*) FROM work_attempts") == 0


async def test_f149_each_attempt_of_an_event_is_told_with_its_error_and_who_tried(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))

    await work_webhook_event(pool, raising(ConnectionResetError("the peer went away")), event)
    await make_event_due(pool)
    await work_webhook_event(pool, DESK, event)

    failed, done = await attempts(pool, "webhook_event", event)
    assert (failed.outcome, failed.trouble_class, failed.error_class) == ("retry", "transient", "ConnectionResetError")
    assert failed.error == "the peer went away"
    assert "Traceback" in (failed.traceback or "")
    assert (done.outcome, done.trouble_class, done.error) == ("done", None, None)
    assert failed.worker == done.worker == this_process()
    assert failed.started_at <= failed.finished_at <= done.started_at


async def test_f149_each_attempt_of_an_effect_is_told_too(pool: Pool) -> None:
    effect = await owe(pool, NOTIFY)
    post = Post(NotNow("the receiver answered 503"), NotNow("the receiver answered 401", needs_person=True))

    for _ in range(3):
        await make_due(pool, effect)
        await send_effect(pool, post, effect)

    told = [(each.outcome, each.trouble_class, each.error) for each in await attempts(pool, "effect", effect)]
    assert told == [
        ("retry", "transient", "the receiver answered 503"),
        ("retry", "person", "the receiver answered 401"),
        ("sent", None, None),
    ]


async def test_an_event_that_dies_leaves_its_letter_in_the_same_breath(pool: Pool) -> None:
    event = await keep(pool, {"id": "evt_1"})

    await work_webhook_event(pool, raising(TranslationError("session.amount_total is missing")), event)

    [letter] = await letters(pool)
    assert (letter["source"], letter["source_id"], letter["state"]) == ("webhook_event", str(event), "open")
    assert (letter["class"], letter["error_class"]) == ("permanent", "unknown_shape")
    assert letter["error"] == "session.amount_total is missing"
    assert (letter["what"], letter["gateway"], letter["queue"]) == ("checkout.session.completed", "stripe", "webhooks")
    assert (letter["epoch"], letter["attempts"], letter["order_id"]) == (0, 1, None)


async def test_a_death_whose_letter_cannot_be_written_is_no_death(pool: Pool) -> None:
    event = await keep(pool, {"id": "evt_1"})
    await pool.execute("ALTER TABLE dead_letters ADD CONSTRAINT no_letters CHECK (false)")

    with pytest.raises(asyncpg.CheckViolationError):
        await work_webhook_event(pool, raising(KeyError("amount")), event)

    assert await pool.fetchval("SELECT status FROM webhook_events") == "received"


async def test_an_effect_that_needs_a_person_says_so_on_its_letter(pool: Pool) -> None:
    effect = await owe(pool, NOTIFY)

    await send_effect(pool, Post(NeverAgain("the receiver answered 410")), effect)

    [letter] = await letters(pool)
    assert (letter["source"], letter["class"], letter["what"]) == ("effect", "person", NOTIFY)
    assert (letter["error"], letter["order_id"]) == ("the receiver answered 410", ORDER)


async def test_an_event_that_waited_too_long_for_what_never_came_names_its_order(pool: Pool) -> None:
    order = await place_order(pool)
    event = await keep(pool, b"{}")

    results = []
    for _ in range(BUDGET):
        await make_event_due(pool)
        results.append(await work_webhook_event(pool, desk(lambda _: observed(order, paid(None))), event))

    [letter] = await letters(pool)
    assert results[-1].worked is Worked.DEAD
    assert (letter["error_class"], letter["class"], letter["order_id"]) == ("early", "transient", order)
    assert len(await attempts(pool, "webhook_event", event)) == BUDGET


async def test_failures_of_one_cause_share_a_fingerprint(pool: Pool) -> None:
    for number in range(20):
        error = KeyError(f"cs_test_{number}") if number % 2 else TypeError(f"not a number: {number}")
        await work_webhook_event(pool, raising(error), await keep(pool, {"n": number}))

    assert len({letter["fingerprint"] for letter in await letters(pool)}) == 2
    assert len(await letters(pool)) == 20


async def test_f48_a_redelivery_begins_a_new_life_with_a_new_budget_and_closes_the_letter(pool: Pool) -> None:
    event = await keep(pool, {"id": "evt_1"})
    await pool.execute("UPDATE webhook_events SET retry_count = $1, hint_count = 9, begun = 1", BUDGET - 1)
    await work_webhook_event(pool, raising(TimeoutError()), event)

    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.count_delivery(tx, event)
    row = await pool.fetchrow("SELECT status, epoch, retry_count, hint_count, begun, crashes FROM webhook_events")
    again = await work_webhook_event(pool, raising(TimeoutError()), event)

    [letter] = await letters(pool)
    assert tuple(row or ()) == ("retry", 1, 0, 0, 0, 0)
    assert (letter["state"], letter["closed_by"]) == ("retried", "redelivery")
    assert again.worked is Worked.RETRY


async def test_what_dies_again_has_a_letter_for_each_life(pool: Pool) -> None:
    event = await keep(pool, {"id": "evt_1"})

    for _ in range(3):
        await work_webhook_event(pool, raising(KeyError("amount")), event)
        async with pool.acquire() as tx, tx.transaction():
            await webhook_events.count_delivery(tx, event)

    assert [(letter["epoch"], letter["state"]) for letter in await letters(pool)] == [
        (0, "retried"),
        (1, "retried"),
        (2, "retried"),
    ]
    assert [each.epoch for each in await attempts(pool, "webhook_event", event)] == [0, 1, 2]


async def test_f148_a_hint_of_a_row_that_is_gone_ends_at_once(pool: Pool) -> None:
    event = await keep(pool, {"id": "evt_1"})
    await pool.execute("DELETE FROM webhook_events")

    results = [await work_webhook_event(pool, DESK, event, careful=careful) for careful in (False, True)]

    assert [result.worked for result in results] == [Worked.NOT_OWED] * 2
    assert await pool.fetchval("SELECT count(*) FROM work_attempts") == 0


async def test_an_attempt_that_could_not_even_take_the_event_counts_as_none(pool: Pool) -> None:
    event = await keep(pool, session(await place_order(pool)))
    await pool.execute("ALTER TABLE webhook_events RENAME COLUMN payload_raw TO elsewhere")

    with pytest.raises(asyncpg.UndefinedColumnError):
        await work_webhook_event(pool, DESK, event)

    row = await pool.fetchrow("SELECT status, retry_count FROM webhook_events")
    assert tuple(row or ()) == ("received", 0)
