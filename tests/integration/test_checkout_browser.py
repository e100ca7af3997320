"""The success page as a customer sees it: a real Chromium, on a phone and on a desk, with scripts and without."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from playwright import async_api as playwright

from db.pool import Pool
from payments.money import Money
from tests.browsers import DESK, PATIENCE_MS, PHONE, Browser, Size, browsing, needs_chromium, picture
from tests.builders import paid
from tests.counter import PAGES, Shop, counter, put_on_sale
from tests.front_door import listening
from tests.integration.test_checkout_orders import DECLINED, happen

pytestmark = needs_chromium

PRICE = Money(4900, "usd")

ASKS = re.compile("/order-status/")


@asynccontextmanager
async def customer(pool: Pool, database_url: str) -> AsyncIterator[tuple[Shop, str, str]]:
    """One who has just paid, or thinks so: the shop, their order, and the address that they come back to."""
    await put_on_sale(pool)
    async with (
        counter(database_url, return_url="https://shop.example/account") as shop,
        listening(shop.app) as (host, port),
    ):
        order_id = (await shop.buy()).json()["orderId"]
        address = f"http://{host}:{port}/payment/success?order={order_id}&token={PAGES.make(UUID(order_id))}"
        yield shop, order_id, address


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_the_page_follows_its_order_from_processing_to_paid(
    pool: Pool, database_url: str, size: Size, browser: Browser
) -> None:
    async with customer(pool, database_url) as (_, order_id, address), browsing(browser, size) as page:
        await page.goto(address)
        await playwright.expect(page.get_by_role("heading", name="Payment processing")).to_be_visible()
        await picture(page, f"processing-{size['width']}")

        await happen(pool, order_id, DECLINED)
        await playwright.expect(page.get_by_role("heading", name="That did not go through")).to_be_visible(
            timeout=PATIENCE_MS
        )
        await playwright.expect(
            page.locator("section:visible").get_by_text("The card has insufficient funds")
        ).to_be_visible()
        await picture(page, f"declined-{size['width']}")

        await happen(pool, order_id, paid("pi_1", PRICE))
        await playwright.expect(page.get_by_role("heading", name="Payment received")).to_be_visible(timeout=PATIENCE_MS)
        await playwright.expect(page.get_by_role("heading", name="Payment processing")).to_be_hidden()
        await picture(page, f"paid-{size['width']}")

        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"]


async def test_it_asks_every_two_seconds_while_pending_and_no_more_once_paid(
    pool: Pool, database_url: str, browser: Browser
) -> None:
    """The page's own time is moved on; nobody waits for it."""
    async with customer(pool, database_url) as (_, order_id, address), browsing(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if ASKS.search(request.url) else None)
        await page.clock.install()
        await page.goto(address)
        for _ in range(3):
            async with page.expect_response(ASKS):
                await page.clock.run_for(2_000)
        await happen(pool, order_id, paid("pi_1", PRICE))
        await playwright.expect(page.get_by_role("heading", name="Payment received")).to_be_visible(timeout=PATIENCE_MS)
        until_paid = len(asked)
        await page.clock.run_for(600_000)

        assert until_paid >= 4
        assert len(asked) == until_paid


async def test_an_outage_of_a_moment_does_not_end_the_asking(pool: Pool, database_url: str, browser: Browser) -> None:
    async with customer(pool, database_url) as (_, order_id, address), browsing(browser) as page:
        fail_for = [2]

        async def answer(route: Any) -> None:
            if fail_for[0] > 0:
                fail_for[0] -= 1
                await route.fulfill(status=200, body="not json")
            else:
                await route.continue_()

        await page.route(ASKS, answer)
        await happen(pool, order_id, DECLINED)
        await page.goto(address)
        await happen(pool, order_id, paid("pi_1", PRICE))

        await playwright.expect(page.get_by_role("heading", name="Payment received")).to_be_visible(timeout=PATIENCE_MS)
        assert fail_for == [0]


async def test_without_scripts_it_loads_itself_anew(pool: Pool, database_url: str, browser: Browser) -> None:
    async with (
        customer(pool, database_url) as (_, order_id, address),
        browsing(browser, PHONE, java_script_enabled=False) as page,
    ):
        await page.goto(address)
        await playwright.expect(page.get_by_role("link", name="Look again now")).to_be_visible()
        await picture(page, "no-scripts")
        await happen(pool, order_id, paid("pi_1", PRICE))

        await playwright.expect(page.get_by_role("heading", name="Payment received")).to_be_visible(timeout=PATIENCE_MS)


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_the_other_pages_fit_too(pool: Pool, database_url: str, size: Size, browser: Browser) -> None:
    async with customer(pool, database_url) as (_, __, address), browsing(browser, size, color_scheme="dark") as page:
        await page.goto(address.partition("/success")[0] + "/cancel")
        await playwright.expect(page.get_by_role("heading", name="You left the payment page")).to_be_visible()
        await playwright.expect(page.get_by_role("link", name="Back to the shop")).to_have_attribute(
            "href", "https://shop.example/account"
        )
        await picture(page, f"cancel-{size['width']}")

        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
