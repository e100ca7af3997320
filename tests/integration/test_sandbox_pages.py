"""The hosted pages as a browser without script uses them: the form, the ways to the end, and what is never kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandboxes import ASKS, DECLINED, NO_FUNDS, PAYS, RAZORPAY_KEY, STRIPE_KEY, Sandbox, running_sandbox

REAL_LOOKING = "5555555555554444"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


class Page(HTMLParser):
    """A page's first form, its inputs by what they are for, its words, and the buttons that send it."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.url, self.html = answer.url, answer.text
        self.actions: list[str] = []
        self.inputs: list[dict[str, str]] = []
        self.buttons: list[dict[str, str]] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attributes}
        match tag:
            case "form":
                self.actions.append(said["action"])
            case "input":
                self.inputs.append({**said, "form": str(len(self.actions))})
            case "button":
                self.buttons.append({**said, "form": str(len(self.actions))})

    def field(self, autocomplete: str) -> str:
        """The name of the input for this."""
        (name,) = (each["name"] for each in self.inputs if each.get("autocomplete") == autocomplete)
        return name


def _open(url: str) -> Page:
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 200
    assert "script" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    return Page(answer)


def _fill(page: Page, number: str, **more: str) -> httpx.Response:
    """Fills in the card and presses the first button that sends."""
    fields = {page.field("cc-number"): number, page.field("cc-exp"): "12/34", page.field("cc-csc"): "123", **more}
    return httpx.post(page.url.join(page.actions[0]), data=fields, trust_env=False)


def _press(page: Page, place: int) -> httpx.Response:
    button = page.buttons[place]
    return httpx.post(page.url.join(page.actions[0]), data={button["name"]: button["value"]}, trust_env=False)


def _session(sandbox: Sandbox, **more: str) -> dict[str, Any]:
    order = {
        "mode": "payment",
        "success_url": "https://shop.test/paid?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.test/cart",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "4900",
        "line_items[0][price_data][product_data][name]": "<b>Lifetime</b>",
        "line_items[0][quantity]": "1",
        **more,
    }
    address = f"{sandbox.url}/stripe/v1/checkout/sessions"
    return dict(httpx.post(address, auth=(STRIPE_KEY, ""), data=order, trust_env=False).json())


def _link(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    order = {"amount": 49900, "reference_id": "order-1", "description": "Lifetime", **more}
    address = f"{sandbox.url}/razorpay/v1/payment_links"
    return dict(httpx.post(address, auth=RAZORPAY_KEY, json=order, trust_env=False).json())


def _urls(sandbox: Sandbox) -> list[str]:
    return [_session(sandbox)["url"], _link(sandbox)["short_url"]]


def test_both_pages_open_on_the_card_form_whose_first_button_pays(sandbox: Sandbox) -> None:
    for url in _urls(sandbox):
        page = _open(url)

        assert {"cc-number", "cc-exp", "cc-csc"} <= {
            each.get("autocomplete") for each in page.inputs if each["form"] == "1"
        }
        assert page.buttons[0]["type"] == "submit"
        assert page.buttons[0]["form"] == "1"
        assert 'name="viewport"' in page.html


def test_paying_at_stripe_leads_to_the_shop(sandbox: Sandbox) -> None:
    session = _session(sandbox)

    answer = _fill(_open(session["url"]), "4242 4242 4242 4242", email="ada@b.test")

    (paid,) = sandbox.objects("stripe", "checkout.session")
    assert (answer.status_code, answer.headers["location"]) == (303, f"https://shop.test/paid?session={session['id']}")
    assert (paid["status"], paid["customer_details"]["email"]) == ("complete", "ada@b.test")


def test_paying_at_razorpay_without_a_callback_ends_on_its_own_page(sandbox: Sandbox) -> None:
    link = _link(sandbox)

    answer = _fill(_open(link["short_url"]), PAYS)
    done = _open(f"{sandbox.url}{answer.headers['location']}")

    assert answer.status_code == 303
    assert "This payment is complete." in done.html
    assert done.actions == []


def test_a_decline_is_shown_and_another_card_may_be_tried(sandbox: Sandbox) -> None:
    for url, says in zip(_urls(sandbox), ("Your card was declined.", "declined by the bank"), strict=True):
        page = _open(url)

        declined = _fill(page, DECLINED)
        shown = _open(f"{sandbox.url}{declined.headers['location']}")
        paid = _fill(shown, PAYS)

        assert declined.status_code == paid.status_code == 303
        assert says in shown.html


def test_the_banks_question_is_a_page_with_two_answers(sandbox: Sandbox) -> None:
    for url, failing in zip(_urls(sandbox), ("unable to authenticate", "could not confirm"), strict=True):
        _fill(_open(url), ASKS)
        question = _open(url)
        _press(question, 1)
        failed = _open(url)
        _fill(failed, ASKS)
        passed = _press(_open(url), 0)

        assert [each["value"] for each in question.buttons] == ["pass", "fail"]
        assert failing in failed.html
        assert passed.status_code == 303
        assert "This payment is complete." in _open(url).html


def test_upi_is_on_razorpays_page(sandbox: Sandbox) -> None:
    link = _link(sandbox)
    address = f"{link['short_url']}/upi"

    wrong = httpx.post(address, data={"vpa": "ada@realbank"}, trust_env=False)
    failed = httpx.post(address, data={"vpa": "failure@razorpay"}, trust_env=False)
    shown = _open(link["short_url"])
    httpx.post(address, data={"vpa": "success@razorpay"}, trust_env=False)

    assert "Only success@razorpay and failure@razorpay work here" in wrong.text
    assert "ada@realbank" not in wrong.text
    assert failed.status_code == 303
    assert "declined" in shown.html
    assert [each["status"] for each in sandbox.objects("razorpay", "payment")] == ["failed", "captured"]


def test_pressing_twice_pays_once(sandbox: Sandbox) -> None:
    session, link = _session(sandbox), _link(sandbox)
    pages = [_open(session["url"]), _open(link["short_url"])]

    answers = [_fill(page, PAYS) for page in pages for _ in range(2)]

    assert {answer.status_code for answer in answers} == {303}
    assert len(sandbox.objects("stripe", "charge")) == 1
    assert len(sandbox.objects("razorpay", "payment")) == 1


def test_a_page_that_is_over_says_so(sandbox: Sandbox) -> None:
    session, link = _session(sandbox), _link(sandbox)
    sandbox.control("clock", {"advance": 366 * 24 * 3600})

    stripes, razorpays = _open(session["url"] or ""), _open(link["short_url"])
    late = _fill(Page(httpx.get(session["url"], trust_env=False)), PAYS) if stripes.actions else None

    assert late is None
    assert "This checkout session is expired." in stripes.html
    assert "https://shop.test/cart" in stripes.html
    assert "This payment link is expired." in razorpays.html


def test_what_does_not_exist_is_not_found(sandbox: Sandbox) -> None:
    for path in ("stripe/cs_test_none", "razorpay/plink_none"):
        assert httpx.get(f"{sandbox.url}/pay/{path}", trust_env=False).status_code == 404
        assert httpx.post(f"{sandbox.url}/pay/{path}", trust_env=False).status_code == 404


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"number": REAL_LOOKING, "expiry": "12/34", "csc": "123"}, "Only test cards work here"),
        ({"number": PAYS, "expiry": "13/34", "csc": "123"}, "must look like MM/YY"),
        ({"number": PAYS, "expiry": "12/20", "csc": "123"}, "in the past"),
        ({"number": PAYS, "expiry": "12/34", "csc": "12x"}, "three digits"),
        ({}, "Only test cards work here"),
    ],
)
def test_a_card_that_cannot_be_is_refused_without_being_repeated(
    sandbox: Sandbox, fields: dict[str, str], says: str
) -> None:
    for url in _urls(sandbox):
        answer = httpx.post(url, data=fields, trust_env=False)

        assert (answer.status_code, says in answer.text) == (200, True)
        assert REAL_LOOKING not in answer.text
    assert sandbox.objects("stripe", "payment_intent") == sandbox.objects("razorpay", "payment") == []


def test_no_number_is_ever_written_down(tmp_path: Path) -> None:
    numbers = (PAYS, DECLINED, NO_FUNDS, ASKS, REAL_LOOKING)
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        for number in numbers:
            for url in (_session(sandbox)["url"], _link(sandbox, reference_id=f"for {number[-4:]}")["short_url"]):
                _fill(_open(url), number)

    written = b"".join(path.read_bytes() for path in (tmp_path / "sandbox").iterdir())
    assert len(written) > 10_000
    assert not [number for number in numbers if number.encode() in written]


def test_what_the_shop_says_is_shown_and_not_run(sandbox: Sandbox) -> None:
    session = _session(sandbox, success_url="https://shop.test/?a=\"><img src=x onerror='x'>")

    page = _open(session["url"])
    _fill(page, PAYS)
    done = _open(session["url"])

    assert "<b>Lifetime</b>" not in page.html
    assert "&lt;b&gt;Lifetime&lt;/b&gt;" in page.html
    assert not re.search(r"<img", done.html)
