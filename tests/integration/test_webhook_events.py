"""The record of what the gateways told us: kept once, counted, claimed by one, and owed until it is done."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from db import partitions, webhook_events
from db.ids import first_id_of, new_id
from db.pool import Pool
from tests.builders import TROUBLE, arrival, keep


async def row(pool: Pool, event: UUID) -> asyncpg.Record:
    found = await pool.fetchrow("SELECT * FROM webhook_events WHERE id = $1", event)
    assert found is not None
    return found


async def test_what_came_is_kept_byte_for_byte(pool: Pool) -> None:
    raw = b'{ "id": "evt_1",\n"caf\xc3\xa9" : 1e0 }'

    event = await keep(pool, raw, event_id="evt_1", livemode=True)

    kept = await row(pool, event)
    assert kept["payload_raw"] == raw
    assert kept["payload_hash"] == hashlib.sha256(raw).hexdigest()
    assert kept["payload"] == {"id": "evt_1", "café": 1}
    assert (kept["status"], kept["processed"], kept["deliveries"], kept["livemode"]) == ("received", False, 1, True)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"a": 1e400000}',
        b"\xff\xfe",
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    ],
    ids=["nul", "lone-surrogate", "huge-number", "not-utf8", "deep"],
)
async def test_f13_what_jsonb_cannot_hold_is_kept_all_the_same(pool: Pool, raw: bytes) -> None:
    event = await keep(pool, raw)

    kept = await row(pool, event)
    assert kept["payload_raw"] == raw
    assert kept["payload"] is None


async def test_a_known_id_and_known_bytes_are_not_kept_again(pool: Pool) -> None:
    first = arrival(b'{"n": 1}', event_id="evt_1")
    same_id = arrival(b'{"n": 2}', event_id="evt_1")
    same_body = arrival(b'{"n": 1}', event_id="evt_2")
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.keep(tx, [first])

    async with pool.acquire() as tx, tx.transaction():
        kept = await webhook_events.keep(tx, [same_id, same_body])
        twins = [await webhook_events.twin(tx, each) for each in (same_id, same_body)]

    assert kept == set()
    assert twins == [
        webhook_events.Twin(first.id, same_body=False, raw=b'{"n": 1}'),
        webhook_events.Twin(first.id, same_body=True, raw=b'{"n": 1}'),
    ]


async def test_a_repeat_inside_one_batch_is_kept_once(pool: Pool) -> None:
    pair = [arrival(b'{"n": 1}', event_id="evt_1") for _ in range(2)]

    async with pool.acquire() as tx, tx.transaction():
        kept = await webhook_events.keep(tx, [*pair, arrival(b'{"n": 3}')])

    assert len(kept) == 2


async def test_f18_one_id_in_two_modes_or_accounts_is_two_events(pool: Pool) -> None:
    modes = [arrival(b'{"n": 1}', event_id="evt_1", livemode=True), arrival(b'{"n": 2}', event_id="evt_1")]
    account = arrival(b'{"n": 3}', event_id="evt_1", account="acct_2")

    async with pool.acquire() as tx, tx.transaction():
        kept = await webhook_events.keep(tx, [*modes, account])

    assert len(kept) == 3


async def test_batches_that_share_keys_do_not_deadlock(pool: Pool) -> None:
    arrivals = [arrival(f'{{"n": {n}}}'.encode(), event_id=f"evt_{n}") for n in range(50)]

    async def keep_all(backwards: bool) -> int:
        async with pool.acquire() as tx, tx.transaction():
            return len(await webhook_events.keep(tx, arrivals[::-1] if backwards else arrivals))

    kept = await asyncio.gather(*(keep_all(n % 2 == 0) for n in range(8)))

    assert sum(kept) == 50


async def test_a_claim_excludes_every_other_until_its_transaction_ends(pool: Pool) -> None:
    event = await keep(pool, b"{}")

    async with pool.acquire() as one, pool.acquire() as other, one.transaction(), other.transaction():
        mine = await webhook_events.claim(one, event)
        theirs = await webhook_events.claim(other, event)

    assert mine is not None
    assert theirs is None


async def test_f49_a_claim_that_dies_leaves_the_event_owed(pool: Pool) -> None:
    event = await keep(pool, b"{}")
    async with pool.acquire() as tx:
        dying = tx.transaction()
        await dying.start()
        await webhook_events.claim(tx, event)
        await dying.rollback()

    async with pool.acquire() as tx, tx.transaction():
        again = await webhook_events.claim(tx, event)

    assert again is not None


async def test_what_is_done_or_not_yet_due_cannot_be_claimed(pool: Pool) -> None:
    done, later = await keep(pool, b"{}"), await keep(pool, b"{ }")
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.finish(tx, done, "moved_to_paid")
        await webhook_events.postpone(tx, later, delay_seconds=60, error_class="early", error="")

    async with pool.acquire() as tx, tx.transaction():
        assert await webhook_events.claim(tx, done) is None
        assert await webhook_events.claim(tx, later) is None


@pytest.mark.parametrize(
    ("end", "status", "owed"),
    [("finish", "done", False), ("ignore", "ignored", False), ("park", "retry", True), ("bury", "retry", True)],
)
async def test_f2_a_repeat_wakes_what_is_not_done_and_nothing_else(
    pool: Pool, end: str, status: str, owed: bool
) -> None:
    event = await keep(pool, b"{}")
    async with pool.acquire() as tx, tx.transaction():
        match end:
            case "finish":
                await webhook_events.finish(tx, event, "moved_to_paid")
            case "ignore":
                await webhook_events.ignore(tx, event, "unhandled_type")
            case "park":
                await webhook_events.park(tx, event, ["cs_1"])
            case _:
                await webhook_events.bury(tx, event, TROUBLE)

    async with pool.acquire() as tx, tx.transaction():
        delivery = await webhook_events.count_delivery(tx, event)

    counted = await row(pool, event)
    assert (counted["status"], counted["deliveries"]) == (status, 2)
    assert delivery.owed is owed


async def test_a_repeat_brings_a_postponed_event_forward(pool: Pool) -> None:
    event = await keep(pool, b"{}")
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.postpone(tx, event, delay_seconds=3600, error_class="early", error="")

    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.count_delivery(tx, event)

    async with pool.acquire() as tx, tx.transaction():
        assert await webhook_events.claim(tx, event) is not None


async def test_the_sweep_takes_each_late_event_once_and_leaves_it_alone(pool: Pool) -> None:
    late = {await keep(pool, f'{{"n": {n}}}'.encode()) for n in range(20)}
    await pool.execute("UPDATE webhook_events SET next_hint_at = now() - interval '1 s'")

    async def take() -> list[UUID]:
        async with pool.acquire() as tx, tx.transaction():
            return await webhook_events.overdue(tx, limit=7, again_seconds=60)

    taken = [event for some in await asyncio.gather(*(take() for _ in range(4))) for event in some]

    assert len(taken) == len(set(taken))
    assert set(taken) <= late
    assert set(taken) | {e for _ in range(3) for e in await take()} == late
    assert await take() == []


async def test_an_event_just_kept_is_not_late_yet(pool: Pool) -> None:
    await keep(pool, b"{}")

    async with pool.acquire() as tx, tx.transaction():
        assert await webhook_events.overdue(tx, limit=10, again_seconds=60) == []


async def test_f61_the_keys_outlive_the_payload(pool: Pool) -> None:
    first = arrival(b'{"n": 1}', event_id="evt_1")
    async with pool.acquire() as tx, tx.transaction():
        await webhook_events.keep(tx, [first])
    await pool.execute("DELETE FROM webhook_events")

    async with pool.acquire() as tx, tx.transaction():
        kept = await webhook_events.keep(tx, [arrival(b'{"n": 1}', event_id="evt_1")])
        twin = await webhook_events.twin(tx, first)
        delivery = await webhook_events.count_delivery(tx, first.id)

    assert kept == set()
    assert twin == webhook_events.Twin(first.id, same_body=True, raw=None)
    assert not delivery.owed


async def test_rows_lie_in_the_partition_of_their_month(pool: Pool) -> None:
    event = await keep(pool, b"{}")

    partition = await pool.fetchval("SELECT tableoid::regclass::text FROM webhook_events WHERE id = $1", event)

    assert partition == f"webhook_events_{datetime.now(UTC):%Y_%m}"


async def test_partitions_are_prepared_ahead_once_and_never_fail_over_rows_of_the_default(pool: Pool) -> None:
    far = datetime(2031, 11, 30, tzinfo=UTC)
    await pool.execute(
        "INSERT INTO history (id, subject, subject_id, to_status, cause, cause_id, at) "
        "VALUES ($1, 'order', '1', 'pending', 'api', 'test', now())",
        first_id_of(far),
    )

    async with pool.acquire() as tx, tx.transaction():
        first = await partitions.prepare(tx, far)
        second = await partitions.prepare(tx, far)

    assert "webhook_events_2031_11" in first
    assert "webhook_events_2032_02" in first
    assert "history_2031_11" not in first
    assert second == []


def test_ids_begin_with_their_time_and_are_version_seven() -> None:
    before = datetime.now(UTC)

    ids = [new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {each.version for each in ids} == {7}
    assert {each.variant for each in ids} == {"specified in RFC 4122"}
    assert all(first_id_of(before) <= each for each in ids)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE webhook_events SET status = 'done'",
        "UPDATE webhook_events SET status = 'ignored', next_attempt_at = NULL",
        "UPDATE webhook_events SET status = 'dead'",
        "UPDATE webhook_events SET status = 'gone'",
        "UPDATE webhook_events SET next_attempt_at = NULL",
    ],
)
async def test_an_event_can_neither_be_forgotten_nor_finished_by_halves(pool: Pool, statement: str) -> None:
    await keep(pool, b"{}")

    with pytest.raises(asyncpg.CheckViolationError):
        await pool.execute(statement)
