"""From the counter to a paid order, through the real processes and the stand-in gateways: what a customer lives through."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from console import development
from tests.acceptance.conftest import Stack
from tests.builders import session
from tests.waiting import until

PAYS, DECLINED = "4242424242424242", "4000000000000002"
CARDS = {
    "4000000000000002": ("card_declined", "contact_bank"),
    "4000000000009995": ("insufficient_funds", "retry"),
    "4000000000000069": ("expired_card", "update_card"),
}


@dataclass
class Customer:
    """A user of the application, at the counter and on the hosted page."""

    stack: Stack
    checkout: httpx.AsyncClient
    sandbox: httpx.AsyncClient

    async def buy(self, gateway: str, **more: Any) -> httpx.Response:
        headers = {"Idempotency-Key": more.pop("key", str(uuid4()))}
        body = {"planId": "lifetime", "gateway": gateway, **more}
        return await self.checkout.post("/create-payment", json=body, headers=headers)

    async def bought(self, gateway: str, **more: Any) -> dict[str, Any]:
        answer = await self.buy(gateway, **more)
        assert answer.status_code == 201, answer.text
        created: dict[str, Any] = answer.json()
        return created

    async def pay(self, session_id: str, card: str = PAYS, **more: Any) -> dict[str, Any]:
        answer = await self.sandbox.post("/_control/pay", json={"session": session_id, "card": card, **more})
        assert answer.status_code == 200, answer.text
        paid: dict[str, Any] = answer.json()
        return paid

    async def order(self, order_id: str) -> dict[str, Any]:
        answer = await self.checkout.get(f"/order-status/{order_id}")
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    async def until_status(self, order_id: str, status: str) -> dict[str, Any]:
        async def is_so() -> bool:
            return bool((await self.order(order_id))["status"] == status)

        await until(is_so, seconds=40)
        return await self.order(order_id)

    async def faults(self, **faults: Any) -> None:
        answer = await self.sandbox.post("/_control/faults", json=faults)
        assert answer.status_code == 200, answer.text

    async def objects(self, gateway: str, kind: str) -> list[dict[str, Any]]:
        answer = await self.sandbox.get("/_control/objects", params={"gateway": gateway, "type": kind})
        found: list[dict[str, Any]] = answer.json()["data"]
        return found


@pytest.fixture
async def customer(stack: Stack) -> AsyncIterator[Customer]:
    told = stack.running.told
    secret = development.read(stack.running.data_dir / development.FILE)["AUTH_JWT_SECRET"]
    claims = {"sub": f"user-{uuid4()}", "email": "buyer@example.com", "exp": int(time.time()) + 3600}
    bearer = {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}
    async with (
        httpx.AsyncClient(base_url=told["checkout"], headers=bearer, timeout=30) as checkout,
        httpx.AsyncClient(base_url=told["sandbox"], timeout=30) as sandbox,
    ):
        yield Customer(stack, checkout, sandbox)
        await sandbox.post("/_control/faults", json={})


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_scenario_1_a_customer_buys_pays_and_has_access(customer: Customer, gateway: str) -> None:
    created = await customer.bought(gateway)

    paid = await customer.pay(created["sessionId"])
    shown = await customer.until_status(created["orderId"], "paid")

    assert created["status"] == "pending"
    assert created["url"].startswith(customer.stack.running.told["sandbox"])
    assert paid["outcome"] == "paid"
    assert (shown["amount"], shown["currency"], shown["amountRefunded"]) == (4900, "usd", 0)
    access = (await customer.checkout.get("/access")).json()
    assert [(row["planId"], row["active"]) for row in access] == [("lifetime", True)]


@pytest.mark.parametrize(("card", "failure"), CARDS.items())
async def test_scenario_2_a_declined_card_is_shown_with_its_way_forward_and_the_next_pays(
    customer: Customer, card: str, failure: tuple[str, str]
) -> None:
    created = await customer.bought("stripe")

    declined = await customer.pay(created["sessionId"], card)

    async def is_shown() -> bool:
        return "failure" in await customer.order(created["orderId"])

    await until(is_shown)
    shown = await customer.order(created["orderId"])
    await customer.pay(created["sessionId"])
    settled = await customer.until_status(created["orderId"], "paid")
    assert declined["outcome"] == "declined"
    assert shown["status"] == "pending"
    assert (shown["failure"]["code"], shown["failure"]["action"]) == failure
    assert "failure" not in settled


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_scenario_4_an_abandoned_checkout_is_cancelled_when_its_session_expires(
    customer: Customer, gateway: str
) -> None:
    created = await customer.bought(gateway)

    await customer.sandbox.post("/_control/clock", json={"advance": 2 * 3600})

    await customer.until_status(created["orderId"], "cancelled")


async def test_an_amount_or_a_status_in_the_request_is_ignored(customer: Customer) -> None:
    created = await customer.bought("stripe", amount=1, priceCents=1, currency="inr", status="paid")

    shown = await customer.order(created["orderId"])

    assert (shown["amount"], shown["currency"], shown["status"]) == (4900, "usd", "pending")
    (session,) = [s for s in await customer.objects("stripe", "checkout.session") if s["id"] == created["sessionId"]]
    assert (session["amount_total"], session["client_reference_id"]) == (4900, created["orderId"])


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_f55_a_connection_cut_after_the_gateway_acted_makes_one_session_that_is_found_again(
    customer: Customer, gateway: str
) -> None:
    key = str(uuid4())
    kind = "checkout.session" if gateway == "stripe" else "payment_link"
    before = {each["id"] for each in await customer.objects(gateway, kind)}
    await customer.faults(cutAfterCommit=1.0)

    cut = await customer.buy(gateway, key=key)
    await customer.faults()
    created = await customer.bought(gateway, key=key)

    made = {each["id"] for each in await customer.objects(gateway, kind)} - before
    assert cut.status_code in {201, 502, 504}
    assert made == {created["sessionId"]}
    assert cut.status_code == 201 or cut.json()["orderId"] == created["orderId"]
    await customer.pay(created["sessionId"])
    await customer.until_status(created["orderId"], "paid")


async def test_f58_twenty_clicks_at_once_make_one_order_and_one_session(customer: Customer) -> None:
    body = {"planId": "lifetime", "gateway": "stripe"}

    answers = await asyncio.gather(*(customer.checkout.post("/create-payment", json=body) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["orderId"] for answer in answers}) == 1
    assert len({answer.json()["sessionId"] for answer in answers}) == 1


async def test_a_checkout_killed_at_any_moment_leaves_no_session_that_its_key_does_not_find(customer: Customer) -> None:
    """The process dies while twelve customers are being served; each of them asks again with the same key."""
    keys = [str(uuid4()) for _ in range(12)]
    kinds = ["stripe", "razorpay"] * 6
    asking = [asyncio.ensure_future(customer.buy(kind, key=key)) for kind, key in zip(kinds, keys, strict=True)]
    await asyncio.sleep(0.05)
    customer.stack.running.kill("checkout")
    await asyncio.gather(*asking, return_exceptions=True)

    created: dict[str, dict[str, Any]] = {}

    async def all_created() -> bool:
        for kind, key in zip(kinds, keys, strict=True):
            if key in created:
                continue
            try:
                answer = await customer.buy(kind, key=key)
            except httpx.TransportError:
                return False
            if answer.status_code == 201:
                created[key] = answer.json()
            else:
                assert answer.status_code in {409, 502, 503, 504}, answer.text
        return len(created) == len(keys)

    await until(all_created, seconds=90)
    orders = {each["orderId"] for each in created.values()}
    sessions = await customer.objects("stripe", "checkout.session")
    ours = [each for each in sessions if each["client_reference_id"] in orders]
    assert len(ours) == 6
    for each in created.values():
        await customer.pay(each["sessionId"])
    for order_id in orders:
        await customer.until_status(order_id, "paid")


async def test_duplicated_delayed_and_reordered_webhooks_pay_once(customer: Customer) -> None:
    await customer.faults(duplicate=1.0, reorder=1.0, sameSecond=1.0, seed=7)
    orders = []
    for gateway in ["stripe", "razorpay"] * 3:
        created = await customer.bought(gateway)
        await customer.pay(created["sessionId"], DECLINED)
        await customer.pay(created["sessionId"])
        orders.append(created["orderId"])

    for order_id in orders:
        await customer.until_status(order_id, "paid")
    effects = await customer.stack.database.fetch(
        "SELECT order_id, count(*) AS n FROM effects WHERE order_id::text = ANY ($1) AND kind LIKE '%payment%comp%' "
        "GROUP BY 1",
        orders,
    )
    assert {row["n"] for row in effects} == {2}


async def test_f73_the_way_back_proves_nothing_and_a_lost_way_back_loses_nothing(customer: Customer) -> None:
    created = await customer.bought("stripe")
    sessions = await customer.objects("stripe", "checkout.session")
    (way_back,) = [each["success_url"] for each in sessions if each["id"] == created["sessionId"]]

    forged = await customer.checkout.get(way_back + "&status=paid&payment_status=paid")
    before = await customer.order(created["orderId"])
    await customer.pay(created["sessionId"])

    assert forged.status_code == 200
    assert before["status"] == "pending"
    await customer.until_status(created["orderId"], "paid")


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_f33_f43_f47_the_word_of_the_gateway_may_come_before_our_own_answer(
    customer: Customer, gateway: str
) -> None:
    """The session is paid the moment it exists, while its maker has not yet heard that it does."""
    await customer.faults(timeout=1.0)
    kind = "checkout.session" if gateway == "stripe" else "payment_link"
    before = {each["id"] for each in await customer.objects(gateway, kind)}
    key = str(uuid4())
    asking = asyncio.ensure_future(customer.buy(gateway, key=key))
    made: set[str] = set()

    async def is_made() -> bool:
        made.update({each["id"] for each in await customer.objects(gateway, kind)} - before)
        return bool(made)

    await until(is_made)
    await customer.faults()
    await customer.pay(made.pop())
    answer = await asking

    order_id = answer.json()["orderId"]
    await customer.until_status(order_id, "paid")


async def test_f20_webhooks_are_kept_and_worked_while_every_call_to_the_gateways_hangs(customer: Customer) -> None:
    orders = [await customer.stack.place_order() for _ in range(20)]
    await customer.faults(timeout=20)
    hanging = [asyncio.ensure_future(customer.buy(gateway)) for gateway in ["stripe", "razorpay"] * 4]

    bodies = [json.dumps(session(order)).encode() for order in orders]
    answers = await asyncio.gather(*(customer.stack.post("stripe", body) for body in bodies))

    async def all_paid() -> bool:
        return {await customer.stack.status(order) for order in orders} == {"paid"}

    await until(all_paid)
    still_hanging = [not each.done() for each in hanging]
    await customer.faults()
    await asyncio.gather(*hanging)
    assert {answer.status_code for answer in answers} == {200}
    assert all(still_hanging)


async def test_another_users_order_is_not_there(customer: Customer) -> None:
    created = await customer.bought("stripe")
    secret = development.read(customer.stack.running.data_dir / development.FILE)["AUTH_JWT_SECRET"]
    other = jwt.encode({"sub": "somebody-else", "exp": int(time.time()) + 60}, secret, algorithm="HS256")

    answer = await customer.checkout.get(
        f"/order-status/{created['orderId']}", headers={"Authorization": f"Bearer {other}"}
    )

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "claims",
    [{"exp": 1}, {"sub": ""}, {}],
    ids=["expired", "nobody", "unsigned"],
)
async def test_a_forged_or_expired_token_is_refused(customer: Customer, claims: dict[str, Any]) -> None:
    secret = development.read(customer.stack.running.data_dir / development.FILE)["AUTH_JWT_SECRET"]
    whole = {"sub": "u", "exp": int(time.time()) + 60, **claims}
    token = jwt.encode(whole, secret, algorithm="HS256") if claims else jwt.encode(whole, "", algorithm="none")

    answer = await customer.checkout.get("/orders", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401
