"""Scenario 8 of the guide: a refund is asked for, the gateway confirms it, and access ends. The real processes and the
stand-in gateways."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from console import development
from tests.acceptance.conftest import Running, Stack, started
from tests.acceptance.test_counter import Customer
from tests.desk import Desk
from tests.waiting import until

pytestmark = pytest.mark.acceptance

Json = dict[str, Any]
both_gateways = pytest.mark.parametrize("gateway", ["stripe", "razorpay"])

PRICE = 4900
HOUR = 3600


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Whose policy sends late money back; nothing else here is late."""
    with started(LATE_SUCCESS="refund") as stack:
        yield stack


@dataclass
class Shopper(Customer):
    """A customer, and the application's backend, which may give their money back."""

    backend: httpx.AsyncClient

    async def has_paid(self, gateway: str) -> str:
        """An order that is paid, and in the database by its payment's name."""
        created = await self.bought(gateway)
        assert (await self.pay(created["sessionId"]))["outcome"] == "paid"
        await self.until_status(created["orderId"], "paid")
        return str(created["orderId"])

    async def refund(self, order_id: str, amount: int | None = None, key: str | None = None) -> httpx.Response:
        said: Json = {"orderId": order_id, "reason": "requested_by_customer"}
        if amount is not None:
            return await self.backend.post(
                "/refunds", json=said | {"amount": amount}, headers={"Idempotency-Key": key or str(uuid4())}
            )
        return await self.backend.post("/refunds", json=said)

    async def until_refund(self, refund_id: str, status: str) -> Json:
        shown: Json = {}

        async def is_so() -> bool:
            shown.update((await self.backend.get(f"/refunds/{refund_id}")).json())
            return bool(shown["status"] == status)

        try:
            await until(is_so, seconds=40)
        except AssertionError:
            raise AssertionError(shown) from None
        return shown

    async def payment_of(self, order_id: str) -> str:
        asked = "SELECT gateway_payment_id FROM payments WHERE order_id = $1::text::uuid"
        return str(await self.stack.database.fetchval(asked, order_id))

    async def has_access(self, order_id: str) -> bool:
        asked = "SELECT active FROM entitlements WHERE order_id = $1::text::uuid"
        return bool(await self.stack.database.fetchval(asked, order_id))

    async def made_of(self, gateway: str, order_id: str) -> list[Json]:
        """The refunds of its payment, as the gateway holds them."""
        payment = await self.payment_of(order_id)
        made = await self.objects(gateway, "refund")
        return [each for each in made if payment in (each.get("payment_intent"), each.get("payment_id"))]


@pytest.fixture
async def shopper(stack: Stack) -> AsyncIterator[Shopper]:
    told, name = stack.running.told, f"user-{uuid4()}"
    secret = development.read(stack.running.data_dir / development.FILE)["AUTH_JWT_SECRET"]
    expires = {"exp": int(time.time()) + 3600}
    user = {"sub": name, "email": f"{name}@example.com", **expires}
    backend = {"sub": "backend", "scope": "refunds", **expires}
    bearers = [{"Authorization": f"Bearer {jwt.encode(each, secret, algorithm='HS256')}"} for each in (user, backend)]
    async with (
        httpx.AsyncClient(base_url=told["checkout"], headers=bearers[0], timeout=30) as checkout,
        httpx.AsyncClient(base_url=told["sandbox"], timeout=30) as sandbox,
        httpx.AsyncClient(base_url=told["checkout"], headers=bearers[1], timeout=30) as trusted,
    ):
        yield Shopper(stack, checkout, sandbox, trusted)
        await sandbox.post("/_control/faults", json={})
        await sandbox.post("/_control/settings", json={"refundEnding": "succeeds"})


@both_gateways
async def test_scenario_8_a_refund_is_asked_for_confirmed_and_access_is_revoked(shopper: Shopper, gateway: str) -> None:
    order_id = await shopper.has_paid(gateway)
    had_access = await shopper.has_access(order_id)

    answer = await shopper.refund(order_id)
    told = await shopper.until_refund(answer.json()["refundId"], "succeeded")
    shown = await shopper.until_status(order_id, "refunded")

    assert (answer.status_code, had_access) == (202, True)
    assert (told["amount"], told["orderId"], told["askedBy"]) == (PRICE, order_id, "api:backend")
    assert shown["amountRefunded"] == PRICE
    assert await shopper.has_access(order_id) is False
    rights = (await shopper.checkout.get("/access")).json()
    assert [(right["planId"], right["active"], right["reason"]) for right in rights] == [
        ("lifetime", False, "refunded")
    ]
    [made] = await shopper.made_of(gateway, order_id)
    assert (made["id"], made["amount"]) == (told["gatewayRefundId"], PRICE)


@both_gateways
async def test_the_webhook_confirms_what_is_pending_and_the_order_stays_paid_until_then(
    shopper: Shopper, gateway: str
) -> None:
    order_id = await shopper.has_paid(gateway)
    await set_ending(shopper, "stays_pending")

    answer = await shopper.refund(order_id)
    pending = await shopper.until_refund(answer.json()["refundId"], "pending")
    meanwhile = (await shopper.order(order_id))["status"], await shopper.has_access(order_id)
    ended = await shopper.sandbox.post(
        "/_control/refund", json={"refund": pending["gatewayRefundId"], "ending": "succeeds"}
    )
    await shopper.until_status(order_id, "refunded")

    assert meanwhile == ("paid", True)
    assert ended.status_code == 200, ended.text
    assert await shopper.has_access(order_id) is False


@both_gateways
async def test_a_part_leaves_the_order_paid_and_the_rest_refunds_it(shopper: Shopper, gateway: str) -> None:
    order_id = await shopper.has_paid(gateway)

    part = await shopper.refund(order_id, 1900)
    await shopper.until_refund(part.json()["refundId"], "succeeded")
    after_a_part = await shopper.order(order_id)
    rest = await shopper.refund(order_id)
    await shopper.until_refund(rest.json()["refundId"], "succeeded")
    after_all = await shopper.until_status(order_id, "refunded")

    assert (after_a_part["status"], after_a_part["amountRefunded"]) == ("paid", 1900)
    assert after_all["amountRefunded"] == PRICE
    assert sorted(each["amount"] for each in await shopper.made_of(gateway, order_id)) == [1900, 3000]


@both_gateways
async def test_f97_of_fifty_at_once_of_which_three_fit_three_are_sent(shopper: Shopper, gateway: str) -> None:
    order_id = await shopper.has_paid(gateway)

    answers = await asyncio.gather(*(shopper.refund(order_id, 1500, f"{order_id}-{n}") for n in range(50)))
    # Whom the database kept waiting for too long asks again, under the same key.
    again = [n for n, answer in enumerate(answers) if answer.status_code == 503]
    answers = [answer for answer in answers if answer.status_code != 503]
    answers += [await shopper.refund(order_id, 1500, f"{order_id}-{n}") for n in again]
    granted = [answer.json()["refundId"] for answer in answers if answer.status_code == 202]
    for refund_id in granted:
        await shopper.until_refund(refund_id, "succeeded")

    assert Counter(answer.status_code for answer in answers) == {202: 3, 409: 47}
    assert [each["amount"] for each in await shopper.made_of(gateway, order_id)] == [1500] * 3
    assert (await shopper.order(order_id))["amountRefunded"] == 4500


@both_gateways
async def test_f52_a_worker_that_is_killed_in_the_middle_leaves_one_refund(shopper: Shopper, gateway: str) -> None:
    order_id = await shopper.has_paid(gateway)
    await shopper.faults(cutAfterCommit=1.0, seed=7)

    answer = await shopper.refund(order_id)

    async def is_made() -> bool:
        return bool(await shopper.made_of(gateway, order_id))

    await until(is_made, seconds=40)
    for worker in ("worker-1", "worker-2"):
        shopper.stack.running.kill(worker)
    await shopper.faults()
    await shopper.until_refund(answer.json()["refundId"], "succeeded")

    assert len(await shopper.made_of(gateway, order_id)) == 1
    assert (
        await shopper.stack.database.fetchval("SELECT count(*) FROM refunds WHERE order_id = $1::text::uuid", order_id)
        == 1
    )


@both_gateways
async def test_what_is_refunded_in_the_gateways_dashboard_is_a_row_too(shopper: Shopper, gateway: str) -> None:
    order_id = await shopper.has_paid(gateway)

    made = await shopper.sandbox.post("/_control/refund", json={"payment": await shopper.payment_of(order_id)})
    await shopper.until_status(order_id, "refunded")

    assert made.status_code == 200, made.text
    row = await shopper.stack.database.fetchrow(
        "SELECT asked_by, status, amount FROM refunds WHERE order_id = $1::text::uuid", order_id
    )
    assert row is not None
    assert tuple(row) == ("gateway", "succeeded", PRICE)
    assert (await shopper.refund(order_id)).json()["code"] == "nothing_to_refund"


async def test_an_operator_refunds_from_the_desk(shopper: Shopper) -> None:
    order_id, told = await shopper.has_paid("stripe"), shopper.stack.running.told
    desk = Desk(told["database_url"], told["redis_url"])
    data_dir = str(shopper.stack.running.data_dir)

    said = await asyncio.to_thread(
        desk, "refunds", "create", order_id, "--reason", "duplicate", "--json", COUNTERFOIL_DATA_DIR=data_dir
    )
    await shopper.until_status(order_id, "refunded")

    assert said.code == 0, said.err
    assert said.json["asked_by"] == "operator:ada"


async def test_f71_late_money_goes_back_by_itself_and_gives_no_access(shopper: Shopper) -> None:
    """Declined at first, and taken by the bank once the order was given up."""
    created = await shopper.bought("razorpay")
    await shopper.pay(created["sessionId"], late=3 * HOUR)
    await advance(shopper, 2 * HOUR)
    given_up = await shopper.until_status(created["orderId"], "failed")

    await advance(shopper, 2 * HOUR)
    shown = await shopper.until_status(created["orderId"], "refunded")

    assert given_up["status"] == "failed"
    assert shown["amountRefunded"] == PRICE
    row = await shopper.stack.database.fetchrow(
        "SELECT asked_by, status, amount FROM refunds WHERE order_id = $1::text::uuid", created["orderId"]
    )
    assert row is not None
    assert tuple(row) == ("policy:late_success", "succeeded", PRICE)
    assert len(await shopper.made_of("razorpay", created["orderId"])) == 1
    assert (await shopper.checkout.get("/access")).json() == []


async def advance(shopper: Shopper, seconds: int) -> None:
    answer = await shopper.sandbox.post("/_control/clock", json={"advance": seconds}, timeout=120)
    assert answer.status_code == 200, answer.text


async def set_ending(shopper: Shopper, ending: str) -> None:
    """How the sandbox's refunds of this test end."""
    answer = await shopper.sandbox.post("/_control/settings", json={"refundEnding": ending})
    assert answer.status_code == 200, answer.text
