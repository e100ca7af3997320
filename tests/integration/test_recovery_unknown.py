"""Recovery where nobody knows whether there is a page: its answer was lost, or its maker has died or still calls."""

from __future__ import annotations

from typing import Any

import pytest

from db.history import Cause
from db.orphans import Orphan
from db.pool import Pool
from tests.builders import observed, paid
from tests.calendar import Calendar
from tests.fake_gateway import FakeGateway, lose_the_answer, say_it_is_outdated
from tests.orphans import attempt, opened, place, recover, refuse_our_key, say_the_key_was_used, status, with_page
from workers.looking import Look, Seen, look_at


async def test_f115_a_page_whose_answer_was_lost_is_found_by_our_reference_and_closed(pool: Pool) -> None:
    gateway, calendar = FakeGateway(after=[lose_the_answer]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    (session,) = gateway.sessions.values()
    assert gateway.asked == ["create", "find", f"close {session.id}"]
    assert recovered.closed == 1
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("cancelled", "closed")
    assert await pool.fetchval("SELECT session_id FROM orders") == session.id


async def test_f115_a_page_whose_answer_was_lost_and_that_was_paid_pays_the_order(pool: Pool) -> None:
    gateway, calendar = FakeGateway(after=[lose_the_answer]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    gateway.ended = (observed(order_id, paid(), "cs_1"),)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.paid == 1
    assert await status(pool, order_id) == "paid"


async def test_an_attempt_that_made_nothing_fails_once_its_gateway_refuses_to_make_it_now(pool: Pool) -> None:
    """The call never arrived. Asking again under the same key is the question that has an answer."""
    gateway, calendar = FakeGateway(before=[lose_the_answer, say_it_is_outdated]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert gateway.asked == ["create", "find", "create"]
    assert gateway.sessions == {}
    assert recovered.closed == 1
    shown = await pool.fetchrow("SELECT status, failure_reason FROM orders WHERE id = $1", order_id)
    assert tuple(shown or ()) == ("failed", "gateway_error")
    assert await attempt(pool, order_id) == "refused"


async def test_an_attempt_made_only_now_is_closed_unless_it_can_still_be_of_use(pool: Pool) -> None:
    gateway, calendar = FakeGateway(before=[lose_the_answer, lose_the_answer]), Calendar()
    early, late = [await place(pool, gateway, calendar, plan=plan) for plan in ("early", "late")]
    await opened(pool, gateway, calendar, early)
    await opened(pool, gateway, calendar, late)
    await pool.execute("UPDATE orders SET next_look_at = 'infinity' WHERE id = $1", late)

    await recover(pool, gateway, calendar)
    still_of_use = await status(pool, early), await attempt(pool, early)
    await pool.execute("UPDATE orders SET next_look_at = '-infinity' WHERE id = $1", late)
    calendar.pass_by(hours=1)
    await recover(pool, gateway, calendar)

    assert still_of_use == ("pending", "open")
    assert (await status(pool, late), await attempt(pool, late)) == ("cancelled", "closed")


@pytest.mark.parametrize("refusal", [refuse_our_key, say_the_key_was_used])
async def test_a_refusal_that_speaks_of_our_key_says_nothing_of_what_was_made(pool: Pool, refusal: Any) -> None:
    gateway, calendar = FakeGateway(before=[lose_the_answer, refusal]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.unknown == 1
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("pending", "unknown")


async def test_an_order_whose_last_attempt_was_outdated_fails_when_nobody_comes_for_another(pool: Pool) -> None:
    gateway, calendar = FakeGateway(before=[say_it_is_outdated, say_it_is_outdated]), Calendar()
    order_id = await place(pool, gateway, calendar)
    await opened(pool, gateway, calendar, order_id)
    before = await status(pool, order_id), await attempt(pool, order_id)
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert before == ("pending", "refused")
    assert recovered.closed == 1
    assert await status(pool, order_id) == "failed"


async def test_an_order_under_somebody_elses_call_is_left_alone(pool: Pool) -> None:
    gateway, calendar = FakeGateway(), Calendar()
    await with_page(pool, gateway, calendar)
    await pool.execute("UPDATE payment_attempts SET calling_until = now() + interval '1 minute'")
    calendar.pass_by(hours=1)

    recovered = await recover(pool, gateway, calendar)

    assert recovered.asked == 0


async def test_a_look_at_an_order_under_somebody_elses_call_asks_nothing(pool: Pool) -> None:
    """The claim came before the lease; or no claim did."""
    gateway, calendar = FakeGateway(), Calendar()
    order_id, _ = await with_page(pool, gateway, calendar)
    await pool.execute("UPDATE payment_attempts SET calling_until = now() + interval '1 minute'")
    before = list(gateway.asked)
    calendar.pass_by(hours=1)

    seen = await look_at(
        pool, {"stripe": gateway}, calendar.book, Orphan(order_id, "stripe"), Cause("reconciliation", "run-1")
    )

    assert seen == Seen(Look.UNCHANGED)
    assert gateway.asked == before
    assert (await status(pool, order_id), await attempt(pool, order_id)) == ("pending", "open")
