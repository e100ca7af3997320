"""The example shop in a real browser, on the real stack: from the shop window to the last page, and back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright import async_api as playwright

from tests.acceptance.conftest import Running, Stack
from tests.browsers import DESK, PATIENCE_MS, PHONE, Browser, Size, needs_chromium, picture
from tests.waiting import until

pytestmark = [pytest.mark.acceptance, needs_chromium]

PAYS, ASKS = "4242 4242 4242 4242", "4000 0025 0000 3155"
DECLINED = {
    "4000 0000 0000 0002": ("card_declined", "The bank declined the payment", "Use another card"),
    "4000 0000 0000 9995": ("insufficient_funds", "The card has insufficient funds", "Try again"),
    "4000 0000 0000 0069": ("expired_card", "The card has expired", "Use another card"),
}

playwright.expect.set_options(timeout=PATIENCE_MS)
expect = playwright.expect


@dataclass
class Shopper:
    """A demo user of their own, with a browser of their own."""

    name: str
    width: int
    context: Any
    page: Any
    told: dict[str, Any]
    checkout: httpx.AsyncClient

    def button(self, name: str) -> Any:
        return self.page.get_by_role("button", name=name, exact=True)

    def plan(self, name: str) -> Any:
        return self.page.locator("form").filter(has=self.page.get_by_role("heading", name=name))

    async def look_into_shop(self) -> None:
        await self.page.goto(self.told["storefront"])
        await expect(self.page.get_by_role("heading", name="Lifetime")).to_be_visible()

    async def look_into_account(self) -> None:
        await self.page.goto(f"{self.told['storefront']}/account")

    async def buy(self, gateway: str = "Stripe") -> None:
        """As somebody who was never here: signed in on the way, and left on the gateway's page."""
        await self.look_into_shop()
        await self.plan("Lifetime").get_by_role("radio", name=gateway).check()
        await self.button("Buy").click()
        await self.sign_in()
        await self.wait_for_hosted_page()

    async def sees_no_edge_cut_off(self) -> None:
        assert await self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    async def sign_in(self) -> None:
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("Somebody new").fill(self.name)
        await dialog.get_by_role("button", name="Sign in").click()

    async def wait_for_hosted_page(self) -> None:
        await expect(self.page.locator("input[autocomplete=cc-number]")).to_be_visible()

    async def pay(self, card: str = PAYS) -> None:
        await self.type_card(card)
        await self.page.locator("button[type=submit]").first.click()

    async def type_card(self, card: str) -> None:
        await self.wait_for_hosted_page()
        await self.page.locator("input[autocomplete=cc-number]").fill(card)
        await self.page.locator("input[autocomplete=cc-exp]").fill("12/34")
        await self.page.locator("input[autocomplete=cc-csc]").fill("123")

    async def pay_by_upi(self, address: str) -> None:
        await self.page.locator("summary", has_text="UPI").click()
        field = self.page.get_by_label("UPI address")
        await field.fill(address)
        await field.press("Enter")

    async def come_back_paid(self) -> None:
        """Over our success page to the account, where all of it is seen."""
        await expect(self.page.get_by_role("heading", name="Payment received")).to_be_visible()
        await self.page.get_by_role("link", name="Back to the shop").click()
        await self.sees_all_of_it()

    async def sees_all_of_it(self) -> None:
        await expect(self.page.locator("[data-order]").get_by_text("Paid", exact=True)).to_be_visible()
        await expect(self.page.get_by_role("listitem").filter(has_text="for good")).to_contain_text("Lifetime")
        await self.page.get_by_text("Payment received: Lifetime").click()
        await expect(self.page.get_by_text("Thank you. We have received your payment.")).to_be_visible()

    async def orders(self) -> list[dict[str, Any]]:
        answer = await self.checkout.get("/orders")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def order(self) -> dict[str, Any]:
        [order] = await self.orders()
        return order


@asynccontextmanager
async def shopping(
    running: Running,
    browser: Browser,
    size: Size = DESK,
    *,
    name: str | None = None,
    refused: bool = False,
    **more: Any,
) -> AsyncIterator[Shopper]:
    """With a browser that complains about nothing: an error on its console fails the test, but for an answer of 409
    where one is to be ``refused``."""
    told, name, complaints = running.told, name or f"u{uuid4().hex[:12]}", []
    context = await browser.new_context(viewport=size, **more)
    context.set_default_timeout(PATIENCE_MS)
    context.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    opened = httpx.post(f"{told['storefront']}/session", json={"email": f"{name}@example.com"}).json()
    bearer = {"Authorization": f"Bearer {opened['token']}"}
    try:
        async with httpx.AsyncClient(base_url=told["checkout"], headers=bearer, timeout=30) as checkout:
            yield Shopper(name, size["width"], context, await context.new_page(), told, checkout)
    finally:
        await context.close()
    assert [each for each in complaints if not (refused and "409 (Conflict)" in each)] == []


async def at_both_widths(running: Running, browser: Browser, journey: Callable[[Shopper], Awaitable[None]]) -> None:
    """The same journey on a phone and on a desk, side by side."""

    async def at(size: Size) -> None:
        async with shopping(running, browser, size) as shopper:
            await journey(shopper)

    async with asyncio.TaskGroup() as both:
        both.create_task(at(PHONE))
        both.create_task(at(DESK))


@pytest.mark.parametrize("gateway", ["Stripe", "Razorpay"])
async def test_scenario_1_a_card_that_pays_is_followed_from_the_shop_to_paid(
    running: Running, browser: Browser, gateway: str
) -> None:
    async def journey(anna: Shopper) -> None:
        await anna.look_into_shop()
        await anna.sees_no_edge_cut_off()
        await picture(anna.page, f"shop-{anna.width}")

        await anna.buy(gateway)
        await picture(anna.page, f"shop-hosted-{gateway}-{anna.width}")
        await anna.pay()
        await anna.come_back_paid()

        await anna.sees_no_edge_cut_off()
        await picture(anna.page, f"shop-account-{anna.width}")
        order = await anna.order()
        assert (order["status"], order["gateway"], order["amount"]) == ("paid", gateway.lower(), 4900)

    await at_both_widths(running, browser, journey)


async def test_a_card_that_asks_for_3_d_secure_pays_when_it_is_confirmed(running: Running, browser: Browser) -> None:
    async def journey(anna: Shopper) -> None:
        await anna.buy()
        await anna.pay(ASKS)
        await expect(anna.page.get_by_text("3-D Secure").first).to_be_visible()
        await anna.page.locator("button[type=submit]").first.click()
        await anna.come_back_paid()

        assert (await anna.order())["status"] == "paid"

    await at_both_widths(running, browser, journey)


@pytest.mark.parametrize("card", DECLINED)
async def test_scenario_2_a_card_that_does_not_pay_says_why_and_another_pays_the_same_order(
    running: Running, browser: Browser, card: str
) -> None:
    code, words, way = DECLINED[card]

    async def journey(anna: Shopper) -> None:
        await anna.buy()
        await anna.pay(card)
        await expect(anna.page.get_by_role("alert")).to_be_visible()
        await anna.look_into_account()
        await expect(anna.page.locator("[data-order]")).to_contain_text(words)
        await picture(anna.page, f"shop-{code}-{anna.width}")
        declined = await anna.order()

        await anna.button(way).click()
        await anna.pay()
        await anna.come_back_paid()

        paid = await anna.order()
        assert (declined["status"], declined["failure"]["code"]) == ("pending", code)
        assert (paid["status"], paid["orderId"]) == ("paid", declined["orderId"])

    await at_both_widths(running, browser, journey)


async def test_upi_pays_at_razorpay(running: Running, browser: Browser) -> None:
    async def journey(anna: Shopper) -> None:
        await anna.buy("Razorpay")
        await anna.pay_by_upi("success@razorpay")
        await anna.come_back_paid()

        assert (await anna.order())["status"] == "paid"

    await at_both_widths(running, browser, journey)


async def test_upi_that_fails_says_so_and_a_card_pays_the_same_order(running: Running, browser: Browser) -> None:
    async def journey(anna: Shopper) -> None:
        await anna.buy("Razorpay")
        await anna.pay_by_upi("failure@razorpay")
        await expect(anna.page.get_by_role("alert")).to_be_visible()
        await anna.look_into_account()
        await expect(anna.page.locator("[data-order]")).to_contain_text("Not paid yet")
        declined = await anna.order()

        await anna.page.locator("[data-order]").get_by_role("button").click()
        await anna.pay()
        await anna.come_back_paid()

        paid = await anna.order()
        assert (declined["status"], declined["failure"]["code"]) == ("pending", "card_declined")
        assert (paid["status"], paid["orderId"]) == ("paid", declined["orderId"])

    await at_both_widths(running, browser, journey)


@pytest.mark.parametrize("gateway", ["Stripe", "Razorpay"])
async def test_f73_a_tab_that_is_closed_right_after_paying_loses_nothing(
    running: Running, browser: Browser, gateway: str
) -> None:
    async with shopping(running, browser) as anna:
        is_paid, is_closed = asyncio.Event(), asyncio.Event()

        async def pay_and_hold_the_answer_back(route: Any) -> None:
            """The gateway is asked and pays; the browser never hears where to go next."""
            if route.request.method != "POST":
                await route.continue_()
                return
            await route.fetch(max_redirects=0)
            is_paid.set()
            await is_closed.wait()
            with suppress(playwright.Error):  # nobody waits for it any longer
                await route.abort()

        await anna.buy(gateway)
        await anna.page.route(re.compile(r"/pay/"), pay_and_hold_the_answer_back)
        await anna.type_card(PAYS)
        await anna.page.locator("button[type=submit]").first.click(no_wait_after=True)
        await asyncio.wait_for(is_paid.wait(), 15)
        await anna.page.close()
        is_closed.set()

        anna.page = await anna.context.new_page()
        await anna.look_into_account()
        await anna.sees_all_of_it()
        assert (await anna.order())["status"] == "paid"


async def test_f58_double_click_back_and_reload_make_one_order_and_one_payment(
    running: Running, browser: Browser, stack: Stack
) -> None:
    made = []

    async def journey(anna: Shopper) -> None:
        await anna.buy()
        first = anna.page.url
        await anna.page.go_back()
        await expect(anna.button("Buy")).to_be_enabled()
        await anna.page.reload()
        await anna.button("Buy").dblclick()
        await anna.wait_for_hosted_page()
        assert anna.page.url == first
        await anna.page.reload()
        await anna.type_card(PAYS)
        await anna.page.locator("button[type=submit]").first.dblclick()
        await expect(anna.page.get_by_role("heading", name="Payment received")).to_be_visible()
        await anna.page.reload()
        await anna.page.go_back()
        await anna.page.go_forward()
        await anna.come_back_paid()
        made.append(await anna.order())

    await at_both_widths(running, browser, journey)

    paid = await stack.database.fetch(
        "SELECT order_id::text FROM payments WHERE order_id::text = ANY ($1)", [order["orderId"] for order in made]
    )
    assert [order["status"] for order in made] == ["paid", "paid"]
    assert sorted(row["order_id"] for row in paid) == sorted(order["orderId"] for order in made)


async def test_after_a_paid_order_the_next_purchase_is_another(running: Running, browser: Browser) -> None:
    async with shopping(running, browser) as anna:
        await anna.buy()
        await anna.pay()
        await anna.come_back_paid()

        await anna.look_into_shop()
        await anna.button("Buy again").click()
        await anna.pay()
        await expect(anna.page.get_by_role("heading", name="Payment received")).to_be_visible()

        orders = await anna.orders()
        assert [order["status"] for order in orders] == ["paid", "paid"]


async def test_an_order_that_waits_can_be_paid_later_and_turns_paid_before_ones_eyes(
    running: Running, browser: Browser
) -> None:
    async def journey(anna: Shopper) -> None:
        await anna.buy()
        await anna.look_into_account()
        await expect(anna.page.locator("[data-order]")).to_contain_text("Payment pending")
        await picture(anna.page, f"shop-pending-{anna.width}")
        await anna.button("Continue paying").click()
        await anna.wait_for_hosted_page()
        session = anna.page.url.rpartition("/")[2]
        await anna.look_into_account()
        await expect(anna.page.locator("[data-order]")).to_contain_text("Payment pending")

        paid = httpx.post(f"{anna.told['sandbox']}/_control/pay", json={"session": session, "card": PAYS})

        await anna.sees_all_of_it()
        assert paid.json()["outcome"] == "paid"
        assert (await anna.order())["status"] == "paid"

    await at_both_widths(running, browser, journey)


@pytest.fixture
async def gateways(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """Their control, left without faults."""
    async with httpx.AsyncClient(base_url=running.told["sandbox"], timeout=30) as control:
        yield control
        await control.post("/_control/faults", json={})


@pytest.mark.parametrize("gateway", ["Stripe", "Razorpay"])
async def test_an_order_whose_webhook_is_withheld_is_not_paid_twice_from_wherever_its_customer_looks(
    running: Running, browser: Browser, gateways: httpx.AsyncClient, gateway: str
) -> None:
    async with shopping(running, browser) as anna, shopping(running, browser, name=anna.name) as elsewhere:
        await anna.buy(gateway)
        hosted = anna.page.url
        await gateways.post("/_control/faults", json={"drop": 1})
        await anna.pay()
        await expect(anna.page.get_by_role("heading", name="Payment processing")).to_be_visible()

        anna.page = await anna.context.new_page()
        await anna.look_into_account()
        await anna.button("Continue paying").click()
        await anna.page.wait_for_url(hosted)
        await elsewhere.look_into_account()
        await elsewhere.page.locator("main").get_by_role("button", name="Sign in").click()
        await elsewhere.sign_in()
        await expect(elsewhere.page.locator("[data-order]")).to_contain_text("This payment is being looked into")
        await expect(elsewhere.page.locator("[data-order]").get_by_role("button")).to_have_count(0)
        await picture(elsewhere.page, "shop-looked-into")
        order = await anna.order()

        for delivery in (await gateways.get("/_control/deliveries", params={"state": "withheld"})).json()["data"]:
            await gateways.post("/_control/resend", json={"delivery": delivery["id"]})
        await elsewhere.sees_all_of_it()
        paid = await anna.order()
        assert (order["status"], paid["status"], paid["orderId"]) == ("pending", "paid", order["orderId"])


async def test_what_renews_is_sold_with_its_rhythm_and_its_trial(running: Running, browser: Browser) -> None:
    async with shopping(running, browser) as anna:
        await anna.look_into_shop()

        sold = {"Pro": ("$19 a month", "Subscribe"), "Team": ("The first 14 days are free", "Try it for free")}
        for plan, (words, way) in sold.items():
            await expect(anna.plan(plan)).to_contain_text(words)
            await expect(anna.plan(plan).get_by_role("button", name=way)).to_be_enabled()


@pytest.mark.parametrize("path", ["/", "/account"])
async def test_without_scripts_the_shop_says_what_to_do(running: Running, browser: Browser, path: str) -> None:
    async with shopping(running, browser, PHONE, java_script_enabled=False) as anna:
        await anna.page.goto(anna.told["storefront"] + path)

        sentence = anna.page.locator("noscript .notice")
        await expect(sentence).to_be_visible()
        await expect(sentence).to_contain_text("needs JavaScript")
        await expect(sentence).to_contain_text("switch it on for this site and load the page again")
        await picture(anna.page, f"shop-without-scripts-{path.strip('/')}")


async def test_the_way_back_shows_what_was_paid_without_scripts_too(running: Running, browser: Browser) -> None:
    async with (
        shopping(running, browser) as anna,
        shopping(running, browser, java_script_enabled=False) as ben,
    ):
        await anna.buy()
        await ben.page.goto(anna.page.url)
        await ben.pay()

        async def is_shown() -> bool:
            await ben.page.reload()
            return bool(await ben.page.get_by_role("heading", name="Payment received").is_visible())

        await until(is_shown)
        await expect(ben.page.get_by_role("link", name="Back to the shop")).to_be_visible()
        assert (await anna.order())["status"] == "paid"


async def test_scenario_4_an_order_that_was_given_up_is_cancelled_and_can_be_bought_after_all(
    running: Running, browser: Browser
) -> None:
    async with shopping(running, browser) as anna:
        await anna.buy()
        await anna.look_into_account()
        await expect(anna.page.locator("[data-order]")).to_contain_text("Payment pending")

        httpx.post(f"{anna.told['sandbox']}/_control/clock", json={"advance": 7200})
        await expect(anna.page.locator("[data-order]")).to_contain_text("Cancelled")
        await picture(anna.page, "shop-cancelled")
        await anna.button("Buy after all").click()
        await anna.pay()
        await expect(anna.page.get_by_role("heading", name="Payment received")).to_be_visible()

        assert {order["status"] for order in await anna.orders()} == {"paid", "cancelled"}
