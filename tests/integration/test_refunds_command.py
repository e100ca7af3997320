"""`counterfoil refunds`: an operator gives money back, on the record; and sees every refund, whoever began it."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from db.pool import Pool
from tests.desk import Desk
from tests.refunds import ask, dispute, paid_order, refunds

REASON = ("--reason", "requested_by_customer")


@pytest.fixture
def desk(database_url: str) -> Desk:
    return Desk(database_url)


async def test_an_order_is_refunded_and_the_act_is_on_the_record(pool: Pool, desk: Desk) -> None:
    order_id = await paid_order(pool)

    said = desk("refunds", "create", order_id, *REASON, "--note", "the mail of Monday", "--json")

    assert said.code == 0, said.err
    row = await pool.fetchrow("SELECT * FROM refunds")
    assert row is not None
    assert said.json["id"] == str(row["id"])
    assert (row["order_id"], row["amount"], row["status"]) == (order_id, 1000, "requested")
    assert (row["asked_by"], row["note"]) == ("operator:ada", "the mail of Monday")
    act = await pool.fetchrow("SELECT id, actor, via, action, target, reason FROM operator_actions")
    assert act is not None
    assert tuple(act)[1:] == (
        *("ada", "cli", "refunds.create"),
        *({"of": str(order_id), "amount": None, "key": None}, "the mail of Monday"),
    )
    line = await pool.fetchrow("SELECT cause, cause_id FROM history WHERE subject = 'refund'")
    assert line is not None
    assert tuple(line) == ("operator", str(act["id"]))
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'gateway.refund_payment'") == 1


async def test_a_payment_is_refunded_by_our_name_or_the_gateways(pool: Pool, desk: Desk) -> None:
    await paid_order(pool, payment="pi_7")
    ours = await pool.fetchval("SELECT id FROM payments")

    said = [desk("refunds", "create", name, "--amount", 300, *REASON).code for name in (ours, "pi_7")]

    assert said == [0, 0]
    assert await refunds(pool) == [("requested", 300)] * 2


async def test_f97_a_name_of_their_own_makes_a_repeat_the_same_refund(pool: Pool, desk: Desk) -> None:
    order_id = await paid_order(pool)
    words = ("refunds", "create", order_id, "--amount", 300, *REASON, "--key", "ticket 7", "--json")

    first, again = desk(*words), desk(*words)
    other = desk("refunds", "create", order_id, "--amount", 200, *REASON, "--key", "ticket 7")

    assert first.json["id"] == again.json["id"]
    assert (other.code, await refunds(pool)) == (1, [("requested", 300)])


async def test_f98_what_is_refused_is_said_with_what_is_left_and_leaves_no_act(pool: Pool, desk: Desk) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await ask(pool, order_id, 700)

    over = desk("refunds", "create", order_id, "--amount", 301, *REASON)
    await dispute(pool, "pi_1")
    held = desk("refunds", "create", order_id, *REASON)

    assert (over.code, held.code) == (1, 1)
    assert "300 usd can still be refunded" in over.err
    assert "A dispute holds this money" in held.err
    assert await pool.fetchval("SELECT count(*) FROM operator_actions") == 0


async def test_what_is_not_known_and_what_nobody_means_is_refused(pool: Pool, desk: Desk) -> None:
    order_id = await paid_order(pool)

    assert "no order and no payment" in desk("refunds", "create", uuid4(), *REASON).err
    assert "no order and no payment" in desk("refunds", "create", "pi_none", *REASON).err
    assert desk("refunds", "create", order_id, "--reason", "because").code == 2
    assert desk("refunds", "create", order_id, "--amount", 0, *REASON).code == 2
    assert desk("refunds", "create", order_id).code == 2
    assert await refunds(pool) == []


async def test_refunds_are_listed_by_order_and_by_status(pool: Pool, desk: Desk) -> None:
    mine, other = await paid_order(pool, user="one"), await paid_order(pool, user="two")
    for order_id, amount in ((mine, 300), (mine, 200), (other, 100)):
        await ask(pool, order_id, amount)
    await pool.execute("UPDATE refunds SET status = 'cancelled', settled_at = now() WHERE amount = 200")

    everything = desk("refunds", "--json").json
    of_mine = desk("refunds", "list", "--order", mine, "--json").json
    cancelled = desk("refunds", "list", "--status", "cancelled", "--json").json
    lately = desk("refunds", "list", "--since", "2020-01-01", "--json").json
    in_future = desk("refunds", "list", "--since", "2100-01-01")

    assert sorted(each["amount"] for each in everything) == [100, 200, 300]
    assert sorted(each["amount"] for each in of_mine) == [200, 300]
    assert [each["amount"] for each in cancelled] == [200]
    assert len(lately) == 3
    assert in_future.out == ""
    assert desk("refunds", "list", "--status", "gone").code == 2
    assert desk("refunds", "list", "--order", "pi_1").code == 2


async def test_one_refund_is_shown_whole(pool: Pool, desk: Desk) -> None:
    await ask(pool, await paid_order(pool, payment="pi_1"))
    refund_id: UUID = await pool.fetchval("SELECT id FROM refunds")

    shown = desk("refunds", "show", refund_id)
    told = desk("refunds", "show", refund_id, "--json").json

    assert "refund\tamount\t10.00 USD" in shown.out
    assert "refund\tour key there\trefund-" in shown.out
    assert (told["status"], told["gateway_payment_id"], told["currency"]) == ("requested", "pi_1", "usd")
    assert desk("refunds", "show", uuid4()).code == 1
    assert desk("refunds", "show", "pi_1").code == 1
