"""One trial per user and plan: whoever has had it pays at once the next time, at whichever gateway, by whatever way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from db import plans
from db.plans import Plan
from db.pool import Pool
from gateways.client import Doubt, SubscriptionState, Unknown
from payments.events import CheckoutEnded, Event
from payments.snapshot import Snapshot, SubscriptionStatus
from tests import tellings
from tests.counter import Shop, bearer, counter, problem, put_on_sale
from tests.tellings import Placed, telling
from workers.subscription_requests import Impossible, Why, Wish, ask

TRIED = Plan("tried", "Tried", "", 4900, "usd", interval="month", trial_days=14)
DEAR = Plan("dear", "Dear", "", 9900, "usd", interval="month", trial_days=7)
SEATS = Plan("seats", "Seats", "", 500, "usd", interval="month", trial_days=14, many=True)
UNTRIED = Plan("untried", "Untried", "", 5900, "usd", interval="month")
PLANS = (TRIED, DEAR, SEATS, UNTRIED)

NOW = datetime.now(UTC).replace(microsecond=0)
ENDS = NOW + timedelta(days=14)
TRIALING, CANCELLED = SubscriptionStatus.TRIALING, SubscriptionStatus.CANCELLED


async def subscribe(shop: Shop, plan: str, *, key: str | None = None, **more: Any) -> httpx.Response:
    headers = bearer("anna") | ({"Idempotency-Key": key} if key is not None else {})
    return await shop.http.post("/create-subscription", json={"planId": plan, **more}, headers=headers)


async def change(shop: Shop, created: httpx.Response, plan: str) -> httpx.Response:
    address = f"/subscriptions/{created.json()['subscriptionId']}/change-plan"
    return await shop.http.post(address, json={"planId": plan}, headers=bearer("anna"))


def placed(created: httpx.Response) -> Placed:
    told = created.json()
    return Placed(UUID(told["orderId"]), UUID(told["subscriptionId"]))


def on_trial(created: httpx.Response, plan: Plan) -> Snapshot:
    return Snapshot(
        f"sub_{created.json()['subscriptionId']}",
        TRIALING,
        price_id=f"price_{plan.id}_{plan.price_cents}",
        period_start=NOW,
        period_end=ENDS,
        trial_end=ENDS,
    )


async def tell(pool: Pool, created: httpx.Response, event: Event) -> None:
    await tellings.tell(pool, placed(created), event, now=NOW)


async def try_out(pool: Pool, created: httpx.Response, plan: Plan, *, cancel: bool = True) -> None:
    """The trial has begun, and was cancelled at once."""
    trial = on_trial(created, plan)
    await tell(pool, created, telling(NOW, trial))
    if cancel:
        await tell(pool, created, telling(NOW, replace(trial, status=CANCELLED, ended_at=NOW)))


def holds(shop: Shop, created: httpx.Response, snapshot: Snapshot) -> None:
    """How the gateway tells the subscription when it is read."""
    told = tellings.observed(placed(created), telling(None, snapshot))
    shop.stripe.subscriptions[snapshot.gateway_subscription_id] = SubscriptionState(
        snapshot.gateway_subscription_id, (told,)
    )


async def sold(pool: Pool) -> list[tuple[int, int]]:
    """The days of trial and the price due at once, of each subscription in its order."""
    rows = await pool.fetch(
        """
        SELECT s.trial_days, o.amount FROM subscriptions s JOIN orders o ON o.id = s.order_id ORDER BY s.created_at
        """
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_whoever_has_had_the_trial_pays_at_once_the_next_time_at_whichever_gateway(
    pool: Pool, database_url: str, gateway: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        await try_out(pool, await subscribe(shop, "tried"), TRIED)

        await subscribe(shop, "tried", gateway=gateway)

        client = shop.stripe if gateway == "stripe" else shop.razorpay
        asked = client.asked[-1][1]
        assert (asked["amount"], asked["recurring"]["trial_days"]) == (4900, 0)
        assert await sold(pool) == [(14, 0), (0, 4900)]


async def test_the_trial_of_another_plan_or_of_a_page_that_nobody_paid_takes_none(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        await try_out(pool, await subscribe(shop, "dear"), DEAR)
        unpaid = await subscribe(shop, "tried")
        await tell(pool, unpaid, CheckoutEnded(unpaid.json()["sessionId"]))

        await subscribe(shop, "tried")

        assert await sold(pool) == [(7, 0), (14, 0), (14, 0)]


async def test_what_was_sold_without_a_trial_goes_on_without_one_under_its_key_whatever_its_plan_says_by_then(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        await try_out(pool, await subscribe(shop, "tried"), TRIED)
        shop.stripe.mood = "refuses"
        await subscribe(shop, "tried", key="a")
        async with pool.acquire() as tx:
            await plans.upsert(tx, replace(TRIED, price_cents=9000, trial_days=30))
        shop.stripe.mood = "opens"

        await subscribe(shop, "tried", key="a")

        asked = shop.stripe.asked[-1][1]
        assert (asked["amount"], asked["recurring"]["trial_days"]) == (4900, 0)
        assert asked["recurring"]["price"] == "price_tried_4900"


async def test_of_a_plan_that_allows_many_only_one_is_on_trial_though_none_has_begun(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        for key in ("one", "two", "three"):
            await subscribe(shop, "seats", key=key)

        assert await sold(pool) == [(14, 0), (0, 500), (0, 500)]


async def test_within_a_trial_the_plan_changes_only_to_one_whose_trial_is_still_to_be_had(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        await try_out(pool, await subscribe(shop, "seats"), SEATS)
        created = await subscribe(shop, "tried")
        await try_out(pool, created, TRIED, cancel=False)
        holds(shop, created, on_trial(created, DEAR))

        untried, had = await change(shop, created, "untried"), await change(shop, created, "seats")
        changed = await change(shop, created, "dear")
        back = await change(shop, created, "tried")

        assert problem(untried) == problem(had) == (409, "trial_running")
        assert [each.status_code for each in (changed, back)] == [200, 200]
        assert changed.json()["planId"] == "dear"
        assert len(shop.stripe.changes) == 2


async def test_a_plan_that_was_tried_by_changing_to_it_was_had_too(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created = await subscribe(shop, "tried")
        await try_out(pool, created, TRIED, cancel=False)
        holds(shop, created, on_trial(created, DEAR))
        await change(shop, created, "dear")
        await tell(pool, created, telling(NOW, replace(on_trial(created, DEAR), status=CANCELLED, ended_at=NOW)))

        for plan in ("tried", "dear"):
            await subscribe(shop, plan)

        assert await sold(pool) == [(14, 0), (0, 4900), (0, 9900)]


@pytest.mark.parametrize("last", [SEATS, TRIED])
async def test_a_plan_that_was_tried_on_the_way_to_another_was_had_too(
    pool: Pool, database_url: str, last: Plan
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created = await subscribe(shop, "tried")
        await try_out(pool, created, TRIED, cancel=False)
        for plan in (DEAR, last):
            holds(shop, created, on_trial(created, plan))
            await change(shop, created, plan.id)

        await subscribe(shop, "dear")

        assert await sold(pool) == [(14, 0), (0, 9900)]


async def test_whoever_comes_to_a_plan_after_the_trial_and_pays_has_not_had_its_own(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created = await subscribe(shop, "tried")
        await try_out(pool, created, TRIED, cancel=False)
        active = replace(on_trial(created, TRIED), status=SubscriptionStatus.ACTIVE, period_start=ENDS)
        await tell(pool, created, telling(NOW + timedelta(seconds=1), active))
        dear = replace(active, price_id="price_dear_9900")
        holds(shop, created, dear)
        changed = await change(shop, created, "dear")
        await tell(pool, created, telling(NOW + timedelta(seconds=2), replace(dear, status=CANCELLED, ended_at=NOW)))

        await subscribe(shop, "dear")

        assert changed.json()["planId"] == "dear"
        assert await sold(pool) == [(14, 0), (7, 0)]


async def test_a_plan_of_many_that_a_trial_goes_over_to_is_sold_without_one_before_the_gateway_has_answered(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created = await subscribe(shop, "tried")
        await try_out(pool, created, TRIED, cancel=False)
        shop.stripe.change_answers = [Unknown(Doubt.TIMED_OUT)]
        await change(shop, created, "seats")

        await subscribe(shop, "seats")

        assert await sold(pool) == [(14, 0), (0, 500)]


async def test_a_plan_of_many_that_was_sold_with_its_trial_while_a_change_was_asked_for_is_no_more_changed_to(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    wish = Wish("change_plan", {"planId": "seats", "priceId": "price_1", "interval": "month", "isImmediate": True})
    async with counter(database_url) as shop:
        created = await subscribe(shop, "tried")
        await try_out(pool, created, TRIED, cancel=False)
        await subscribe(shop, "seats")

        asked = await ask(pool, shop.stripe, tellings.book(NOW), placed(created).subscription, wish, "anna")

        assert isinstance(asked, Impossible)
        assert (asked.why, shop.stripe.changes) == (Why.TRIAL, [])
