"""Subscriptions from the counter to the stand-in gateways and back, without a single webhook: what looks alone repair."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from db.history import Cause
from db.orphans import Orphan
from db.plans import Plan
from db.pool import Pool
from gateways.client import Client
from payments.order import LateSuccess
from tests.contract.accounts import ACCOUNTS, Account
from tests.counter import Shop, bearer, counter, put_on_sale
from tests.sandboxes import Sandbox, running_sandbox
from workers.apply import Book
from workers.looking import look_at
from workers.subscription_recovery import recover_subscriptions

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

DAY, HOUR = 24 * 3600, 3600
CAUSE = Cause("reconciliation", "test")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture(params=ACCOUNTS, ids=str)
def account(request: pytest.FixtureRequest) -> Account:
    chosen = request.param
    assert isinstance(chosen, Account)
    return chosen


def book(sandbox: Sandbox) -> Book:
    """Business time is the gateways' own."""

    def now() -> datetime:
        return datetime.fromtimestamp(sandbox.now(), UTC)

    return Book("counterfoil", LateSuccess.FULFIL, now)


def plans(account: Account) -> tuple[Plan, Plan, Plan]:
    price = account.price
    sold: dict[str, Any] = {"currency": price.currency, "interval": "month", "gateways": (account.name,)}
    return (
        Plan("monthly", "Monthly", "", price.minor, **sold),
        Plan("dearer", "Dearer", "", 2 * price.minor, **sold),
        Plan("tried", "Tried", "", price.minor, **sold, trial_days=14),
    )


async def subscribe(shop: Shop, sandbox: Sandbox, plan: str) -> dict[str, Any]:
    created = await shop.http.post("/create-subscription", json={"planId": plan}, headers=bearer())
    assert created.status_code == 201, created.text
    sandbox.pay(created.json()["sessionId"])
    return dict(created.json())


async def look(pool: Pool, client: Client, book: Book, told: dict[str, Any]) -> None:
    """What the order's page tells, and then what recovery makes of the subscription that it names."""
    clients = {client.name: client}
    await look_at(pool, clients, book, Orphan(UUID(told["orderId"]), client.name), CAUSE)
    await recover_subscriptions(pool, clients, book, CAUSE)


async def shown(shop: Shop, told: dict[str, Any]) -> dict[str, Any]:
    return dict((await shop.get(f"/subscriptions/{told['subscriptionId']}")).json())


async def post(shop: Shop, told: dict[str, Any], what: str, **body: Any) -> dict[str, Any]:
    answer = await shop.http.post(f"/subscriptions/{told['subscriptionId']}/{what}", json=body, headers=bearer())
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_f81_a_subscription_whose_webhooks_were_all_lost_is_found_and_followed_by_looks(
    pool: Pool, database_url: str, account: Account, sandbox: Sandbox
) -> None:
    await put_on_sale(pool, *plans(account))
    client, ours = account.build_for(sandbox), book(sandbox)
    async with counter(database_url, clients={account.name: client}, book=ours) as shop:
        told = await subscribe(shop, sandbox, "monthly")
        sandbox.control("clock", {"advance": 2 * HOUR})
        await look(pool, client, ours, told)
        first = await shown(shop, told)
        sandbox.control("clock", {"advance": 65 * DAY})
        await look(pool, client, ours, told)
        third = await shown(shop, told)

        assert (first["status"], first["access"]["active"]) == ("active", True)
        assert (third["status"], third["access"]["active"]) == ("active", True)
        assert datetime.fromisoformat(third["currentPeriodEnd"]) > ours.clock()
        invoices = (await shop.get("/invoices")).json()["data"]
        assert [each["status"] for each in invoices] == ["paid", "paid", "paid"]
        assert {each["amountPaid"] for each in invoices} == {account.price.minor}
        assert await pool.fetchval("SELECT count(*) FROM payments WHERE standing = 'accepted'") == 3
        assert (await shop.get(f"/order-status/{told['orderId']}")).json()["status"] == "paid"


async def test_a_trial_is_begun_by_a_look_and_nothing_is_paid(
    pool: Pool, database_url: str, account: Account, sandbox: Sandbox
) -> None:
    await put_on_sale(pool, *plans(account))
    client, ours = account.build_for(sandbox), book(sandbox)
    async with counter(database_url, clients={account.name: client}, book=ours) as shop:
        told = await subscribe(shop, sandbox, "tried")
        sandbox.control("clock", {"advance": 2 * HOUR})

        await look(pool, client, ours, told)

        trial = await shown(shop, told)
        assert (trial["status"], trial["access"]["reason"]) == ("trialing", "trial")
        days = datetime.fromisoformat(trial["trialEnd"]) - ours.clock()
        assert timedelta(days=13) < days < timedelta(days=14)
        assert await pool.fetchval("SELECT count(*) FROM payments") == 0


async def test_every_change_is_so_when_its_answer_comes(
    pool: Pool, database_url: str, account: Account, sandbox: Sandbox
) -> None:
    await put_on_sale(pool, *plans(account))
    client, ours = account.build_for(sandbox), book(sandbox)
    async with counter(database_url, clients={account.name: client}, book=ours) as shop:
        told = await subscribe(shop, sandbox, "monthly")
        sandbox.control("clock", {"advance": 2 * HOUR})
        await look(pool, client, ours, told)

        paused = await post(shop, told, "pause")
        resumed = await post(shop, told, "resume")
        dearer = await post(shop, told, "change-plan", planId="dearer")
        waiting = await post(shop, told, "change-plan", planId="monthly")
        portal = await post(shop, told, "update-payment-method")
        ended = await post(shop, told, "cancel", atPeriodEnd=False)

        assert [paused["status"], resumed["status"]] == ["paused", "active"]
        assert (dearer["planId"], dearer["changePending"]) == ("dearer", False)
        assert (waiting["planId"], waiting["pendingPlanId"], waiting["changePending"]) == ("dearer", "monthly", True)
        assert portal["url"].startswith(sandbox.url)
        assert ended["status"] == "cancelled"
        assert await pool.fetchval("SELECT count(*) FROM subscription_requests WHERE status <> 'done'") == 0
        assert await pool.fetchval("SELECT count(*) FROM discrepancies") == 0


async def test_it_is_set_to_end_and_stays_so_whatever_is_read(
    pool: Pool, database_url: str, account: Account, sandbox: Sandbox
) -> None:
    await put_on_sale(pool, *plans(account))
    client, ours = account.build_for(sandbox), book(sandbox)
    async with counter(database_url, clients={account.name: client}, book=ours) as shop:
        told = await subscribe(shop, sandbox, "monthly")
        sandbox.control("clock", {"advance": 2 * HOUR})
        await look(pool, client, ours, told)

        asked = await post(shop, told, "cancel")
        sandbox.control("clock", {"advance": 32 * DAY})
        await look(pool, client, ours, told)
        ended = await shown(shop, told)

        assert (asked["status"], asked["cancelAtPeriodEnd"]) == ("active", True)
        assert asked["endsAt"] == asked["currentPeriodEnd"]
        assert (ended["status"], ended["access"]["active"]) == ("cancelled", False)


async def test_f81_one_that_nobody_ever_paid_comes_to_its_end(
    pool: Pool, database_url: str, account: Account, sandbox: Sandbox
) -> None:
    await put_on_sale(pool, *plans(account))
    client, ours = account.build_for(sandbox), book(sandbox)
    async with counter(database_url, clients={account.name: client}, book=ours) as shop:
        created = await shop.http.post("/create-subscription", json={"planId": "monthly"}, headers=bearer())
        told = dict(created.json())
        sandbox.control("clock", {"advance": 2 * HOUR})

        await look(pool, client, ours, told)

        assert (await shown(shop, told))["status"] == "expired"
        assert (await shop.get(f"/order-status/{told['orderId']}")).json()["status"] == "cancelled"
