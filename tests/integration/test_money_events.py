"""Refunds and disputes in the gateways' own words, through translation into the record: the same end in any order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest

from db.history import Cause
from db.pool import Pool
from gateways.registry import GATEWAYS
from payments.events import Observed
from payments.money import Money
from payments.order import Early
from tests.builders import BOOK, keep, place_order
from tests.contract import money_shapes, shapes
from workers.apply import Applied, Foreign, Unmatched, apply
from workers.webhook_events import Desk, Worked, work_webhook_event

Json = dict[str, Any]
DESK = Desk(GATEWAYS, {}, BOOK)
FROM = 1_760_000_000


def marks(order_id: UUID) -> Json:
    return {"order_id": str(order_id), "counterfoil": BOOK.instance_id}


def stripes_story(order_id: UUID, name: str) -> list[Json]:
    """Paid, a part of it given back in two steps, disputed, taken and won."""
    of = {"payment_intent": f"pi_{name}", "charge": f"ch_{name}"}
    paid = {**shapes.intent(id=of["payment_intent"], latest_charge=of["charge"]), "metadata": marks(order_id)}
    refund = {**money_shapes.refund(id=f"re_{name}", metadata={}), **of}
    refunded = money_shapes.charge(id=of["charge"], payment_intent=of["payment_intent"], metadata={})

    def dispute(*moved: Json, status: str = "needs_response") -> Json:
        return {**money_shapes.dispute(*moved, id=f"dp_{name}", status=status), **of}

    taken, back = money_shapes.TAKEN, money_shapes.GIVEN_BACK
    told = [
        ("payment_intent.succeeded", paid),
        ("refund.created", {**refund, "status": "pending"}),
        ("charge.refunded", refunded),
        ("refund.updated", refund),
        ("charge.dispute.created", dispute()),
        ("charge.dispute.funds_withdrawn", dispute(taken)),
        ("charge.dispute.closed", dispute(taken, status="won")),
        ("charge.dispute.funds_reinstated", dispute(taken, back, status="won")),
    ]
    return [
        {**shapes.stripe_event(event_type, about), "created": FROM + second}
        for second, (event_type, about) in enumerate(told)
    ]


def razorpays_story(order_id: UUID, name: str) -> list[Json]:
    payment_id = f"pay_{name}"
    held: Json = {"id": payment_id, "order_id": f"order_{name}", "notes": marks(order_id)}
    paid = shapes.payment(**held)
    partly = shapes.payment(**held, amount_refunded=100_000, refund_status="partial")
    refund = money_shapes.rzp_refund(id=f"rfnd_{name}", payment_id=payment_id, notes=[])

    def dispute(status: str, deducted: int = 0) -> Json:
        return money_shapes.rzp_dispute(
            id=f"disp_{name}", payment_id=payment_id, status=status, amount_deducted=deducted
        )

    told: list[tuple[str, Json]] = [
        ("payment.captured", {"payment": paid}),
        ("refund.created", {"refund": {**refund, "status": "pending"}, "payment": partly}),
        ("refund.processed", {"refund": refund, "payment": partly}),
        ("payment.dispute.created", {"payment": partly, "dispute": dispute("open")}),
        ("payment.dispute.under_review", {"payment": partly, "dispute": dispute("under_review", 490_000)}),
        ("payment.dispute.won", {"payment": partly, "dispute": dispute("won")}),
    ]
    return [
        {**shapes.razorpay_event(event_type, **entities), "created_at": FROM + second}
        for second, (event_type, entities) in enumerate(told)
    ]


STORIES: dict[str, tuple[Callable[[UUID, str], list[Json]], Money]] = {
    "stripe": (stripes_story, Money(4900, "usd")),
    "razorpay": (razorpays_story, Money(490_000, "inr")),
}


async def tell(pool: Pool, gateway: str, event: Json) -> object:
    observed = GATEWAYS[gateway].translate(event)
    assert isinstance(observed, Observed), observed
    async with pool.acquire() as tx, tx.transaction():
        return await apply(tx, observed, Cause("webhook_event", str(event.get("id", "event"))), BOOK)


async def work(pool: Pool, gateway: str, events: Sequence[Json]) -> None:
    """As the queue works them: what is too early, or nobody's yet, comes back; and each is delivered twice."""
    waiting: list[Json] = []
    for event in events:
        waiting += [event, event]
        again = True
        while again and waiting:
            kept = [each for each in waiting if _comes_back(await tell(pool, gateway, each))]
            again, waiting = len(kept) < len(waiting), kept
    assert not waiting


def _comes_back(answer: object) -> bool:
    return isinstance(answer, Unmatched) or (isinstance(answer, Applied) and isinstance(answer.outcome, Early))


async def stands(pool: Pool, order_id: UUID) -> dict[str, object]:
    order = await pool.fetchrow("SELECT status, amount_refunded FROM orders WHERE id = $1", order_id)
    refunds = await pool.fetch("SELECT status, amount FROM refunds WHERE order_id = $1", order_id)
    disputes = await pool.fetch("SELECT status, withdrawn, reinstated FROM disputes WHERE order_id = $1", order_id)
    access = await pool.fetchrow("SELECT active, reason FROM entitlements WHERE order_id = $1", order_id)
    net = await pool.fetchval(
        "SELECT sum(amount) FROM movements WHERE order_id = $1 AND kind NOT LIKE '%fee'", order_id
    )
    assert order is not None
    assert access is not None
    return {
        "order": tuple(order),
        "refunds": [tuple(row) for row in refunds],
        "disputes": [tuple(row) for row in disputes],
        "access": tuple(access),
        "net": int(net),
    }


@pytest.mark.parametrize("gateway", STORIES)
async def test_f102_every_order_of_a_gateways_own_events_ends_in_the_same_books(pool: Pool, gateway: str) -> None:
    story, price = STORIES[gateway]
    given_back = {"stripe": 2000, "razorpay": 100_000}[gateway]
    length = len(story(UUID(int=1), "0"))
    orders = [*itertools.permutations(range(length))]
    for number, order in enumerate(orders[:: len(orders) // 24]):
        order_id = await place_order(pool, expected=price, user=f"user-{gateway}-{number}")
        events = story(order_id, f"{gateway}{number}")

        await work(pool, gateway, [events[place] for place in order])

        assert await stands(pool, order_id) == {
            "order": ("paid", given_back),
            "refunds": [("succeeded", given_back)],
            "disputes": [("won", price.minor, price.minor)],
            "access": (True, "paid"),
            "net": price.minor - given_back,
        }, order
    assert not await pool.fetch("SELECT kind, evidence FROM discrepancies WHERE state = 'open'")


async def test_f72_an_authorisation_that_lapses_alarms_nobody(pool: Pool) -> None:
    order_id = await place_order(pool, expected=Money(500_000, "inr"))
    named = {"notes": marks(order_id)}
    promised = shapes.payment(**named, status="authorized", captured=False)
    lapsed = {**money_shapes.LAPSED, **named}
    refund = money_shapes.rzp_refund(amount=490_000, notes=[])

    answers = [
        await tell(pool, "razorpay", shapes.razorpay_event("payment.authorized", payment=promised)),
        await tell(pool, "razorpay", shapes.razorpay_event("refund.processed", refund=refund, payment=lapsed)),
    ]

    assert not [answer for answer in answers if _comes_back(answer)]
    assert await pool.fetchval("SELECT status FROM orders WHERE id = $1", order_id) == "pending"
    for table in ("refunds", "movements", "discrepancies"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table


@pytest.mark.parametrize("gateway", STORIES)
async def test_the_refund_of_another_applications_money_is_foreign(pool: Pool, gateway: str) -> None:
    theirs = {"order_id": "6735", "counterfoil": "another"}
    event = {
        "stripe": shapes.stripe_event("refund.created", money_shapes.refund(metadata=theirs)),
        "razorpay": money_shapes.refund_event(beside=shapes.payment(notes=theirs), notes=[]),
    }[gateway]

    assert await tell(pool, gateway, event) == Foreign()


@pytest.mark.parametrize("gateway", STORIES)
async def test_f99_the_refund_of_a_payment_that_nobody_knows_is_parked(pool: Pool, gateway: str) -> None:
    event = {
        "stripe": shapes.stripe_event("refund.created", money_shapes.refund(metadata={})),
        "razorpay": money_shapes.refund_event(beside=shapes.payment(notes=[]), notes=[]),
    }[gateway]

    answer = await tell(pool, gateway, event)

    assert isinstance(answer, Unmatched)
    named = {"stripe": {shapes.INTENT_ID, shapes.CHARGE_ID}, "razorpay": {shapes.PAYMENT_ID}}[gateway]
    assert named <= set(answer.names)


# --- what cannot be read ---


NO_CURRENCY = {**money_shapes.TAKEN, "currency": None}

UNREADABLE: dict[str, tuple[str, Callable[[], Json]]] = {
    "a refund of a word of tomorrow": ("refund.updated", lambda: money_shapes.refund(status=None, metadata={})),
    "a dispute whose money has no currency": ("charge.dispute.updated", lambda: money_shapes.dispute(NO_CURRENCY)),
    "a dispute with too long a word": ("charge.dispute.updated", lambda: money_shapes.dispute(status="x" * 300)),
}


@pytest.mark.parametrize("what", UNREADABLE)
@pytest.mark.parametrize("is_ours", [True, False], ids=["ours", "another's"])
async def test_f22_f103_what_cannot_be_read_about_money_of_ours_is_a_persons_though_it_bears_no_mark(
    pool: Pool, what: str, is_ours: bool
) -> None:
    event_type, shape = UNREADABLE[what]
    about = shape()
    named = about["payment_intent"] if is_ours else "pi_another"
    paid = {**shapes.intent(id=named), "metadata": marks(await place_order(pool))}
    await tell(pool, "stripe", {**shapes.stripe_event("payment_intent.succeeded", paid), "created": FROM})
    unreadable = {**shapes.stripe_event(event_type, about), "id": "evt_unreadable"}
    event = await keep(pool, unreadable, event_type=event_type)

    result = await work_webhook_event(pool, DESK, event)

    row = await pool.fetchrow("SELECT status, reason, error_class FROM webhook_events WHERE id = $1", event)
    assert row is not None
    if is_ours:
        assert (result.worked, row["status"], row["error_class"]) == (Worked.DEAD, "dead", "unknown_shape")
    else:
        assert (result.worked, row["status"], row["reason"]) == (Worked.IGNORED, "ignored", "unreadable")
