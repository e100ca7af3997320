"""The hosted pages as a customer uses them: a real Chromium, on a phone and on a desk, with scripts and without."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import expect

from tests.browsers import DESK, PHONE, Browser, Size, browsing, needs_chromium, picture
from tests.sandboxes import (
    ASKS,
    DECLINED,
    EXPIRED,
    NO_FUNDS,
    PAYS,
    RAZORPAY_KEY,
    STRIPE_KEY,
    Sandbox,
    running_sandbox,
)

pytestmark = needs_chromium

on_both = pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])

LONG_NAME = "Extraordinarily-long-name-without-a-single-space-in-it-" * 3


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


class Shop(BaseHTTPRequestHandler):
    """A shop of one page, for customers who come back."""

    def do_GET(self) -> None:
        page = b"<!doctype html><html lang=en><title>Shop</title><link rel=icon href=data:,><h1>The shop</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        """Nothing of it."""


@pytest.fixture
def shop() -> Iterator[str]:
    """The shop's address, from a server in a thread of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    serving.join()
    server.server_close()


def checkout(sandbox: Sandbox, shop: str, name: str = "Lifetime licence", **more: str) -> dict[str, Any]:
    order = {
        "mode": "payment",
        "success_url": f"{shop}?session={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{shop}?left",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "4900",
        "line_items[0][price_data][product_data][name]": name,
        "line_items[0][price_data][product_data][description]": "One payment, yours for good",
        "line_items[0][quantity]": "1",
        **more,
    }
    address = f"{sandbox.url}/stripe/v1/checkout/sessions"
    return dict(httpx.post(address, auth=(STRIPE_KEY, ""), data=order, trust_env=False).json())


def subscription(sandbox: Sandbox, shop: str) -> dict[str, Any]:
    price = {"currency": "usd", "unit_amount": "900", "recurring[interval]": "month", "product_data[name]": "Pro"}
    made = httpx.post(f"{sandbox.url}/stripe/v1/prices", auth=(STRIPE_KEY, ""), data=price, trust_env=False).json()
    order = {
        "mode": "subscription",
        "success_url": shop,
        "cancel_url": shop,
        "line_items[0][price]": made["id"],
        "line_items[0][quantity]": "1",
    }
    address = f"{sandbox.url}/stripe/v1/checkout/sessions"
    return dict(httpx.post(address, auth=(STRIPE_KEY, ""), data=order, trust_env=False).json())


def payment_link(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    order = {
        "amount": 49900,
        "reference_id": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
        "description": "Lifetime licence",
        "expire_by": sandbox.now() + 1800,
        **more,
    }
    address = f"{sandbox.url}/razorpay/v1/payment_links"
    return dict(httpx.post(address, auth=RAZORPAY_KEY, json=order, trust_env=False).json())


@asynccontextmanager
async def opened(browser: Browser, url: str, size: Size = DESK, **more: Any) -> AsyncIterator[Any]:
    async with browsing(browser, size, **more) as page:
        await page.goto(url)
        yield page


async def fill(page: Any, number: str, expiry: str = "12/34", csc: str = "123") -> None:
    await page.locator("[autocomplete=cc-number]").fill(number)
    await page.locator("[autocomplete=cc-exp]").fill(expiry)
    await page.locator("[autocomplete=cc-csc]").fill(csc)


async def pay(page: Any, number: str) -> None:
    """Fills in the card, and presses the first button that sends."""
    await fill(page, number)
    await page.locator("button[type=submit]").first.click()


async def look(page: Any, name: str) -> None:
    """Nothing is wider than the screen; and a picture for who wants one."""
    width = page.viewport_size["width"]
    await picture(page, f"{name}-{width}")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


async def find_focus(page: Any) -> str:
    """The name of the field that the customer would type into."""
    return str(await page.evaluate("document.activeElement.name ?? ''"))


@on_both
async def test_at_stripe_three_cards_are_declined_with_their_reason_and_a_fourth_pays(
    sandbox: Sandbox, shop: str, size: Size, browser: Browser
) -> None:
    session = checkout(sandbox, shop)
    async with opened(browser, session["url"], size) as page:
        await expect(page.get_by_text("Lifetime licence")).to_be_visible()
        await look(page, "stripe-open")

        for card, reason in (
            (DECLINED, "Your card was declined."),
            (NO_FUNDS, "Your card has insufficient funds."),
            (EXPIRED, "Your card has expired."),
        ):
            await pay(page, card)
            await expect(page.get_by_role("alert")).to_contain_text(f"{reason} No money was taken.")
            await expect(page.get_by_label("Card number")).to_have_value("")
        await look(page, "stripe-declined")
        await pay(page, PAYS)
        await page.wait_for_url(f"{shop}?session={session['id']}")

    (paid,) = sandbox.objects("stripe", "checkout.session")
    assert (paid["status"], paid["payment_status"]) == ("complete", "paid")


@on_both
@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_the_bank_can_be_answered_yes_answered_no_and_left(
    sandbox: Sandbox, shop: str, size: Size, gateway: str, browser: Browser
) -> None:
    back = {"callback_url": shop, "callback_method": "get"}
    url = checkout(sandbox, shop)["url"] if gateway == "stripe" else payment_link(sandbox, **back)["short_url"]
    async with opened(browser, url, size) as page:
        await pay(page, ASKS)
        await expect(page.get_by_role("heading", name="Is this payment yours?")).to_be_visible()
        await expect(page.get_by_text("•••• 3155")).to_be_visible()
        await look(page, f"{gateway}-bank")

        await page.get_by_role("link", name="Leave without an answer").click()
        await expect(page.get_by_text("without an answer, so nothing was paid")).to_be_visible()
        await look(page, f"{gateway}-left-bank")
        await page.get_by_role("link", name="Go back to your bank").click()
        await page.get_by_role("button", name="Fail the confirmation").click()
        await expect(page.get_by_role("alert")).to_contain_text("No money was taken.")
        await look(page, f"{gateway}-not-confirmed")
        await pay(page, ASKS)
        await page.get_by_role("button", name="Confirm the payment").click()
        await page.wait_for_url(re.compile(re.escape(shop)))
        await page.goto(url)

        await expect(page.get_by_text("This payment is complete.")).to_be_visible()
        await look(page, f"{gateway}-complete")


@on_both
async def test_at_razorpay_a_declined_card_and_a_failed_upi_end_in_a_payment_by_upi(
    sandbox: Sandbox, shop: str, size: Size, browser: Browser
) -> None:
    async with opened(browser, payment_link(sandbox)["short_url"], size) as page:
        await look(page, "razorpay-open")
        await pay(page, DECLINED)
        await expect(page.get_by_role("alert")).to_contain_text("declined by the bank")
        await look(page, "razorpay-declined")

        await page.get_by_text("UPI", exact=True).click()
        await page.get_by_label("UPI address").fill("ada@realbank")
        await page.get_by_role("button", name="by UPI").click()
        await expect(page.get_by_text("Only success@razorpay and failure@razorpay work here.")).to_be_visible()
        assert await find_focus(page) == "vpa"
        await expect(page.get_by_label("UPI address")).to_have_value("ada@realbank")
        await look(page, "razorpay-wrong-upi")
        await page.get_by_role("button", name="Use the address that is declined").click()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("declined by the bank")
        await page.get_by_role("button", name="Use the address that pays").click()
        await page.keyboard.press("Enter")

        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await look(page, "razorpay-complete-here")
    assert [each["status"] for each in sandbox.objects("razorpay", "payment")] == ["failed", "failed", "captured"]


@on_both
async def test_a_mistake_stands_beside_its_field_and_the_first_has_the_focus(
    sandbox: Sandbox, shop: str, size: Size, browser: Browser
) -> None:
    async with opened(browser, checkout(sandbox, shop)["url"], size) as page:
        await page.get_by_label("E-mail").fill("ada@shop.test")
        await fill(page, "5555 5555 5555 4444", expiry="11/19", csc="12")
        await page.get_by_role("button", name="Pay 49.00 USD").click()

        await expect(page.get_by_role("alert")).to_contain_text("Nothing was paid. Please look at the marked fields.")
        number = page.get_by_label("Card number")
        await expect(number).to_have_accessible_description(re.compile("Only test cards work here"))
        await expect(number).to_have_value("")
        await expect(page.get_by_label("E-mail")).to_have_value("ada@shop.test")
        assert await find_focus(page) == "number"
        await look(page, "stripe-mistakes")
        await number.press_sequentially("4")
        await expect(page.get_by_text("Only test cards work here")).to_be_hidden()


async def test_a_double_click_sends_once(sandbox: Sandbox, shop: str, browser: Browser) -> None:
    sent: list[str] = []
    async with opened(browser, checkout(sandbox, shop)["url"]) as page:
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        await fill(page, PAYS)
        await page.locator("button[type=submit]").first.dblclick()
        await page.wait_for_url(re.compile(re.escape(shop)))

    assert len(sent) == 1


async def test_a_button_that_is_pressed_says_that_it_works(sandbox: Sandbox, shop: str, browser: Browser) -> None:
    async with opened(browser, checkout(sandbox, shop)["url"]) as page:
        await fill(page, PAYS)
        # At one go: once it leaves, a page can no longer be asked.
        said = await page.evaluate("""() => {
            const button = document.querySelector("[type=submit]");
            button.click();
            const status = document.querySelector("[data-progress]");
            return [button.textContent, button.getAttribute("aria-disabled"), status.textContent];
        }""")
        await page.wait_for_url(re.compile(re.escape(shop)))

    assert said == ["Processing…", "true", "Your payment is being processed. Please wait."]


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
async def test_without_scripts_a_double_click_pays_once_and_leads_to_the_shop(
    sandbox: Sandbox, shop: str, gateway: str, browser: Browser
) -> None:
    back = {"callback_url": shop, "callback_method": "get"}
    url = checkout(sandbox, shop)["url"] if gateway == "stripe" else payment_link(sandbox, **back)["short_url"]
    async with opened(browser, url, PHONE, java_script_enabled=False) as page:
        await expect(page.get_by_role("button", name="Use")).to_have_count(0)
        await fill(page, DECLINED)
        await page.locator("button[type=submit]").first.dblclick()
        await expect(page.get_by_role("alert")).to_contain_text("declined")
        await fill(page, PAYS)
        await page.locator("button[type=submit]").first.dblclick()
        # The second click may take the place of the first one's navigation, which is then told as aborted.
        await expect(page).to_have_url(re.compile(re.escape(shop)))

    kind = "charge" if gateway == "stripe" else "payment"
    assert len(sandbox.objects(gateway, kind)) == 2


async def test_back_and_reload_after_paying_show_that_it_is_paid(sandbox: Sandbox, shop: str, browser: Browser) -> None:
    session = checkout(sandbox, shop)
    async with opened(browser, session["url"]) as page:
        await pay(page, DECLINED)
        await expect(page.get_by_role("alert")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("alert")).to_contain_text("Your card was declined.")
        await pay(page, PAYS)
        await page.wait_for_url(re.compile(re.escape(shop)))

        await page.go_back()
        await expect(page.get_by_text("This payment is complete.")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("link", name="Continue to Sandbox shop")).to_have_attribute(
            "href", f"{shop}?session={session['id']}"
        )

    assert [each["status"] for each in sandbox.objects("stripe", "charge")] == ["failed", "succeeded"]


async def test_who_leaves_for_the_shop_may_come_back_and_pay(sandbox: Sandbox, shop: str, browser: Browser) -> None:
    session = checkout(sandbox, shop)
    async with opened(browser, session["url"], PHONE) as page:
        await page.get_by_role("link", name="Back to Sandbox shop").click()
        await page.wait_for_url(f"{shop}?left")
        await page.go_back()

        await pay(page, PAYS)
        await page.wait_for_url(re.compile(re.escape(shop)))

    assert sandbox.objects("stripe", "checkout.session")[0]["status"] == "complete"


async def test_digits_are_grouped_as_they_are_typed_and_may_be_taken_away_again(
    sandbox: Sandbox, shop: str, browser: Browser
) -> None:
    async with opened(browser, checkout(sandbox, shop)["url"]) as page:
        number, expiry = page.get_by_label("Card number"), page.get_by_label("Expiry date")
        await number.press_sequentially("4242424242424242")
        await expiry.press_sequentially("1234")
        await expect(number).to_have_value("4242 4242 4242 4242")
        await expect(expiry).to_have_value("12 / 34")
        for _ in range(5):
            await expiry.press("Backspace")
        await expect(expiry).to_have_value("12")
        await expiry.fill("")
        await expiry.press_sequentially("9/30")
        await expect(expiry).to_have_value("09 / 30")


async def test_the_keyboard_alone_pays_with_a_card_of_the_list(sandbox: Sandbox, shop: str, browser: Browser) -> None:
    session = checkout(sandbox, shop)
    async with opened(browser, session["url"]) as page:
        await page.get_by_role("button", name="Use the card that pays").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("Card number")).to_have_value("4242 4242 4242 4242")
        await expect(page.locator("button[type=submit]").first).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(re.escape(shop)))

    assert sandbox.objects("stripe", "checkout.session")[0]["status"] == "complete"


@on_both
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_where_nothing_is_to_be_paid_fit_too(
    sandbox: Sandbox, shop: str, size: Size, scheme: str, browser: Browser
) -> None:
    session, link = checkout(sandbox, shop), payment_link(sandbox)
    offered, cancelled = subscription(sandbox, shop), payment_link(sandbox, reference_id="another")
    with sandbox.razorpay() as client:
        client.payment_link.cancel(cancelled["id"])
    sandbox.control("clock", {"advance": 24 * 3600})
    missing = httpx.get(f"{sandbox.url}/pay/stripe/cs_test_none", trust_env=False).text
    async with browsing(browser, size, color_scheme=scheme) as page:
        for name, url, says in (
            ("expired", session["url"], "This checkout session is expired."),
            ("expired-link", link["short_url"], "This payment link is expired."),
            ("cancelled-link", cancelled["short_url"], "This payment link is cancelled."),
            ("expired-subscription", offered["url"], "Subscribe to Pro"),
        ):
            await page.goto(url)
            await expect(page.get_by_text(says)).to_be_visible()
            await expect(page.locator("input:visible")).to_have_count(0)
            await look(page, f"{name}-{scheme}")
        await page.set_content(missing)
        await expect(page.get_by_role("heading", name="There is nothing to pay here")).to_be_visible()
        await look(page, f"missing-{scheme}")


@on_both
async def test_in_the_dark_long_names_and_large_amounts_fit(
    sandbox: Sandbox, shop: str, size: Size, browser: Browser
) -> None:
    dear = {"line_items[0][price_data][unit_amount]": "99999900"}
    session = checkout(sandbox, shop, LONG_NAME, customer_email=f"{'a' * 60}@shop.test", **dear)
    link = payment_link(sandbox, description=LONG_NAME, amount=50_000_000_000)
    async with browsing(browser, size, color_scheme="dark") as page:
        for name, url in (("stripe", session["url"]), ("razorpay", link["short_url"])):
            await page.goto(url)
            await expect(page.get_by_label("Card number")).to_be_visible()
            await look(page, f"{name}-long-dark")
            await pay(page, ASKS)
            await expect(page.get_by_role("heading", name="Is this payment yours?")).to_be_visible()
            await look(page, f"{name}-bank-dark")
