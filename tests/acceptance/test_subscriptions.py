"""A subscription from its page to its end, through the real processes and the stand-in gateways, on the movable clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from console import development
from db import plans
from db.plans import Plan
from tests.acceptance.conftest import Stack
from tests.acceptance.test_counter import Customer
from tests.acceptance.test_recovery import run_job
from tests.waiting import until

pytestmark = pytest.mark.acceptance

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

#: Stripe leaves an invoice open to changes for an hour; and a renewal is charged then.
SOON_AFTER = 2 * HOUR

PRO, TEAM = "pro-monthly", "team-monthly"
PRICES = {PRO: 1900, TEAM: 4900}

Json = dict[str, Any]
both_gateways = pytest.mark.parametrize("gateway", ["stripe", "razorpay"])


@dataclass
class Subscriber(Customer):
    """A user of their own, so that every mail and every object at the gateways that names them is of one test."""

    email: str

    async def subscribe(self, gateway: str, plan_id: str = PRO) -> Json:
        """To the gateway's page, and through it."""
        begun = await self.begin(gateway, plan_id)
        assert (await self.pay(begun["sessionId"]))["outcome"] == "paid"
        return begun

    async def begin(self, gateway: str, plan_id: str = PRO) -> Json:
        answer = await self.checkout.post("/create-subscription", json={"planId": plan_id, "gateway": gateway})
        assert answer.status_code == 201, answer.text
        begun: Json = answer.json()
        return begun

    async def look(self, begun: Json) -> Json:
        answer = await self.checkout.get(f"/subscriptions/{begun['subscriptionId']}")
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    async def until_it(self, begun: Json, is_so: Callable[[Json], bool]) -> Json:
        """Look until it is so; a subscription that never is, is shown as it is."""
        shown: Json = {}

        async def look() -> bool:
            shown.clear()
            shown.update(await self.look(begun))
            return is_so(shown)

        try:
            await until(look, seconds=40)
        except AssertionError:
            raise AssertionError(shown) from None
        return shown

    async def until_it_stands(self, begun: Json, status: str, reason: str) -> Json:
        return await self.until_it(begun, lambda it: (it["status"], it["access"]["reason"]) == (status, reason))

    async def ask(self, begun: Json, change: str, **said: Any) -> Json:
        answer = await self.checkout.post(f"/subscriptions/{begun['subscriptionId']}/{change}", json=said)
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    async def may_use(self, plan_id: str) -> bool:
        """As the application asks: the one answer that counts."""
        rights = (await self.checkout.get("/access")).json()
        return any(right["active"] for right in rights if right["planId"] == plan_id)

    async def invoices(self) -> list[Json]:
        """Of money: what a trial bills is nothing."""
        answer = await self.checkout.get("/invoices")
        assert answer.status_code == 200, answer.text
        return [invoice for invoice in answer.json()["data"] if invoice["amount"] > 0]

    async def statuses(self) -> list[str]:
        return [invoice["status"] for invoice in await self.invoices()]

    async def until_invoices(self, *statuses: str) -> list[Json]:
        """Newest first."""

        async def are_so() -> bool:
            return await self.statuses() == list(statuses)

        await until(are_so, seconds=40)
        return await self.invoices()

    async def pass_time(self, span: timedelta) -> None:
        order = {"advance": span.total_seconds()}
        answer = await self.sandbox.post("/_control/clock", json=order, timeout=120)
        assert answer.status_code == 200, answer.text

    async def wait_for_renewal(self, begun: Json) -> None:
        """To shortly after the end of the trial, or of the period, that runs."""
        shown = await self.look(begun)
        end = moment(shown["trialEnd"] if shown["status"] == "trialing" else shown["currentPeriodEnd"])
        now = float((await self.sandbox.get("/_control/clock")).json()["now"])
        await self.pass_time(timedelta(seconds=end.timestamp() - now) + SOON_AFTER)

    async def has_no_money(self, begun: Json) -> None:
        """From now on, as the bank sees it."""
        order = {"subscription": await self.name_at_gateway(begun), "nextPayment": "fail"}
        answer = await self.sandbox.post("/_control/subscription", json=order)
        assert answer.status_code == 200, answer.text

    async def name_at_gateway(self, begun: Json) -> str:
        asked = "SELECT gateway_subscription_id FROM subscriptions WHERE id = $1::text::uuid"
        return str(await self.stack.database.fetchval(asked, begun["subscriptionId"]))

    async def until_charges(self, begun: Json, *amounts: int) -> None:
        """Of an invoice's payment its gateway may tell only when it is asked, so that it comes after the access."""

        async def are_so() -> bool:
            return await self.charges(begun) == list(amounts)

        await until(are_so, seconds=40)

    async def charges(self, begun: Json) -> list[int]:
        """What our record says was taken for it, oldest first."""
        asked = """
            SELECT p.amount FROM payments p LEFT JOIN invoices i ON i.id = p.invoice_id
             WHERE i.subscription_id = $1::text::uuid OR p.order_id = $2::text::uuid ORDER BY p.id
        """
        found = await self.stack.database.fetch(asked, begun["subscriptionId"], begun["orderId"])
        return [row["amount"] for row in found]

    def mails(self) -> dict[str, str]:
        """What lies in their inbox: subject to text."""
        letters = [
            message_from_bytes(path.read_bytes(), policy=default)
            for path in Path(self.stack.running.told["outbox"]).rglob("*.eml")
        ]
        return {str(each["Subject"]): text_of(each) for each in letters if self.email in each["To"]}

    async def until_mail(self, subject: str) -> str:
        async def has_come() -> bool:
            return subject in self.mails()

        try:
            await until(has_come, seconds=40)
        except AssertionError:
            raise AssertionError(sorted(self.mails())) from None
        return self.mails()[subject]


def text_of(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_longer(before: Json, after: Json) -> bool:
    """By a month, and not by the grace that goes before it."""
    return moment(after["access"]["until"]) > moment(before["access"]["until"]) + 27 * DAY


@pytest.fixture
async def subscriber(stack: Stack) -> AsyncIterator[Subscriber]:
    told, name = stack.running.told, f"u{uuid4().hex}"
    secret = development.read(stack.running.data_dir / development.FILE)["AUTH_JWT_SECRET"]
    email = f"{name}@example.com"
    claims = {"sub": name, "email": email, "exp": int(time.time()) + 3600}
    bearer = {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}
    async with (
        httpx.AsyncClient(base_url=told["checkout"], headers=bearer, timeout=60) as checkout,
        httpx.AsyncClient(base_url=told["sandbox"], timeout=60) as sandbox,
    ):
        yield Subscriber(stack, checkout, sandbox, email)
        await sandbox.post("/_control/faults", json={})


@both_gateways
async def test_scenario_5_a_trial_gives_access_and_the_card_is_charged_when_it_is_over(
    subscriber: Subscriber, gateway: str
) -> None:
    begun = await subscriber.subscribe(gateway, TEAM)
    on_trial = await subscriber.until_it_stands(begun, "trialing", "trial")
    charged_on_trial, invoices_on_trial = await subscriber.charges(begun), await subscriber.invoices()

    await subscriber.pass_time(13 * DAY)
    await run_job(subscriber.stack, "dunning")
    still = await subscriber.look(begun)
    announced = await subscriber.until_mail("Your trial ends soon: Team")
    await subscriber.wait_for_renewal(begun)
    after = await subscriber.until_it_stands(begun, "active", "paid")

    assert on_trial["access"] == {"active": True, "until": on_trial["trialEnd"], "reason": "trial"}
    assert (charged_on_trial, invoices_on_trial) == ([], [])
    assert (still["status"], still["access"]["active"]) == ("trialing", True)
    await subscriber.until_charges(begun, PRICES[TEAM])
    assert moment(after["access"]["until"]) > moment(on_trial["trialEnd"]) + 27 * DAY
    assert "49.00 USD" in announced


@both_gateways
async def test_scenario_6_a_renewal_extends_access_by_a_period(subscriber: Subscriber, gateway: str) -> None:
    begun = await subscriber.subscribe(gateway)
    first = await subscriber.until_it_stands(begun, "active", "paid")

    await subscriber.wait_for_renewal(begun)
    renewed = await subscriber.until_it(begun, lambda it: is_longer(first, it))

    paid = await subscriber.until_invoices("paid", "paid")
    assert renewed["access"]["active"]
    assert [invoice["reason"] for invoice in paid] == ["renewal", "first"]
    await subscriber.until_charges(begun, PRICES[PRO], PRICES[PRO])


@both_gateways
async def test_scenario_7_a_renewal_that_fails_suspends_access_until_it_is_paid_by_the_link_of_the_mail(
    subscriber: Subscriber, gateway: str
) -> None:
    begun = await subscriber.subscribe(gateway)
    await subscriber.until_it_stands(begun, "active", "paid")
    await subscriber.has_no_money(begun)

    await subscriber.wait_for_renewal(begun)
    suspended = await subscriber.until_it_stands(begun, "past_due", "payment_failed")
    unpaid, _ = await subscriber.until_invoices("open", "paid")
    told = await subscriber.until_mail("Your payment has failed: Pro")
    paid = await subscriber.pay(unpaid["payUrl"].rpartition("/")[2])
    restored = await subscriber.until_it_stands(begun, "active", "paid")

    assert not suspended["access"]["active"]
    assert unpaid["payUrl"] in told
    assert paid["outcome"] == "paid"
    assert restored["access"]["active"]
    assert await subscriber.until_invoices("paid", "paid")
    assert await subscriber.until_mail("You can use it again: Pro")


@both_gateways
async def test_cancelled_at_the_periods_end_gives_access_until_then_and_not_longer(
    subscriber: Subscriber, gateway: str
) -> None:
    begun = await subscriber.subscribe(gateway)
    await subscriber.until_it_stands(begun, "active", "paid")

    set_to_end = await subscriber.ask(begun, "cancel", atPeriodEnd=True)
    await subscriber.wait_for_renewal(begun)
    ended = await subscriber.until_it_stands(begun, "cancelled", "cancelled")

    assert (set_to_end["status"], set_to_end["cancelAtPeriodEnd"]) == ("active", True)
    assert set_to_end["access"] == {"active": True, "until": set_to_end["endsAt"], "reason": "paid"}
    assert not ended["access"]["active"]
    assert await subscriber.charges(begun) == [PRICES[PRO]]
    assert not await subscriber.may_use(PRO)


@both_gateways
async def test_cancelled_now_gives_access_no_more(subscriber: Subscriber, gateway: str) -> None:
    begun = await subscriber.subscribe(gateway)
    await subscriber.until_it_stands(begun, "active", "paid")

    cancelled = await subscriber.ask(begun, "cancel", atPeriodEnd=False)
    again = await subscriber.checkout.post(f"/subscriptions/{begun['subscriptionId']}/resume")

    assert (cancelled["status"], cancelled["access"]["active"]) == ("cancelled", False)
    assert not await subscriber.may_use(PRO)
    assert (again.status_code, again.json()["code"]) == (409, "subscription_ended")


@both_gateways
async def test_a_subscription_whose_webhooks_were_all_lost_is_repaired_by_one_recovery(
    subscriber: Subscriber, gateway: str
) -> None:
    await subscriber.faults(drop=1)
    begun = await subscriber.subscribe(gateway)
    lost = await subscriber.look(begun)

    await subscriber.pass_time(HOUR + timedelta(minutes=1))
    await run_job(subscriber.stack, "recover_orphans")
    found = await subscriber.until_it_stands(begun, "active", "paid")
    await subscriber.wait_for_renewal(begun)
    await subscriber.pass_time(SOON_AFTER)
    await run_job(subscriber.stack, "recover_orphans")
    renewed = await subscriber.until_it(begun, lambda it: is_longer(found, it))

    assert (lost["status"], lost["access"]["active"]) == ("incomplete", False)
    assert found["access"]["active"]
    assert (renewed["status"], renewed["access"]["reason"]) == ("active", "paid")
    await subscriber.until_charges(begun, PRICES[PRO], PRICES[PRO])


async def test_f75_the_end_of_the_older_of_two_subscriptions_takes_nothing_from_the_newer(
    subscriber: Subscriber,
) -> None:
    plan = Plan("seat-monthly", "Seat", "As many as you like.", 500, "usd", interval="month", many=True)
    async with subscriber.stack.database.transaction():
        await plans.upsert(subscriber.stack.database, plan)
    older = await subscriber.subscribe("stripe", plan.id)
    await subscriber.until_it_stands(older, "active", "paid")
    newer = await subscriber.subscribe("razorpay", plan.id)
    await subscriber.until_it_stands(newer, "active", "paid")

    await subscriber.ask(older, "cancel", atPeriodEnd=False)
    ended = await subscriber.until_it_stands(older, "cancelled", "cancelled")

    kept = await subscriber.look(newer)
    assert not ended["access"]["active"]
    assert (kept["status"], kept["access"]["active"]) == ("active", True)
    assert await subscriber.may_use(plan.id)


@both_gateways
async def test_f58_fifty_creations_at_once_make_one_customer_and_one_subscription(
    subscriber: Subscriber, gateway: str
) -> None:
    def create() -> Awaitable[httpx.Response]:
        return subscriber.checkout.post("/create-subscription", json={"planId": PRO, "gateway": gateway})

    before = [len(await subscriber.objects(gateway, kind)) for kind in ("customer", "subscription")]
    answers = await asyncio.gather(*(create() for _ in range(50)))

    pages = {answer.json().get("sessionId") for answer in answers}
    assert {answer.status_code for answer in answers} == {201}
    assert len(pages) == 1
    assert len((await subscriber.checkout.get("/subscriptions")).json()["data"]) == 1
    await subscriber.pay(pages.pop())
    await subscriber.until_it_stands(answers[0].json(), "active", "paid")
    after = [len(await subscriber.objects(gateway, kind)) for kind in ("customer", "subscription")]
    assert after == [count + 1 for count in before]
