"""Money that a bank has promised is taken once, for an order that still waits for it; in every doubt it lapses."""

from __future__ import annotations

from uuid import UUID

import pytest

from db.history import Cause
from db.pool import Pool
from gateways.client import Doubt, Gone, Refusal, Refused, Unknown
from payments.events import CheckoutEnded, Observed, OrderEvent, PaymentAuthorised, PaymentFailed, References
from payments.failure import Failure, FailureCode
from payments.money import Money
from tests.builders import BOOK, TEN, paid, place_order
from tests.fake_gateway import FakeGateway
from workers.apply import Applied, apply
from workers.captures import Captures
from workers.delivery.senders import DeliverySettings, build
from workers.effects import Outcome, send_effect

DECLINED = Failure(FailureCode.CARD_DECLINED)


async def tell(pool: Pool, order_id: UUID, event: OrderEvent, *objects: str) -> tuple[UUID, ...]:
    """What Razorpay says of the order; returns the effects that this owes."""
    fact = Observed("razorpay", References(order_ids=(str(order_id),), objects=objects), event)
    async with pool.acquire() as tx, tx.transaction():
        applied = await apply(tx, fact, Cause("webhook_event", "event-1"), BOOK)
    assert isinstance(applied, Applied)
    return applied.effects


async def send(pool: Pool, gateway: FakeGateway | None, effect: UUID) -> Outcome:
    clients = {"razorpay": gateway} if gateway else {}
    further = {"gateway": Captures(pool, clients, BOOK)}
    return await send_effect(pool, build(DeliverySettings(production=False), further=further), effect)


async def status(pool: Pool, order_id: UUID) -> str:
    return str(await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id))


async def test_an_authorised_payment_is_captured_with_the_orders_amount_and_pays_it(pool: Pool) -> None:
    gateway = FakeGateway("razorpay")
    order_id = await place_order(pool)

    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")
    outcome = await send(pool, gateway, effect)

    assert outcome is Outcome.SENT
    assert gateway.captures == [("pay_1", TEN)]
    assert await status(pool, order_id) == "paid"
    line = await pool.fetchrow("SELECT cause, cause_id FROM history")
    assert line is not None
    assert tuple(line) == ("effect", str(effect))


async def test_told_again_or_told_after_the_capture_it_is_captured_once(pool: Pool) -> None:
    gateway = FakeGateway("razorpay")
    order_id = await place_order(pool)
    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")

    again = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")
    await send(pool, gateway, effect)
    afterwards = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")

    assert (again, afterwards) == ((), ())
    assert len(gateway.captures) == 1


async def test_a_second_authorisation_lapses_while_the_first_is_being_captured(pool: Pool) -> None:
    order_id = await place_order(pool)
    await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")

    assert await tell(pool, order_id, PaymentAuthorised("pay_2", TEN), "pay_2") == ()


@pytest.mark.parametrize("money", [Money(999, "usd"), Money(1000, "inr")])
async def test_a_promise_of_other_money_is_never_captured(pool: Pool, money: Money) -> None:
    order_id = await place_order(pool)

    assert await tell(pool, order_id, PaymentAuthorised("pay_1", money), "pay_1") == ()


async def test_an_order_paid_meanwhile_lets_the_promise_lapse(pool: Pool) -> None:
    gateway = FakeGateway("razorpay")
    order_id = await place_order(pool)
    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")
    await tell(pool, order_id, paid("pay_2"), "pay_2")

    outcome = await send(pool, gateway, effect)

    assert outcome is Outcome.SENT
    assert gateway.captures == []
    note = await pool.fetchval("SELECT last_error FROM effects WHERE id = $1", effect)
    assert note == "nothing was captured: the order no longer waits for this payment"


async def test_a_promise_whose_order_was_replaced_before_the_call_is_let_lapse(pool: Pool) -> None:
    gateway = FakeGateway("razorpay")
    order_id = await place_order(pool)
    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")
    await tell(pool, order_id, CheckoutEnded("plink_1"))
    await tell(pool, await place_order(pool), paid("pay_2"), "pay_2")

    await send(pool, gateway, effect)

    assert gateway.captures == []
    assert await status(pool, order_id) == "cancelled"


async def test_f31_a_late_authorisation_of_a_closed_order_is_captured_under_fulfil(pool: Pool) -> None:
    gateway = FakeGateway("razorpay")
    order_id = await place_order(pool)
    await tell(pool, order_id, PaymentFailed("pay_1", TEN, DECLINED), "pay_1")
    await tell(pool, order_id, CheckoutEnded("plink_1"))

    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")
    await send(pool, gateway, effect)

    assert await status(pool, order_id) == "paid"


async def test_f72_a_promise_that_was_let_lapse_grants_nothing(pool: Pool) -> None:
    order_id = await place_order(pool)
    await tell(pool, order_id, PaymentAuthorised("pay_1", Money(999, "usd")), "pay_1")

    await tell(pool, order_id, CheckoutEnded("plink_1"))

    assert await status(pool, order_id) == "cancelled"
    assert await pool.fetchval("SELECT count(*) FROM entitlements") == 0
    assert await pool.fetchval("SELECT status FROM payments") == "authorised"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Unknown(Doubt.TIMED_OUT), Outcome.RETRY),
        (Gone(), Outcome.DEAD),
        (Refused(Refusal.INVALID, "the payment has lapsed"), Outcome.DEAD),
    ],
)
async def test_every_other_answer_takes_no_money_in_our_book(
    pool: Pool, answer: Gone | Refused | Unknown, outcome: Outcome
) -> None:
    order_id = await place_order(pool)
    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")

    assert await send(pool, FakeGateway("razorpay", capture_answers=[answer]), effect) is outcome
    assert await status(pool, order_id) == "pending"


async def test_a_lost_answer_is_asked_for_again(pool: Pool) -> None:
    gateway = FakeGateway("razorpay", capture_answers=[Unknown(Doubt.CONNECTION_LOST)])
    order_id = await place_order(pool)
    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")

    await send(pool, gateway, effect)
    await pool.execute("UPDATE effects SET next_attempt_at = now() WHERE status = 'pending'")
    await send(pool, gateway, effect)

    assert await status(pool, order_id) == "paid"


async def test_without_a_key_nothing_is_captured_and_the_row_says_so(pool: Pool) -> None:
    order_id = await place_order(pool)
    (effect,) = await tell(pool, order_id, PaymentAuthorised("pay_1", TEN), "pay_1")

    assert await send(pool, None, effect) is Outcome.SENT
    assert await pool.fetchval("SELECT last_error FROM effects") == "nothing was captured: razorpay has no key here"
