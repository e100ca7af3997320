"""`counterfoil explain`: one timeline of everything, found by any name, redacted, in pages, oldest first."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import gateway_customers, idempotency_keys, operator_actions
from db.operator_actions import Operator
from db.pool import Pool
from payments.timeline import Kind
from tests import tellings
from tests.builders import keep, place_order, session
from tests.desk import Desk
from tests.stories import DESK, dispute, open_page, paid_order, pay, refund
from workers.webhook_events import work_webhook_event

ADDRESS = "anna.b@example.org"


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Desk:
    return Desk(database_url, redis_url)


def kinds(told: Any) -> list[str]:
    return [line["kind"] for line in told["timeline"]]


def sentences(told: Any, kind: Kind) -> list[str]:
    return [line["says"] for line in told["timeline"] if line["kind"] == kind]


async def test_an_order_is_told_from_the_request_to_the_last_effect_in_the_order_in_which_it_happened(
    pool: Pool, desk: Desk
) -> None:
    order = await place_order(pool)
    await open_page(pool, order)
    event = await pay(pool, order)

    told = desk("explain", "order", order, "--json").json

    assert [each["id"] for each in told["orders"]] == [str(order)]
    assert (told["orders"][0]["status"], told["orders"][0]["has_access"]) == ("paid", True)
    first_three, then = kinds(told)[:3], kinds(told)[3:]
    assert first_three == [Kind.PLACED, Kind.ATTEMPT, Kind.DELIVERY]
    assert then[:3] == [Kind.PAYMENT, Kind.MOVE, Kind.ACCESS]
    assert then.count(Kind.EFFECT) == 3
    assert sentences(told, Kind.ATTEMPT) == [f"page 1 asked of stripe: closed cs_{order}, our key checkout_{order}_1"]
    [move] = [line for line in told["timeline"] if line["kind"] == Kind.MOVE]
    assert move["detail"]["causeId"] == str(event)
    assert move["says"].startswith("order pending -> paid, by evt_")


async def test_the_request_is_told_with_its_caller_and_the_callers_key(pool: Pool, desk: Desk) -> None:
    order = await place_order(pool)
    async with pool.acquire() as tx, tx.transaction():
        await idempotency_keys.claim(tx, user_id="user-1", key="my-key", request_hash="0", lease_seconds=30)
        await idempotency_keys.keep_order(tx, user_id="user-1", key="my-key", order_id=order)

    told = desk("explain", "order", order, "--json").json

    assert sentences(told, Kind.PLACED) == ["order placed by user-1 for plan-1 10.00 USD, caller's key my-key"]


async def test_money_that_goes_back_is_told_with_its_movements_and_the_way_to_the_gateways_page(
    pool: Pool, desk: Desk
) -> None:
    order = await paid_order(pool)
    refunded = await refund(pool, order, 400)
    await dispute(pool, order)

    told = desk("explain", "order", order, "--json").json

    assert sentences(told, Kind.REFUND) == [
        f"refund of 4.00 USD by operator:ada: succeeded re_1, duplicate, our key refund_{refunded}"
    ]
    assert "refund -4.00 USD, by reconciliation a run" in sentences(told, Kind.MOVEMENT)
    [quarrel] = sentences(told, Kind.DISPUTE)
    assert quarrel.startswith("dispute of 10.00 USD: needs_response dp_1, fraudulent")
    assert quarrel.endswith("https://dashboard.stripe.com/disputes/dp_1")
    assert "refund pending -> succeeded, by effect e-1" in sentences(told, Kind.MOVE)


async def test_an_order_is_found_by_every_name_that_a_gateway_has_for_it(pool: Pool, desk: Desk) -> None:
    order = await paid_order(pool)
    refunded, disputed = await refund(pool, order, 400), await dispute(pool, order)
    names = [str(order).upper(), f"cs_{order}", f"pi_{order}", "re_1", refunded, "dp_1", disputed]

    found = [desk("explain", "order", name, "--json").json["orders"][0]["id"] for name in names]

    assert found == [str(order)] * len(names)


@pytest.mark.parametrize("what", ["order", "subscription", "user"])
async def test_what_is_not_known_is_said_in_a_sentence(desk: Desk, what: str) -> None:
    said = desk("explain", what, "nobody-knows")

    assert (said.code, said.out, said.err) == (1, "", f"counterfoil: There is no {what} nobody-knows.\n")


async def test_attempts_that_failed_and_what_operators_did_are_in_it(pool: Pool, desk: Desk) -> None:
    order = await paid_order(pool)
    effect = await pool.fetchval("SELECT id FROM effects WHERE order_id = $1 AND kind LIKE 'mail.%'", order)
    await pool.execute(
        """
        INSERT INTO work_attempts (source, source_id, epoch, worker, started_at, outcome, class, error_class, error)
        VALUES ('effect', $1, 0, 'host:1', now(), 'retry', 'transient', 'NotNow', 'refused for anna.b@example.org')
        """,
        effect,
    )
    async with pool.acquire() as tx:
        await operator_actions.record(
            tx, by=Operator("ada"), action="refunds.create", target={"order": str(order)}, reason="they asked"
        )

    told = desk("explain", "order", order, "--json").json

    assert sentences(told, Kind.WORK) == [
        "attempt ended: retry transient, NotNow: refused for a***@example.org, by host:1"
    ]
    assert sentences(told, Kind.ACT) == ["ada did refunds.create, why: they asked"]


async def test_an_event_that_waits_under_a_name_of_the_order_is_in_it_too(pool: Pool, desk: Desk) -> None:
    order = await place_order(pool)
    event = await keep(pool, session(uuid4()))
    await work_webhook_event(pool, DESK, event)
    await pool.execute(
        "INSERT INTO unmatched_references (reference, webhook_event_id) VALUES ($1, $2)", f"order:{order}", event
    )

    told = desk("explain", "order", order, "--json").json

    assert [line["id"] for line in told["timeline"] if line["kind"] == Kind.DELIVERY] == [str(event)]


async def test_a_long_story_is_read_in_pages_that_miss_and_repeat_nothing(pool: Pool, desk: Desk) -> None:
    order = await paid_order(pool)
    whole = desk("explain", "order", order, "--json").json["timeline"]

    lines: list[Any] = []
    words: tuple[str, ...] = ()
    while True:
        page = desk("explain", "order", order, "--json", "--limit", "4", *words)
        lines += page.json["timeline"]
        if page.json["next"] is None:
            break
        assert page.err == f"there is more: --after {page.json['next']}\n"
        words = ("--after", page.json["next"])

    assert lines == whole
    assert len(whole) > 4
    assert desk("explain", "order", order, "--after", "yesterday").code == 2


async def test_links_payloads_and_addresses_are_shown_to_who_says_why_and_that_is_recorded(
    pool: Pool, desk: Desk
) -> None:
    order = await place_order(pool)
    page = await open_page(pool, order)
    await pay(pool, order, customer_email=ADDRESS)

    hidden = desk("explain", "order", order, "--json")
    without_reason = desk("explain", "order", order, "--reveal")
    revealed = desk("explain", "order", order, "--json", "--reveal", "--reason", "the customer asks")
    in_lines = desk("explain", "order", page, "--reveal", "--reason", "once more")

    assert without_reason.code == 2
    assert ADDRESS not in hidden.out
    assert "https://pay.example" not in hidden.out
    assert all(line["hidden"] is None for line in hidden.json["timeline"])
    for said in (revealed, in_lines):
        assert ADDRESS in said.out
        assert f"https://pay.example/{page}" in said.out
    acts = await pool.fetch("SELECT actor, action, target, reason FROM operator_actions ORDER BY at")
    assert [(act["actor"], act["action"], act["reason"]) for act in acts] == [
        ("ada", "explain.reveal", "the customer asks"),
        ("ada", "explain.reveal", "once more"),
    ]
    assert acts[1]["target"] == {"order": page, "orders": [str(order)]}


async def test_a_user_is_told_with_orders_subscriptions_and_what_they_may_use(pool: Pool, desk: Desk) -> None:
    first, second = await paid_order(pool, user="anna"), await place_order(pool, user="anna", plan="plan-2")
    other = await paid_order(pool, user="bert")
    placed = await tellings.place(pool, user="anna")
    async with pool.acquire() as tx, tx.transaction():
        await gateway_customers.claim(tx, "anna", "stripe", lease_seconds=30)
        await gateway_customers.keep(tx, "anna", "stripe", "cus_9")

    told = desk("explain", "user", "cus_9", "--json").json
    by_address = desk("explain", "user", "anna@example.com", "--json").json
    in_lines = desk("explain", "user", "anna")

    assert told == by_address
    assert told["user"]["email"] == "a***@example.com"
    assert {each["id"] for each in told["orders"]} == {str(first), str(second), str(placed.order)}
    assert {each["id"]: each["has_access"] for each in told["orders"]}[str(first)]
    assert [each["id"] for each in told["subscriptions"]] == [str(placed.subscription)]
    assert sentences(told, Kind.CUSTOMER)[0].startswith("customer cus_9 at stripe, our key customer_")
    assert str(other) not in json.dumps(told)
    assert "anna@example.com" not in in_lines.out


async def test_a_subscription_is_told_with_its_invoices_and_its_access(pool: Pool, desk: Desk) -> None:
    placed = await tellings.place(pool)
    await tellings.tell(
        pool,
        placed,
        tellings.telling(of=tellings.snapshot()),
        tellings.telling(bill=tellings.invoice(1)),
        tellings.telling(tellings.BEGIN + tellings.MONTH, bill=tellings.invoice(2)),
    )

    told = desk("explain", "subscription", "sub_1", "--json").json
    by_renewal = desk("explain", "subscription", "pi_2", "--json").json
    order = desk("explain", "order", placed.order, "--json").json

    assert told == by_renewal
    assert told["timeline"] == order["timeline"]
    assert [s["status"] for s in told["subscriptions"]] == ["active"]
    assert any(said.startswith("renewal invoice A-2 10.00 USD paid, in_2") for said in sentences(told, Kind.INVOICE))
    assert any(said.startswith("access: ") for said in sentences(told, Kind.ACCESS))


async def test_a_person_sees_it_on_one_screen(pool: Pool, desk: Desk) -> None:
    order = await paid_order(pool)

    seen = desk.on_a_terminal("explain", "order", order)

    assert "timeline" in seen
    assert "pending -> paid" in seen
    assert len(seen.splitlines()) < 40


def test_what_is_named_several_times_is_asked_for_again() -> None:
    from console.stories import Untold, _the_one

    ids = [UUID(int=1), UUID(int=2)]

    with pytest.raises(Untold, match=f"{ids[0]}, {ids[1]}"):
        _the_one(ids, "order", "pi_1")
