"""The subscriber's page of the example shop in a real browser, on the real stack, at a phone's width and a desk's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from playwright import async_api as playwright

from tests.acceptance.conftest import Running
from tests.acceptance.test_storefront import Shopper, at_both_widths, shopping
from tests.browsers import PATIENCE_MS, Browser, needs_chromium, picture

pytestmark = [pytest.mark.acceptance, needs_chromium]

HOUR = 3600

playwright.expect.set_options(timeout=PATIENCE_MS)
expect = playwright.expect
both_gateways = pytest.mark.parametrize("gateway", ["Stripe", "Razorpay"])


async def subscribe(anna: Shopper, gateway: str, plan: str = "Pro") -> None:
    """From the shop window through the gateway's page to the account."""
    await begin(anna, gateway, plan)
    await anna.pay()
    await expect(anna.page.get_by_role("heading", name=THANKS[gateway])).to_be_visible()
    await anna.look_into_account()


#: Stripe leads back to our page; the page of a subscription at Razorpay leads nowhere.
THANKS = {"Stripe": "Payment received", "Razorpay": "Thank you"}


async def begin(anna: Shopper, gateway: str, plan: str = "Pro") -> None:
    await anna.look_into_shop()
    await anna.plan(plan).get_by_role("radio", name=gateway).check()
    await anna.plan(plan).get_by_role("button").click()
    await anna.sign_in()
    await anna.wait_for_hosted_page()


def card(anna: Shopper) -> Any:
    """The one subscription that they have."""
    return anna.page.locator("[data-subscription]")


async def sees(anna: Shopper, *words: str) -> None:
    for each in words:
        await expect(card(anna)).to_contain_text(each)


async def sees_badge(anna: Shopper, label: str) -> None:
    await expect(card(anna).locator(".badge")).to_have_text(label)


async def press(anna: Shopper, *names: str) -> None:
    """By keyboard: a way of the subscription, and what opens below it."""
    for name in names:
        target = card(anna).locator("summary, button", has_text=name).last
        await target.focus()
        await anna.page.keyboard.press("Enter")


@asynccontextmanager
async def control(told: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    """The gateways' own, left without faults."""
    async with httpx.AsyncClient(base_url=told["sandbox"], timeout=120) as gateways:
        yield gateways
        await gateways.post("/_control/faults", json={})


async def advance_to_renewal(anna: Shopper, gateways: httpx.AsyncClient) -> None:
    """To two hours after it: Stripe charges within one, and no gateway tries again so soon."""
    [own] = (await anna.checkout.get("/subscriptions")).json()["data"]
    now = (await gateways.get("/_control/clock")).json()["now"]
    left = datetime.fromisoformat(own["currentPeriodEnd"]).timestamp() - now
    await gateways.post("/_control/clock", json={"advance": left + 2 * HOUR})


@both_gateways
async def test_a_subscriber_sees_what_they_have_until_when_and_what_it_costs(
    running: Running, browser: Browser, gateway: str
) -> None:
    async def journey(anna: Shopper) -> None:
        await subscribe(anna, gateway)

        await sees_badge(anna, "Active")
        await sees(anna, "$19 a month", "yes, until", "Next payment", f"at {gateway}")
        invoice = anna.page.locator("[data-invoice]")
        await expect(invoice).to_contain_text("Pro: first payment")
        await expect(invoice.get_by_role("link", name="Receipt")).to_be_visible()
        await expect(anna.page.locator("[data-order]")).to_have_count(0)
        await anna.sees_no_edge_cut_off()
        await picture(anna.page, f"subscriber-{gateway}-{anna.width}")

    await at_both_widths(running, browser, journey)


@both_gateways
async def test_a_trial_says_until_when_it_is_free_and_what_is_charged_then(
    running: Running, browser: Browser, gateway: str
) -> None:
    async with shopping(running, browser) as anna:
        await subscribe(anna, gateway, "Team")

        await sees_badge(anna, "On trial")
        await sees(anna, "Cancel before the trial ends, and nothing is charged", "$49 on")
        await expect(anna.page.get_by_text("Nothing has been billed yet.")).to_be_visible()
        await picture(anna.page, f"subscriber-trial-{gateway}")


async def test_all_that_can_be_done_about_a_subscription_is_done_by_keyboard(
    running: Running, browser: Browser
) -> None:
    async def journey(anna: Shopper) -> None:
        await subscribe(anna, "Stripe")
        await sees_badge(anna, "Active")

        await press(anna, "Pause")
        await sees_badge(anna, "Paused")
        await picture(anna.page, f"subscriber-paused-{anna.width}")
        await press(anna, "Resume")
        await sees_badge(anna, "Active")
        await press(anna, "Cancel")
        await anna.sees_no_edge_cut_off()
        await picture(anna.page, f"subscriber-cancelling-{anna.width}")
        await press(anna, "At the end of the period")
        await sees_badge(anna, "Set to end")
        await sees(anna, "Nothing more is charged")
        await press(anna, "Keep it")
        await sees_badge(anna, "Active")
        await expect(card(anna)).to_be_focused()
        await press(anna, "Change plan", "Team, $49 a month")
        await expect(card(anna).locator(".head")).to_contain_text("Team")
        await expect(anna.page.locator("[data-invoice]").first).to_contain_text("change of plan")
        await anna.sees_no_edge_cut_off()
        await picture(anna.page, f"subscriber-changed-{anna.width}")
        await press(anna, "Change plan", "Pro, $19 a month")
        await sees(anna, "It changes to Pro on")
        await picture(anna.page, f"subscriber-planned-{anna.width}")
        await press(anna, "Cancel", "Now")
        await sees_badge(anna, "Cancelled")
        await sees(anna, "not any more")

    await at_both_widths(running, browser, journey)


async def test_at_razorpay_too_it_is_paused_resumed_changed_and_cancelled(running: Running, browser: Browser) -> None:
    async with shopping(running, browser) as anna:
        await subscribe(anna, "Razorpay")
        await sees_badge(anna, "Active")

        await press(anna, "Pause")
        await sees_badge(anna, "Paused")
        await press(anna, "Resume")
        await sees_badge(anna, "Active")
        await press(anna, "Change plan", "Team, $49 a month")
        await expect(card(anna).locator(".head")).to_contain_text("Team")
        await sees(anna, "$49 a month", "yes, until")
        await press(anna, "Change plan", "Pro, $19 a month")
        await sees(anna, "It changes to Pro on")
        await picture(anna.page, "subscriber-planned-Razorpay")
        await press(anna, "Cancel", "Now")
        await sees_badge(anna, "Cancelled")


async def test_another_card_is_given_on_the_gateways_own_page(running: Running, browser: Browser) -> None:
    async with shopping(running, browser) as anna:
        await subscribe(anna, "Stripe")
        await sees_badge(anna, "Active")

        await anna.button("New card").click()
        await anna.pay()

        await expect(anna.page.get_by_text("Your new card is saved").or_(card(anna)).first).to_be_visible()


async def test_what_a_gateway_refuses_is_said_with_its_reason(running: Running, browser: Browser) -> None:
    async with shopping(running, browser, refused=True) as anna:
        await subscribe(anna, "Razorpay")
        await press(anna, "Cancel", "At the end of the period")
        await sees_badge(anna, "Set to end")

        await press(anna, "Keep it")

        refusal = card(anna).get_by_role("alert")
        await expect(refusal).to_contain_text("an end that was set for later cannot be taken back")
        await picture(anna.page, "subscriber-refused")
        await sees_badge(anna, "Set to end")


async def test_an_answer_that_was_lost_is_said_to_be_awaited_and_comes_by_itself(
    running: Running, browser: Browser
) -> None:
    async with shopping(running, browser) as anna, control(anna.told) as gateways:
        await subscribe(anna, "Stripe")
        await sees_badge(anna, "Active")
        await gateways.post("/_control/faults", json={"apiErrors": 1})

        await press(anna, "Pause")
        await sees(anna, "The payment provider has not answered yet")
        await picture(anna.page, "subscriber-awaited")
        await gateways.post("/_control/faults", json={})
        subscription = await card(anna).get_attribute("data-subscription")
        again = await anna.checkout.post(f"/subscriptions/{subscription}/pause")  # as from another tab, or as recovery

        assert again.status_code == 200, again.text
        await sees_badge(anna, "Paused")
        await expect(card(anna)).not_to_contain_text("has not answered yet")


@both_gateways
async def test_a_payment_that_failed_is_shown_with_its_link_and_paying_there_restores_access(
    running: Running, browser: Browser, gateway: str
) -> None:
    async with shopping(running, browser) as anna, control(anna.told) as gateways:
        await subscribe(anna, gateway)
        await sees_badge(anna, "Active")
        kind = {"gateway": gateway.lower(), "type": "subscription"}
        newest = (await gateways.get("/_control/objects", params=kind)).json()["data"][-1]["id"]
        await gateways.post("/_control/subscription", json={"subscription": newest, "nextPayment": "fail"})

        await advance_to_renewal(anna, gateways)
        await anna.look_into_account()
        await sees_badge(anna, "Payment failed")
        await sees(anna, "not until the open payment is made")
        await anna.sees_no_edge_cut_off()
        await picture(anna.page, f"subscriber-failed-{gateway}")
        await card(anna).get_by_role("link", name="Pay $19.00 now").click()
        await anna.pay()
        await expect(anna.page.get_by_role("heading", name="Thank you")).to_be_visible()
        await anna.look_into_account()

        await sees_badge(anna, "Active")
        await sees(anna, "yes, until")


async def test_what_was_begun_and_not_paid_goes_on_with_the_same_page_or_is_given_up(
    running: Running, browser: Browser
) -> None:
    async with shopping(running, browser) as anna:
        await begin(anna, "Stripe")
        page = anna.page.url
        await anna.look_into_account()
        await sees_badge(anna, "Not begun")

        await press(anna, "Continue")
        await anna.page.wait_for_url(page)
        await anna.look_into_account()
        await press(anna, "Give it up")

        await sees_badge(anna, "Never begun")


async def test_the_shop_leads_to_the_subscription_that_somebody_has(running: Running, browser: Browser) -> None:
    async with shopping(running, browser) as anna:
        await subscribe(anna, "Stripe")
        await sees_badge(anna, "Active")

        await anna.look_into_shop()
        await anna.button("See your subscription").click()

        await sees_badge(anna, "Active")
