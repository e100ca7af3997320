"""The counter's routes of subscriptions: one of a plan, begun on one page, and changed where its gateway can."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from db import attempts, plans
from db.plans import Plan
from db.pool import Pool
from gateways.catalogue import NotKept, PlanOnSale, Published
from gateways.client import (
    LIVE,
    Doubt,
    Gone,
    Patience,
    PlanChange,
    Portal,
    Refusal,
    Refused,
    SubscriptionState,
    Unknown,
)
from payments.events import CheckoutEnded, PaymentFailed
from payments.failure import Failure, FailureCode
from payments.invoice import InvoiceStatus
from payments.money import Money
from payments.subscription import Snapshot, SubscriptionStatus
from tests import tellings
from tests.counter import Shop, bearer, counter, problem, put_on_sale
from tests.fake_client import FakeClient
from tests.tellings import SUB, Placed, telling
from tests.waiting import until

PRICE = Money(1900, "usd")
TRIED = Plan("tried", "Tried", "", 4900, "usd", interval="month", trial_days=14)
DEARER = Plan("dearer", "Dearer", "", 5900, "usd", interval="month")
CHEAPER = Plan("cheaper", "Cheaper", "", 900, "usd", interval="month")
YEARLY = Plan("yearly", "Yearly", "", 19000, "usd", interval="year")
RUPEES = Plan("rupees", "Rupees", "", 90000, "inr", interval="month")
SEATS = Plan("seats", "Seats", "", 500, "usd", interval="month", many=True)
PLANS = (TRIED, DEARER, CHEAPER, YEARLY, RUPEES, SEATS)

NOW = datetime.now(UTC).replace(microsecond=0)
MONTH = timedelta(days=30)


async def subscribe(
    shop: Shop, plan: str = "pro", *, user: str = "anna", key: str | None = None, **more: Any
) -> httpx.Response:
    headers = bearer(user) | ({"Idempotency-Key": key} if key is not None else {})
    return await shop.http.post("/create-subscription", json={"planId": plan, **more}, headers=headers)


async def post(shop: Shop, subscription: str, what: str, *, user: str = "anna", **body: Any) -> httpx.Response:
    return await shop.http.post(f"/subscriptions/{subscription}/{what}", json=body, headers=bearer(user))


def living(status: SubscriptionStatus = SubscriptionStatus.ACTIVE, **more: Any) -> Snapshot:
    known = {"price_id": "price_pro_1900", "period_start": NOW, "period_end": NOW + MONTH, **more}
    return tellings.snapshot(status, **known)


async def begin(pool: Pool, created: httpx.Response, snapshot: Snapshot | None = None) -> str:
    """The customer has paid on the page, and the gateway has told so."""
    told = created.json()
    placed = Placed(UUID(told["orderId"]), UUID(told["subscriptionId"]))
    bill = tellings.invoice(due=PRICE, period_start=NOW, period_end=NOW + MONTH)
    await tellings.tell(pool, placed, telling(NOW, snapshot or living(), bill), now=NOW)
    return str(told["subscriptionId"])


def holds(shop: Shop, created: httpx.Response, snapshot: Snapshot) -> None:
    """How the gateway tells the subscription when it is read."""
    told = created.json()
    placed = Placed(UUID(told["orderId"]), UUID(told["subscriptionId"]))
    shop.stripe.subscriptions[SUB] = SubscriptionState(SUB, (tellings.observed(placed, telling(None, snapshot)),))


async def begun(pool: Pool, shop: Shop, snapshot: Snapshot | None = None) -> tuple[httpx.Response, str]:
    created = await subscribe(shop)
    subscription = await begin(pool, created, snapshot)
    holds(shop, created, snapshot or living())
    return created, subscription


async def shown(shop: Shop, subscription: str) -> dict[str, Any]:
    return dict((await shop.get(f"/subscriptions/{subscription}")).json())


# --- beginning one ---


async def test_an_order_a_subscription_a_customer_and_a_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created = await subscribe(shop)

        told = created.json()
        [(_, asked)] = shop.stripe.asked
        assert created.status_code == 201
        assert told.keys() == {"subscriptionId", "orderId", "sessionId", "gateway", "url", "status"}
        assert (told["gateway"], told["status"]) == ("stripe", "incomplete")
        assert asked["recurring"] == {
            "price": "price_pro_1900",
            "interval": "month",
            "trial_days": 0,
            "customer": "cus_1_anna",
            "subscription": told["subscriptionId"],
        }
        assert asked["amount"] == 1900
        row = await pool.fetchrow("SELECT order_id, status, trial_days FROM subscriptions")
        assert row is not None
        assert tuple(row) == (UUID(told["orderId"]), "incomplete", 0)


async def test_with_a_trial_nothing_is_due_at_once(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created = await subscribe(shop, "tried")

        [(_, asked)] = shop.stripe.asked
        assert created.status_code == 201
        assert (asked["amount"], asked["recurring"]["trial_days"]) == (0, 14)
        assert asked["recurring"]["price"] == "price_tried_4900"
        assert await pool.fetchval("SELECT amount FROM orders") == 0


async def test_the_trial_that_was_ordered_is_the_pages_whatever_its_plan_says_by_then(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        shop.stripe.mood = "refuses"
        await subscribe(shop, "tried", key="a")
        async with pool.acquire() as tx:
            await plans.upsert(tx, replace(TRIED, trial_days=0))
        shop.stripe.mood = "opens"

        created = await subscribe(shop, "tried", key="a")

        asked = shop.stripe.asked[-1][1]
        assert created.status_code == 201
        assert (asked["amount"], asked["recurring"]["trial_days"]) == (0, 14)


async def test_fifty_clicks_at_once_are_one_subscription_one_customer_and_one_page(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.customer_seconds = 0.1
        answers = await asyncio.gather(*(subscribe(shop) for _ in range(50)))

        assert Counter(answer.status_code for answer in answers) == {201: 50}
        assert len({answer.json()["sessionId"] for answer in answers}) == 1
        assert shop.stripe.customer_calls == 1
        assert await pool.fetchval("SELECT count(*) FROM subscriptions") == 1


async def test_whoever_comes_back_gets_the_same_page_under_whatever_key(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        answers = [await subscribe(shop), await subscribe(shop, key="one"), await subscribe(shop, key="two")]

        assert len({answer.json()["url"] for answer in answers}) == 1
        assert len(shop.stripe.asked) == 1


async def test_a_key_gets_its_first_answer_for_ever(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await subscribe(shop, key="one")
        await begin(pool, first)
        again = await subscribe(shop, key="one")

        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"


async def test_whoever_has_one_is_told_so(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        await begun(pool, shop)

        assert problem(await subscribe(shop)) == (409, "already_subscribed")
        assert problem(await subscribe(shop, key="another")) == (409, "already_subscribed")
        assert (await subscribe(shop, user="bob")).status_code == 201


async def test_a_page_at_another_gateway_is_not_opened_beside_the_one_that_is(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        await subscribe(shop, gateway="stripe")

        refused = await subscribe(shop, gateway="razorpay")

        assert problem(refused) == (409, "already_subscribed")
        assert shop.razorpay.asked == []


async def test_once_it_has_ended_there_can_be_another(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first, _ = await begun(pool, shop, living(SubscriptionStatus.CANCELLED, ended_at=NOW))

        second = await subscribe(shop)

        assert second.status_code == 201
        assert second.json()["subscriptionId"] != first.json()["subscriptionId"]


async def test_a_plan_that_allows_many_is_sold_many_times(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        answers = [await subscribe(shop, "seats", key=key) for key in ("one", "two", "three")]
        clicks = [await subscribe(shop, "seats") for _ in range(2)]

        assert len({answer.json()["subscriptionId"] for answer in answers}) == 3
        assert len({click.json()["url"] for click in clicks}) == 1


async def test_a_plan_that_is_now_paid_once_gets_a_page_of_its_own(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created = await subscribe(shop)
        async with pool.acquire() as tx:
            await plans.upsert(tx, Plan("pro", "Pro", "", 1900, "usd"))

        bought = await shop.buy("pro")

        assert bought.status_code == 201
        assert bought.json()["orderId"] != created.json()["orderId"]
        assert [("recurring" in asked) for _, asked in shop.stripe.asked] == [True, False]


async def test_a_page_that_ended_unpaid_is_no_more_and_the_next_click_begins_anew(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = (await subscribe(shop, key="one")).json()
        placed = Placed(UUID(first["orderId"]), UUID(first["subscriptionId"]))
        await tellings.tell(pool, placed, CheckoutEnded(first["sessionId"]), now=NOW)

        second = (await subscribe(shop)).json()

        assert (await shown(shop, first["subscriptionId"]))["status"] == "expired"
        assert second["subscriptionId"] != first["subscriptionId"]


async def declined(pool: Pool, shop: Shop) -> httpx.Response:
    """Its page was used, its gateway has made the subscription, and the bank's debit has failed days later."""
    created = await subscribe(shop)
    told = created.json()
    placed = Placed(UUID(told["orderId"]), UUID(told["subscriptionId"]))
    failure = Failure(FailureCode.INSUFFICIENT_FUNDS, "insufficient_funds")
    await tellings.tell(pool, placed, telling(NOW, living(SubscriptionStatus.INCOMPLETE)), now=NOW)
    await pool.execute("UPDATE payment_attempts SET status = 'closed'")
    await tellings.tell(pool, placed, PaymentFailed(None, PRICE, failure, final=True), now=NOW)
    holds(shop, created, living(SubscriptionStatus.INCOMPLETE))
    return created


async def test_what_its_gateway_has_begun_and_nobody_has_paid_is_ended_there_before_another_is_begun(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await declined(pool, shop)
        placed = Placed(UUID(first.json()["orderId"]), UUID(first.json()["subscriptionId"]))
        over = tellings.observed(placed, telling(None, living(SubscriptionStatus.EXPIRED, ended_at=NOW)))
        shop.stripe.change_answers = [SubscriptionState(SUB, (over,))]

        second = await subscribe(shop)

        assert second.status_code == 201
        assert second.json()["orderId"] != first.json()["orderId"]
        assert [(what, name, how) for what, name, _, how in shop.stripe.changes] == [("cancel", SUB, False)]
        assert (await shown(shop, first.json()["subscriptionId"]))["status"] == "expired"
        assert await pool.fetchval("SELECT count(*) FROM payment_attempts WHERE order_id = $1", placed.order) == 1


async def test_a_new_key_gets_another_order_at_once_where_the_one_that_was_begun_is_ended_for_it(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await declined(pool, shop)
        placed = Placed(UUID(first.json()["orderId"]), UUID(first.json()["subscriptionId"]))
        over = tellings.observed(placed, telling(None, living(SubscriptionStatus.EXPIRED, ended_at=NOW)))
        shop.stripe.change_answers = [SubscriptionState(SUB, (over,))]

        second = await subscribe(shop, key="one")
        again = await subscribe(shop, key="one")

        assert second.status_code == 201
        assert second.json()["orderId"] != first.json()["orderId"]
        assert again.content == second.content


async def test_what_was_paid_after_all_is_not_ended_for_another_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await declined(pool, shop)
        placed = Placed(UUID(first.json()["orderId"]), UUID(first.json()["subscriptionId"]))
        bill = tellings.invoice(due=PRICE, period_start=NOW, period_end=NOW + MONTH)
        paid = tuple(tellings.observed(placed, telling(None, *each)) for each in ((None, bill), (living(), None)))
        shop.stripe.subscriptions[SUB] = SubscriptionState(SUB, paid)

        assert problem(await subscribe(shop)) == (409, "already_subscribed")
        assert shop.stripe.changes == []
        assert (await shown(shop, first.json()["subscriptionId"]))["access"]["active"]


async def test_a_key_whose_own_order_was_paid_unheard_makes_no_other(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        lost = (await subscribe(shop, "seats", key="one")).json()
        shop.stripe.mood = "opens"
        paid = await pool.fetchrow("SELECT order_id, id FROM subscriptions")
        assert paid is not None
        placed = Placed(*paid)
        bill = tellings.invoice(due=Money(500, "usd"), period_start=NOW, period_end=NOW + MONTH)
        await tellings.tell(pool, placed, telling(NOW, living(price_id="price_seats_500"), bill), now=NOW)

        over = await subscribe(shop, "seats", key="one")

        assert problem(over) == (409, "order_over")
        assert over.json()["orderId"] == lost["orderId"]
        assert await pool.fetchval("SELECT count(*) FROM orders") == 1


async def test_no_other_page_is_opened_while_nobody_can_end_what_was_begun(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        first = await declined(pool, shop)
        shop.stripe.change_answers = [Unknown(Doubt.TIMED_OUT)]

        lost = await subscribe(shop)

        assert problem(lost) == (504, "gateway_unknown")
        assert len(shop.stripe.asked) == 1
        assert (await shown(shop, first.json()["subscriptionId"]))["status"] == "incomplete"


@pytest.mark.parametrize(
    ("plan", "code"),
    [("lifetime", "invalid_plan"), ("nothing", "invalid_plan"), ("gone", "invalid_plan"), ("", "invalid_plan")],
)
async def test_what_is_no_subscription_is_refused(pool: Pool, database_url: str, plan: str, code: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        assert problem(await subscribe(shop, plan)) == (400, code)
        assert await pool.fetchval("SELECT count(*) FROM orders") == 0


async def test_the_limit_counts_subscriptions_too(pool: Pool, database_url: str) -> None:
    from checkout.limiting import rule

    await put_on_sale(pool)
    async with counter(database_url, rate_limit=rule("2/hour")) as shop:
        answers = [await subscribe(shop) for _ in range(3)]

        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert await shop.metric('counterfoil_create_subscription_total{outcome="opened"}') == 2


async def test_a_customer_whose_answer_is_lost_is_asked_for_again_under_the_same_key(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.customer_answers = [Unknown(Doubt.CONNECTION_LOST)]
        lost = await subscribe(shop, key="one")
        again = await subscribe(shop, key="one")

        assert problem(lost) == (504, "gateway_unknown")
        assert lost.json()["orderId"] == again.json()["orderId"]
        assert again.status_code == 201
        assert shop.stripe.customer_calls == 2
        assert len(shop.stripe.customers) == 1


async def test_a_refusal_before_the_page_fails_the_order_and_the_next_click_tries_again(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.customer_answers = [Refused(Refusal.INVALID, "not this one")]
        refused = await subscribe(shop)
        again = await subscribe(shop)

        assert problem(refused) == (502, "gateway_refused")
        assert again.status_code == 201
        assert again.json()["orderId"] == refused.json()["orderId"]


async def test_f55_a_page_whose_answer_is_lost_is_found_again(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        lost = await subscribe(shop, key="one")
        shop.stripe.mood = "opens"
        found = await subscribe(shop, key="one")

        assert problem(lost) == (504, "gateway_unknown")
        assert found.status_code == 201
        assert len(shop.stripe.pages) == 1


# --- seeing them ---


async def test_a_subscription_is_shown_to_its_owner_alone(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        _, subscription = await begun(pool, shop)

        told = await shown(shop, subscription)
        listed = (await shop.get("/subscriptions")).json()

        assert listed == {"data": [told], "nextCursor": None}
        assert (told["status"], told["amount"], told["currency"], told["interval"]) == ("active", 1900, "usd", "month")
        assert told["currentPeriodEnd"] == (NOW + MONTH).isoformat()
        assert told["access"] == {"active": True, "until": (NOW + MONTH).isoformat(), "reason": "paid"}
        assert problem(await shop.get(f"/subscriptions/{subscription}", user="bob")) == (404, "subscription_not_found")
        assert problem(await shop.get("/subscriptions/none")) == (404, "subscription_not_found")
        assert (await shop.get("/subscriptions", user="bob")).json()["data"] == []
        for what in ("cancel", "pause", "resume", "change-plan", "update-payment-method"):
            assert problem(await post(shop, subscription, what, user="bob", planId="dearer"))[0] == 404
        assert shop.stripe.changes == []


async def test_what_has_ended_has_no_page_to_pay_its_invoices_on(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, _ = await begun(pool, shop)
        placed = Placed(UUID(created.json()["orderId"]), UUID(created.json()["subscriptionId"]))
        bill = tellings.invoice(2, InvoiceStatus.OPEN, due=Money(1900, "usd"))
        await tellings.tell(pool, placed, telling(NOW, None, bill), now=NOW)
        before = (await shop.get("/invoices")).json()["data"]

        await tellings.tell(pool, placed, telling(NOW + MONTH, living(SubscriptionStatus.CANCELLED)), now=NOW + MONTH)
        ended = (await shop.get("/invoices")).json()["data"]

        open_then, open_now = ([each for each in told if each["status"] == "open"] for told in (before, ended))
        assert [("payUrl" in each) for each in (*open_then, *open_now)] == [True, False]


async def test_invoices_are_listed_newest_first_page_by_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, _ = await begun(pool, shop)
        placed = Placed(UUID(created.json()["orderId"]), UUID(created.json()["subscriptionId"]))
        for number in (2, 3):
            bill = tellings.invoice(
                number,
                InvoiceStatus.OPEN if number == 3 else InvoiceStatus.PAID,
                due=PRICE,
                hosted_url=f"https://pay.example/{number}",
            )
            at = NOW + number * MONTH
            await tellings.tell(pool, placed, telling(at, bill=bill), now=at)

        first = (await shop.get("/invoices?limit=2")).json()
        rest = (await shop.get(f"/invoices?limit=2&cursor={first['nextCursor']}")).json()

        assert [each["number"] for each in first["data"]] == ["A-3", "A-2"]
        assert [each["number"] for each in rest["data"]] == ["A-1"]
        assert rest["nextCursor"] is None
        assert first["data"][0]["payUrl"] == "https://pay.example/3"
        assert first["data"][1]["receiptUrl"] == "https://pay.example/2"
        assert "payUrl" not in first["data"][1]
        assert (await shop.get("/invoices", user="bob")).json()["data"] == []
        assert problem(await shop.get("/invoices?limit=0")) == (400, "invalid_limit")
        assert problem(await shop.get("/invoices?cursor=x")) == (400, "invalid_cursor")


async def test_an_invoice_names_the_plan_that_it_billed_after_the_subscription_has_gone_over_to_another(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        placed = Placed(UUID(created.json()["orderId"]), UUID(created.json()["subscriptionId"]))
        renewal = tellings.invoice(2, due=PRICE, price_id="price_pro_1900")
        await tellings.tell(pool, placed, telling(NOW + MONTH, bill=renewal), now=NOW + MONTH)
        holds(shop, created, living(price_id="price_dearer_5900"))
        await post(shop, subscription, "change-plan", planId="dearer")
        dearer = tellings.invoice(3, due=Money(5900, "usd"), price_id="price_dearer_5900")
        again = replace(renewal, price_id="price_dearer_5900")
        for bill in (dearer, again):
            await tellings.tell(pool, placed, telling(NOW + 2 * MONTH, bill=bill), now=NOW + 2 * MONTH)

        listed = (await shop.get("/invoices")).json()["data"]

        named = {each["number"]: (each["planId"], each["planName"]) for each in listed}
        # Of the first one nobody has told a price: its subscription's plan is all that is known.
        assert named == {"A-1": ("dearer", "Dearer"), "A-2": ("pro", "Pro"), "A-3": ("dearer", "Dearer")}


# --- changing one ---


async def test_it_is_set_to_end_and_the_answer_says_so(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(cancel_at_period_end=True, ends_at=NOW + MONTH))

        answer = await post(shop, subscription, "cancel")

        assert answer.status_code == 200
        assert answer.json()["cancelAtPeriodEnd"]
        assert answer.json()["endsAt"] == (NOW + MONTH).isoformat()
        [(kind, name, key, at_period_end)] = shop.stripe.changes
        assert (kind, name, at_period_end) == ("cancel", SUB, True)
        assert key == f"counterfoil:subscription:{subscription}:1"
        row = await pool.fetchrow("SELECT status, asked_by FROM subscription_requests")
        assert row is not None
        assert tuple(row) == ("done", "anna")
        cause = await pool.fetchrow(
            "SELECT cause, cause_id FROM history WHERE subject = 'subscription' ORDER BY id DESC"
        )
        assert cause is not None
        assert tuple(cause) == ("api", "anna")


async def test_it_ends_now_where_that_is_asked_for(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(SubscriptionStatus.CANCELLED, ended_at=NOW))

        answer = await post(shop, subscription, "cancel", atPeriodEnd=False)
        again = await post(shop, subscription, "cancel", atPeriodEnd=False)

        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert not answer.json()["access"]["active"]
        assert problem(again) == (409, "subscription_ended")


async def test_one_that_was_never_paid_is_given_up_with_its_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created = (await subscribe(shop)).json()

        answer = await post(shop, created["subscriptionId"], "cancel")

        assert (answer.status_code, answer.json()["status"]) == (200, "expired")
        assert shop.stripe.changes == []
        assert (await shop.get(f"/order-status/{created['orderId']}")).json()["status"] == "cancelled"
        assert (await subscribe(shop)).json()["subscriptionId"] != created["subscriptionId"]


async def test_it_is_paused_and_resumed(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(SubscriptionStatus.PAUSED))
        paused = await post(shop, subscription, "pause")
        holds(shop, created, living())
        resumed = await post(shop, subscription, "resume")

        assert (paused.status_code, paused.json()["status"]) == (200, "paused")
        assert (resumed.status_code, resumed.json()["status"]) == (200, "active")
        assert [kind for kind, *_ in shop.stripe.changes] == ["pause", "resume"]


@pytest.mark.parametrize(
    ("plan", "is_immediate"),
    [(DEARER, True), (CHEAPER, False), (YEARLY, False), (replace(YEARLY, price_cents=30000), True)],
)
async def test_what_costs_more_is_changed_now_and_what_costs_less_at_the_periods_end(
    pool: Pool, database_url: str, plan: Plan, is_immediate: bool
) -> None:
    await put_on_sale(pool, plan)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(has_pending_change=True))

        answer = await post(shop, subscription, "change-plan", planId=plan.id)

        [(_, _, _, change)] = shop.stripe.changes
        assert change == PlanChange(f"price_{plan.id}_{plan.price_cents}", plan.interval or "", is_immediate)
        assert answer.status_code == 200
        assert (answer.json()["planId"], answer.json()["pendingPlanId"]) == ("pro", plan.id)
        assert answer.json()["changePending"]


async def test_a_plan_that_a_subscription_is_on_its_way_to_is_not_sold_beside_it(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        shop.stripe.change_answers = [Unknown(Doubt.TIMED_OUT)]
        await post(shop, subscription, "change-plan", planId="cheaper")
        asked = await subscribe(shop, "cheaper")
        holds(shop, created, living(has_pending_change=True))
        waits = await post(shop, subscription, "change-plan", planId="cheaper")
        waiting = await subscribe(shop, "cheaper")

        assert problem(asked) == (409, "already_subscribed")
        assert waits.json()["pendingPlanId"] == "cheaper"
        assert problem(waiting) == (409, "already_subscribed")
        assert (await subscribe(shop, "dearer")).status_code == 201


WAITING_TURNS = """
    SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
     WHERE locktype = 'advisory' AND NOT granted AND d.datname = current_database()
"""


class SlowToPublish(FakeClient):
    """Tells a new price only when a test lets it."""

    def __init__(self) -> None:
        super().__init__("stripe")
        self.asked_for_price, self.may_tell = asyncio.Event(), asyncio.Event()

    async def publish_plan(
        self, plan: PlanOnSale, patience: Patience = LIVE
    ) -> Published | NotKept | Refused | Unknown:
        if plan.plan_id == DEARER.id:
            self.asked_for_price.set()
            await self.may_tell.wait()
        return await super().publish_plan(plan, patience)


async def test_a_plan_that_is_subscribed_to_while_a_change_to_it_is_prepared_is_not_had_twice(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool, *PLANS)
    gateway = SlowToPublish()
    async with counter(database_url, clients={"stripe": gateway}) as shop:
        _, subscription = await begun(pool, replace(shop, stripe=gateway))
        change = asyncio.create_task(post(shop, subscription, "change-plan", planId="dearer"))
        await gateway.asked_for_price.wait()
        beside = asyncio.create_task(subscribe(shop, "dearer"))

        async def is_placed() -> bool:
            return bool(await pool.fetchval("SELECT count(*) FROM subscriptions WHERE plan_id = 'dearer'"))

        await until(is_placed)
        gateway.may_tell.set()

        assert problem(await change) == (409, "already_subscribed")
        assert (await beside).status_code == 201
        assert gateway.changes == []


async def test_of_a_change_and_a_purchase_of_one_moment_one_is_refused(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(has_pending_change=True))
        async with pool.acquire() as tx, tx.transaction():
            await attempts.serialise(tx, user_id="anna", plan_id="dearer", gateway="")
            both = asyncio.gather(post(shop, subscription, "change-plan", planId="dearer"), subscribe(shop, "dearer"))

            async def both_wait() -> bool:
                return bool(await pool.fetchval(WAITING_TURNS) == 2)

            await until(both_wait)
        changed, bought = await both

        assert sorted((changed.status_code, bought.status_code)) in ([200, 409], [201, 409])


async def test_a_plan_that_a_gateway_brought_them_to_is_not_sold_beside_it(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        await begun(pool, shop)
        await pool.execute("UPDATE subscriptions SET exclusive = false")

        assert problem(await subscribe(shop)) == (409, "already_subscribed")


async def test_a_change_that_is_taken_back_leaves_the_price_as_it_was(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(has_pending_change=True))
        await post(shop, subscription, "change-plan", planId="cheaper")
        async with pool.acquire() as tx:
            await plans.upsert(tx, Plan("pro", "Pro", "", 2900, "usd", interval="month"))

        taken_back = await post(shop, subscription, "change-plan", planId="pro")

        assert taken_back.status_code == 200
        assert shop.stripe.changes[-1][3] == PlanChange("price_pro_1900", "month", is_immediate=False)


async def test_a_change_that_is_in_force_is_another_plan(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(price_id="price_dearer_5900"))

        answer = await post(shop, subscription, "change-plan", planId="dearer")

        assert (answer.json()["planId"], answer.json()["amount"]) == ("dearer", 5900)
        assert not answer.json()["changePending"]


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        ("pro", (409, "already_on_plan")),
        ("lifetime", (400, "invalid_plan")),
        ("rupees", (400, "invalid_plan")),
        ("nothing", (400, "invalid_plan")),
        (None, (400, "invalid_plan")),
    ],
)
async def test_a_plan_that_it_cannot_have_is_refused_before_anybody_is_asked(
    pool: Pool, database_url: str, wanted: str | None, refused: tuple[int, str]
) -> None:
    await put_on_sale(pool, *PLANS)
    async with counter(database_url) as shop:
        _, subscription = await begun(pool, shop)

        assert problem(await post(shop, subscription, "change-plan", planId=wanted)) == refused
        assert shop.stripe.changes == []


async def test_the_page_for_another_card_is_the_gateways(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        incomplete = (await subscribe(shop, user="bob")).json()["subscriptionId"]
        _, subscription = await begun(pool, shop)

        opened = await post(shop, subscription, "update-payment-method")
        shop.stripe.portal = Gone()
        gone = await post(shop, subscription, "update-payment-method")
        shop.stripe.portal = Unknown(Doubt.TIMED_OUT)
        lost = await post(shop, subscription, "update-payment-method")
        early = await post(shop, incomplete, "update-payment-method", user="bob")

        assert isinstance(Portal("x"), Portal)
        assert (opened.status_code, opened.json()) == (200, {"url": "https://portal.example/1"})
        assert problem(gone) == (502, "gateway_refused")
        assert problem(lost) == (504, "gateway_unknown")
        assert problem(early) == (409, "subscription_incomplete")


# --- when the gateway cannot, or nobody knows ---


async def test_what_the_gateway_cannot_do_is_a_409_that_says_why(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        _, subscription = await begun(pool, shop)
        shop.stripe.change_answers = [Refused(Refusal.STATE, "only an active one can be paused")]

        answer = await post(shop, subscription, "pause")

        assert problem(answer) == (409, "gateway_cannot")
        assert answer.json()["detail"] == "only an active one can be paused"
        assert await pool.fetchval("SELECT status FROM subscription_requests") == "refused"
        assert (await shown(shop, subscription))["changePending"] is False


async def test_f57_a_lost_answer_is_202_and_asking_again_bears_the_same_key(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        shop.stripe.change_answers = [Unknown(Doubt.TIMED_OUT)]

        lost = await post(shop, subscription, "pause")
        other = await post(shop, subscription, "cancel")
        holds(shop, created, living(SubscriptionStatus.PAUSED))
        again = await post(shop, subscription, "pause")

        assert (lost.status_code, lost.json()["status"], lost.json()["changePending"]) == (202, "active", True)
        assert problem(other) == (409, "change_pending")
        assert (again.status_code, again.json()["status"]) == (200, "paused")
        assert len({key for _, _, key, _ in shop.stripe.changes}) == 1


@pytest.mark.parametrize("answer", [Refused(Refusal.CREDENTIALS, "no"), Gone()])
async def test_a_gateway_that_does_not_know_us_is_a_502_and_nothing_is_owed(
    pool: Pool, database_url: str, answer: Refused | Gone
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        _, subscription = await begun(pool, shop)
        shop.stripe.change_answers = [answer]

        assert problem(await post(shop, subscription, "pause")) == (502, "gateway_refused")
        assert await pool.fetchval("SELECT status FROM subscription_requests") == "refused"


async def test_f90_ten_clicks_at_once_ask_the_gateway_once(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        holds(shop, created, living(cancel_at_period_end=True, ends_at=NOW + MONTH))

        answers = await asyncio.gather(*(post(shop, subscription, "cancel") for _ in range(10)))

        assert {answer.status_code for answer in answers} <= {200, 202}
        assert (await shown(shop, subscription))["cancelAtPeriodEnd"]
        assert await pool.fetchval("SELECT count(*) FROM subscription_requests WHERE status <> 'done'") == 0


async def test_f29_what_was_told_during_the_call_is_not_overwritten_by_its_answer(
    pool: Pool, database_url: str
) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        created, subscription = await begun(pool, shop)
        placed = Placed(UUID(created.json()["orderId"]), UUID(subscription))
        ended = living(SubscriptionStatus.CANCELLED, ended_at=NOW)

        async def webhook() -> None:
            await tellings.tell(pool, placed, telling(NOW + timedelta(seconds=5), ended), now=NOW)

        shop.stripe.meanwhile = webhook
        shop.stripe.change_answers = [shop.stripe.subscriptions[SUB]]
        holds(shop, created, ended)
        answer = await post(shop, subscription, "pause")

        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert shop.stripe.reads == [SUB]


@pytest.mark.parametrize("body", ["[]", "null", "{", '{"atPeriodEnd": 1}', '{"atPeriodEnd": null}'])
async def test_a_body_that_says_nothing_sensible_is_refused(pool: Pool, database_url: str, body: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        _, subscription = await begun(pool, shop)

        answer = await shop.http.post(f"/subscriptions/{subscription}/cancel", content=body, headers=bearer())

        assert problem(answer) == (400, "malformed_body")
        assert shop.stripe.changes == []
