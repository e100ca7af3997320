"""`counterfoil dead`: letters by cause, one tried first and then the rest, each once, with who and why; or put away."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from db import dead_messages
from db.dead_messages import DeadMessage
from db.pool import Pool
from gateways.registry import GATEWAYS
from tests.builders import BOOK, NOON, keep, place_order, session
from tests.desk import Desk
from workers.hints import Hints
from workers.webhook_events import Desk as WorkDesk
from workers.webhook_events import work_webhook_event

DESK = WorkDesk(GATEWAYS, {}, BOOK)
LOST = "01a2042b-4d62-75c9-ab5e-11836a9c4c0c"


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Desk:
    return Desk(database_url, redis_url)


async def bury(pool: Pool, **more: Any) -> UUID:
    """A dead event; of the same cause as any other whose field is missing."""
    event = await keep(pool, session(await place_order(pool), **(more or {"amount_total": None})))
    await work_webhook_event(pool, DESK, event)
    return event


async def bury_message(pool: Pool, content: dict[str, Any], key: str = LOST) -> None:
    message = DeadMessage(key, "webhooks", "work_webhook_event", "given_up", "e", "f" * 16, 1, content, NOON)
    async with pool.acquire() as tx:
        assert await dead_messages.keep(tx, [message]) == 1


async def letters(pool: Pool) -> dict[str, str]:
    return {row["source_id"]: row["state"] for row in await pool.fetch("SELECT source_id, state FROM dead_letters")}


async def test_many_failures_are_few_causes(pool: Pool, desk: Desk) -> None:
    missing = [await bury(pool) for _ in range(3)]
    await bury(pool, payment_status="perhaps")

    groups = desk("dead", "list", "--group", "--json").json
    lines = desk("dead", "list", "--group").lines

    assert [(group["count"], group["error_class"], group["what"]) for group in groups] == [
        (3, "unknown_shape", "checkout.session.completed"),
        (1, "unknown_shape", "checkout.session.completed"),
    ]
    assert [line[0] for line in lines] == [group["fingerprint"] for group in groups]
    cause = f"cause={groups[0]['fingerprint']}"
    assert [each["source_id"] for each in desk("dead", "list", "--filter", cause, "--json").json] == [
        str(event) for event in missing
    ]


async def test_a_letter_is_shown_with_every_attempt_by_any_of_its_names(pool: Pool, desk: Desk) -> None:
    event = await bury(pool)
    [listed] = desk("dead", "list", "--json").json
    theirs = await pool.fetchval("SELECT event_id FROM webhook_events")

    shown = [desk("dead", "show", name, "--json").json for name in (listed["id"], event, theirs)]

    assert shown[0] == shown[1] == shown[2]
    assert [attempt["outcome"] for attempt in shown[0]["tried"]] == ["dead"]
    assert f"counterfoil events show {event}" in desk("dead", "show", event).out
    assert desk("dead", "show", "evt_none").code == 1


async def test_one_is_retried_first_and_then_the_rest_of_its_cause(pool: Pool, desk: Desk) -> None:
    events = [await bury(pool) for _ in range(3)]
    [group] = desk("dead", "list", "--group", "--json").json

    tried = desk("dead", "retry", "--filter", f"cause={group['fingerprint']}", "--dry-run")
    untouched = await letters(pool)
    canary = desk("dead", "retry", group["sample"], "--reason", "the shape is known")
    after_one = await letters(pool)
    rest = desk("dead", "retry", "--filter", f"cause={group['fingerprint']}", "--reason", "the rest")

    assert tried.lines[-1] == ["would retry 3 of 3; nothing was changed"]
    assert set(untouched.values()) == {"open"}
    assert canary.out.splitlines()[-1].startswith("retried 1 of 1; batch ")
    assert after_one == {str(events[0]): "open", str(events[1]): "open", str(events[2]): "retried"}
    assert rest.out.splitlines()[-1].startswith("retried 2 of 2; batch ")
    acts = await pool.fetch("SELECT actor, via, action, target, reason, batch_id FROM operator_actions ORDER BY at")
    assert [tuple(act)[:5] for act in acts] == [
        ("ada", "cli", "dead.retry", {"ids": [group["sample"]]}, "the shape is known"),
        ("ada", "cli", "dead.retry", {"fingerprint": group["fingerprint"]}, "the rest"),
    ]
    assert rest.out.rstrip().endswith(str(acts[1]["batch_id"]))


async def test_a_letter_is_retried_once_and_after_its_second_death_again(pool: Pool, desk: Desk) -> None:
    event = await bury(pool)

    first = desk("dead", "retry", event, "--reason", "r")
    at_once = desk("dead", "retry", event, "--reason", "r")
    await work_webhook_event(pool, DESK, event, careful=True)
    second = desk("dead", "retry", event, "--reason", "r")

    assert [said.code for said in (first, at_once, second)] == [0, 1, 0]
    assert at_once.err == "counterfoil: No open dead letter fits.\n"
    assert await pool.fetchval("SELECT array_agg(state ORDER BY epoch) FROM dead_letters") == ["retried", "retried"]


async def test_f146_a_bulk_is_capped_and_spread(pool: Pool, desk: Desk) -> None:
    for _ in range(4):
        await bury(pool)

    done = desk("dead", "retry", "--all", "--reason", "r", "--max", "3", "--rate", "0.5", "--json").json

    assert (done["meant"], done["taken"], done["seconds"], len(done["sample"])) == (4, 3, 6.0, 3)
    delays = "SELECT array_agg(round(extract(epoch FROM next_attempt_at - at)) ORDER BY next_attempt_at) "
    spread = await pool.fetchval(f"{delays} FROM webhook_events, operator_actions WHERE status = 'retry'")
    assert [int(seconds) for seconds in spread] == [0, 2, 4]
    assert await pool.fetchval("SELECT array_agg(DISTINCT queue) FROM webhook_events WHERE status = 'retry'") == [
        "bulk"
    ]


async def test_f150_operators_at_once_give_each_letter_one_life(pool: Pool, desk: Desk) -> None:
    for _ in range(12):
        await bury(pool)

    with ThreadPoolExecutor(4) as operators:
        said = list(operators.map(lambda n: desk("dead", "retry", "--all", "--reason", f"by {n}", "--json"), range(4)))

    assert sum(each.json["taken"] for each in said) == 12
    assert await pool.fetchval("SELECT array_agg(DISTINCT epoch) FROM webhook_events") == [1]


async def test_what_is_discarded_is_put_away_with_a_reason_and_can_still_be_seen(pool: Pool, desk: Desk) -> None:
    event = await bury(pool)

    tried = desk("dead", "discard", event, "--dry-run")
    put_away = desk("dead", "discard", event, "--reason", "a test of theirs")
    again = desk("dead", "discard", event, "--reason", "r")

    assert tried.out.splitlines()[-1] == "would discard 1 of 1; nothing was changed"
    assert put_away.out.splitlines()[-1].startswith("discarded 1 of 1; batch ")
    assert again.code == 1
    assert desk("dead", "list", "--json").json == []
    [letter] = desk("dead", "list", "--state", "discarded", "--json").json
    assert (letter["closed_by"], letter["closed_reason"]) == ("ada", "a test of theirs")
    assert await pool.fetchval("SELECT status FROM webhook_events") == "dead"


async def test_a_message_is_sent_again_as_a_new_one(pool: Pool, desk: Desk, redis_url: str) -> None:
    await bury_message(pool, {"actor": "work_webhook_event", "args": [LOST], "kwargs": {}})

    shown = desk("dead", "show", LOST, "--json").json
    sent = desk("dead", "retry", LOST, "--reason", "r")

    assert shown["message"] == {"actor": "work_webhook_event", "args": [LOST], "kwargs": {}}
    assert sent.code == 0
    async with Hints(redis_url) as hints:
        assert await hints.depth("webhooks") == 1


async def test_a_message_that_cannot_be_sent_waits_as_before(pool: Pool, database_url: str) -> None:
    await bury_message(pool, {"actor": "work_webhook_event", "args": [LOST], "kwargs": {}})

    said = Desk(database_url)("dead", "retry", LOST, "--reason", "r")

    assert (said.code, "1 messages could not be sent" in said.err) == (1, True)
    assert await letters(pool) == {LOST: "open"}


async def test_a_message_that_nobody_can_read_can_only_be_discarded(pool: Pool, desk: Desk) -> None:
    await bury_message(pool, {"base64": "AAAA", "bytes": 3}, key="strange")

    shown = desk("dead", "show", "strange", "--json").json
    retried = desk("dead", "retry", "strange", "--reason", "r")
    discarded = desk("dead", "discard", "strange", "--reason", "r")

    assert shown["message"] == {"bytes": 3}
    assert (retried.code, discarded.code) == (1, 0)


async def test_every_filter_is_heeded(pool: Pool, desk: Desk) -> None:
    event = await bury(pool)
    [letter] = desk("dead", "list", "--json").json
    fits = {
        "source": "webhook_event",
        "gateway": "stripe",
        "type": "checkout.session.completed",
        "class": "permanent",
        "cause": letter["fingerprint"],
        "queue": "webhooks",
        "since": "1h",
        "until": "2099-01-01",
    }

    together = [word for name, value in fits.items() for word in ("--filter", f"{name}={value}")]
    apart = desk("dead", "list", "--filter", "gateway=razorpay", "--json").json

    assert [each["source_id"] for each in desk("dead", "list", *together, "--json").json] == [str(event)]
    assert apart == []
