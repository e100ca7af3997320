"""The pages that customers see: they tell what the record says, believe nothing in their address, and let nobody in."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import httpx
import pytest

from db.pool import Pool
from local.postgres import Postgres
from payments.events import CheckoutEnded
from payments.money import Money
from tests.builders import paid
from tests.counter import PAGES, Shop, counter, put_on_sale
from tests.integration.test_checkout_orders import DECLINED, happen

PRICE = Money(4900, "usd")


def address(order_id: str, token: str | None = None, **more: str) -> str:
    told = {"order": order_id, "token": PAGES.make(UUID(order_id)) if token is None else token, **more}
    return f"/payment/success?{httpx.QueryParams(told)}"


def shown(page: httpx.Response) -> str:
    """The heading of the one section that is to be seen."""
    sections = re.findall(r'<section data-state="\w+"( hidden)?>(.*?)</section>', page.text, re.DOTALL)
    [visible] = [text for hidden, text in sections if not hidden]
    [heading] = re.findall(r"<h1>(.*?)</h1>", visible)
    return str(heading)


async def bought(shop: Shop, **more: str) -> tuple[str, str]:
    told = (await shop.buy(**more)).json()
    return told["orderId"], told["sessionId"]


async def test_the_page_says_how_the_order_stands_in_our_record(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id, session_id = await bought(shop)
        pending = await shop.http.get(address(order_id))
        await happen(pool, order_id, DECLINED)
        declined = await shop.http.get(address(order_id))
        await happen(pool, order_id, CheckoutEnded(session_id))
        failed = await shop.http.get(address(order_id))
        await happen(pool, order_id, paid("pi_1", PRICE))
        settled = await shop.http.get(address(order_id))

        assert [shown(page) for page in (pending, declined, failed, settled)] == [
            "Payment processing",
            "That did not go through",
            "The payment failed",
            "Payment received",
        ]
        assert "The card has insufficient funds." in declined.text
        assert "49.00 USD" in settled.text
        assert "22 November 2026, 12:00 UTC" in settled.text
        assert {page.status_code for page in (pending, declined, failed, settled)} == {200}


async def test_an_answer_that_was_lost_is_told_as_such(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        shop.stripe.mood = "loses"
        order_id, _ = (await shop.buy()).json()["orderId"], None
        page = await shop.http.get(address(order_id))

        assert shown(page) == "Payment processing"
        assert "We do not know yet how this payment stands." in page.text


@pytest.mark.parametrize(
    "claims",
    [
        {"status": "paid", "payment_status": "paid"},
        {"razorpay_payment_link_status": "paid", "razorpay_payment_id": "pay_1", "razorpay_signature": "x" * 64},
        {"session_id": "cs_1", "amount": "4900", "redirect_status": "succeeded"},
    ],
)
async def test_nothing_in_an_address_decides_anything(pool: Pool, database_url: str, claims: dict[str, str]) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id, _ = await bought(shop)
        before = await pool.fetchrow("SELECT * FROM orders")
        pages = [
            await shop.http.get(address(order_id, **claims)),
            await shop.http.get(f"/payment/cancel?{httpx.QueryParams({'order': order_id, **claims})}"),
        ]

        assert shown(pages[0]) == "Payment processing"
        assert [page.status_code for page in pages] == [200, 200]
        assert await pool.fetchrow("SELECT * FROM orders") == before
        assert await pool.fetchval("SELECT count(*) FROM entitlements") == 0


async def test_without_its_token_a_page_shows_nothing_of_an_order(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id, _ = await bought(shop)
        pages = [
            await shop.http.get(path)
            for path in (
                "/payment/success",
                f"/payment/success?order={order_id}",
                address(order_id, token="x"),
                address(order_id, token=PAGES.make(uuid4())),
                address(str(uuid4())),
                "/payment/success?order=%00&token=%ff",
                f"/payment/success?order={'x' * 9000}&token={'y' * 9000}",
            )
        ]

        assert {page.status_code for page in pages} == {404}
        assert len({page.text for page in pages}) == 1
        assert order_id not in pages[0].text


async def test_what_a_plan_is_called_cannot_break_out_of_the_page(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    await pool.execute("UPDATE plans SET name = $1", "<script>alert(1)</script>\"'")
    async with counter(database_url) as shop:
        order_id, _ = await bought(shop)
        page = await shop.http.get(address(order_id))

        assert "<script>alert" not in page.text
        assert "&lt;script&gt;" in page.text


async def test_a_page_loads_our_own_files_alone_and_tells_nobody_where_it_is(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url, return_url="https://shop.example/account") as shop:
        order_id, _ = await bought(shop)
        for path in (address(order_id), "/payment/cancel", "/payment/success"):
            page = await shop.http.get(path)

            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert page.headers["referrer-policy"] == "no-referrer"
            assert page.headers["x-robots-tag"] == "noindex, nofollow"
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page.text)
            assert set(re.findall(r"https?://[^\"'\s<]+", page.text)) <= {"https://shop.example/account"}


async def test_its_files_are_served_with_their_types_and_no_other_file_is(database_url: str) -> None:
    async with counter(database_url) as shop:
        files = {
            name: await shop.http.get(f"/payment/static/{name}") for name in ("page.css", "payment.js", "icon.svg")
        }
        others = [
            await shop.http.get(f"/payment/static/{name}")
            for name in ("..%2f__init__.py", "%2e%2e%2fpages.py", "nothing.css", "%00", "")
        ]

        assert {name: answer.headers["content-type"].split(";")[0] for name, answer in files.items()} == {
            "page.css": "text/css",
            "payment.js": "text/javascript",
            "icon.svg": "image/svg+xml",
        }
        assert {answer.headers["x-content-type-options"] for answer in files.values()} == {"nosniff"}
        assert {answer.status_code for answer in others} == {404}


async def test_without_scripts_a_page_loads_itself_anew_while_it_may_change(pool: Pool, database_url: str) -> None:
    await put_on_sale(pool)
    async with counter(database_url) as shop:
        order_id, _ = await bought(shop)
        pending = await shop.http.get(address(order_id))
        await happen(pool, order_id, paid("pi_1", PRICE))
        settled = await shop.http.get(address(order_id))

        assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in pending.text
        assert "Look again now" in pending.text
        assert "noscript" not in settled.text


async def test_while_the_database_is_away_the_customer_is_told_to_wait(own_postgres: Postgres) -> None:
    order_id = str(uuid4())
    async with counter(own_postgres.url) as shop:
        own_postgres.kill()
        page = await shop.http.get(address(order_id))
        asked = await shop.http.get(f"/order-status/{order_id}?token={PAGES.make(UUID(order_id))}")

        assert (page.status_code, shown(page)) == (200, "Payment processing")
        assert asked.status_code == 503
