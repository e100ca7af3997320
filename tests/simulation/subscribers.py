"""What customers do with a subscription: begin it, live with it while months pass, and let it go, each in their way.

Here too they ask again whatever is answered with "not now", or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from db.pool import UNAVAILABLE
from tests.simulation.customers import DAY, DECLINED, HOUR, PAUSE_SECONDS, PAYS, TRIES, Customer, as_json, is_not_now
from tests.simulation.stack import SUBSCRIBED

#: What a person is told who wants what cannot be done to their subscription now.
REFUSALS = frozenset(
    {"already_on_plan", "already_subscribed", "change_pending", "gateway_cannot", "subscription_ended"}
    | {"subscription_incomplete", "trial_running"}
)

#: A card that pays once and is declined whenever it is charged later.
GOES_BAD = "4000000000000341"

#: Longer than any month, and than what follows a failed renewal in its first days.
A_MONTH = 33 * DAY

#: How long a person looks for what they have just paid for, before they come back another day.
LOOKS = 15


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A customer with a subscription that they have paid for, as far as they know."""

    customer: Customer
    subscription_id: str

    async def ask(self, change: str, **said: Any) -> None:
        """Ask for a change of it, and again while nobody can say."""
        visit, draw = self.customer.visit, self.customer.draw
        for _ in range(TRIES):
            answer = await self.customer.post(f"/subscriptions/{self.subscription_id}/{change}", said)
            if answer is not None and not is_not_now(answer):
                if not answer.is_success and as_json(answer).get("code") not in REFUSALS:
                    visit.complain(f"was answered {answer.status_code} {answer.text[:200]} to {change}")
                return
            if self.customer.street.closing.is_set():
                return
            await asyncio.sleep(draw.uniform(*PAUSE_SECONDS))

    async def pay_what_failed(self) -> None:
        """By the link that the invoice shows, with a card that is good."""
        for invoice in await self._invoices():
            if invoice["subscriptionId"] == self.subscription_id and "payUrl" in invoice:
                await self.customer.pay_at(invoice["payUrl"].rpartition("/")[2], card=PAYS)
                return

    async def _invoices(self) -> Sequence[dict[str, Any]]:
        """Newest first."""
        with suppress(httpx.TransportError):
            answer = await self.customer.street.stack.checkout.get("/invoices", headers=self.customer.headers)
            if answer.status_code not in (200, 503):
                self.customer.visit.complain(f"was told {answer.status_code} of their own invoices")
            found: list[dict[str, Any]] = as_json(answer).get("data", [])
            return found
        return ()

    async def have_the_bank(self, **arranged: Any) -> None:
        """What the bank does when the card is charged next, or another card in the place of this one."""
        with suppress(*UNAVAILABLE):
            name = await self.customer.street.stack.pool.fetchval(
                "SELECT gateway_subscription_id FROM subscriptions WHERE id = $1::text::uuid", self.subscription_id
            )
            if name is not None:
                answer = await self.customer.street.stack.order("subscription", subscription=name, **arranged)
                self.customer.visit.note(f"arranges {arranged} for {name}: {answer.status_code} {answer.text[:200]}")


async def subscribe(customer: Customer) -> Subscriber | None:
    """To the hosted page, and through it; None where that came to nothing."""
    page = await customer.ask(customer.new_key(), at="/create-subscription")
    if await customer.pay(page) != "paid" or page is None or page.subscription_id is None:
        return None
    return Subscriber(customer, page.subscription_id)


def _some_days(customer: Customer, least: int, most: int) -> int:
    return customer.draw.randint(least * DAY, most * DAY)


# --- lives ---


async def stays(customer: Customer) -> None:
    """Subscribes, and is never heard of again."""
    await subscribe(customer)


async def turns_back(customer: Customer) -> None:
    """Opens the page and goes; sometimes they say so."""
    page = await customer.ask(customer.new_key(), at="/create-subscription")
    if page is not None and page.subscription_id is not None and customer.draw.random() < 0.5:
        await Subscriber(customer, page.subscription_id).ask("cancel", atPeriodEnd=False)


async def is_declined_and_subscribes(customer: Customer) -> None:
    """A card is declined, the next one pays."""
    page = await customer.ask(customer.new_key(), at="/create-subscription")
    await customer.pay(page, card=customer.draw.choice(DECLINED))
    await customer.pay(page)


async def subscribes_often(customer: Customer) -> None:
    """Several clicks at once, and one more once it runs: one subscription."""
    asked = (customer.ask(None, at="/create-subscription") for _ in range(customer.draw.randint(2, 4)))
    await customer.pay(next(filter(None, await asyncio.gather(*asked)), None))
    await customer.ask(None, at="/create-subscription")


async def cancels_in_time(customer: Customer) -> None:
    """With the end of what is paid."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(_some_days(customer, 1, 40)):
        await subscriber.ask("cancel", atPeriodEnd=True)


async def cancels_at_once(customer: Customer) -> None:
    """With what is paid still running."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(_some_days(customer, 0, 40)):
        await subscriber.ask("cancel", atPeriodEnd=False)


async def thinks_better_of_it(customer: Customer) -> None:
    """Cancels with the period, and takes that back."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(_some_days(customer, 1, 20)):
        await subscriber.ask("cancel", atPeriodEnd=True)
        if await customer.later(HOUR):
            await subscriber.ask("resume")


async def pauses(customer: Customer) -> None:
    """And goes on, within the period or after it, or never."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(_some_days(customer, 1, 35)):
        await subscriber.ask("pause")
        if customer.draw.random() < 0.7 and await customer.later(_some_days(customer, 0, 50)):
            await subscriber.ask("resume")


async def changes_plan(customer: Customer) -> None:
    """To another one of the same currency, dearer or cheaper; sometimes back again."""
    subscriber = await subscribe(customer)
    own = next(plan for plan in SUBSCRIBED if plan.id == customer.visit.plan)
    others = [plan for plan in SUBSCRIBED if plan.currency == own.currency and plan is not own]
    if subscriber and others and await customer.later(_some_days(customer, 1, 40)):
        await subscriber.ask("change-plan", planId=customer.draw.choice(others).id)
        if customer.draw.random() < 0.3 and await customer.later(_some_days(customer, 0, 30)):
            await subscriber.ask("change-plan", planId=own.id)


async def fails_and_pays(customer: Customer) -> None:
    """A renewal fails, and is paid by its link."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(HOUR):
        await subscriber.have_the_bank(nextPayment="fail")
        if await customer.later(A_MONTH):
            await subscriber.pay_what_failed()


async def fails_and_gets_another_card(customer: Customer) -> None:
    """The card goes bad, and is another one by the time that the gateway tries again."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(HOUR):
        await subscriber.have_the_bank(card=GOES_BAD)
        if await customer.later(A_MONTH):
            await subscriber.have_the_bank(card=PAYS)


async def fails_for_good(customer: Customer) -> None:
    """The card goes bad, and nobody cares."""
    subscriber = await subscribe(customer)
    if subscriber and await customer.later(HOUR):
        await subscriber.have_the_bank(card=GOES_BAD)
