"""The sandbox's page, as a browser shows it and as it is served: every control works, and nothing it shows does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright import async_api as playwright

from sandbox.desk import WAYS
from tests.browsers import DESK, PHONE, Browser, Size, browsing, needs_chromium, picture
from tests.sandboxes import DECLINED, PAYS, STRIPE_KEY, Receiver, Sandbox, running_receiver, running_sandbox
from tests.subscribers import HOUR, advance_to, check_out, latest_invoice, new_price, period

BOTH_WIDTHS = pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])

#: Markup that would be noticed: an element, or a word on the console.
HOSTILE = "</script><img src=x onerror=console.error(1)><b id=hostile>"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


@asynccontextmanager
async def desk(browser: Browser, sandbox: Sandbox, size: Size = DESK, **more: Any) -> AsyncIterator[Any]:
    """The page, once it shows how things stand."""
    async with browsing(browser, size, **more) as page:
        await page.goto(sandbox.url)
        await playwright.expect(page.locator(".state")).to_contain_text("live")
        yield page


def _get(sandbox: Sandbox, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{sandbox.url}{path}", headers=headers, trust_env=False)


def _rows(page: Any, name: str) -> Any:
    return page.locator(f"[data-list={name}] > li:not(.nothing)")


def _board(sandbox: Sandbox) -> list[dict[str, Any]]:
    return list(_get(sandbox, "/desk/board").json()["payables"])


# --- as it is served ---


def test_it_loads_nothing_from_elsewhere_and_runs_nothing_inline(sandbox: Sandbox) -> None:
    answer = _get(sandbox, "/")
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', answer.text)

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "require-trusted-types-for 'script'" in answer.headers["content-security-policy"]
    assert loaded == ["data:,", "/desk/control.css", "/desk/control.js"]
    assert not re.search(r"<script(?![^>]*src=)| on\w+=| style=", answer.text)


@pytest.mark.parametrize(
    "path", ["/desk/app.py", "/desk/..%2fapp.py", "/desk/../app.py", "/desk/control.html", "/desk/"]
)
def test_only_its_own_files_are_served(sandbox: Sandbox, path: str) -> None:
    with httpx.Client(trust_env=False) as client:
        request = httpx.Request("GET", sandbox.url)
        request.url = request.url.copy_with(raw_path=path.encode())
        answer = client.send(request)

    assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/", "/desk/board", "/desk/control.js"])
def test_a_name_that_only_points_at_this_machine_gets_nothing(sandbox: Sandbox, path: str) -> None:
    answer = _get(sandbox, path, Host="rebound.test")

    assert answer.status_code == 403


OUTCOMES = {
    "stripe": {
        "Pays": "paid",
        "Declined": "declined",
        "Insufficient funds": "declined",
        "Expired": "declined",
        "3-D Secure": "paid",
        "3-D Secure fails": "declined",
        "3-D Secure unanswered": "requires_action",
        "Settles in 3 days": "pending",
    },
    "razorpay": {
        "Pays": "paid",
        "Declined": "declined",
        "Insufficient funds": "declined",
        "Expired": "declined",
        "3-D Secure": "paid",
        "3-D Secure fails": "declined",
        "3-D Secure unanswered": "requires_action",
        "UPI pays": "paid",
        "UPI declined": "declined",
        "Fails, authorised in 1 h": "declined",
    },
}


def test_every_way_to_pay_that_is_offered_does_what_it_says(sandbox: Sandbox) -> None:
    outcomes = {
        gateway: {
            way["says"]: sandbox.control("pay", {"session": _payable(sandbox, gateway, way["says"]), **way["order"]})
            for way in ways
        }
        for gateway, ways in WAYS.items()
    }

    assert {
        gateway: {says: paid["outcome"] for says, paid in each.items()} for gateway, each in outcomes.items()
    } == OUTCOMES


def _payable(sandbox: Sandbox, gateway: str, reference: str) -> str:
    return sandbox.session() if gateway == "stripe" else sandbox.link(reference)


def test_the_board_tells_what_is_to_be_paid_and_what_was(sandbox: Sandbox) -> None:
    paid, declined, link = sandbox.session(), sandbox.session(), sandbox.link("order-7")
    sandbox.pay(paid)
    sandbox.pay(declined, DECLINED)
    with sandbox.razorpay() as client:
        order = client.order.create({"amount": 12300, "currency": "INR", "receipt": "r-1"})["id"]
    sandbox.pay(link, DECLINED)

    board = {each["id"]: (each["status"], each["amount"], each["what"], each["said"]) for each in _board(sandbox)}

    assert board == {
        paid: ("paid", "49.00 USD", "", None),
        declined: ("open", "49.00 USD", "", "Your card was declined."),
        link: ("open", "INR 499.00", "order-7", None),
        order: ("open", "INR 123.00", "r-1", None),
    }


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_everything_that_is_offered_after_a_payment_is_obeyed(sandbox: Sandbox, gateway: str) -> None:
    for says in _offered(sandbox, gateway, "order-0"):
        payable = _payable(sandbox, gateway, says)
        sandbox.pay(payable)
        offered = {each["says"]: each for each in _row(sandbox, payable)["afterwards"]}

        sandbox.control(offered[says]["path"], offered[says]["order"])

        assert _row(sandbox, payable)["said"] is not None or says == "Fraud warning"


def _offered(sandbox: Sandbox, gateway: str, reference: str) -> list[str]:
    payable = _payable(sandbox, gateway, reference)
    before = _row(sandbox, payable)["afterwards"]
    sandbox.pay(payable)
    assert before == []
    return [each["says"] for each in _row(sandbox, payable)["afterwards"]]


def _row(sandbox: Sandbox, payable: str) -> dict[str, Any]:
    (row,) = [each for each in _board(sandbox) if each["id"] == payable]
    return row


def test_an_invoice_that_waits_for_its_money_is_payable_with_its_page(sandbox: Sandbox) -> None:
    subscription = check_out(sandbox, new_price(sandbox, 900))
    sandbox.control("subscription", {"subscription": subscription["id"], "nextPayment": "fail"})
    advance_to(sandbox, period(subscription)[1] + 2 * HOUR)
    invoice = latest_invoice(sandbox, subscription)

    waiting = [each for each in _board(sandbox) if each["id"] == invoice["id"]]
    order = {"session": invoice["id"], "card": PAYS, "method": "delayed"}
    delayed = httpx.post(f"{sandbox.url}/_control/pay", json=order, trust_env=False)
    sandbox.pay(invoice["id"])
    paid = [each for each in _board(sandbox) if each["id"] == invoice["id"]]

    assert [(each["amount"], each["status"], each["what"], each["said"]) for each in waiting] == [
        ("9.00 USD", "open", invoice["number"], "Your card was declined."),
    ]
    assert waiting[0]["url"] == invoice["hosted_invoice_url"]
    assert _get(sandbox, waiting[0]["url"].removeprefix(sandbox.url)).status_code == 200
    assert (delayed.status_code, delayed.json()["code"]) == (400, "invalid_method")
    assert paid == []


# --- as a browser shows it ---


@needs_chromium
@BOTH_WIDTHS
async def test_a_payment_is_refunded_and_disputed_by_its_buttons(
    sandbox: Sandbox, receiver: Receiver, size: Size, browser: Browser
) -> None:
    session = sandbox.session()
    sandbox.pay(session)

    async with desk(browser, sandbox, size) as page:
        row = _rows(page, "payables").filter(has_text=session)
        await row.get_by_role("button", name="Refund half").click()
        await playwright.expect(row).to_contain_text("24.50 USD refunded")
        await row.get_by_role("button", name="Dispute, money withdrawn").click()
        await playwright.expect(row).to_contain_text("a dispute needs response")
        await playwright.expect(row.get_by_role("button", name="Refund half")).to_have_count(0)
        await row.get_by_role("button", name="Dispute won").click()
        await playwright.expect(row).to_contain_text("a dispute won")
        await page.get_by_role("button", name="Stripe pays out").click()
        await playwright.expect(page.locator(".toast")).to_contain_text("On its way: po_")

    receiver.wait_for("charge.refunded", "charge.dispute.funds_withdrawn", "charge.dispute.closed", "payout.created")


@needs_chromium
@BOTH_WIDTHS
async def test_one_click_pays_and_the_webhook_is_there_to_be_read(
    sandbox: Sandbox, receiver: Receiver, size: Size, browser: Browser
) -> None:
    session = sandbox.session()

    async with desk(browser, sandbox, size) as page:
        row = _rows(page, "payables").filter(has_text=session)
        await row.get_by_role("button", name="Declined").click()
        await playwright.expect(row).to_contain_text("Your card was declined.")
        await row.get_by_role("button", name="Pays", exact=True).click()
        await playwright.expect(row.locator(".badge")).to_have_text("paid")
        receiver.wait_for("checkout.session.completed")
        delivery = _rows(page, "deliveries").filter(has_text="checkout.session.completed")
        await playwright.expect(delivery).to_contain_text("delivered")
        await delivery.locator("summary .what").click()
        await playwright.expect(delivery.locator(".inside > pre")).to_contain_text(
            '"type": "checkout.session.completed"'
        )
        await picture(page, f"desk-paid-{size['width']}")

    [paid] = sandbox.objects("stripe", "checkout.session")
    assert paid["payment_status"] == "paid"


@needs_chromium
@BOTH_WIDTHS
async def test_nothing_is_wider_than_the_screen(
    sandbox: Sandbox, receiver: Receiver, size: Size, browser: Browser
) -> None:
    receiver.status, receiver.answer = 500, b"x" * 2000
    sandbox.control("faults", {"apiErrors": {"429": 0, "500": 0}, "timeout": {"seconds": 1, "rate": 0}, "delay": 0.01})
    sandbox.link("r" * 40)
    sandbox.pay(sandbox.session())
    receiver.wait_for("checkout.session.completed")

    async with desk(browser, sandbox, size) as page:
        for name in ("deliveries", "calls"):
            await _rows(page, name).first.locator("summary .what").click()
        wide = await page.evaluate("document.documentElement.scrollWidth")
        panels = await page.locator(".scroll").evaluate_all(
            "panels => panels.filter(panel => panel.scrollWidth > panel.clientWidth).length"
        )
        await picture(page, f"desk-full-{size['width']}")

    assert wide <= size["width"]
    assert panels == 0


@needs_chromium
async def test_a_switch_and_its_dial_change_one_fault_and_leave_the_others(sandbox: Sandbox, browser: Browser) -> None:
    sandbox.control("faults", {"duplicate": 0.5, "seed": 7})

    async with desk(browser, sandbox) as page:
        await page.get_by_role("switch", name="drop").click()
        dial = page.get_by_role("slider", name="drop, rate")
        await playwright.expect(dial).to_have_value("1")
        always = sandbox.ask("faults")
        await dial.fill("0.25")
        await playwright.expect(page.locator("li", has=dial).locator("output")).to_have_text("25 %")
        await page.get_by_role("switch", name="delay").click()
        await page.get_by_role("spinbutton", name="delay, seconds").fill("0.5")
        await page.keyboard.press("Enter")
        await page.get_by_role("switch", name="apiErrors").click()
        await playwright.expect(page.get_by_role("slider", name="apiErrors 502, rate")).to_have_value("0.1")
        ordered = sandbox.ask("faults")
        await page.get_by_role("switch", name="drop").click()
        await playwright.expect(dial).to_be_hidden()
        without = sandbox.ask("faults")

    assert always == {"duplicate": 0.5, "seed": 7, "drop": 1}
    errors = {"429": 0.1, "500": 0.1, "502": 0.1}
    assert ordered == {"duplicate": 0.5, "seed": 7, "drop": 0.25, "delay": 0.5, "apiErrors": errors}
    assert without == {"duplicate": 0.5, "seed": 7, "delay": 0.5, "apiErrors": errors}


@needs_chromium
async def test_the_page_offers_every_fault_there_is_and_clears_them_all(sandbox: Sandbox, browser: Browser) -> None:
    sandbox.control("faults", {"reorder": 1, "cutAfterCommit": 1})

    async with desk(browser, sandbox) as page:
        offered = await page.locator("[data-list=faults] [role=switch]").evaluate_all(
            "boxes => boxes.map(box => box.ariaLabel)"
        )
        await page.get_by_role("button", name="Clear all").click()
        await playwright.expect(page.get_by_role("switch", name="reorder")).not_to_be_checked()
        await playwright.expect(page.get_by_role("button", name="Clear all")).to_be_disabled()

    assert {*offered, "seed"} == sandbox.ask("faults/known").keys()
    assert sandbox.ask("faults") == {}


@needs_chromium
async def test_a_fault_that_cannot_be_is_said_in_the_sandboxs_own_words(sandbox: Sandbox, browser: Browser) -> None:
    # Not `browsing`, which minds that Chromium itself writes every refused request on the console.
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(sandbox.url)
        await page.get_by_role("switch", name="oldSecret").click()

        await playwright.expect(page.locator(".toast")).to_contain_text("SANDBOX_STRIPE_OLD_WEBHOOK_SECRET")
        await playwright.expect(page.get_by_role("switch", name="oldSecret")).not_to_be_checked()


@needs_chromium
async def test_the_seed_is_kept_and_given(sandbox: Sandbox, browser: Browser) -> None:
    async with desk(browser, sandbox) as page:
        await page.get_by_label("Seed").fill("42")
        await page.keyboard.press("Enter")
        await playwright.expect(page.get_by_role("button", name="Clear all")).to_be_enabled()
        await page.get_by_role("switch", name="duplicate").click()
        await playwright.expect(page.get_by_role("slider", name="duplicate, rate")).to_be_visible()

    assert sandbox.ask("faults") == {"seed": 42, "duplicate": 1}


@needs_chromium
async def test_the_clock_goes_by_the_hour_and_to_whatever_is_next(
    sandbox: Sandbox, receiver: Receiver, browser: Browser
) -> None:
    session = sandbox.session()

    async with desk(browser, sandbox) as page:
        await page.get_by_role("button", name="+1 h").click()
        await playwright.expect(page.locator("[data-show=offset]")).to_contain_text("1 h ahead")
        hour = sandbox.ask("clock")["offset"]
        await playwright.expect(page.locator("[data-show=next]")).to_contain_text("session expires")
        await page.get_by_role("button", name="To what is next").click()
        await playwright.expect(_rows(page, "payables").filter(has_text=session)).to_contain_text("expired")
        receiver.wait_for("checkout.session.expired")

    # It was held still while it moved, so that it may be behind by what that took: milliseconds.
    assert 3599 < hour < 3660


@needs_chromium
async def test_what_was_withheld_is_found_and_sent_by_hand(
    sandbox: Sandbox, receiver: Receiver, browser: Browser
) -> None:
    sandbox.control("faults", {"drop": 1})
    sandbox.customer()

    async with desk(browser, sandbox) as page:
        await page.get_by_label("Show").select_option("withheld")
        row = _rows(page, "deliveries").filter(has_text="customer.created")
        await row.get_by_role("button", name="Send").click()
        receiver.wait_for("customer.created")
        await playwright.expect(page.locator(".toast")).to_have_text("Sent, and answered 200")
        await playwright.expect(row).to_be_hidden()
        await page.get_by_label("Show").select_option("delivered")
        await row.get_by_role("button", name="Send again").click()
        receiver.wait_for("customer.created", "customer.created")

    assert [delivery["state"] for delivery in sandbox.deliveries()] == ["delivered"]


@needs_chromium
async def test_what_others_say_stays_text_wherever_it_is_shown(
    sandbox: Sandbox, receiver: Receiver, browser: Browser
) -> None:
    receiver.answer = HOSTILE.encode()
    fields = {"client_reference_id": HOSTILE, "metadata[note]": HOSTILE}
    product = {"line_items[0][price_data][product_data][name]": HOSTILE}
    session = sandbox.post_to_stripe("checkout/sessions", **_FIELDS, **product, **fields)["id"]
    httpx.get(f"{sandbox.url}/stripe/v1/customers/{HOSTILE}", auth=(STRIPE_KEY, ""), trust_env=False)
    sandbox.pay(session)
    receiver.wait_for("checkout.session.completed")

    async with desk(browser, sandbox) as page:
        delivery = _rows(page, "deliveries").filter(has_text="checkout.session.completed")
        await delivery.locator("summary .what").click()
        await playwright.expect(delivery.locator(".attempts pre")).to_have_text(HOSTILE)
        await playwright.expect(delivery.locator(".inside > pre")).to_contain_text("<b id=hostile>")
        call = _rows(page, "calls").first
        await call.locator("summary .what").click()
        await playwright.expect(call.locator("pre").first).to_contain_text("onerror=console.error(1)")
        await playwright.expect(_rows(page, "payables").locator(".what")).to_have_text(HOSTILE)

        assert await page.locator("#hostile, main img").count() == 0


_FIELDS = {
    "mode": "payment",
    "success_url": "https://shop.test",
    "line_items[0][price_data][currency]": "usd",
    "line_items[0][price_data][unit_amount]": "4900",
    "line_items[0][quantity]": "1",
}


@needs_chromium
async def test_looking_again_leaves_alone_what_has_not_changed(sandbox: Sandbox, browser: Browser) -> None:
    sandbox.customer()
    sandbox.settled()

    async with desk(browser, sandbox) as page:
        row = _rows(page, "deliveries").first
        await row.locator("summary .what").click()
        await row.evaluate("row => { row.isTheSame = true; }")
        await row.get_by_role("button", name="Send again").focus()
        for _ in range(2):
            async with page.expect_response(re.compile("/desk/board")):
                pass
        sandbox.customer()
        await playwright.expect(_rows(page, "deliveries")).to_have_count(2)
        same = (
            await _rows(page, "deliveries")
            .nth(1)
            .evaluate("row => [row.isTheSame, row.querySelector('details').open, row.contains(document.activeElement)]")
        )

    assert same == [True, True, True]


@needs_chromium
async def test_a_sandbox_that_is_away_for_a_moment_is_said_and_asked_again(sandbox: Sandbox, browser: Browser) -> None:
    async with desk(browser, sandbox) as page:
        await page.route("**/_control/status", lambda route: route.fulfill(status=200, body="not json"))
        await playwright.expect(page.locator(".state")).to_contain_text("does not answer")
        await page.unroute("**/_control/status")
        await playwright.expect(page.locator(".state")).to_contain_text("live")


@needs_chromium
async def test_an_address_is_copied_and_a_setting_is_set(
    sandbox: Sandbox, receiver: Receiver, browser: Browser
) -> None:
    async with desk(browser, sandbox, permissions=["clipboard-read", "clipboard-write"]) as page:
        endpoint = page.locator("[data-list=endpoints] > li").filter(has_text="razorpay")
        await endpoint.get_by_role("button", name="Copy").click()
        await playwright.expect(endpoint.get_by_role("button")).to_have_text("Copied")
        copied = await page.evaluate("navigator.clipboard.readText()")
        await page.get_by_role("switch", name="razorpayAutoCapture").click()
        await playwright.expect(page.get_by_role("switch", name="razorpayAutoCapture")).not_to_be_checked()

    assert copied == f"{receiver.url}/razorpay"
    assert sandbox.ask("settings")["razorpayAutoCapture"] is False


@needs_chromium
async def test_without_scripts_it_says_what_to_use_instead(sandbox: Sandbox, browser: Browser) -> None:
    async with browsing(browser, java_script_enabled=False) as page:
        await page.goto(sandbox.url)

        await playwright.expect(page.locator(".noscript")).to_contain_text("counterfoil sandbox --help")
