"""What follows what happens to a subscription: told to its user and the application, read or cancelled at its gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from db import effects
from db.effects import Effect
from db.pool import Pool
from gateways.client import BACKGROUND, Doubt, Gone, Patience, Refusal, Refused, SubscriptionState, Unknown
from payments.events import Event, PaymentSucceeded
from payments.failure import Failure, FailureCode
from payments.invoice import InvoiceStatus
from payments.subscription import SubscriptionStatus
from tests.fake_client import FakeClient
from tests.tellings import (
    BEGIN,
    MONTH,
    PRICE,
    SUB,
    Placed,
    book,
    invoice,
    observed,
    place,
    sell,
    snapshot,
    tell,
    telling,
)
from workers.delivery.mail import Letters, sender_address
from workers.delivery.notifications import notice
from workers.delivery.sender import SENT, NeverAgain, NotNow, Settled
from workers.errands import Errands

LETTERS = Letters(sender_address("billing@example.com"))
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
SECOND_MONTH, THIRD_MONTH = BEGIN + MONTH, BEGIN + 2 * MONTH

CANCELLED, PAUSED = SubscriptionStatus.CANCELLED, SubscriptionStatus.PAUSED
DECLINED = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")
BEGUN = telling(BEGIN, snapshot(), invoice())
FAILED = telling(
    SECOND_MONTH,
    snapshot(SubscriptionStatus.PAST_DUE),
    invoice(2, InvoiceStatus.OPEN, attempts=1, failure=DECLINED, next_attempt_at=SECOND_MONTH + 3 * DAY),
)


async def claimed(pool: Pool, kind: str) -> Effect:
    async with pool.acquire() as tx:
        owed = await tx.fetchval("SELECT id FROM effects WHERE kind = $1 ORDER BY created_at DESC LIMIT 1", kind)
        assert owed is not None, kind
        effect = await effects.claim(tx, owed, lease_seconds=60)
    assert effect is not None
    return effect


async def row(pool: Pool) -> Mapping[str, Any]:
    found = await pool.fetchrow("SELECT * FROM subscriptions")
    assert found is not None
    return dict(found)


# --- told ---


async def test_whatever_is_owed_can_be_written_from_its_row_alone(pool: Pool) -> None:
    placed = await place(pool, plan="monthly")
    async with pool.acquire() as tx:
        await sell(tx, "yearly", PRICE)
    late = SECOND_MONTH + 2 * DAY
    life: list[tuple[datetime, Event]] = [
        (BEGIN, PaymentSucceeded(None, PRICE)),
        (BEGIN, BEGUN),
        (SECOND_MONTH, FAILED),
        (late, telling(late, snapshot(period_end=THIRD_MONTH), invoice(2))),
        (late + SECOND, telling(late + SECOND, snapshot(PAUSED, period_end=THIRD_MONTH))),
        (late + 2 * SECOND, telling(late + 2 * SECOND, snapshot(period_end=THIRD_MONTH))),
        (late + DAY, telling(late + DAY, snapshot(period_end=THIRD_MONTH, price_id="price_yearly"))),
        (late + 2 * DAY, telling(late + 2 * DAY, snapshot(period_end=THIRD_MONTH, cancel_at_period_end=True))),
        (late + 3 * DAY, telling(late + 3 * DAY, snapshot(CANCELLED, ended_at=late + 3 * DAY))),
    ]

    for at, event in life:
        await tell(pool, placed, event, now=at + SECOND)

    kinds = [kind for (kind,) in await pool.fetch("SELECT DISTINCT kind FROM effects ORDER BY kind")]
    assert len([kind for kind in kinds if kind.startswith("notify.")]) >= 9
    for kind in kinds:
        effect = await claimed(pool, kind)
        if kind.startswith("mail."):
            assert LETTERS.write(effect)
        if kind.startswith("notify."):
            assert notice(effect)["data"]["userId"] == "user-1"


async def test_a_failed_renewal_is_told_with_why_and_where_to_pay(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, BEGUN, FAILED, now=SECOND_MONTH + SECOND)

    told = notice(await claimed(pool, "notify.subscription.renewal_failed"))["data"]
    bill = await pool.fetchval("SELECT id FROM invoices WHERE gateway_invoice_id = 'in_2'")
    assert (told["invoiceId"], told["amount"], told["currency"]) == (str(bill), 1000, "usd")
    assert (told["failureCode"], told["attempts"]) == ("insufficient_funds", 1)
    assert told["payUrl"] == "https://pay.example/in_2"
    assert told["nextAttemptAt"] == (SECOND_MONTH + 3 * DAY).isoformat()


async def test_f153_what_is_told_late_is_what_was_so_then(pool: Pool) -> None:
    placed = await place(pool)
    await tell(pool, placed, BEGUN)

    await tell(pool, placed, telling(BEGIN + SECOND, snapshot(CANCELLED, ended_at=BEGIN + SECOND)))

    assert notice(await claimed(pool, "notify.subscription.started"))["data"]["status"] == "active"


# --- read and cancelled at the gateway ---


@dataclass
class Gateway(FakeClient):
    """Answers with a state; and before it does, lets happen what a test wants to happen meanwhile."""

    pool: Pool | None = None
    placed: Placed | None = None
    happenings: list[Event | None] = field(default_factory=list)
    answers: list[SubscriptionState | Gone | Refused | Unknown] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def fetch_subscription(
        self, subscription_id: str, patience: Patience = BACKGROUND
    ) -> SubscriptionState | Gone | Refused | Unknown:
        assert patience is BACKGROUND
        self.reads.append(subscription_id)
        return await self._answered()

    async def cancel_subscription(
        self, subscription_id: str, idempotency_key: str, patience: Patience = BACKGROUND, *, at_period_end: bool
    ) -> SubscriptionState | Gone | Refused | Unknown:
        assert not at_period_end
        self.cancelled.append(idempotency_key)
        return await self._answered()

    async def _answered(self) -> SubscriptionState | Gone | Refused | Unknown:
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if self.happenings:
            assert self.pool is not None
            assert self.placed is not None
            if (happening := self.happenings.pop(0)) is not None:
                await tell(self.pool, self.placed, happening)
        return answer


def state(placed: Placed, *events: Event) -> SubscriptionState:
    return SubscriptionState(SUB, tuple(observed(placed, event) for event in events))


async def send(pool: Pool, gateway: Gateway, effect: Effect, now: datetime = BEGIN) -> Settled:
    return await Errands.of(pool, {"stripe": gateway}, book(now)).send(effect)


async def unsure(pool: Pool) -> tuple[Placed, Effect]:
    """Two states of one second were told; which one holds only the gateway can say."""
    placed = await place(pool)
    await tell(pool, placed, BEGUN, telling(BEGIN, snapshot(cancel_at_period_end=True)))
    return placed, await claimed(pool, "gateway.read_subscription")


async def test_a_read_settles_what_tellings_left_open(pool: Pool) -> None:
    placed, effect = await unsure(pool)
    gateway = Gateway(answers=[state(placed, telling(None, snapshot()))])

    settled = await send(pool, gateway, effect)

    assert settled == SENT
    assert gateway.reads == [SUB]
    now = await row(pool)
    assert (now["cancel_at_period_end"], now["is_settled"]) == (False, True)
    [line] = await pool.fetch("SELECT cause_id FROM history WHERE cause = 'effect'")
    assert line["cause_id"] == str(effect.id)


async def test_f29_a_read_that_is_overtaken_by_an_event_is_thrown_away_and_made_again(pool: Pool) -> None:
    placed, effect = await unsure(pool)
    stale, fresh = (state(placed, telling(None, snapshot(cancel_at_period_end=ends))) for ends in (False, True))
    news = telling(BEGIN + SECOND, snapshot(cancel_at_period_end=True, period_end=THIRD_MONTH))
    fresh = state(placed, telling(None, snapshot(cancel_at_period_end=True, period_end=THIRD_MONTH)))
    gateway = Gateway(pool=pool, placed=placed, happenings=[news], answers=[stale, fresh])

    await send(pool, gateway, effect)

    assert gateway.reads == [SUB, SUB]
    now = await row(pool)
    assert (now["cancel_at_period_end"], now["current_period_end"], now["is_settled"]) == (True, THIRD_MONTH, True)


async def test_one_that_never_holds_still_is_read_later(pool: Pool) -> None:
    placed, effect = await unsure(pool)
    news: list[Event | None] = [
        telling(BEGIN + n * SECOND, snapshot(period_end=THIRD_MONTH + n * DAY)) for n in range(1, 9)
    ]
    gateway = Gateway(pool=pool, placed=placed, happenings=news, answers=[state(placed, telling(None, snapshot()))])

    with pytest.raises(NotNow, match="each time"):
        await send(pool, gateway, effect)

    assert (await row(pool))["is_settled"] is False


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Unknown(Doubt.TIMED_OUT), NotNow),
        (Gone(), NeverAgain),
        (Refused(Refusal.CREDENTIALS, "no such key"), NeverAgain),
    ],
)
async def test_f113_no_answer_of_the_gateways_is_taken_for_an_end(
    pool: Pool, answer: Gone | Refused | Unknown, error: type[Exception]
) -> None:
    _, effect = await unsure(pool)

    with pytest.raises(error):
        await send(pool, Gateway(answers=[answer]), effect)

    assert (await row(pool))["status"] == "active"


async def test_without_a_key_nothing_is_read_and_the_row_says_so(pool: Pool) -> None:
    _, effect = await unsure(pool)

    settled = await Errands.of(pool, {}, book()).send(effect)

    assert settled == Settled("nothing was read: stripe has no key here")


async def test_an_errand_of_a_newer_version_waits_for_it(pool: Pool) -> None:
    _, effect = await unsure(pool)
    await pool.execute(
        "UPDATE effects SET kind = 'gateway.of_tomorrow', next_attempt_at = now() WHERE id = $1", effect.id
    )

    with pytest.raises(NotNow):
        await send(pool, Gateway(), await claimed(pool, "gateway.of_tomorrow"))


async def given_up(pool: Pool) -> tuple[Placed, Effect, datetime]:
    """A renewal that has been failing for so long that the policy ends it."""
    placed = await place(pool)
    now = SECOND_MONTH + 21 * DAY
    await tell(pool, placed, BEGUN, FAILED, now=SECOND_MONTH)
    await tell(pool, placed, FAILED, now=now)
    return placed, await claimed(pool, "gateway.cancel_subscription"), now


def owing(placed: Placed, status: SubscriptionStatus = SubscriptionStatus.PAST_DUE) -> SubscriptionState:
    """The gateway, asked, says that nobody has paid."""
    return state(placed, telling(None, None, FAILED.invoice), telling(None, snapshot(status)))


async def test_what_the_policy_gives_up_is_cancelled_at_the_gateway(pool: Pool) -> None:
    placed, effect, now = await given_up(pool)
    cancelled = state(placed, telling(None, snapshot(CANCELLED, ended_at=now)))
    gateway = Gateway(answers=[owing(placed), cancelled])

    settled = await send(pool, gateway, effect, now)

    assert settled == SENT
    assert gateway.cancelled == [effect.idempotency_key]
    assert (await row(pool))["status"] == "cancelled"


async def test_f88_what_was_paid_meanwhile_is_not_cancelled(pool: Pool) -> None:
    placed, effect, now = await given_up(pool)
    await tell(pool, placed, telling(now, snapshot(period_end=THIRD_MONTH), invoice(2)), now=now)
    gateway = Gateway()

    settled = await send(pool, gateway, effect, now)

    assert settled.note == "nothing was cancelled: it has ended, or is paid for"
    assert gateway.cancelled == []


async def test_what_was_paid_at_the_gateway_and_never_told_is_not_cancelled(pool: Pool) -> None:
    placed, effect, now = await given_up(pool)
    paid = state(
        placed,
        telling(None, None, invoice(2)),
        telling(None, snapshot(period_start=SECOND_MONTH, period_end=THIRD_MONTH)),
    )
    gateway = Gateway(answers=[paid])

    settled = await send(pool, gateway, effect, now)

    assert settled.note == "nothing was cancelled: it has ended, or is paid for"
    assert (gateway.reads, gateway.cancelled) == ([SUB], [])
    assert (await row(pool))["status"] == "active"
    assert await pool.fetchval("SELECT status FROM invoices WHERE gateway_invoice_id = 'in_2'") == "paid"


async def test_what_the_gateway_holds_to_be_active_is_not_cancelled_for_an_invoice(pool: Pool) -> None:
    placed, effect, now = await given_up(pool)
    gateway = Gateway(answers=[state(placed, telling(None, snapshot(period_end=THIRD_MONTH)))])

    settled = await send(pool, gateway, effect, now)

    assert settled.note == "nothing was cancelled: it has ended, or is paid for"
    assert gateway.cancelled == []


async def test_nothing_is_cancelled_while_the_gateway_cannot_be_asked(pool: Pool) -> None:
    _, effect, now = await given_up(pool)
    gateway = Gateway(answers=[Unknown(Doubt.TIMED_OUT)])

    with pytest.raises(NotNow):
        await send(pool, gateway, effect, now)

    assert gateway.cancelled == []


async def test_a_cancellation_that_is_overtaken_is_asked_for_again_under_its_key(pool: Pool) -> None:
    placed, effect, now = await given_up(pool)
    unpaid = SubscriptionStatus.UNPAID
    cancelled = state(placed, telling(None, snapshot(CANCELLED, ended_at=now)))
    gateway = Gateway(
        pool=pool,
        placed=placed,
        happenings=[None, telling(SECOND_MONTH + DAY, snapshot(unpaid))],
        answers=[owing(placed), cancelled, owing(placed, unpaid), cancelled],
    )

    with pytest.raises(NotNow):
        await send(pool, gateway, effect, now)
    await send(pool, gateway, effect, now)

    assert gateway.cancelled == [effect.idempotency_key] * 2
    assert (await row(pool))["status"] == "cancelled"


async def test_one_effect_of_each_kind_is_of_its_subscription(pool: Pool) -> None:
    placed = await place(pool)

    await tell(pool, placed, BEGUN)

    of: set[UUID | None] = {
        found for (found,) in await pool.fetch("SELECT subscription_id FROM effects WHERE kind LIKE '%subscription%'")
    }
    assert of == {placed.subscription}
