"""A refund is sent once, whoever dies or goes deaf on the way; and not at all, where it must not be."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import pytest

from db.pool import Pool, open_pool
from gateways.client import (
    BACKGROUND,
    Absent,
    Doubt,
    Gone,
    Patience,
    RefundRequest,
    RefundState,
    Refusal,
    Refused,
    Unknown,
)
from payments.events import Observed as Fact
from payments.events import PaymentNamed, References, RefundTold
from payments.money import Money
from payments.refund import OverRefund, RefundReason, RefundStatus
from tests import tellings as subscriptions
from tests.builders import BOOK, TEN
from tests.fake_gateway import FakeGateway
from tests.killing import Killed, Walk, graveyard, until_gone
from tests.refunds import ask, ask_of, asked, dispute, note, paid_order, refunds, send, tell
from tests.waiting import until
from workers.delivery.senders import DeliverySettings, build
from workers.effects import Outcome, send_effect
from workers.errands import Errands
from workers.outbound import AT_ONCE, Outbound
from workers.refund_requests import Asked

SPENT = Unknown(Doubt.KEY_SPENT)
LOST = Unknown(Doubt.CONNECTION_LOST)


async def order_status(pool: Pool) -> str:
    return str(await pool.fetchval("SELECT status FROM orders"))


async def lines(pool: Pool) -> list[tuple[str | None, str]]:
    rows = await pool.fetch("SELECT from_status, to_status FROM history WHERE subject = 'refund' ORDER BY id")
    return [(row["from_status"], row["to_status"]) for row in rows]


def told_by_webhook(gateway: FakeGateway, status: RefundStatus) -> Fact:
    """The newest refund of this gateway, as its webhook tells it."""
    key, request = gateway.refund_calls[-1]
    assert key in gateway.refunds_made
    names = References(objects=(request.gateway_payment_id,), instance="counterfoil")
    told = RefundTold(
        gateway.refunds_made[key].id,
        PaymentNamed(request.gateway_payment_id),
        request.amount,
        status,
        request.reason,
        request.refund_id,
    )
    return Fact(gateway.name, names, told)


# --- the way it goes ---


async def test_a_refund_is_sent_with_its_own_key_and_its_answer_is_the_webhooks_word(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await paid_order(pool, payment="pi_1")
    refund_id, effect = await asked(pool, order_id, reason=RefundReason.DUPLICATE)

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    [(key, request)] = gateway.refund_calls
    assert key == f"refund-{refund_id}"
    assert (request.refund_id, request.order_id) == (str(refund_id), str(order_id))
    assert (request.gateway_payment_id, request.amount, request.reason) == ("pi_1", TEN, RefundReason.DUPLICATE)
    assert gateway.refunds_sought == 0
    assert await refunds(pool) == [("succeeded", 1000)]
    assert await order_status(pool) == "refunded"
    assert await pool.fetchval("SELECT active FROM entitlements") is False
    assert await lines(pool) == [(None, "requested"), ("requested", "sent"), ("sent", "succeeded")]


async def test_a_refund_that_is_on_its_way_leaves_the_order_paid(pool: Pool) -> None:
    gateway = FakeGateway(refund_status=RefundStatus.PENDING)
    _, effect = await asked(pool, await paid_order(pool))

    await send(pool, effect, stripe=gateway)
    on_its_way = await refunds(pool), await order_status(pool)
    await tell(pool, told_by_webhook(gateway, RefundStatus.SUCCEEDED))

    assert on_its_way == ([("pending", 1000)], "paid")
    assert (await refunds(pool), await order_status(pool)) == ([("succeeded", 1000)], "refunded")


async def test_parts_add_up_and_the_last_one_refunds_the_order(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await paid_order(pool)
    statuses = []

    for amount in (300, 300, None):
        _, effect = await asked(pool, order_id, amount)
        await send(pool, effect, stripe=gateway)
        statuses.append((await order_status(pool), await pool.fetchval("SELECT amount_refunded FROM orders")))

    assert statuses == [("paid", 300), ("paid", 600), ("refunded", 1000)]
    assert [request.amount.minor for _, request in gateway.refund_calls] == [300, 300, 400]


async def test_what_was_sent_is_not_sent_again(pool: Pool) -> None:
    gateway = FakeGateway()
    _, effect = await asked(pool, await paid_order(pool))
    await send(pool, effect, stripe=gateway)

    await pool.execute(
        "UPDATE effects SET status = 'pending', sent_at = NULL, next_attempt_at = now() WHERE id = $1", effect
    )
    await send(pool, effect, stripe=gateway)

    assert len(gateway.refund_calls) == 1
    assert await note(pool, effect) == "nothing was sent: the refund is succeeded"


# --- of a subscription ---


async def test_a_renewals_payment_is_given_back_by_its_own_name(pool: Pool) -> None:
    gateway = FakeGateway()
    placed = await subscriptions.place(pool)
    await subscriptions.tell(pool, placed, subscriptions.telling(bill=subscriptions.invoice()))
    await subscriptions.tell(pool, placed, subscriptions.telling(bill=subscriptions.invoice(2)))
    first, renewal = await pool.fetch("SELECT gateway_payment_id, order_id FROM payments ORDER BY gateway_payment_id")

    answer = await ask_of(pool, renewal["gateway_payment_id"])
    assert isinstance(answer, Asked)
    assert answer.effect is not None
    await send(pool, answer.effect, stripe=gateway)

    [(_, request)] = gateway.refund_calls
    assert (request.gateway_payment_id, request.order_id) == (renewal["gateway_payment_id"], None)
    assert (first["order_id"], renewal["order_id"]) == (placed.order, None)
    assert await refunds(pool) == [("succeeded", 1000)]
    assert await order_status(pool) == "paid"


async def test_the_order_of_a_subscription_gives_back_its_first_invoices_payment(pool: Pool) -> None:
    gateway = FakeGateway()
    placed = await subscriptions.place(pool)
    await subscriptions.tell(pool, placed, subscriptions.telling(bill=subscriptions.invoice()))
    await subscriptions.tell(pool, placed, subscriptions.telling(bill=subscriptions.invoice(2)))
    paid_by = await pool.fetchval("SELECT gateway_payment_id FROM payments WHERE order_id IS NOT NULL")

    _, effect = await asked(pool, placed.order)
    await send(pool, effect, stripe=gateway)

    assert [request.gateway_payment_id for _, request in gateway.refund_calls] == [paid_by]
    assert await order_status(pool) == "refunded"


# --- fifty at once ---


async def test_f97_of_fifty_at_once_of_which_three_fit_three_reach_the_gateway(pool: Pool) -> None:
    gateway = FakeGateway()
    order_id = await paid_order(pool)

    await asyncio.gather(*(ask(pool, order_id, 300, key=f"key-{n}", by=f"operator:{n}") for n in range(50)))
    owed = [row["id"] for row in await pool.fetch("SELECT id FROM effects WHERE kind = 'gateway.refund_payment'")]
    await asyncio.gather(*(send(pool, effect, stripe=gateway) for effect in owed))

    assert len(gateway.refunds_made) == 3
    assert sum(request.amount.minor for _, request in gateway.refund_calls) == 900
    assert await refunds(pool) == [("succeeded", 300)] * 3
    assert await pool.fetchval("SELECT amount_refunded FROM payments") == 900
    assert await order_status(pool) == "paid"


# --- who dies, and what is lost ---


async def test_f52_a_worker_that_dies_at_any_moment_leaves_one_refund_and_one_row(database_url: str) -> None:
    """Walks the awaits by itself, so that a new one is covered too."""
    watching = await open_pool(database_url, name="watching")
    stop_at, survived = 0, False
    with graveyard() as graves:
        while not survived:
            stop_at += 1
            gateway = FakeGateway()
            payment = f"pi_{stop_at}"
            refund_id, effect = await asked(watching, await paid_order(watching, payment=payment))
            dying = await open_pool(database_url, name="dying", min_size=1, max_size=1)
            errands = build(
                DeliverySettings(production=False), further={"gateway": Errands.of(dying, {"stripe": gateway}, BOOK)}
            )
            with suppress(Killed):
                await Walk(send_effect(dying, errands, effect), stop_at, graves)
                survived = True
            dying.terminate()
            await until_gone(watching, "dying")

            await send(watching, effect, stripe=gateway)

            assert len(gateway.refunds_made) == 1, stop_at
            assert {key for key, _ in gateway.refund_calls} == {f"refund-{refund_id}"}, stop_at
            rows = await watching.fetch(
                """
                SELECT r.id, r.status, r.gateway_refund_id FROM refunds r JOIN payments p ON p.id = r.payment_id
                 WHERE p.gateway_payment_id = $1
                """,
                payment,
            )
            assert [tuple(row) for row in rows] == [(refund_id, "succeeded", f"re_{refund_id}")], stop_at
            assert await watching.fetchval("SELECT status FROM effects WHERE id = $1", effect) == "sent", stop_at
    await watching.close()
    assert stop_at > 20


async def test_f52_a_lost_answer_is_looked_for_and_never_asked_under_another_key(pool: Pool) -> None:
    gateway = FakeGateway(lost_refund_answers=1)
    _, effect = await asked(pool, await paid_order(pool))

    lost = await send(pool, effect, stripe=gateway)
    in_doubt = await refunds(pool)
    found = await send(pool, effect, stripe=gateway)

    assert (lost, found) == (Outcome.RETRY, Outcome.SENT)
    assert in_doubt == [("sent", 1000)]
    assert (len(gateway.refund_calls), gateway.refunds_sought) == (1, 1)
    assert await refunds(pool) == [("succeeded", 1000)]


async def test_f52_where_nothing_was_made_the_same_is_asked_again_under_the_same_key(pool: Pool) -> None:
    gateway = FakeGateway(refund_answers=[LOST])
    refund_id, effect = await asked(pool, await paid_order(pool))

    await send(pool, effect, stripe=gateway)
    await send(pool, effect, stripe=gateway)

    assert [key for key, _ in gateway.refund_calls] == [f"refund-{refund_id}"] * 2
    assert gateway.refund_calls[0] == gateway.refund_calls[1]
    assert len(gateway.refunds_made) == 1


@pytest.mark.parametrize("look", [LOST, Refused(Refusal.CREDENTIALS, "no")])
async def test_while_nobody_can_say_whether_it_was_made_it_is_not_asked_again(
    pool: Pool, look: Unknown | Refused
) -> None:
    gateway = FakeGateway(lost_refund_answers=1, refund_looks=[look])
    _, effect = await asked(pool, await paid_order(pool))
    await send(pool, effect, stripe=gateway)

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.RETRY
    assert len(gateway.refund_calls) == 1
    assert await refunds(pool) == [("sent", 1000)]


async def test_f53_a_stored_server_error_is_waited_out_under_the_same_key(pool: Pool) -> None:
    """Stripe answers a key whose call broke with the same error for a day, and then takes it for a new one."""
    gateway = FakeGateway(refund_answers=[Unknown(Doubt.SERVER_ERROR), SPENT, SPENT])
    refund_id, effect = await asked(pool, await paid_order(pool))

    outcomes = [await send(pool, effect, stripe=gateway) for _ in range(4)]

    assert outcomes == [Outcome.RETRY] * 3 + [Outcome.SENT]
    assert {key for key, _ in gateway.refund_calls} == {f"refund-{refund_id}"}
    assert gateway.refunds_sought == 3
    assert await refunds(pool) == [("succeeded", 1000)]


async def test_f53_a_refund_that_was_made_behind_a_stored_server_error_is_found(pool: Pool) -> None:
    gateway = FakeGateway(lost_refund_answers=1)
    _, effect = await asked(pool, await paid_order(pool))
    await send(pool, effect, stripe=gateway)
    gateway.refund_answers = [SPENT]

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    assert len(gateway.refund_calls) == 1


# --- the webhook and the answer ---


@pytest.mark.parametrize("status", [RefundStatus.PENDING, RefundStatus.SUCCEEDED])
async def test_f96_a_webhook_that_outruns_the_answer_meets_the_row_that_was_there_before_it(
    pool: Pool, status: RefundStatus
) -> None:
    gateway = FakeGateway(refund_status=RefundStatus.PENDING)

    async def webhook() -> None:
        await tell(pool, told_by_webhook(gateway, status))

    gateway.before_refund_answer = webhook
    refund_id, effect = await asked(pool, await paid_order(pool))

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    row = await pool.fetchrow("SELECT id, gateway_refund_id, status FROM refunds")
    assert row is not None
    assert tuple(row) == (refund_id, f"re_{refund_id}", status.value)
    assert await pool.fetchval("SELECT count(*) FROM movements WHERE kind = 'refund'") == (
        1 if status is RefundStatus.SUCCEEDED else 0
    )


async def test_f96_a_webhook_that_comes_after_a_lost_answer_is_the_answer(pool: Pool) -> None:
    gateway = FakeGateway(lost_refund_answers=1)
    _, effect = await asked(pool, await paid_order(pool))
    await send(pool, effect, stripe=gateway)

    await tell(pool, told_by_webhook(gateway, RefundStatus.SUCCEEDED))
    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    assert (len(gateway.refund_calls), gateway.refunds_sought) == (1, 0)
    assert await refunds(pool) == [("succeeded", 1000)]


# --- what must not be sent, and what is refused ---


async def test_f99_a_dispute_between_the_request_and_the_call_cancels_it_with_its_reason(pool: Pool) -> None:
    gateway = FakeGateway()
    _, effect = await asked(pool, await paid_order(pool, payment="pi_1"))
    await dispute(pool, "pi_1")

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    assert gateway.refund_calls == []
    row = await pool.fetchrow("SELECT status, failure_reason, settled_at FROM refunds")
    assert row is not None
    assert (row["status"], row["failure_reason"]) == ("cancelled", "a dispute holds the money of this payment")
    assert await pool.fetchval("SELECT amount_refunding FROM payments") == 0
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'notify.refund.failed'") == 1


async def test_f99_a_dispute_after_a_lost_call_that_made_nothing_cancels_it_too(pool: Pool) -> None:
    gateway = FakeGateway(refund_answers=[LOST])
    _, effect = await asked(pool, await paid_order(pool, payment="pi_1"))
    await send(pool, effect, stripe=gateway)
    await dispute(pool, "pi_1")

    await send(pool, effect, stripe=gateway)

    assert len(gateway.refund_calls) == 1
    assert await refunds(pool) == [("cancelled", 1000)]


async def test_f99_a_dispute_after_a_lost_call_that_made_it_hides_nothing(pool: Pool) -> None:
    gateway = FakeGateway(lost_refund_answers=1)
    _, effect = await asked(pool, await paid_order(pool, payment="pi_1"))
    await send(pool, effect, stripe=gateway)
    await dispute(pool, "pi_1")

    await send(pool, effect, stripe=gateway)

    assert await refunds(pool) == [("succeeded", 1000)]


@pytest.mark.parametrize("code", [Refusal.STATE, Refusal.INVALID, Refusal.AMOUNT])
async def test_f104_a_refusal_is_shown_and_not_tried_again(pool: Pool, code: Refusal) -> None:
    gateway = FakeGateway(refund_answers=[Refused(code, "older than six months")])
    order_id = await paid_order(pool)
    _, effect = await asked(pool, order_id)

    outcome = await send(pool, effect, stripe=gateway)
    again = await send(pool, effect, stripe=gateway)

    assert (outcome, again) == (Outcome.SENT, Outcome.NOT_OWED)
    assert gateway.refunds_sought == 1
    row = await pool.fetchrow("SELECT status, failure_reason FROM refunds")
    assert row is not None
    assert tuple(row) == ("failed", "older than six months")
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    assert await pool.fetchval("SELECT count(*) FROM effects WHERE kind = 'notify.refund.failed'") == 1
    assert await order_status(pool) == "paid"


async def test_f104_what_was_refused_may_be_asked_for_again_and_is_another_refund(pool: Pool) -> None:
    gateway = FakeGateway(refund_answers=[Refused(Refusal.STATE, "it is still settling")])
    order_id = await paid_order(pool)
    first, effect = await asked(pool, order_id)
    await send(pool, effect, stripe=gateway)

    second, effect = await asked(pool, order_id)
    await send(pool, effect, stripe=gateway)

    assert [key for key, _ in gateway.refund_calls] == [f"refund-{first}", f"refund-{second}"]
    assert sorted(await refunds(pool)) == [("failed", 1000), ("succeeded", 1000)]


async def test_what_is_refused_because_it_was_made_before_is_found(pool: Pool) -> None:
    gateway = FakeGateway(lost_refund_answers=1, refund_looks=[Absent()])
    _, effect = await asked(pool, await paid_order(pool))
    await send(pool, effect, stripe=gateway)
    gateway.refund_answers = [Refused(Refusal.STATE, "already refunded")]

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    assert await refunds(pool) == [("succeeded", 1000)]


async def test_a_payment_that_the_gateway_does_not_know_is_for_a_person(pool: Pool) -> None:
    gateway = FakeGateway(refund_answers=[Gone()])
    _, effect = await asked(pool, await paid_order(pool))

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.SENT
    assert await refunds(pool) == [("failed", 1000)]
    row = await pool.fetchrow("SELECT kind, amount_at_risk, state FROM discrepancies")
    assert row is not None
    assert tuple(row) == ("refund_of_unknown_payment", 1000, "open")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(Refused(Refusal.CREDENTIALS, "who are you"), Outcome.RETRY), (Refused(Refusal.KEY_REUSED, "?"), Outcome.DEAD)],
)
async def test_a_refusal_of_our_key_says_nothing_of_the_money(pool: Pool, answer: Refused, outcome: Outcome) -> None:
    gateway = FakeGateway(refund_answers=[answer])
    _, effect = await asked(pool, await paid_order(pool))

    assert await send(pool, effect, stripe=gateway) is outcome
    assert await refunds(pool) == [("sent", 1000)]


async def test_without_a_key_a_refund_waits_for_one(pool: Pool) -> None:
    gateway = FakeGateway()
    _, effect = await asked(pool, await paid_order(pool))

    waiting = await send(pool, effect)
    sent = await send(pool, effect, stripe=gateway)

    assert (waiting, sent) == (Outcome.RETRY, Outcome.SENT)
    assert await refunds(pool) == [("succeeded", 1000)]


async def test_an_answer_of_another_amount_is_believed_by_nobody(pool: Pool) -> None:
    gateway = FakeGateway(refund_status=RefundStatus.SUCCEEDED)
    _, effect = await asked(pool, await paid_order(pool), 400)
    made = gateway.made

    def stingy(request: Any, gateway_refund_id: str) -> Any:
        state = made(request, gateway_refund_id)
        told = state.observed.event
        assert isinstance(told, RefundTold)
        return type(state)(
            state.id,
            Fact(
                "stripe",
                state.observed.references,
                RefundTold(
                    told.gateway_refund_id, told.payment, Money(300, "eur"), told.status, told.reason, told.refund_id
                ),
            ),
        )

    gateway.made = stingy  # type: ignore[method-assign]

    outcome = await send(pool, effect, stripe=gateway)

    assert outcome is Outcome.RETRY
    assert await refunds(pool) == [("sent", 400)]
    assert await pool.fetchval("SELECT kind FROM discrepancies") == "refund_mismatch"


# --- a gateway that takes its time ---


@dataclass
class Slow(FakeGateway):
    """Answers once it is let."""

    let: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    async def create_refund(self, *asked_with: Any) -> Any:
        self.waiting += 1
        await self.let.wait()
        return await super().create_refund(*asked_with)


async def test_f140_refunds_that_take_their_time_hold_no_transaction_open(pool: Pool, database_url: str) -> None:
    gateway = Slow()
    owed: list[UUID] = [
        (await asked(pool, await paid_order(pool, user=f"user-{number}")))[1] for number in range(AT_ONCE)
    ]
    own = await open_pool(database_url, name="worker", max_size=2)
    errands = Errands.of(own, {"stripe": gateway}, BOOK)
    outbound = Outbound(own, build(DeliverySettings(production=False), further={"gateway": errands}))
    for effect in owed:
        await outbound.send(effect)

    async def all_asked() -> bool:
        return gateway.waiting == AT_ONCE

    await until(all_asked)
    open_transactions = await pool.fetchval(
        """
        SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        """
    )
    gateway.let.set()
    await outbound.drain(30)
    await own.close()

    assert open_transactions == 0
    assert await pool.fetchval("SELECT count(*) FROM orders WHERE status = 'refunded'") == AT_ONCE


@pytest.mark.parametrize("at_the_look", [True, False])
async def test_f52_a_gateway_that_knows_the_payment_no_more_cannot_say_that_nothing_was_made(
    pool: Pool, *, at_the_look: bool
) -> None:
    """Its key was exchanged for another account's: what a lost answer has made is free for nobody."""
    gateway = FakeGateway(lost_refund_answers=1)
    order_id = await paid_order(pool)
    _, effect = await asked(pool, order_id, 600)
    await send(pool, effect, stripe=gateway)
    if at_the_look:
        gateway.refund_looks = [Gone()]
    else:
        gateway.refund_looks, gateway.refund_answers = [Absent()], [Gone()]

    outcome = await send(pool, effect, stripe=gateway)
    again = await ask(pool, order_id, 600, key="again")
    raised = await pool.fetchval("SELECT kind FROM discrepancies WHERE state = 'open'")
    found = await send(pool, effect, stripe=gateway)

    assert (outcome, found) == (Outcome.RETRY, Outcome.SENT)
    assert isinstance(again, OverRefund)
    assert raised == "refund_of_unknown_payment"
    assert await pool.fetchval("SELECT count(*) FROM discrepancies WHERE state = 'open'") == 0
    assert (await refunds(pool), len(gateway.refunds_made)) == ([("succeeded", 600)], 1)


async def test_f52_a_repeat_says_the_same_words_whatever_has_changed_meanwhile(pool: Pool) -> None:
    """Under another name of this instance a gateway would find nothing, and refuse the key."""
    gateway = FakeGateway(refund_answers=[LOST])
    order_id = await paid_order(pool)
    _, effect = await asked(pool, order_id)
    await send(pool, effect, stripe=gateway)

    renamed = replace(BOOK, instance_id="renamed")
    await pool.execute("UPDATE effects SET next_attempt_at = now() WHERE id = $1", effect)
    errands = Errands.of(pool, {"stripe": gateway}, renamed)
    outcome = await send_effect(pool, build(DeliverySettings(production=False), further={"gateway": errands}), effect)

    assert outcome is Outcome.SENT
    assert gateway.refund_calls[0] == gateway.refund_calls[1]
    assert await refunds(pool) == [("succeeded", 1000)]


# --- the guard of each status, where something comes between the look and the write ---


@dataclass
class Overtaken(FakeGateway):
    """Its webhook is worked before its answer is: the refund is made, and told, and what is answered is of before."""

    pool: Pool | None = None
    disputes: str | None = None

    async def find_refund(self, request: RefundRequest, patience: Patience = BACKGROUND) -> Absent:
        del patience
        await self._tell(request)
        return Absent()

    async def create_refund(
        self, request: RefundRequest, idempotency_key: str, patience: Patience = BACKGROUND
    ) -> RefundState | Gone | Refused | Unknown:
        if self.refund_answers and isinstance(self.refund_answers[0], Gone):
            await self._tell(request)
        return await super().create_refund(request, idempotency_key, patience)

    async def _tell(self, request: RefundRequest) -> None:
        assert self.pool is not None
        await tell(self.pool, self.made(request, "re_1").observed)
        if self.disputes:
            await dispute(self.pool, self.disputes)


@pytest.mark.parametrize("answer", [Refused(Refusal.STATE, "no"), Gone()])
async def test_f96_a_refusal_that_is_overtaken_by_the_webhook_fails_nothing(pool: Pool, answer: Refused | Gone) -> None:
    gateway = Overtaken(pool=pool, refund_answers=[answer])
    _, effect = await asked(pool, await paid_order(pool))

    await send(pool, effect, stripe=gateway)

    assert await refunds(pool) == [("succeeded", 1000)]
    assert (await note(pool, effect)).endswith("the refund is succeeded")
    assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


async def test_f96_a_dispute_after_the_webhook_that_the_look_had_missed_cancels_nothing(pool: Pool) -> None:
    gateway = Overtaken(pool=pool, disputes="pi_1", refund_answers=[LOST])
    _, effect = await asked(pool, await paid_order(pool, payment="pi_1"))
    await send(pool, effect, stripe=gateway)

    await send(pool, effect, stripe=gateway)

    assert await refunds(pool) == [("succeeded", 1000)]
    assert len(gateway.refund_calls) == 1
