"""A gateway's running total that is not the sum of ours is read, and what still differs is for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateways.client import Doubt, Gone, MoneyState, Refusal, Refused, Unknown
from payments.events import Event, Observed, PaymentNamed, References, RefundsTotalled
from payments.refund import RefundStatus
from tests.builders import BOOK
from tests.fake_client import FakeClient
from tests.money_told import Sale, kinds, sold, usd
from workers.effects import Outcome, send_effect
from workers.errands import Errands

if TYPE_CHECKING:
    from uuid import UUID

    from db.pool import Pool

FAILED = RefundStatus.FAILED


def as_held(*events: Event) -> MoneyState:
    return MoneyState(tuple(Observed("stripe", References(objects=("pi_1",)), event) for event in events))


def total(minor: int) -> RefundsTotalled:
    return RefundsTotalled(PaymentNamed("pi_1"), usd(minor))


async def owed(pool: Pool) -> UUID:
    """The errand that has the payment read."""
    found: UUID = await pool.fetchval("SELECT id FROM effects WHERE kind = 'gateway.read_money_back'")
    return found


async def send(pool: Pool, client: FakeClient, effect: UUID) -> Outcome:
    return await send_effect(pool, Errands.of(pool, {"stripe": client}, BOOK), effect)


async def test_every_refund_that_the_gateway_lists_is_booked(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(total(500))
    client = FakeClient()
    client.money_states["pi_1"] = as_held(sale.refund(1, 200), sale.refund(2, 300), total(500))

    assert await send(pool, client, await owed(pool)) is Outcome.SENT

    assert await sale.refunds() == [(200, "succeeded"), (300, "succeeded")]
    assert await kinds(pool, "discrepancies") == []
    assert await pool.fetchval("SELECT cause FROM history WHERE subject = 'refund' LIMIT 1") == "effect"


async def test_what_came_to_nothing_makes_room_for_what_did_not(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(sale.refund(1, 600))
    await sale.tell(sale.refund(2, 500))
    client = FakeClient()
    client.money_states["pi_1"] = as_held(sale.refund(2, 500), sale.refund(1, 600, FAILED), total(500))

    await send(pool, client, await owed(pool))

    assert await sale.refunds() == [(600, "failed"), (500, "succeeded")]
    assert await kinds(pool, "discrepancies", "state = 'open'") == ["refund_failed"]


async def test_a_total_that_still_differs_is_for_a_person(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(total(500))
    client = FakeClient()
    client.money_states["pi_1"] = as_held(sale.refund(1, 200), total(500))

    await send(pool, client, await owed(pool))

    assert await kinds(pool, "discrepancies", "state = 'open'") == ["refund_total_mismatch"]


class ToldMeanwhile(FakeClient):
    """A webhook brings a refund while the gateway's answer, which does not know it yet, is on its way."""

    sale: Sale

    async def fetch_money_back(self, *args: object, **more: object) -> MoneyState:
        del args, more
        self.looks += 1
        if self.looks == 1:
            await self.sale.tell(self.sale.refund(1, 300))
            return as_held(total(0))
        return as_held(self.sale.refund(1, 300), total(300))


async def test_an_answer_that_is_older_than_what_was_told_meanwhile_is_read_again(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(total(300))
    client = ToldMeanwhile()
    client.sale = sale

    assert await send(pool, client, await owed(pool)) is Outcome.SENT

    assert client.looks == 2
    assert await sale.refunds() == [(300, "succeeded")]
    assert await kinds(pool, "discrepancies") == []


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Unknown(Doubt.TIMED_OUT), Outcome.RETRY),
        (Gone(), Outcome.DEAD),
        (Refused(Refusal.CREDENTIALS, "no"), Outcome.DEAD),
    ],
)
async def test_what_could_not_be_read_changes_nothing(
    pool: Pool, answer: Unknown | Gone | Refused, outcome: Outcome
) -> None:
    sale = await sold(pool)
    await sale.tell(total(300))
    client = FakeClient()
    client.money_states["pi_1"] = answer

    assert await send(pool, client, await owed(pool)) is outcome

    assert await sale.refunds() == []
    assert await kinds(pool, "discrepancies") == []


async def test_without_a_key_a_total_that_differs_waits_for_a_person_and_is_never_taken_for_read(pool: Pool) -> None:
    sale = await sold(pool)
    await sale.tell(total(1000))

    outcome = await send_effect(pool, Errands.of(pool, {}, BOOK), await owed(pool))

    assert outcome is Outcome.RETRY
    row = await pool.fetchrow("SELECT class, error FROM work_attempts")
    assert row is not None
    assert tuple(row) == ("person", "nothing was read: stripe has no key here")


async def test_a_read_that_knows_more_than_we_can_place_yet_writes_nothing_and_comes_back(pool: Pool) -> None:
    """One of ours is on its way, and nobody knows yet which of those that the gateway lists it is."""
    sale = await sold(pool)
    await sale.tell(total(600))
    await pool.execute(
        "INSERT INTO refunds (order_id, payment_id, gateway, amount, currency, status, reason_code, asked_by, "
        "idempotency_key, created_at, sent_at) SELECT order_id, id, gateway, 500, currency, 'sent', 'other', 'api:shop', "
        "'key', now(), now() FROM payments"
    )
    client = FakeClient()
    client.money_states["pi_1"] = as_held(sale.refund(1, 100), sale.refund(2, 501), total(601))

    outcome = await send(pool, client, await owed(pool))

    assert outcome is Outcome.RETRY
    assert await sale.refunds() == [(500, "sent")]
    assert await kinds(pool, "discrepancies") == []
