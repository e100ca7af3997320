"""A plan in a gateway's catalogue: made once, found again, and a new price for a new amount."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateways.catalogue import Catalogue, PlanOnSale, Published
from gateways.client import Client, Refusal, Refused, Unknown
from payments.money import Money
from tests.contract.accounts import ACCOUNTS
from tests.sandboxes import Sandbox, running_sandbox

PLAN = PlanOnSale("pro-monthly", "Pro", "Everything", Money(1900, "usd"), "month", "counterfoil")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    with running_sandbox(tmp_path) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    account = next(each for each in ACCOUNTS if str(each) == "stripe")
    built = account.build_for(sandbox)
    yield built
    await built.aclose()


async def publish(client: Client, plan: PlanOnSale = PLAN) -> Published:
    assert isinstance(client, Catalogue)
    published = await client.publish_plan(plan)
    assert isinstance(published, Published), published
    return published


async def test_a_plan_is_a_product_with_a_price_that_bear_our_marks(client: Client, sandbox: Sandbox) -> None:
    published = await publish(client)

    (product,) = sandbox.objects("stripe", "product")
    (price,) = sandbox.objects("stripe", "price")
    assert (product["id"], product["name"], product["description"]) == (published.product_id, "Pro", "Everything")
    assert (price["id"], price["product"]) == (published.price_id, published.product_id)
    assert (price["unit_amount"], price["currency"], price["recurring"]["interval"]) == (1900, "usd", "month")
    assert price["metadata"] == {"plan_id": "pro-monthly", "counterfoil": "counterfoil"}


async def test_publishing_again_and_at_once_makes_nothing_more(client: Client, sandbox: Sandbox) -> None:
    first = await publish(client)

    again = await asyncio.gather(*(publish(client) for _ in range(5)))

    assert set(again) == {first}
    assert len(sandbox.objects("stripe", "price")) == 1


async def test_another_amount_is_another_price_and_the_old_one_stays(client: Client, sandbox: Sandbox) -> None:
    old = await publish(client)

    new = await publish(client, replace(PLAN, name="Pro, now better", price=Money(2900, "usd")))

    assert new.product_id == old.product_id
    assert new.price_id != old.price_id
    assert {price["id"]: price["unit_amount"] for price in sandbox.objects("stripe", "price")} == {
        old.price_id: 1900,
        new.price_id: 2900,
    }
    assert sandbox.objects("stripe", "product")[0]["name"] == "Pro, now better"


async def test_what_is_sold_once_has_a_price_that_does_not_recur(client: Client, sandbox: Sandbox) -> None:
    await publish(client, replace(PLAN, interval=None))

    assert sandbox.objects("stripe", "price")[0]["recurring"] is None


async def test_a_wrong_key_and_a_lost_answer_are_answers_too(client: Client, sandbox: Sandbox) -> None:
    account = next(each for each in ACCOUNTS if str(each) == "stripe")
    stranger = account.build_for(sandbox, keys=account.wrong_keys)
    assert isinstance(stranger, Catalogue)
    assert isinstance(client, Catalogue)

    refused = await stranger.publish_plan(PLAN)
    await stranger.aclose()
    sandbox.control("faults", {"apiErrors": {"500": 1.0}})
    lost = await client.publish_plan(PLAN)

    assert isinstance(refused, Refused)
    assert refused.code is Refusal.CREDENTIALS
    assert isinstance(lost, Unknown)
