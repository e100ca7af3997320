"""Money under contradicting names is recorded without an order. It may go back before anybody says whose it is, and
what it did meanwhile goes with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from db import invariants, movement_lists, references
from db.history import Cause
from db.pool import Pool
from payments.dispute import DisputeStatus
from payments.events import (
    CheckoutEnded,
    DisputeTold,
    Observed,
    OrderEvent,
    PaymentNamed,
    PaymentSucceeded,
    References,
    RefundTold,
)
from payments.order import Early, LateSuccess
from payments.refund import RefundStatus
from tests.builders import BOOK, NOON, TEN, place_order
from tests.fake_gateway import FakeGateway
from tests.money_told import kinds
from tests.refunds import ask_of, refunds, send, tell
from tests.waiting import until_somebody_waits
from workers.apply import Book, apply
from workers.refund_requests import Asked

REFUND = replace(BOOK, late_success=LateSuccess.REFUND)
DISPUTED = Observed(
    "stripe",
    References(objects=("pi_1",)),
    DisputeTold(
        "dp_1",
        PaymentNamed("pi_1"),
        TEN,
        DisputeStatus.NEEDS_RESPONSE,
        gateway_status="needs_response",
        told_at=NOON,
        withdrawn=TEN,
        reinstated=None,
    ),
)


async def contradicted(pool: Pool) -> UUID:
    """One of the two orders that pi_1 names; it is paid by it, and recorded without any."""
    order_id, other = await place_order(pool), await place_order(pool)
    names = References(order_ids=(str(order_id), str(other)), objects=("pi_1",))
    await tell(pool, Observed("stripe", names, PaymentSucceeded("pi_1", TEN)))
    return order_id


async def match(pool: Pool, order_id: UUID, book: Book = BOOK, event: OrderEvent | None = None) -> None:
    """A later event names one of the two alone."""
    event = event or PaymentSucceeded("pi_1", TEN)
    names = References(order_ids=(str(order_id),), objects=("pi_1",) if isinstance(event, PaymentSucceeded) else ())
    await tell(pool, Observed("stripe", names, event), book)


async def give_back(pool: Pool, amount: int | None = None) -> None:
    answer = await ask_of(pool, "pi_1", amount, key="k")
    assert isinstance(answer, Asked)
    assert answer.effect is not None
    await send(pool, answer.effect, stripe=FakeGateway())


async def stands(pool: Pool, order_id: UUID) -> tuple[str, int, bool | None]:
    """Its status, what went back of it, and whether it gives access."""
    row = await pool.fetchrow("SELECT status, amount_refunded FROM orders WHERE id = $1", order_id)
    assert row is not None
    active = await pool.fetchval("SELECT active FROM entitlements WHERE order_id = $1", order_id)
    return row["status"], row["amount_refunded"], active


async def booked(pool: Pool, order_id: UUID) -> list[tuple[str, UUID | None, int]]:
    """As a report of this order shows it: also what was booked before the order was known."""
    period = movement_lists.Period(NOON - timedelta(days=1), NOON + timedelta(days=1), order_id=order_id)
    async with pool.acquire() as connection, connection.transaction():
        rows = [row async for row in movement_lists.stream(connection, period)]
    return sorted((row.kind, row.order_id, row.minor) for row in rows)


async def assert_promises_kept(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        for each in invariants.load():
            assert not await invariants.find_violations(connection, each, seconds=10), each.says


async def test_what_went_back_before_it_was_matched_gives_no_access(pool: Pool) -> None:
    order_id = await contradicted(pool)
    await give_back(pool)

    await match(pool, order_id)

    assert await stands(pool, order_id) == ("refunded", 1000, False)
    assert await pool.fetchval("SELECT order_id FROM refunds") == order_id
    assert await booked(pool, order_id) == [("payment", order_id, 1000), ("refund", order_id, -1000)]
    assert await pool.fetchval("SELECT refund_id FROM orders WHERE id = $1", order_id) is not None
    assert not {"mail.payment_confirmed", "notify.payment.completed"} & set(await kinds(pool, "effects"))
    lines = await pool.fetch("SELECT from_status, to_status FROM history WHERE subject = 'order' ORDER BY id")
    assert [tuple(line) for line in lines] == [("pending", "paid"), ("paid", "refunded")]
    await assert_promises_kept(pool)


async def test_what_a_dispute_held_before_it_was_matched_gives_no_access(pool: Pool) -> None:
    order_id = await contradicted(pool)
    await tell(pool, DISPUTED)

    await match(pool, order_id)

    assert await stands(pool, order_id) == ("disputed", 0, False)
    assert await pool.fetchval("SELECT order_id FROM disputes") == order_id
    await assert_promises_kept(pool)


async def test_of_what_went_back_in_part_the_rest_pays_the_order_and_is_confirmed(pool: Pool) -> None:
    order_id = await contradicted(pool)
    await give_back(pool, 300)

    await match(pool, order_id)

    assert await stands(pool, order_id) == ("paid", 300, True)
    assert "mail.payment_confirmed" in await kinds(pool, "effects")


async def test_a_refund_of_money_that_has_found_its_order_meanwhile_begins_anew_under_the_orders_lock(
    pool: Pool,
) -> None:
    order_id = await contradicted(pool)
    told = RefundTold("re_1", PaymentNamed("pi_1"), TEN, RefundStatus.SUCCEEDED)
    refund = Observed("stripe", References(objects=("pi_1",)), told)

    async with pool.acquire() as witness, pool.acquire() as matching, matching.transaction():
        await references.lock(matching, ["pi_1"])
        telling = asyncio.create_task(tell(pool, refund))
        await until_somebody_waits(witness, "advisory")
        names = References(order_ids=(str(order_id),), objects=("pi_1",))
        paid = Observed("stripe", names, PaymentSucceeded("pi_1", TEN))
        await apply(matching, paid, Cause("webhook_event", "event-2"), BOOK)

    assert (await telling).outcome == Early("its payment has just found its order")
    await tell(pool, refund)
    assert await stands(pool, order_id) == ("refunded", 1000, False)


# --- and it came late, under the policy that sends it back ---


@pytest.mark.parametrize("is_sent", [True, False])
async def test_f71_late_money_that_is_asked_back_already_is_asked_back_once(pool: Pool, *, is_sent: bool) -> None:
    order_id = await contradicted(pool)
    if is_sent:
        await give_back(pool)
    else:
        await ask_of(pool, "pi_1")
    await match(pool, order_id, REFUND, CheckoutEnded("cs_1"))

    await match(pool, order_id, REFUND)

    assert await stands(pool, order_id) == (("refunded", 1000, None) if is_sent else ("cancelled", 0, None))
    assert await refunds(pool) == [("succeeded" if is_sent else "requested", 1000)]
    assert await pool.fetchval("SELECT order_id FROM refunds") == order_id
    await assert_promises_kept(pool)


async def test_f71_late_money_that_a_dispute_holds_is_for_a_person(pool: Pool) -> None:
    order_id = await contradicted(pool)
    await tell(pool, DISPUTED)
    await match(pool, order_id, REFUND, CheckoutEnded("cs_1"))

    await match(pool, order_id, REFUND)

    assert (await stands(pool, order_id))[0] == "cancelled"
    assert await refunds(pool) == []
    assert "late_success" in await kinds(pool, "discrepancies", "state = 'open'")
