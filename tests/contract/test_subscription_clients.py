"""What every gateway's client does with subscriptions, against its stand-in, through the official SDKs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import httpx
import pytest
import stripe

from gateways.catalogue import Catalogue, PlanOnSale, Published
from gateways.client import (
    Absent,
    Client,
    Closed,
    Gone,
    PlanChange,
    Portal,
    Recurring,
    Refusal,
    Refused,
    SessionOrder,
    SessionState,
    SubscriptionState,
    Unknown,
)
from gateways.customers import Customer, Customers, NewCustomer
from gateways.stripe.client import Stripe
from payments.events import CheckoutEnded, Event, PaymentSucceeded, SubscriptionTold
from payments.invoice import InvoiceReason, InvoiceStatus
from payments.money import Money
from payments.subscription import Snapshot, SubscriptionStatus
from tests.contract.accounts import ACCOUNTS, INSTANCE, Account, create, events, freeze, order
from tests.sandboxes import DECLINED, Sandbox, running_sandbox

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
TRIAL_DAYS = 14


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture(params=ACCOUNTS, ids=str)
def account(request: pytest.FixtureRequest) -> Account:
    chosen = request.param
    assert isinstance(chosen, Account)
    return chosen


@pytest.fixture
async def client(account: Account, sandbox: Sandbox) -> AsyncIterator[Client]:
    built = account.build_for(sandbox)
    yield built
    await built.aclose()


async def publish(client: Client, price: Money, plan: str = "pro", interval: str = "month") -> str:
    assert isinstance(client, Catalogue)
    published = await client.publish_plan(PlanOnSale(plan, plan.title(), "Everything", price, interval, INSTANCE))
    assert isinstance(published, Published), published
    return published.price_id


async def customer(client: Client, key: str = "customer-1") -> str | None:
    if not isinstance(client, Customers):
        return None
    made = await client.make_customer(NewCustomer("anna", INSTANCE, "ada@example.com"), key)
    assert isinstance(made, Customer), made
    return made.id


async def beginning(client: Client, account: Account, sandbox: Sandbox, *, trial_days: int = 0) -> SessionOrder:
    """An order that begins a subscription, as the counter would ask for its page."""
    asked = order(account, sandbox)
    trial_ends_at = datetime.fromtimestamp(sandbox.now(), UTC) + timedelta(days=trial_days)
    recurring = Recurring(
        subscription_id=str(uuid4()),
        price_id=await publish(client, account.price),
        price=account.price,
        interval="month",
        trial_days=trial_days,
        trial_ends_at=trial_ends_at if trial_days else None,
        customer_id=await customer(client),
    )
    due = Money(0, account.price.currency) if trial_days else account.price
    return replace(asked, plan_id="pro", expected=due, recurring=recurring)


async def begun(client: Client, account: Account, sandbox: Sandbox, *, trial_days: int = 0) -> str:
    """The gateway's id of a subscription that a customer has begun on its page."""
    asked = await beginning(client, account, sandbox, trial_days=trial_days)
    session = await create(client, freeze(client, asked))
    sandbox.pay(session.id)
    return str(sandbox.objects(account.name, "subscription")[0]["id"])


def state(answer: SubscriptionState | Gone | Refused | Unknown) -> SubscriptionState:
    assert isinstance(answer, SubscriptionState), answer
    return answer


def snapshot(told: SubscriptionState) -> Snapshot:
    """The last one: what came before it is how it came there."""
    found = [each.snapshot for each in events(told.observed) if isinstance(each, SubscriptionTold) and each.snapshot]
    return found[-1]


def paid_invoices(told: tuple[Event, ...] | list[Event]) -> list[SubscriptionTold]:
    return [
        each
        for each in told
        if isinstance(each, SubscriptionTold) and each.invoice and each.invoice.status is InvoiceStatus.PAID
    ]


def refusal(answer: object) -> Refused:
    assert isinstance(answer, Refused), answer
    return answer


# The page on which a subscription begins.


async def test_a_subscription_begins_on_a_hosted_page(client: Client, account: Account, sandbox: Sandbox) -> None:
    asked = await beginning(client, account, sandbox)

    session = await create(client, freeze(client, asked))
    before = await client.fetch_session(session.id)
    sandbox.pay(session.id)
    after = await client.fetch_session(session.id)

    assert session.url is not None
    assert httpx.get(session.url, trust_env=False).status_code == 200
    assert isinstance(before, SessionState)
    assert (before.session, before.is_open, paid_invoices(events(before.observed))) == (session, True, [])
    assert isinstance(after, SessionState)
    assert not after.is_open
    (paid,) = paid_invoices(events(after.observed))
    assert paid.invoice is not None
    assert (paid.invoice.reason, paid.invoice.paid) == (InvoiceReason.FIRST, account.price)
    assert paid.invoice.payment is not None
    assert all(asked.order_id in each.references.order_ids for each in after.observed)
    assert {each.references.instance for each in after.observed} == {INSTANCE}


async def test_a_trial_begins_with_nothing_to_pay(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox, trial_days=TRIAL_DAYS)

    told = state(await client.fetch_subscription(subscription))

    trial_end = snapshot(told).trial_end
    assert snapshot(told).status is SubscriptionStatus.TRIALING
    assert trial_end is not None
    assert abs(trial_end.timestamp() - sandbox.now() - TRIAL_DAYS * DAY) < MINUTE
    assert all(each.invoice and each.invoice.paid.minor == 0 for each in paid_invoices(events(told.observed)))
    assert not [each for each in events(told.observed) if isinstance(each, PaymentSucceeded) and each.paid.minor]


async def test_a_declined_card_begins_nothing_and_the_page_stays(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, await beginning(client, account, sandbox)))

    sandbox.pay(session.id, DECLINED)

    told = await client.fetch_session(session.id)
    assert isinstance(told, SessionState)
    assert told.is_open
    assert not paid_invoices(events(told.observed))


async def test_a_request_that_lay_in_a_json_column_is_found_again(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, await beginning(client, account, sandbox))
    nothing = await client.find_session(frozen)
    session = await create(client, json.loads(json.dumps(frozen)))

    found = await client.find_session(frozen)

    assert nothing == Absent()
    assert isinstance(found, SessionState)
    assert found.session == session


async def test_f55_a_page_whose_answer_was_lost_is_found_and_not_made_again(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, await beginning(client, account, sandbox))
    sandbox.control("faults", {"cutAfterCommit": 1, "seed": 1})

    session = await create(client, frozen)

    assert session.url is not None
    kind = "checkout.session" if account.name == "stripe" else "subscription"
    assert len(sandbox.objects(account.name, kind)) == 1


async def test_a_page_that_is_closed_begins_nothing(client: Client, account: Account, sandbox: Sandbox) -> None:
    session = await create(client, freeze(client, await beginning(client, account, sandbox)))

    closed = await client.close_session(session.id)

    assert isinstance(closed, Closed)
    assert [each for each in events(closed.observed) if isinstance(each, CheckoutEnded)] == [CheckoutEnded(session.id)]


async def test_f81_a_page_whose_time_is_over_is_told_as_ended(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, await beginning(client, account, sandbox)))
    sandbox.control("clock", {"advance": HOUR})

    told = await client.fetch_session(session.id)

    assert isinstance(told, SessionState)
    assert not told.is_open
    assert CheckoutEnded(session.id) in events(told.observed)


async def test_a_page_that_was_used_is_not_closed_and_its_subscription_lives(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    session = await create(client, freeze(client, await beginning(client, account, sandbox)))
    sandbox.pay(session.id)

    answer = await client.close_session(session.id)

    assert CheckoutEnded(session.id) not in (events(answer.observed) if isinstance(answer, Closed) else [])
    subscription = str(sandbox.objects(account.name, "subscription")[0]["id"])
    assert snapshot(state(await client.fetch_subscription(subscription))).status is SubscriptionStatus.ACTIVE


async def test_a_request_that_lay_for_too_long_is_refused_as_outdated(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    frozen = freeze(client, await beginning(client, account, sandbox))
    sandbox.control("clock", {"advance": HOUR})

    answer = await client.create_session(frozen, "key-1")

    assert refusal(answer).code is Refusal.OUTDATED


# How it is, and what can be done to it.


async def test_a_subscription_is_read_with_every_invoice_that_nobody_told_of(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)
    sandbox.control("clock", {"advance": 65 * DAY})

    told = state(await client.fetch_subscription(subscription))

    paid = paid_invoices(events(told.observed))
    reasons = [each.invoice.reason for each in paid if each.invoice]
    assert reasons == [InvoiceReason.RENEWAL, InvoiceReason.RENEWAL, InvoiceReason.FIRST]
    assert len({each.invoice.payment for each in paid if each.invoice}) == 3
    assert snapshot(told).status is SubscriptionStatus.ACTIVE


async def test_nobody_knows_what_the_gateway_does_not_know(client: Client, account: Account) -> None:
    name = "sub_1AAAAAAAAAAAAAAAAAAAAAAA" if account.name == "stripe" else "sub_AAAAAAAAAAAAAA"

    assert await client.fetch_subscription(name) == Gone()
    assert await client.cancel_subscription(name, "key", at_period_end=False) == Gone()
    assert await client.pause_subscription(name, "key") == Gone()
    assert await client.open_portal(name, "https://shop.example") == Gone()


async def test_it_is_cancelled_at_once_and_asking_again_is_no_error(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)

    first = state(await client.cancel_subscription(subscription, "key-2", at_period_end=False))
    second = state(await client.cancel_subscription(subscription, "key-3", at_period_end=False))

    assert snapshot(first).status is SubscriptionStatus.CANCELLED
    assert snapshot(second) == snapshot(first)


async def test_it_ends_with_what_is_paid_for(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox)

    set_to_end = snapshot(state(await client.cancel_subscription(subscription, "key-2", at_period_end=True)))
    sandbox.control("clock", {"advance": 32 * DAY})
    ended = snapshot(state(await client.fetch_subscription(subscription)))

    assert set_to_end.status is SubscriptionStatus.ACTIVE
    assert set_to_end.cancel_at_period_end
    assert set_to_end.ends_at == set_to_end.period_end
    assert ended.status is SubscriptionStatus.CANCELLED


async def test_it_is_paused_and_resumed_and_each_again_is_no_error(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)

    paused = [state(await client.pause_subscription(subscription, f"pause-{n}")) for n in range(2)]
    resumed = [
        state(await client.resume_subscription(subscription, f"resume-{n}", is_set_to_end=False, keeps_period=True))
        for n in range(2)
    ]

    assert {snapshot(each).status for each in paused} == {SubscriptionStatus.PAUSED}
    assert {snapshot(each).status for each in resumed} == {SubscriptionStatus.ACTIVE}


async def test_a_pause_within_a_paid_period_costs_nothing_and_gives_nothing_back(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)
    before = snapshot(state(await client.fetch_subscription(subscription)))
    await client.pause_subscription(subscription, "key-2")
    sandbox.control("clock", {"advance": 5 * DAY})

    resumed = state(await client.resume_subscription(subscription, "key-3", is_set_to_end=False, keeps_period=True))

    assert len(paid_invoices(events(resumed.observed))) == 1
    assert snapshot(resumed).period_end == before.period_end


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "stripe"], ids=str, indirect=True)
async def test_a_pause_beyond_a_paid_period_ends_with_a_new_one_that_is_billed_whole(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)
    await client.pause_subscription(subscription, "key-2")
    sandbox.control("clock", {"advance": 45 * DAY})

    resumed = state(await client.resume_subscription(subscription, "key-3", is_set_to_end=False, keeps_period=False))

    paid = [each.invoice.paid for each in paid_invoices(events(resumed.observed)) if each.invoice]
    begins = snapshot(resumed).period_start
    assert paid == [account.price, account.price]
    assert begins is not None
    assert abs(begins.timestamp() - sandbox.now()) < MINUTE


async def test_an_ended_one_can_be_neither_paused_nor_resumed_nor_changed(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)
    await client.cancel_subscription(subscription, "key-2", at_period_end=False)

    answers = (
        await client.pause_subscription(subscription, "key-3"),
        await client.resume_subscription(subscription, "key-4", is_set_to_end=False, keeps_period=True),
        await client.change_plan(subscription, PlanChange("price_1", "month", is_immediate=True), "key-5"),
    )

    assert {refusal(answer).code for answer in answers} == {Refusal.STATE}


async def test_a_dearer_plan_is_billed_at_once(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox)
    dearer = await publish(client, Money(2 * account.price.minor, account.price.currency), "team")
    change = PlanChange(dearer, "month", is_immediate=True)

    first = state(await client.change_plan(subscription, change, "key-2"))
    second = state(await client.change_plan(subscription, change, "key-2"))

    assert snapshot(first).price_id == dearer
    assert not snapshot(first).has_pending_change
    assert len(paid_invoices(events(first.observed))) == 2
    assert second == first


async def test_a_cheaper_plan_waits_for_the_periods_end_and_can_be_taken_back(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)
    price = snapshot(state(await client.fetch_subscription(subscription))).price_id
    cheaper = await publish(client, Money(account.price.minor // 2, account.price.currency), "basic")
    change = PlanChange(cheaper, "month", is_immediate=False)

    waiting = snapshot(state(await client.change_plan(subscription, change, "key-2")))
    back = PlanChange(price or "", "month", is_immediate=False)
    taken_back = snapshot(state(await client.change_plan(subscription, back, "key-3")))
    await client.change_plan(subscription, change, "key-4")
    sandbox.control("clock", {"advance": 32 * DAY})
    changed = snapshot(state(await client.fetch_subscription(subscription)))

    assert (waiting.price_id, waiting.has_pending_change) == (price, True)
    assert (taken_back.price_id, taken_back.has_pending_change) == (price, False)
    assert (changed.price_id, changed.has_pending_change) == (cheaper, False)


async def test_a_cheaper_plan_whose_second_call_was_lost_is_asked_for_again(
    client: Client, account: Account, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(client, Stripe):
        pytest.skip("one call is all it takes there")
    subscription = await begun(client, account, sandbox)
    cheaper = await publish(client, Money(account.price.minor // 2, account.price.currency), "basic")
    change = PlanChange(cheaper, "month", is_immediate=False)

    async def lose(*_: object) -> NoReturn:
        raise stripe.APIConnectionError("lost")  # type: ignore[no-untyped-call]

    with monkeypatch.context() as patched:
        patched.setattr(stripe.SubscriptionScheduleService, "update_async", lose)
        lost = await client.change_plan(subscription, change, "key-2")
    again = snapshot(state(await client.change_plan(subscription, change, "key-2")))
    sandbox.control("clock", {"advance": 32 * DAY})
    changed = snapshot(state(await client.fetch_subscription(subscription)))

    assert isinstance(lost, Unknown)
    assert again.has_pending_change
    assert (changed.price_id, changed.has_pending_change) == (cheaper, False)


async def test_the_portal_is_a_page_of_the_gateways(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox)

    opened = await client.open_portal(subscription, "https://shop.example/account")

    assert isinstance(opened, Portal)
    assert httpx.get(opened.url, trust_env=False).status_code == 200


async def test_all_of_a_window_are_listed_ended_ones_too(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox)
    await client.cancel_subscription(subscription, "key-2", at_period_end=False)
    now = datetime.fromtimestamp(sandbox.now(), UTC)

    listed = [each async for each in client.list_subscriptions(now - timedelta(hours=1), now + timedelta(seconds=1))]
    later = [each async for each in client.list_subscriptions(now + timedelta(hours=1), now + timedelta(hours=2))]

    assert [state(each).id for each in listed if not isinstance(each, Refused | Unknown)] == [subscription]
    assert later == []


async def test_a_lost_answer_to_a_change_is_unknown_or_found_and_asking_again_does_it_once(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox)
    sandbox.control("faults", {"cutAfterCommit": 0.5, "seed": 3})

    answers = [await client.pause_subscription(subscription, "key-2") for _ in range(4)]
    sandbox.control("faults", {})
    told = state(await client.pause_subscription(subscription, "key-2"))

    assert not [answer for answer in answers if isinstance(answer, Refused | Gone)]
    assert snapshot(told).status is SubscriptionStatus.PAUSED
    paused = [each for each in account.told(sandbox) if isinstance(each.event, SubscriptionTold)]
    assert paused


async def test_a_server_that_breaks_is_unknown(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox)
    sandbox.control("faults", {"apiErrors": {"500": 1.0}})

    answer = await client.cancel_subscription(subscription, "key-2", at_period_end=False)

    assert isinstance(answer, Unknown)


# Only at some.


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "stripe"], ids=str, indirect=True)
async def test_fifty_wishes_for_one_customer_under_one_key_make_one(client: Client, sandbox: Sandbox) -> None:
    made = await asyncio.gather(*(customer(client) for _ in range(50)))

    assert len(set(made)) == 1
    (kept,) = sandbox.objects("stripe", "customer")
    assert kept["email"] == "ada@example.com"
    assert kept["metadata"] == {"user_id": "anna", "counterfoil": INSTANCE}


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "stripe"], ids=str, indirect=True)
async def test_a_customer_is_found_by_whatever_its_user_is_called(client: Client, sandbox: Sandbox) -> None:
    assert isinstance(client, Customers)
    users = ["anna", 'an"na', "an\\na", "an'na", 'x" OR metadata["user_id"]:"anna']
    made = [await client.make_customer(NewCustomer(user, INSTANCE), user) for user in users]

    found = [await client.find_customer(NewCustomer(user, INSTANCE, "ada@example.com")) for user in users]
    others = await client.find_customer(NewCustomer("anna", "another instance"))

    assert found == made
    assert others == Absent()
    assert {kept["email"] for kept in sandbox.objects("stripe", "customer")} == {"ada@example.com"}


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "razorpay"], ids=str, indirect=True)
async def test_f79_razorpay_is_not_asked_to_pause_a_trial_which_would_cancel_it(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    subscription = await begun(client, account, sandbox, trial_days=TRIAL_DAYS)

    answer = await client.pause_subscription(subscription, "key-2")

    assert refusal(answer).code is Refusal.STATE
    assert snapshot(state(await client.fetch_subscription(subscription))).status is SubscriptionStatus.TRIALING


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "razorpay"], ids=str, indirect=True)
async def test_razorpay_takes_no_scheduled_end_back_and_ends_no_trial_later(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    trial = await begun(client, account, sandbox, trial_days=TRIAL_DAYS)

    later = await client.cancel_subscription(trial, "key-2", at_period_end=True)
    resumed = await client.resume_subscription(trial, "key-3", is_set_to_end=True, keeps_period=True)

    assert refusal(later).code is Refusal.STATE
    assert refusal(resumed).code is Refusal.STATE


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "razorpay"], ids=str, indirect=True)
async def test_a_plan_that_razorpay_has_is_found_by_its_notes(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    first = await publish(client, account.price)

    again = await publish(client, account.price)
    other = await publish(client, Money(account.price.minor + 100, account.price.currency))

    assert again == first
    assert other != first
    assert len(sandbox.objects("razorpay", "plan")) == 2


@pytest.mark.parametrize("account", [each for each in ACCOUNTS if each.name == "stripe"], ids=str, indirect=True)
async def test_stripe_takes_a_scheduled_end_back(client: Client, account: Account, sandbox: Sandbox) -> None:
    subscription = await begun(client, account, sandbox)
    await client.cancel_subscription(subscription, "key-2", at_period_end=True)

    resumed = state(await client.resume_subscription(subscription, "key-3", is_set_to_end=True, keeps_period=True))

    assert not snapshot(resumed).cancel_at_period_end
    assert snapshot(resumed).ends_at is None


async def test_the_request_bears_our_marks_wherever_the_gateway_keeps_them(
    client: Client, account: Account, sandbox: Sandbox
) -> None:
    asked = await beginning(client, account, sandbox)
    assert asked.recurring is not None
    marks = {
        "order_id": asked.order_id,
        "subscription_id": asked.recurring.subscription_id,
        "plan_id": "pro",
        "counterfoil": INSTANCE,
    }

    frozen = freeze(client, asked)

    if account.name == "stripe":
        assert frozen["metadata"] == frozen["subscription_data"]["metadata"] == marks
        assert "payment_intent_data" not in frozen
    else:
        assert frozen["notes"] == marks
