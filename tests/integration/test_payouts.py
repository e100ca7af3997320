"""Payouts: told in any order and twice, booked as they went and came back, their parts matched with what is ours."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import permutations

import pytest

from db.history import Cause
from db.pool import Pool
from gateways.client import Doubt, PayoutPart, Refusal, Refused, Unknown
from payments.events import Observed, PayoutTold, References
from tests.builders import BOOK, keep
from tests.fake_client import FakeClient
from tests.stories import DESK, dispute, paid_order, payment_of, refund
from workers.apply import Applied, apply
from workers.effects import Outcome, send_effect
from workers.errands import Errands
from workers.payouts import LAGS
from workers.webhook_events import Worked, work_webhook_event

SETTLED = datetime(2026, 11, 24, tzinfo=UTC)


def told(*, paid: bool = False, failed: bool = False, name: str = "po_1", minor: int = 970) -> PayoutTold:
    return PayoutTold(name, minor, "usd", is_paid=paid, has_failed=failed, arrives_at=SETTLED)


async def tell(pool: Pool, *payouts: PayoutTold, instance: str | None = None) -> Applied:
    """Each in a transaction of its own; what the last one did."""
    return [await _tell(pool, payout, instance) for payout in payouts][-1]


async def _tell(pool: Pool, payout: PayoutTold, instance: str | None) -> Applied:
    fact = Observed("stripe", References(objects=("po_1",), instance=instance), payout)
    async with pool.acquire() as connection, connection.transaction():
        applied = await apply(connection, fact, Cause("webhook_event", "event-1"), BOOK)
    assert isinstance(applied, Applied)
    return applied


async def booked(pool: Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT kind, amount FROM movements WHERE kind <> 'payment' AND kind <> 'refund'")
    return {row["kind"]: row["amount"] for row in rows}


async def match(pool: Pool, *parts: PayoutPart | Refused | Unknown) -> Outcome:
    client = FakeClient("stripe")
    client.payout_parts["po_1"] = list(parts)
    [effect] = [row["id"] for row in await pool.fetch("SELECT id FROM effects WHERE kind = 'gateway.match_payout'")]
    await pool.execute("UPDATE effects SET next_attempt_at = now() WHERE id = $1 AND status = 'pending'", effect)
    return await send_effect(pool, Errands.of(pool, {"stripe": client}, BOOK), effect)


def part(kind: str, minor: int, *names: str, fee: int = 0, currency: str = "usd") -> PayoutPart:
    return PayoutPart(f"txn_{kind}_{minor}", kind, names, minor, fee, currency)


async def counted(pool: Pool) -> tuple[int | None, int | None, str]:
    row = await pool.fetchrow("SELECT parts, parts_matched, status FROM payouts")
    assert row is not None
    return row["parts"], row["parts_matched"], row["status"]


def paying(*parts: PayoutPart) -> PayoutTold:
    """The payout that consists of these."""
    return told(paid=True, minor=sum(each.minor - each.fee_minor for each in parts))


PAID, FAILED, PENDING = told(paid=True), told(failed=True), told()


@pytest.mark.parametrize("order", [*permutations((PENDING, PAID, FAILED)), (PAID, FAILED, PAID, FAILED)])
async def test_f123_a_payout_that_failed_has_gone_and_come_back_whatever_is_told_first(
    pool: Pool, order: tuple[PayoutTold, ...]
) -> None:
    await tell(pool, *order)

    assert await booked(pool) == {"payout": -970, "payout_reversal": 970}
    assert (await counted(pool))[2] == "failed"


@pytest.mark.parametrize(
    ("tellings", "status", "movements"),
    [((PENDING,), "pending", {}), ((PAID, PENDING, PAID), "paid", {"payout": -970}), ((FAILED, FAILED), "failed", {})],
)
async def test_a_payout_is_booked_once_it_was_paid_and_once_only(
    pool: Pool, tellings: tuple[PayoutTold, ...], status: str, movements: dict[str, int]
) -> None:
    await tell(pool, *tellings)

    assert await booked(pool) == movements
    assert (await counted(pool))[2] == status


async def test_a_payout_is_of_nobody_else_and_waits_for_nothing(pool: Pool) -> None:
    first = await tell(pool, PAID, instance="another application")
    again = await tell(pool, PAID)

    assert (first.order_id, len(first.effects)) == (None, 1)
    assert again.effects == ()
    assert await pool.fetchval("SELECT count(*) FROM unmatched_references") == 0


async def test_what_a_payout_takes_from_us_comes_back_with_the_other_sign(pool: Pool) -> None:
    await tell(pool, told(paid=True, minor=-300))

    assert await booked(pool) == {"payout": 300}


async def test_f123_the_parts_of_a_payout_are_matched_by_name_and_their_fees_booked(pool: Pool) -> None:
    order = await paid_order(pool)
    await refund(pool, order, 400)
    await dispute(pool, order)
    parts = (
        part("charge", 1000, f"pi_{order}", fee=59),
        part("refund", -400, "re_1", f"pi_{order}"),
        part("adjustment", -1000, "dp_1", f"pi_{order}", fee=1500),
        part("charge", 700, "pi_of_another_application", fee=50),
        part("stripe_fee", -200),
    )
    await tell(pool, paying(*parts))

    sent = await match(pool, *parts)

    assert sent is Outcome.SENT
    assert await counted(pool) == (5, 3, "paid")
    fees = {kind: amount for kind, amount in (await booked(pool)).items() if "fee" in kind}
    assert fees == {"fee": -59, "dispute_fee": -1500}
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0
    fact = await pool.fetchval("SELECT fact FROM movements WHERE kind = 'fee'")
    assert fact == f"fee:{await payment_of(pool, order)}"


async def test_a_part_waits_for_whoever_works_its_order_and_stands_in_nobodys_way(pool: Pool) -> None:
    order = await paid_order(pool)
    taken = part("charge", 1000, f"pi_{order}", fee=59)
    await tell(pool, paying(taken))

    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM orders WHERE id = $1 FOR UPDATE", order)
        matching = asyncio.create_task(match(pool, taken))
        await _until_somebody_waits(pool)
        await other.execute("SELECT FROM payments WHERE order_id = $1 FOR UPDATE", order)

    assert await matching is Outcome.SENT
    assert (await booked(pool))["fee"] == -59


async def _until_somebody_waits(pool: Pool) -> None:
    async with asyncio.timeout(10):
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


async def test_a_fee_that_is_known_already_is_not_booked_twice(pool: Pool) -> None:
    order = await paid_order(pool)
    taken = part("charge", 1000, f"pi_{order}", fee=59)
    await tell(pool, paying(taken))
    await match(pool, taken)
    await pool.execute(
        "UPDATE effects SET status = 'pending', sent_at = NULL, next_attempt_at = now() WHERE kind = $1",
        "gateway.match_payout",
    )

    again = await match(pool, taken)

    assert again is Outcome.SENT
    assert await pool.fetchval("SELECT count(*) FROM movements WHERE kind = 'fee'") == 1


async def test_a_part_with_another_amount_is_for_a_person_until_the_amounts_agree(pool: Pool) -> None:
    order = await paid_order(pool)
    await tell(pool, PAID)
    wrong = PayoutPart("txn_1", "charge", (f"pi_{order}",), 900, 0, "usd")
    right = PayoutPart("txn_1", "charge", (f"pi_{order}",), 1000, 0, "usd")
    await match(pool, wrong)
    opened = await pool.fetchrow("SELECT kind, state, amount_at_risk, order_id, evidence FROM discrepancies")
    await pool.execute("UPDATE effects SET status = 'pending', sent_at = NULL, next_attempt_at = now() WHERE true")

    await pool.execute("DELETE FROM effects WHERE kind <> 'gateway.match_payout'")
    await match(pool, right)

    assert opened is not None
    assert (opened["kind"], opened["state"], opened["amount_at_risk"]) == ("payout_part_mismatch", "open", 100)
    assert (opened["order_id"], opened["evidence"]["theirs"]["amount"]) == (order, 900)
    assert await pool.fetchval("SELECT state FROM discrepancies") == "resolved"


async def test_an_amount_that_was_converted_says_nothing_of_ours(pool: Pool) -> None:
    order = await paid_order(pool)
    await tell(pool, PAID)

    await match(pool, part("charge", 812, f"pi_{order}", currency="eur"))

    assert await counted(pool) == (1, 1, "paid")
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


async def test_a_refund_that_we_do_not_know_is_not_taken_for_the_payment_that_it_names(pool: Pool) -> None:
    order = await paid_order(pool)
    await tell(pool, PAID)

    await match(pool, part("refund", -300, "re_unknown", f"pi_{order}"))

    assert await counted(pool) == (1, 0, "paid")
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


@pytest.mark.parametrize(
    ("end", "outcome"),
    [(Unknown(Doubt.TIMED_OUT), Outcome.RETRY), (Refused(Refusal.CREDENTIALS, "no"), Outcome.DEAD)],
)
async def test_a_list_that_is_cut_short_counts_nothing(pool: Pool, end: Refused | Unknown, outcome: Outcome) -> None:
    order = await paid_order(pool)
    await tell(pool, PAID)

    ended = await match(pool, part("charge", 1000, f"pi_{order}"), end)

    assert ended is outcome
    assert await counted(pool) == (None, None, "paid")


@pytest.mark.parametrize(("payments", "matched"), [(1, 1), (2, 0)])
async def test_a_charge_is_its_orders_payment_only_where_there_is_one(pool: Pool, payments: int, matched: int) -> None:
    order = await paid_order(pool)
    await pool.execute(
        "INSERT INTO gateway_references (gateway, reference, order_id) VALUES ('stripe', 'ch_1', $1)", order
    )
    if payments == 2:
        await pool.execute(
            "INSERT INTO payments (gateway, gateway_payment_id, order_id, amount, currency, status, standing) "
            "VALUES ('stripe', 'pi_2', $1, 1000, 'usd', 'succeeded', 'surplus')",
            order,
        )
    taken = part("charge", 1000, "ch_1", fee=59)
    await tell(pool, paying(taken))

    await match(pool, taken)

    assert await counted(pool) == (1, matched, "paid")
    assert ("fee" in await booked(pool)) is (payments == 1)


async def test_a_fee_that_comes_back_is_a_movement_of_its_own_and_once(pool: Pool) -> None:
    order = await paid_order(pool)
    await dispute(pool, order)
    took = part("adjustment", -1000, "dp_1", fee=1500)
    gave = part("adjustment", 1000, "dp_1", fee=-1500)
    await tell(pool, paying(took, gave, gave))

    await match(pool, took, gave, gave)

    fees = await pool.fetch("SELECT amount FROM movements WHERE kind = 'dispute_fee' ORDER BY amount")
    assert [row["amount"] for row in fees] == [-1500, 1500]


async def test_what_went_back_is_matched_before_the_payment_whichever_is_named_first(pool: Pool) -> None:
    order = await paid_order(pool)
    await refund(pool, order, 400)
    gone = part("payment", -400, f"pi_{order}", "re_1", fee=7)
    await tell(pool, paying(gone))

    await match(pool, gone)

    fact = await pool.fetchval("SELECT fact FROM movements WHERE kind = 'fee'")
    assert fact == f"fee:{await pool.fetchval('SELECT id FROM refunds')}"
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


@pytest.mark.parametrize("listed", [(), (part("charge", 1000, "pi_1", fee=59),)])
async def test_f123_parts_that_are_not_yet_all_listed_are_read_again_until_they_add_up(
    pool: Pool, listed: tuple[PayoutPart, ...]
) -> None:
    await tell(pool, told(paid=True, minor=2970))

    lagging = await match(pool, *listed)
    ended = await match(pool, part("charge", 1000, "pi_1", fee=59), part("charge", 2100, "pi_2", fee=71))

    assert (lagging, ended) == (Outcome.RETRY, Outcome.SENT)
    assert await counted(pool) == (2, 0, "paid")
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


async def test_f123_parts_that_never_add_up_to_the_payout_are_for_a_person_until_they_do(pool: Pool) -> None:
    taken = part("charge", 1000, "pi_1", fee=59)
    await tell(pool, PAID)
    outcomes = [await match(pool, taken) for _ in range(LAGS)]
    opened = await pool.fetchrow("SELECT kind, state, amount_at_risk, currency, evidence FROM discrepancies")
    await pool.execute("UPDATE effects SET status = 'pending', sent_at = NULL, next_attempt_at = now()")

    await match(pool, taken, part("adjustment", 29))

    assert outcomes == [*[Outcome.RETRY] * (LAGS - 1), Outcome.SENT]
    assert opened is not None
    assert tuple(opened)[:4] == ("payout_total_mismatch", "open", 29, "usd")
    assert (opened["evidence"]["ours"]["amount"], opened["evidence"]["theirs"]["amount"]) == (970, 941)
    assert await pool.fetchval("SELECT state FROM discrepancies") == "resolved"


@pytest.mark.parametrize(
    ("tellings", "movements"),
    [
        ((told(minor=100), told(paid=True)), {"payout": -970}),
        ((told(failed=True, minor=100), told(paid=True)), {"payout": -970, "payout_reversal": 970}),
        ((told(paid=True), told(failed=True, minor=100)), {"payout": -970, "payout_reversal": 970}),
        ((told(paid=True), told(paid=True, minor=100)), {"payout": -970}),
    ],
)
async def test_what_was_paid_is_what_the_payment_says_and_comes_back_whole(
    pool: Pool, tellings: tuple[PayoutTold, ...], movements: dict[str, int]
) -> None:
    await tell(pool, *tellings)

    assert await booked(pool) == movements


async def test_a_payout_that_stripe_tells_of_is_worked_whoevers_it_is(pool: Pool) -> None:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "payout.paid",
        "livemode": False,
        "created": int(SETTLED.timestamp()),
        "data": {
            "object": {
                "id": "po_1",
                "object": "payout",
                "amount": 970,
                "currency": "usd",
                "status": "paid",
                "arrival_date": int(SETTLED.timestamp()),
                "metadata": {"counterfoil": "another application"},
            }
        },
    }

    worked = await work_webhook_event(pool, DESK, await keep(pool, event, event_type="payout.paid"))

    assert (worked.worked, worked.reason, worked.order_id) == (Worked.DONE, "payout_booked", None)
    assert len(worked.effects) == 1
    assert await booked(pool) == {"payout": -970}
