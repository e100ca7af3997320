"""What the front door makes of signed deliveries: one row for each event, however often and in whichever shape."""

from __future__ import annotations

import asyncio
import hashlib
import time

import asyncpg

from db.pool import Pool
from gateways.gateway import Secret
from tests.front_door import RAZORPAY_SECRET, STRIPE_SECRET, front_door, hinted, raw, razorpay_event, stripe_event

RECEIVED = {"received": True, "duplicate": False}
DUPLICATE = {"received": True, "duplicate": True}


async def rows(pool: Pool) -> list[asyncpg.Record]:
    return await pool.fetch("SELECT * FROM webhook_events ORDER BY id")


async def test_a_delivery_is_kept_as_received_and_hinted(pool: Pool, database_url: str, redis_url: str) -> None:
    body = raw(stripe_event(id="evt_1"))

    async with front_door(database_url, redis_url) as door:
        answer = await door.stripe(body)

        assert (answer.status_code, answer.json()) == (200, RECEIVED)
        (row,) = await rows(pool)
        assert bytes(row["payload_raw"]) == body
        assert row["payload_hash"] == hashlib.sha256(body).hexdigest()
        assert row["payload"]["id"] == "evt_1"
        assert (row["gateway"], row["account"], row["livemode"]) == ("stripe", "", False)
        assert (row["event_id"], row["event_type"]) == ("evt_1", "payment_intent.succeeded")
        assert (row["status"], row["deliveries"], row["retry_count"]) == ("received", 1, 0)
        assert row["api_version"] == "2026-10-28.endive"
        assert row["gateway_created_at"].timestamp() == 1_700_000_000
        assert row["signature_headers"].keys() == {"stripe-signature"}
        assert await hinted(door, redis_url) == [row["id"]]


async def test_f1_eleven_deliveries_eight_at_once_are_one_row(pool: Pool, database_url: str, redis_url: str) -> None:
    body = raw(stripe_event())

    async with front_door(database_url, redis_url) as door:
        first = await door.stripe(body)
        at_once = await asyncio.gather(*(door.stripe(body) for _ in range(8)))
        last = [await door.stripe(body) for _ in range(2)]

        assert first.json() == RECEIVED
        assert [answer.json() for answer in (*at_once, *last)] == [DUPLICATE] * 10
        assert await door.metric('counterfoil_deliveries_total{gateway="stripe",outcome="received"}') == 1
        assert await door.metric('counterfoil_deliveries_total{gateway="stripe",outcome="duplicate"}') == 10

    (row,) = await rows(pool)
    assert row["deliveries"] == 11


async def test_f1_eight_first_deliveries_at_once_are_one_row(pool: Pool, database_url: str) -> None:
    body = raw(stripe_event())

    async with front_door(database_url) as door:
        answers = await asyncio.gather(*(door.stripe(body) for _ in range(8)))

    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * 7
    (row,) = await rows(pool)
    assert row["deliveries"] == 8


async def test_f2_a_redelivery_wakes_an_event_whose_hint_was_lost(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    body = raw(stripe_event())
    async with front_door(database_url) as without_redis:
        await without_redis.stripe(body)

    async with front_door(database_url, redis_url) as door:
        answer = await door.stripe(body)

        assert answer.json() == DUPLICATE
        (row,) = await rows(pool)
        assert await hinted(door, redis_url) == [row["id"]]


async def test_f2_a_redelivery_of_an_event_that_is_done_wakes_nobody(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    body = raw(stripe_event())
    async with front_door(database_url) as without_redis:
        await without_redis.stripe(body)
    await pool.execute("UPDATE webhook_events SET status = 'done', processed_at = now(), next_attempt_at = NULL")

    async with front_door(database_url, redis_url) as door:
        answer = await door.stripe(body)

        assert answer.json() == DUPLICATE
        (row,) = await rows(pool)
        assert (row["status"], row["deliveries"]) == ("done", 2)
        assert await hinted(door, redis_url) == []


async def test_f2_a_redelivery_of_a_dead_event_makes_it_owed_again(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    body = raw(stripe_event())
    async with front_door(database_url) as without_redis:
        await without_redis.stripe(body)
    await pool.execute("UPDATE webhook_events SET status = 'dead', reason = 'x', next_attempt_at = NULL")

    async with front_door(database_url, redis_url) as door:
        await door.stripe(body)

        (row,) = await rows(pool)
        assert row["status"] == "retry"
        assert await hinted(door, redis_url) == [row["id"]]


async def test_f4_a_process_that_dies_before_its_hint_leaves_the_row_owed(pool: Pool, database_url: str) -> None:
    async with front_door(database_url) as whose_hints_all_get_lost:
        answer = await whose_hints_all_get_lost.stripe(raw(stripe_event()))

        assert answer.status_code == 200
        assert await pool.fetchval(
            "SELECT status = 'received' AND next_attempt_at <= now() AND next_hint_at < now() + interval '5 seconds' "
            "FROM webhook_events"
        )


async def test_f5_fifty_garbage_signatures_write_nothing(pool: Pool, database_url: str, redis_url: str) -> None:
    async with front_door(database_url, redis_url) as door:
        answers = [await door.stripe(raw(stripe_event()), secret=f"whsec_wrong{n}") for n in range(25)]
        answers += [await door.razorpay(raw(razorpay_event()), secret=f"wrong{n}") for n in range(25)]

        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "invalid_signature")}
        assert await pool.fetchval("SELECT count(*) FROM webhook_events") == 0
        assert await pool.fetchval("SELECT count(*) FROM webhook_keys") == 0
        assert await hinted(door, redis_url) == []
        counted = 'counterfoil_deliveries_total{gateway="stripe",outcome="invalid_signature"}'
        assert await door.metric(counted) == 25


async def test_f8_the_same_json_written_otherwise_is_not_what_was_signed(pool: Pool, database_url: str) -> None:
    from tests.signed import razorpay_headers

    event = razorpay_event()
    signature = razorpay_headers(raw(event), RAZORPAY_SECRET, "e1")
    rewritten = raw(event).replace(b": ", b":")

    async with front_door(database_url) as door:
        answer = await door.http.post("/webhooks/razorpay", content=rewritten, headers=signature)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
    assert await rows(pool) == []


async def test_f12_a_replay_under_a_fresh_header_id_is_a_duplicate(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    body = raw(razorpay_event())

    async with front_door(database_url, redis_url) as door:
        await door.razorpay(body, event_id="first")
        replay = await door.razorpay(body, event_id="second")

    assert replay.json() == DUPLICATE
    (row,) = await rows(pool)
    assert (row["event_id"], row["deliveries"]) == ("first", 2)


async def test_f12_a_signed_body_under_a_used_header_id_is_not_swallowed(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    first, second = raw(razorpay_event()), raw(razorpay_event())

    async with front_door(database_url, redis_url) as door:
        await door.razorpay(first, event_id="same")
        answer = await door.razorpay(second, event_id="same")
        told = await hinted(door, redis_url)
        again = await door.razorpay(second, event_id="same")

        assert (answer.json(), again.json()) == (RECEIVED, DUPLICATE)
        kept = await rows(pool)
        assert [(bytes(row["payload_raw"]), row["status"]) for row in kept] == [
            (first, "received"),
            (second, "received"),
        ]
        assert told == [row["id"] for row in kept]


async def test_a_razorpay_event_without_an_id_is_known_by_its_bytes(pool: Pool, database_url: str) -> None:
    body = raw(razorpay_event())

    async with front_door(database_url) as door:
        first = await door.razorpay(body)
        second = await door.razorpay(body)

    assert (first.json(), second.json()) == (RECEIVED, DUPLICATE)
    (row,) = await rows(pool)
    assert row["event_id"] == "sha256:" + hashlib.sha256(body).hexdigest()


async def test_a_header_id_cannot_pose_as_the_hash_of_another_body(pool: Pool, database_url: str) -> None:
    awaited, posing = raw(razorpay_event()), raw(razorpay_event())
    posed_as = "sha256:" + hashlib.sha256(awaited).hexdigest()

    async with front_door(database_url) as door:
        await door.razorpay(posing, event_id=posed_as)
        answer = await door.razorpay(awaited)

    assert answer.json() == RECEIVED
    assert {row["event_id"] for row in await rows(pool)} == {
        posed_as,
        "sha256:" + hashlib.sha256(posing).hexdigest(),
    }


async def test_f15_a_type_that_nobody_handles_is_kept(pool: Pool, database_url: str) -> None:
    async with front_door(database_url) as door:
        answer = await door.stripe(raw(stripe_event(type="issuing_card.created")))

    assert answer.json() == RECEIVED
    (row,) = await rows(pool)
    assert (row["event_type"], row["status"]) == ("issuing_card.created", "received")


async def test_f16_an_object_without_an_id_is_kept(pool: Pool, database_url: str) -> None:
    event = stripe_event(type="invoice.upcoming", data={"object": {"object": "invoice", "amount_due": 1000}})

    async with front_door(database_url) as door:
        answer = await door.stripe(raw(event))

    assert answer.json() == RECEIVED
    assert len(await rows(pool)) == 1


async def test_f17_a_thin_event_is_kept(pool: Pool, database_url: str) -> None:
    event = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.invoice.paid",
        "created": "2026-11-22T12:00:00.000Z",
        "livemode": True,
        "context": "acct_9",
        "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"},
    }

    async with front_door(database_url) as door:
        answer = await door.stripe(raw(event))

    assert answer.json() == RECEIVED
    (row,) = await rows(pool)
    assert (row["event_id"], row["account"], row["livemode"]) == ("evt_thin", "acct_9", True)


async def test_f18_other_modes_and_accounts_are_kept_apart(pool: Pool, database_url: str) -> None:
    told = [
        stripe_event(id="evt_1", livemode=False),
        stripe_event(id="evt_1", livemode=True),
        stripe_event(id="evt_1", livemode=True, account="acct_2"),
    ]

    async with front_door(database_url) as door:
        answers = [await door.stripe(raw(event)) for event in told]

    assert [answer.json() for answer in answers] == [RECEIVED] * 3
    assert {(row["livemode"], row["account"]) for row in await rows(pool)} == {
        (False, ""),
        (True, ""),
        (True, "acct_2"),
    }


async def test_f21_a_row_says_which_secret_verified_it(pool: Pool, database_url: str) -> None:
    old, new = Secret(b"whsec_old"), Secret(b"whsec_new")

    async with front_door(database_url, secrets={"stripe": (new, old)}) as door:
        await door.stripe(raw(stripe_event()), secret="whsec_old")
        await door.stripe(raw(stripe_event()), secret="whsec_new")

    assert [row["secret_id"] for row in await rows(pool)] == [old.id, new.id]


async def test_a_redelivery_in_another_api_version_is_the_same_event(pool: Pool, database_url: str) -> None:
    event = stripe_event()
    rendered_anew = {**event, "api_version": "2020-08-27", "data": {"object": {"id": "pi_1", "charges": {}}}}
    sent_again = {**event, "pending_webhooks": 0, "request": {"id": "req_2"}}

    async with front_door(database_url) as door:
        await door.stripe(raw(event))
        answers = [await door.stripe(raw(rendered_anew)), await door.stripe(raw(sent_again))]

    assert [answer.json() for answer in answers] == [DUPLICATE] * 2
    (row,) = await rows(pool)
    assert row["deliveries"] == 3


async def test_f60_one_id_with_two_contents_keeps_both_and_tells_a_person(
    pool: Pool, database_url: str, redis_url: str
) -> None:
    event = stripe_event(id="evt_1")
    other = {**event, "data": {"object": {"id": "pi_1", "object": "payment_intent", "amount": 1, "currency": "usd"}}}

    async with front_door(database_url, redis_url) as door:
        await door.stripe(raw(event))
        answer = await door.stripe(raw(other))
        again = await door.stripe(raw(other))

        assert (answer.json(), again.json()) == (RECEIVED, DUPLICATE)
        held, conflicting = await rows(pool)
        assert (held["status"], bytes(held["payload_raw"])) == ("received", raw(event))
        assert (conflicting["status"], conflicting["reason"]) == ("ignored", "conflicting_content")
        assert (conflicting["event_id"], conflicting["deliveries"]) == ("evt_1", 2)
        (discrepancy,) = await pool.fetch("SELECT * FROM discrepancies")
        assert (discrepancy["kind"], discrepancy["state"]) == ("conflicting_content", "open")
        assert discrepancy["evidence"]["held"] == str(held["id"])
        assert await hinted(door, redis_url) == [held["id"]]


async def test_f60_contradictions_that_come_at_once_are_kept_once(pool: Pool, database_url: str) -> None:
    event = stripe_event(id="evt_1")
    other = {**event, "type": "payment_intent.canceled"}

    async with front_door(database_url) as door:
        await door.stripe(raw(event))
        answers = await asyncio.gather(*(door.stripe(raw(other)) for _ in range(6)))

    assert sorted(answer.json()["duplicate"] for answer in answers) == [False] + [True] * 5
    assert len(await rows(pool)) == 2
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 1


async def test_f60_a_contradiction_that_nobody_could_be_told_of_is_not_kept(pool: Pool, database_url: str) -> None:
    event = stripe_event(id="evt_1")
    other = {**event, "type": "payment_intent.canceled"}
    await pool.execute("ALTER TABLE discrepancies RENAME TO elsewhere")

    async with front_door(database_url) as door:
        await door.stripe(raw(event))
        answer = await door.stripe(raw(other))

        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert await door.metric('counterfoil_deliveries_total{gateway="stripe",outcome="unavailable"}') == 1
        assert len(await rows(pool)) == 1
        await pool.execute("ALTER TABLE elsewhere RENAME TO discrepancies")
        assert (await door.stripe(raw(other))).json() == RECEIVED


async def test_f61_a_repeat_of_a_pruned_event_is_still_a_duplicate(pool: Pool, database_url: str) -> None:
    event = stripe_event()
    async with front_door(database_url) as door:
        await door.stripe(raw(event))
        await pool.execute("DELETE FROM webhook_events")

        same = await door.stripe(raw(event))
        rendered_anew = await door.stripe(raw({**event, "api_version": "2030-01-01.new"}))

    assert [same.json(), rendered_anew.json()] == [DUPLICATE] * 2
    assert await rows(pool) == []


async def test_stripe_signs_every_retry_anew_and_it_is_the_same_event(pool: Pool, database_url: str) -> None:
    body, now = raw(stripe_event()), int(time.time())

    async with front_door(database_url) as door:
        answers = [await door.stripe(body, secret=STRIPE_SECRET, timestamp=now + seconds) for seconds in (-200, 0, 200)]

    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    assert (await rows(pool))[0]["deliveries"] == 3
