"""POST /refunds and GET /refunds/{id}: a refund is a row before anybody is asked for it, and never more than is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from db.pool import Pool
from payments.events import Observed, PaymentNamed, References, RefundTold
from payments.money import Money
from payments.payment import Standing
from payments.refund import OverRefund, RefundReason, RefundStatus
from tests.builders import NOON, place_order
from tests.counter import Shop, bearer, counter, problem
from tests.refunds import ADA, ask, ask_of, dispute, paid_order, pay, refunds, tell
from tests.waiting import until_somebody_waits
from workers.refund_requests import Asked, KeyReused, Wish, ask_for_order, ask_for_payment

REFUNDS = frozenset({"refunds"})
SUPPORT = frozenset({"support"})


@pytest.fixture
async def shop(pool: Pool, database_url: str) -> AsyncIterator[Shop]:
    del pool
    async with counter(database_url) as opened:
        yield opened


async def post(shop: Shop, key: str | None = None, **said: Any) -> httpx.Response:
    headers = bearer("backend", scopes=REFUNDS) | ({"Idempotency-Key": key} if key else {})
    return await shop.http.post("/refunds", json={"reason": "requested_by_customer", **said}, headers=headers)


async def refunding(pool: Pool, order_id: UUID) -> tuple[int, int]:
    row = await pool.fetchrow("SELECT amount_refunded, amount_refunding FROM payments WHERE order_id = $1", order_id)
    assert row is not None
    return row["amount_refunded"], row["amount_refunding"]


# --- what is asked for ---


async def test_without_an_amount_all_of_it_is_asked_back_and_owed_to_the_gateway(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool)

    answer = await post(shop, orderId=str(order_id))

    assert (answer.status_code, answer.json()["status"]) == (202, "requested")
    row = await pool.fetchrow("SELECT * FROM refunds")
    assert row is not None
    assert answer.json()["refundId"] == str(row["id"])
    assert (row["order_id"], row["amount"], row["currency"], row["asked_by"]) == (order_id, 1000, "usd", "api:backend")
    assert row["idempotency_key"] == f"refund-{row['id']}"
    effect = await pool.fetchrow("SELECT status, idempotency_key FROM effects WHERE kind = 'gateway.refund_payment'")
    assert effect is not None
    assert tuple(effect) == ("pending", f"gateway.refund_payment:{row['id']}")
    line = await pool.fetchrow("SELECT from_status, to_status, cause, cause_id FROM history WHERE subject = 'refund'")
    assert line is not None
    assert tuple(line) == (None, "requested", "api", "backend")
    assert await refunding(pool, order_id) == (0, 1000)


async def test_f104_the_order_stays_paid_until_the_gateway_says_that_the_money_went_back(
    pool: Pool, shop: Shop
) -> None:
    order_id = await paid_order(pool)

    await post(shop, orderId=str(order_id))

    assert await pool.fetchval("SELECT status FROM orders") == "paid"
    assert await pool.fetchval("SELECT active FROM entitlements") is True
    assert (await shop.get(f"/order-status/{order_id}", user="user-1")).json()["amountRefunded"] == 0


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_payment_is_named_by_our_id_or_by_the_gateways(pool: Pool, shop: Shop, *, is_ours: bool) -> None:
    await paid_order(pool, payment="pi_7")
    ours = await pool.fetchval("SELECT id FROM payments")

    answer = await post(shop, "key", paymentId=str(ours) if is_ours else "pi_7", amount=300)

    assert answer.status_code == 202
    assert await refunds(pool) == [("requested", 300)]


async def test_a_surplus_payment_is_given_back_by_its_own_name(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await pay(pool, order_id, "pi_2")

    by_order, by_payment = await post(shop, orderId=str(order_id)), await post(shop, paymentId="pi_2")

    assert (by_order.status_code, by_payment.status_code) == (202, 202)
    rows = await pool.fetch("SELECT gateway_payment_id FROM refunds r JOIN payments p ON p.id = r.payment_id")
    assert sorted(row[0] for row in rows) == ["pi_1", "pi_2"]


async def test_money_that_no_order_has_is_given_back_by_its_payment(pool: Pool, shop: Shop) -> None:
    await pool.execute(
        """
        INSERT INTO payments (gateway, gateway_payment_id, amount, currency, status, standing)
        VALUES ('stripe', 'pi_nobodys', 700, 'usd', 'succeeded', $1)
        """,
        Standing.MISMATCHED.value,
    )

    answer = await post(shop, paymentId="pi_nobodys")

    assert answer.status_code == 202
    told = (await shop.get(f"/refunds/{answer.json()['refundId']}", scopes=REFUNDS)).json()
    assert (told["orderId"], told["amount"], told["gatewayPaymentId"]) == (None, 700, "pi_nobodys")


@pytest.mark.parametrize("reason", RefundReason)
async def test_each_reason_is_kept(pool: Pool, shop: Shop, reason: RefundReason) -> None:
    order_id = await paid_order(pool)

    await post(shop, orderId=str(order_id), reason=reason.value)

    assert await pool.fetchval("SELECT reason_code FROM refunds") == reason.value


# --- repeats ---


async def test_a_full_refund_asked_for_twice_is_one_refund(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool)

    first, second = await post(shop, orderId=str(order_id)), await post(shop, orderId=str(order_id))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert await refunds(pool) == [("requested", 1000)]


async def test_full_refunds_asked_for_at_once_are_one_refund(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool)

    answers = await asyncio.gather(*(post(shop, orderId=str(order_id)) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["refundId"] for answer in answers}) == 1
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'gateway.refund_payment'") == 1


async def test_under_one_key_a_part_is_refunded_once_and_the_first_answer_comes_again(pool: Pool, shop: Shop) -> None:
    order_id = str(await paid_order(pool))

    first = await post(shop, "key", orderId=order_id, amount=400)
    second = await post(shop, "key", orderId=order_id, amount=400)

    assert first.content == second.content
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert await refunds(pool) == [("requested", 400)]


async def test_a_key_is_known_for_good_also_when_its_answer_was_forgotten(pool: Pool, shop: Shop) -> None:
    order_id = str(await paid_order(pool))
    first = await post(shop, "key", orderId=order_id, amount=400)
    await pool.execute("DELETE FROM idempotency_keys")

    again = await post(shop, "key", orderId=order_id, amount=400)
    await pool.execute("DELETE FROM idempotency_keys")
    other = await post(shop, "key", orderId=order_id, amount=300)

    assert again.json()["refundId"] == first.json()["refundId"]
    assert problem(other) == (409, "key_reused")
    assert await refunds(pool) == [("requested", 400)]


async def test_a_new_key_is_a_new_wish(pool: Pool, shop: Shop) -> None:
    order_id = str(await paid_order(pool))

    answers = [await post(shop, f"key-{n}", orderId=order_id, amount=400) for n in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 409]
    assert await refunds(pool) == [("requested", 400), ("requested", 400)]


async def test_a_key_of_a_refused_wish_is_free_again(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await dispute(pool, "pi_1")

    refused = await post(shop, "key", orderId=str(order_id), amount=400)
    await pool.execute("UPDATE disputes SET reinstated = withdrawn")
    granted = await post(shop, "key", orderId=str(order_id), amount=400)

    assert (refused.status_code, granted.status_code) == (409, 202)


async def test_a_key_belongs_to_one_wish(pool: Pool, shop: Shop) -> None:
    order_id = str(await paid_order(pool))
    await post(shop, "key", orderId=order_id, amount=400)

    assert problem(await post(shop, "key", orderId=order_id, amount=401)) == (409, "key_reused")


# --- refusals ---


async def test_f98_more_than_is_left_is_refused_with_what_is_left_and_nobody_is_asked(pool: Pool, shop: Shop) -> None:
    order_id = str(await paid_order(pool))
    await post(shop, "first", orderId=order_id, amount=700)

    answer = await post(shop, "second", orderId=order_id, amount=301)

    assert problem(answer) == (409, "over_refund")
    assert answer.json()["remaining"] == 300
    assert "300 usd" in answer.json()["detail"]
    assert shop.stripe.refund_calls == []
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'gateway.refund_payment'") == 1


@pytest.mark.parametrize("status", ["needs_response", "under_review", "lost", "closed"])
async def test_f99_a_payment_whose_money_a_dispute_holds_is_not_refunded(pool: Pool, shop: Shop, status: str) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await dispute(pool, "pi_1", status=status)

    answers = [await post(shop, orderId=str(order_id)), await post(shop, "key", paymentId="pi_1", amount=1)]

    assert [problem(answer) for answer in answers] == [(409, "dispute_open")] * 2
    assert await refunds(pool) == []


async def test_f99_one_dispute_of_several_is_enough(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await dispute(pool, "pi_1", status="won")
    await dispute(pool, "pi_1", withdrawn=100)

    assert problem(await post(shop, orderId=str(order_id))) == (409, "dispute_open")


@pytest.mark.parametrize(("status", "withdrawn"), [("inquiry", 0), ("won", 1000), ("closed", 0)])
async def test_f100_an_inquiry_and_a_dispute_that_was_won_are_in_nobodys_way(
    pool: Pool, shop: Shop, status: str, withdrawn: int
) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await dispute(pool, "pi_1", status=status, withdrawn=withdrawn)

    assert (await post(shop, orderId=str(order_id))).status_code == 202


async def test_f99_what_went_back_from_the_gateways_own_page_is_not_asked_back_again(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    await pool.execute(
        """
        INSERT INTO refunds (order_id, payment_id, gateway, gateway_refund_id, amount, currency, status, reason_code,
                             asked_by, created_at, settled_at)
        SELECT order_id, id, gateway, 're_1', 1000, 'usd', 'succeeded', 'other', 'gateway', now(), now() FROM payments
        """
    )

    assert problem(await post(shop, orderId=str(order_id))) == (409, "nothing_to_refund")
    assert problem(await post(shop, "key", orderId=str(order_id), amount=1)) == (409, "over_refund")


async def test_of_an_order_that_nobody_has_paid_there_is_nothing_to_refund(pool: Pool, shop: Shop) -> None:
    order_id = await place_order(pool)

    assert problem(await post(shop, orderId=str(order_id))) == (409, "nothing_to_refund")
    assert problem(await post(shop, "key", orderId=str(order_id), amount=1)) == (409, "nothing_to_refund")


async def test_of_an_order_whose_money_did_not_pay_it_the_answer_names_that_money(pool: Pool, shop: Shop) -> None:
    order_id = await place_order(pool)
    await pay(pool, order_id, "pi_1", Money(900, "usd"))

    answer = await post(shop, orderId=str(order_id))
    by_payment = await post(shop, paymentId="pi_1")

    assert problem(answer) == (409, "nothing_to_refund")
    assert "paymentId, pi_1" in answer.json()["detail"]
    assert by_payment.status_code == 202
    assert "No money was taken" in (await post(shop, "key", orderId=str(order_id), amount=1)).json()["detail"]


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        (b'{"orderId": "x", "reason": "other", "amount": null}', "invalid_amount", "amount"),
        (b'{"orderId": "x", "reason": "other", "Amount": 100}', "invalid_refund", "'Amount'"),
        (b'{"orderId": "x", "reason": "other", "currency": "eur"}', "invalid_refund", "'currency'"),
        (b'{"orderId": "x", "reason": "other", "amount": 1, "amount": 900}', "malformed_body", "twice"),
        (b'{"orderId": "x", "paymentId": 7, "reason": "other"}', "invalid_refund", "one of the two"),
        (b'{"orderId": "x", "paymentId": "", "reason": "other"}', "invalid_refund", "one of the two"),
        (b'{"orderId": "x", "paymentId": null, "reason": "other"}', "invalid_refund", "one of the two"),
    ],
)
async def test_what_could_be_overlooked_is_never_taken_for_all_of_it(
    shop: Shop, body: bytes, code: str, told: str
) -> None:
    headers = bearer("backend", scopes=REFUNDS) | {"Idempotency-Key": "key"}

    answer = await shop.http.post("/refunds", content=body, headers=headers)

    assert problem(answer) == (400, code)
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "invalid_refund"),
        ({"orderId": "x", "paymentId": "y"}, "invalid_refund"),
        ({"orderId": 7}, "invalid_refund"),
        ({"orderId": "x", "reason": "because"}, "invalid_reason"),
        ({"orderId": "x", "reason": None}, "invalid_reason"),
        ({"orderId": "x", "reason": ["other"]}, "invalid_reason"),
        ({"orderId": "x", "amount": 0}, "invalid_amount"),
        ({"orderId": "x", "amount": -1}, "invalid_amount"),
        ({"orderId": "x", "amount": 1.5}, "invalid_amount"),
        ({"orderId": "x", "amount": True}, "invalid_amount"),
        ({"orderId": "x", "amount": "100"}, "invalid_amount"),
        ({"orderId": "x", "amount": 2**63}, "invalid_amount"),
    ],
)
async def test_what_cannot_be_meant_is_refused(shop: Shop, said: dict[str, Any], code: str) -> None:
    assert problem(await post(shop, "key", **said)) == (400, code)


async def test_a_part_needs_a_key(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool)

    assert problem(await post(shop, orderId=str(order_id), amount=1)) == (400, "idempotency_key_required")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 9000])
async def test_a_body_that_is_no_object_is_refused(shop: Shop, body: bytes) -> None:
    answer = await shop.http.post("/refunds", content=body, headers=bearer("backend", scopes=REFUNDS))

    assert problem(answer) == (400, "malformed_body")


@pytest.mark.parametrize("name", ["nobody's", "00000000-0000-4000-8000-000000000000", "\0", "x" * 256])
async def test_what_is_not_known_is_not_found(shop: Shop, name: str) -> None:
    by_order, by_payment = await post(shop, orderId=name), await post(shop, paymentId=name)

    assert by_order.status_code in (400, 404)
    assert by_payment.status_code in (400, 404)


async def test_only_who_may_refund_can(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool)
    said = {"orderId": str(order_id), "reason": "other"}

    nobody = await shop.http.post("/refunds", json=said)
    owner = await shop.http.post("/refunds", json=said, headers=bearer("user-1"))
    support = await shop.http.post("/refunds", json=said, headers=bearer("sam", scopes=SUPPORT))

    assert nobody.status_code == 401
    assert [problem(answer) for answer in (owner, support)] == [(403, "insufficient_scope")] * 2
    assert await refunds(pool) == []


# --- at once ---


async def test_one_name_for_two_wishes_at_once_is_the_firsts(pool: Pool) -> None:
    """An operator's ``--key``; a caller's is claimed before anything else."""
    one, other = await paid_order(pool), await paid_order(pool)

    async with pool.acquire() as witness, pool.acquire() as first, first.transaction():
        asked = await ask_for_order(first, one, Wish(100, RefundReason.OTHER, "operator:ada", "key"), ADA, NOON)
        second = asyncio.create_task(ask(pool, other, 100, key="key"))
        await until_somebody_waits(witness, "transactionid")

    assert isinstance(asked, Asked)
    assert isinstance(await second, KeyReused)
    assert await refunds(pool) == [("requested", 100)]


async def test_of_money_that_no_order_has_each_wish_waits_for_the_one_before(pool: Pool) -> None:
    await record_unowned(pool)

    async with pool.acquire() as witness, pool.acquire() as first, first.transaction():
        payment = await first.fetchval("SELECT id FROM payments")
        wish = Wish(700, RefundReason.OTHER, "operator:ada", "one")
        await ask_for_payment(first, payment, wish, ADA, NOON)
        second = asyncio.create_task(ask_of(pool, "pi_1", 700, key="two"))
        await until_somebody_waits(witness, "transactionid")

    assert await second == OverRefund(Money(300, "usd"))


async def test_money_that_no_order_has_and_that_went_back_meanwhile_is_not_given_back_twice(pool: Pool) -> None:
    """What is told waits for what is asked, and what was asked of nobody yet gives way to it."""
    await record_unowned(pool)
    told = RefundTold("re_1", PaymentNamed("pi_1"), Money(700, "usd"), RefundStatus.SUCCEEDED)

    async with pool.acquire() as witness, pool.acquire() as first, first.transaction():
        payment = await first.fetchval("SELECT id FROM payments")
        wish = Wish(400, RefundReason.OTHER, "operator:ada", "one")
        await ask_for_payment(first, payment, wish, ADA, NOON)
        telling = asyncio.create_task(tell(pool, Observed("stripe", References(objects=("re_1",)), told)))
        await until_somebody_waits(witness, "transactionid")

    await telling
    assert await refunds(pool) == [("cancelled", 400), ("succeeded", 700)]


async def record_unowned(pool: Pool) -> None:
    """Ten dollars, under names that contradict each other: its payment's lock is the only one."""
    await pool.execute(
        """
        INSERT INTO payments (gateway, gateway_payment_id, amount, currency, status, standing)
        VALUES ('stripe', 'pi_1', 1000, 'usd', 'succeeded', 'mismatched')
        """
    )


async def test_f97_of_fifty_at_once_of_which_three_fit_three_are_written(pool: Pool, shop: Shop) -> None:
    order_id = str(await paid_order(pool))

    answers = await asyncio.gather(*(post(shop, f"key-{n}", orderId=order_id, amount=300) for n in range(50)))

    assert Counter(answer.status_code for answer in answers) == {202: 3, 409: 47}
    assert {answer.json()["remaining"] for answer in answers if answer.status_code == 409} == {100}
    assert await refunds(pool) == [("requested", 300)] * 3
    assert await pool.fetchval("SELECT amount_refunding FROM payments") == 900
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'gateway.refund_payment'") == 3


async def test_f97_two_operators_and_the_application_at_once_never_ask_for_more_than_was_taken(
    pool: Pool, shop: Shop
) -> None:
    order_id = await paid_order(pool)

    await asyncio.gather(
        ask(pool, order_id, 600, by="operator:ada"),
        ask(pool, order_id, 600, by="operator:bob"),
        post(shop, "key", orderId=str(order_id), amount=600),
    )

    assert await refunds(pool) == [("requested", 600)]


async def test_f98_the_schema_refuses_what_the_rules_would_let_through(pool: Pool) -> None:
    order_id = await paid_order(pool)
    await ask(pool, order_id, 600)

    with pytest.raises(Exception, match="never_asked_back_beyond_what_was_taken"):
        await pool.execute("UPDATE refunds SET amount = 1001")


# --- how it stands ---


async def test_a_refund_is_shown_to_who_may_refund_and_to_support(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool, payment="pi_1")
    refund_id = (await post(shop, orderId=str(order_id), reason="duplicate")).json()["refundId"]

    told = [await shop.get(f"/refunds/{refund_id}", user="sam", scopes=scopes) for scopes in (REFUNDS, SUPPORT)]

    assert told[0].json() == told[1].json()
    assert told[0].json() | {"createdAt": "", "paymentId": ""} == {
        "refundId": refund_id,
        "orderId": str(order_id),
        "paymentId": "",
        "gateway": "stripe",
        "gatewayPaymentId": "pi_1",
        "gatewayRefundId": None,
        "amount": 1000,
        "currency": "usd",
        "status": "requested",
        "reason": "duplicate",
        "askedBy": "api:backend",
        "failure": None,
        "createdAt": "",
        "sentAt": None,
        "settledAt": None,
    }


async def test_nobody_else_sees_it_and_what_is_none_is_not_found(pool: Pool, shop: Shop) -> None:
    order_id = await paid_order(pool)
    refund_id = (await post(shop, orderId=str(order_id))).json()["refundId"]

    assert problem(await shop.get(f"/refunds/{refund_id}", user="user-1")) == (403, "insufficient_scope")
    for name in ("nonsense", str(uuid4()), refund_id + "0"):
        assert problem(await shop.get(f"/refunds/{name}", scopes=REFUNDS)) == (404, "refund_not_found")
