"""`counterfoil events`: found by any name, studied with its whole story, rehearsed and worked again; nothing is shown
that must not be."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from console.dashboards import LINKS
from db.pool import Pool
from gateways.registry import GATEWAYS
from tests.builders import BOOK, keep, place_order, session
from tests.desk import Desk
from workers.webhook_events import Desk as WorkDesk
from workers.webhook_events import Worked, work_webhook_event

DESK = WorkDesk(GATEWAYS, {}, BOOK)

ADDRESS = "anna.b@example.org"
CARD = "4242424242424242"
WIDE = 9007199254740993


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Desk:
    return Desk(database_url, redis_url)


async def work(pool: Pool, event: dict[str, Any], **more: Any) -> UUID:
    kept = await keep(pool, event, **more)
    await work_webhook_event(pool, DESK, kept)
    return kept


async def test_events_are_listed_by_what_they_are_the_newest_first(pool: Pool, desk: Desk) -> None:
    order = await place_order(pool)
    paid = await work(pool, session(order))
    dead = await work(pool, session(await place_order(pool), amount_total="ten"))
    strange = await keep(pool, session(uuid4()), gateway="razorpay", event_type="payment.captured")

    def ids(*words: str) -> list[str]:
        return [event["id"] for event in desk("events", "list", "--json", *words).json]

    assert ids() == [str(strange), str(dead), str(paid)]
    assert ids("--gateway", "stripe", "--type", "checkout.session.completed") == [str(dead), str(paid)]
    assert ids("--status", "dead", "--since", "1h") == [str(dead)]
    assert ids("--order", str(order)) == [str(paid)]
    assert ids("--limit", "1", "--before", str(strange)) == [str(dead)]


async def test_a_list_that_is_cut_says_how_to_go_on(pool: Pool, desk: Desk) -> None:
    events = [await keep(pool, session(uuid4())) for _ in range(3)]

    page = desk("events", "list", "--limit", "2")

    assert [line[0] for line in page.lines] == [str(events[2]), str(events[1])]
    assert page.err == f"there may be more: --before {events[1]}\n"


async def test_an_event_is_shown_with_what_it_did(pool: Pool, desk: Desk) -> None:
    order = await place_order(pool)
    about = session(order)
    event = await work(pool, about, event_id=about["id"])

    [by_ours] = desk("events", "show", event, "--json").json
    [by_theirs] = desk("events", "show", about["id"], "--json").json

    assert by_ours == by_theirs
    assert (by_ours["status"], by_ours["reason"], by_ours["deliveries"]) == ("done", "moved_to_paid", 1)
    assert by_ours["dashboard"] == f"https://dashboard.stripe.com/test/events/{about['id']}"
    assert [(m["subject_id"], m["from_status"], m["to_status"]) for m in by_ours["moved"]] == [
        (str(order), "pending", "paid")
    ]
    [told] = by_ours["orders"]
    assert (told["id"], told["status"], told["has_access"]) == (str(order), "paid", True)
    assert told["payments"] == {f"pi_{order}": "succeeded"}
    assert set(told["effects"].values()) == {"pending"}
    assert (by_ours["attempts"], by_ours["dead_letters"], by_ours["payload"]) == ([], [], None)


async def test_a_dead_event_is_shown_with_its_attempts_and_its_letter(pool: Pool, desk: Desk) -> None:
    event = await work(pool, session(await place_order(pool), amount_total=None))
    quoted = f"Key (email)=({ADDRESS}) of {CARD}"
    await pool.execute("UPDATE work_attempts SET error = $1, traceback = traceback || $1", quoted)
    await pool.execute("UPDATE dead_letters SET error = $1", quoted)

    [told] = desk("events", "show", event, "--json").json
    page = desk("events", "show", event)
    seen = desk.on_a_terminal("events", "show", event)

    [attempt] = told["attempts"]
    assert (attempt["outcome"], attempt["trouble_class"], attempt["error_class"]) == (
        "dead",
        "permanent",
        "unknown_shape",
    )
    assert "Traceback" in attempt["traceback"]
    assert [letter["state"] for letter in told["dead_letters"]] == ["open"]
    assert [line for line in page.lines if line[0] == "event"][4] == [
        "event",
        "status",
        "dead unknown_shape unknown_shape",
    ]
    assert "attempts" in seen
    assert attempt["error"] == told["dead_letters"][0]["error"] == "Key (email)=(a***@example.org) of [redacted]"
    for said in (json.dumps(told), page.out, seen):
        assert ADDRESS not in said
        assert CARD not in said


async def test_f151_a_payload_is_shown_as_it_came_to_who_says_why_and_that_is_recorded(pool: Pool, desk: Desk) -> None:
    about = session(uuid4(), customer_email=ADDRESS, note=CARD, wide=WIDE, fraction=1.10)
    event = await keep(pool, about)

    hidden = desk("events", "show", event)
    revealed = desk("events", "show", event, "--reveal", "--reason", "the customer asks", "--json")
    seen = desk("events", "show", event, "--reveal", "--reason", "once more")

    assert ADDRESS not in hidden.out
    shown = revealed.json[0]["payload"]
    assert shown == json.dumps(about).replace(CARD, "[redacted]")
    assert str(WIDE) in shown
    assert ADDRESS in seen.out
    assert CARD not in seen.out + revealed.out
    acts = await pool.fetch("SELECT actor, action, target, reason FROM operator_actions ORDER BY at")
    assert [tuple(act) for act in acts] == [
        ("ada", "events.reveal", {"event": str(event)}, "the customer asks"),
        ("ada", "events.reveal", {"event": str(event)}, "once more"),
    ]
    assert [act["reason"] for act in revealed.json[0]["acts"]] == ["the customer asks"]


async def test_one_id_of_the_gateways_may_name_several_events(pool: Pool, desk: Desk) -> None:
    about = session(uuid4())
    test = await keep(pool, about, event_id=about["id"], event_key=about["id"])
    live = await keep(pool, about | {"livemode": True}, livemode=True, event_id=about["id"], event_key=about["id"])

    shown = desk("events", "show", about["id"], "--json").json

    assert [event["id"] for event in shown] == [str(test), str(live)]
    assert "test/" not in shown[1]["dashboard"]


async def test_hostile_bytes_are_shown_without_moving_the_cursor(pool: Pool, desk: Desk) -> None:
    event = await keep(pool, b'\x1b[2J\xff\x00 {"id": "evt_\x07"}', event_type="a\x1b[31mtype", event_id="evt_hostile")

    shown = desk("events", "show", event, "--reveal", "--reason", "r")

    assert shown.code == 0
    assert not any(character in shown.out for character in "\x1b\x07\x00")
    assert desk("events", "show", event, "--json").json[0]["event_type"] == "a\x1b[31mtype"


def test_an_event_that_is_not_there_ends_with_1(desk: Desk) -> None:
    shown = desk("events", "show", "evt_none")
    replayed = desk("events", "replay", "evt_none", "--reason", "r")
    rehearsed = desk("events", "replay", "evt_none", "--dry-run")

    assert [said.code for said in (shown, replayed, rehearsed)] == [1, 1, 1]
    assert {said.err for said in (shown, replayed, rehearsed)} == {"counterfoil: There is no event evt_none.\n"}


# --- replay ---


async def test_a_dry_run_prints_what_would_change_and_changes_nothing(pool: Pool, desk: Desk) -> None:
    order = await place_order(pool)
    event = await keep(pool, session(order))

    tried = desk("events", "replay", event, "--dry-run")
    [told] = desk("events", "replay", event, "--dry-run", "--json").json

    assert tried.code == 0
    assert {line[3] for line in tried.lines} == {"done: moved_to_paid"}
    assert [line[4] for line in tried.lines] == told["changes"]
    assert told["changes"][:3] == [
        f"order {order}: pending -> paid",
        "access is granted",
        f"payment pi_{order}: none -> succeeded",
    ]
    assert "history: paid" in told["changes"]
    assert (told["before"]["status"], told["after"]["status"]) == ("pending", "paid")
    assert await pool.fetchval("SELECT status FROM webhook_events") == "received"
    assert await pool.fetchval("SELECT status FROM orders") == "pending"
    assert await pool.fetchval("SELECT count(*) FROM operator_actions") == 0


async def test_a_dry_run_of_what_would_die_says_of_what(pool: Pool, desk: Desk) -> None:
    event = await work(pool, session(await place_order(pool), amount_total="ten"))

    [line] = desk("events", "replay", event, "--dry-run").lines

    assert line[2] == "dead"
    assert line[3].startswith("dead: unknown_shape: ")


async def test_f147_what_is_done_is_left_as_it_is_unless_forced(pool: Pool, desk: Desk) -> None:
    event = await work(pool, session(await place_order(pool)))

    refused = desk("events", "replay", event, "--reason", "a bad deploy")
    before = await pool.fetchval("SELECT status FROM webhook_events")
    forced = desk("events", "replay", event, "--force", "--reason", "a bad deploy")

    assert (refused.code, before) == (1, "done")
    assert "--force" in refused.err
    assert (forced.code, forced.lines[0][3]) == (0, "owed again")
    assert (await work_webhook_event(pool, DESK, event, careful=True)).worked is Worked.DONE
    [told] = desk("events", "show", event, "--json").json
    assert [(act["actor"], act["action"], act["reason"]) for act in told["acts"]] == [
        ("ada", "events.replay", "a bad deploy")
    ]
    assert (told["epoch"], told["queue"], [attempt["outcome"] for attempt in told["attempts"]]) == (1, "bulk", ["done"])


async def test_of_several_each_is_told_and_one_that_is_left_ends_with_1(pool: Pool, desk: Desk) -> None:
    done = await work(pool, session(await place_order(pool)))
    ignored = await work(pool, session(uuid4()))

    said = desk("events", "replay", done, ignored, "--reason", "r")

    assert said.code == 1
    assert {line[0]: line[2:] for line in said.lines} == {
        str(done): ["done", "left as it is: it is done"],
        str(ignored): ["ignored", "owed again"],
    }


async def test_f148_an_event_about_what_is_gone_ends_and_says_so(pool: Pool, desk: Desk) -> None:
    event = await work(pool, session(uuid4()))

    desk("events", "replay", event, "--reason", "r")
    worked = await work_webhook_event(pool, DESK, event, careful=True)

    assert (worked.worked, worked.reason) == (Worked.IGNORED, "unmatched")


def test_every_gateway_says_where_its_events_are_found() -> None:
    assert LINKS.keys() == GATEWAYS.keys()


async def test_a_payment_of_razorpays_is_found_in_its_dashboard(pool: Pool, desk: Desk) -> None:
    payment = {"id": "pay_1", "entity": "payment", "amount": 100, "currency": "INR", "status": "captured", "notes": []}
    body = {"event": "payment.captured", "payload": {"payment": {"entity": payment}}}
    event = await keep(
        pool, json.dumps(body).encode(), gateway="razorpay", event_type="payment.captured", livemode=None
    )

    [told] = desk("events", "show", event, "--json").json

    assert told["dashboard"] == "https://dashboard.razorpay.com/app/payments/pay_1"
