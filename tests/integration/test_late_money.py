"""LATE_SUCCESS=refund: money for an order that was given up goes back by itself, and the order stays as it ended."""

from __future__ import annotations

from uuid import UUID

import pytest

from db.pool import Pool
from gateways.client import Refusal, Refused
from payments.events import CheckoutEnded, OrderEvent, PaymentFailed
from payments.failure import Failure, FailureCode
from payments.money import Money
from payments.order import LateSuccess, Returned
from payments.refund import RefundStatus
from tests.builders import NOON, TEN, observed, paid, place_order
from tests.fake_gateway import FakeGateway
from tests.refunds import refunds, send, tell
from workers.apply import Applied, Book

REFUND = Book("counterfoil", LateSuccess.REFUND, lambda: NOON)
DECLINED = PaymentFailed("pi_0", TEN, Failure(FailureCode.CARD_DECLINED))


async def given_up(pool: Pool, *, declined: bool = False) -> UUID:
    order_id = await place_order(pool)
    if declined:
        await told(pool, order_id, DECLINED)
    await told(pool, order_id, CheckoutEnded("cs_1"))
    return order_id


async def told(pool: Pool, order_id: UUID, event: OrderEvent, *objects: str) -> Applied:
    applied = await tell(pool, observed(order_id, event, *objects), REFUND)
    assert isinstance(applied, Applied)
    return applied


async def status(pool: Pool) -> str:
    return str(await pool.fetchval("SELECT status FROM orders"))


@pytest.mark.parametrize(("declined", "ended"), [(False, "cancelled"), (True, "failed")])
async def test_f71_late_money_goes_back_and_the_order_is_refunded_once_it_has(
    pool: Pool, *, declined: bool, ended: str
) -> None:
    gateway = FakeGateway()
    order_id = await given_up(pool, declined=declined)

    applied = await told(pool, order_id, paid(), "pi_1")
    [effect] = applied.effects
    before = await status(pool), await refunds(pool)
    await send(pool, effect, stripe=gateway)

    assert applied.outcome == Returned(TEN)
    assert before == (ended, [("requested", 1000)])
    assert (await status(pool), await refunds(pool)) == ("refunded", [("succeeded", 1000)])
    assert await pool.fetchval("SELECT asked_by FROM refunds") == "policy:late_success"
    assert await pool.fetchval("SELECT standing FROM payments WHERE gateway_payment_id = 'pi_1'") == "returned"
    assert await pool.fetchval("SELECT count(*) FROM entitlements") == 0
    assert await pool.fetchval("SELECT count(*) FROM discrepancies WHERE state = 'open'") == 0


async def test_f105_told_again_it_goes_back_once(pool: Pool) -> None:
    order_id = await given_up(pool)

    first = await told(pool, order_id, paid(), "pi_1")
    again = await told(pool, order_id, paid(), "pi_1")

    assert (len(first.effects), again.effects) == (1, ())
    assert await refunds(pool) == [("requested", 1000)]


async def test_f105_all_late_money_goes_back_each_payment_once(pool: Pool) -> None:
    order_id = await given_up(pool)

    await told(pool, order_id, paid("pi_1"), "pi_1")
    await told(pool, order_id, paid("pi_2"), "pi_2")

    assert await refunds(pool) == [("requested", 1000)] * 2


async def test_f105_late_money_goes_back_also_after_the_first_has_gone(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await given_up(pool)
    [first] = (await told(pool, order_id, paid("pi_1"), "pi_1")).effects
    await send(pool, first, stripe=gateway)

    [second] = (await told(pool, order_id, paid("pi_2"), "pi_2")).effects
    await send(pool, second, stripe=gateway)

    assert await refunds(pool) == [("succeeded", 1000)] * 2
    order = await pool.fetchrow("SELECT status, amount_refunded FROM orders")
    assert order is not None
    assert tuple(order) == ("refunded", 2000)
    assert await pool.fetchval("SELECT count(*) FROM discrepancies WHERE state = 'open'") == 0


async def test_f71_while_it_is_on_its_way_the_order_stays_as_it_ended(pool: Pool) -> None:
    gateway = FakeGateway(refund_status=RefundStatus.PENDING)
    [effect] = (await told(pool, await given_up(pool), paid(), "pi_1")).effects

    await send(pool, effect, stripe=gateway)

    assert (await status(pool), await refunds(pool)) == ("cancelled", [("pending", 1000)])


async def test_f71_late_money_that_the_gateway_will_not_give_back_is_for_a_person(pool: Pool) -> None:
    gateway = FakeGateway(refund_answers=[Refused(Refusal.STATE, "no")])
    [effect] = (await told(pool, await given_up(pool), paid(), "pi_1")).effects

    await send(pool, effect, stripe=gateway)

    assert await status(pool) == "cancelled"
    row = await pool.fetchrow("SELECT kind, amount_at_risk, state FROM discrepancies")
    assert row is not None
    assert tuple(row) == ("late_success", 1000, "open")


async def test_f71_money_of_another_amount_is_for_a_person_and_stays(pool: Pool) -> None:
    await told(pool, await given_up(pool), paid("pi_1", Money(900, "usd")), "pi_1")

    assert await refunds(pool) == []
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "amount_mismatch"
