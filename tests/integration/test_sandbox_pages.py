"""The hosted pages as a browser without script uses them: the form, the ways to the end, and what is never kept."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.card_form import FormRefused, read_card_form
from tests.sandboxes import ASKS, DECLINED, NO_FUNDS, PAYS, RAZORPAY_KEY, STRIPE_KEY, Sandbox, running_sandbox

REAL_LOOKING = "5555555555554444"
NOW = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp())


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

    def hidden(self) -> dict[str, str]:
        """What the first form sends besides what is typed."""
        return {each["name"]: each["value"] for each in self.inputs if (each["type"], each["form"]) == ("hidden", "1")}


def _open(url: str) -> Page:
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 200
    return Page(answer)


def _fill(page: Page, number: str, **more: str) -> httpx.Response:
    """Fills in the card and presses the first button that sends."""
    typed = {page.field("cc-number"): number, page.field("cc-exp"): "12/34", page.field("cc-csc"): "123", **more}
    fields = page.hidden() | typed
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
    assert 'value="ada@realbank"' in wrong.text
    assert failed.status_code == 303
    assert "declined" in shown.html
    assert [each["status"] for each in sandbox.objects("razorpay", "payment")] == ["failed", "captured"]


@pytest.mark.parametrize("card", [PAYS, DECLINED, ASKS])
def test_a_form_that_is_sent_twice_is_one_attempt_and_both_answers_lead_the_same_way(
    sandbox: Sandbox, card: str
) -> None:
    session, link = _session(sandbox), _link(sandbox, callback_url="https://shop.test/paid", callback_method="get")
    pages = [_open(session["url"]), _open(link["short_url"])]

    stripes, razorpays = ([_fill(page, card) for _ in range(2)] for page in pages)

    assert {answer.status_code for answer in (*stripes, *razorpays)} == {303}
    assert stripes[0].headers["location"] == stripes[1].headers["location"]
    assert razorpays[0].headers["location"] == razorpays[1].headers["location"]
    assert len(sandbox.objects("stripe", "payment_method")) == 1
    assert len(sandbox.objects("razorpay", "payment")) == 1


def test_a_form_that_the_back_button_brings_up_pays_with_another_card(sandbox: Sandbox) -> None:
    for url in _urls(sandbox):
        page = _open(url)
        _fill(page, DECLINED)

        _fill(page, PAYS)

        assert "This payment is complete." in _open(url).html


def test_the_same_card_may_be_tried_again_from_a_form_that_knows_of_its_decline(sandbox: Sandbox) -> None:
    for url in _urls(sandbox):
        _fill(_open(url), DECLINED)

        _fill(_open(url), DECLINED)

    assert len(sandbox.objects("stripe", "charge")) == 2
    assert len(sandbox.objects("razorpay", "payment")) == 2


def test_an_answer_to_the_bank_counts_once(sandbox: Sandbox) -> None:
    for url in _urls(sandbox):
        _fill(_open(url), ASKS)
        question = _open(url)

        answers = [_press(question, 0), _press(question, 1)]

        assert [answer.status_code for answer in answers] == [303, 303]
        assert "This payment is complete." in _open(url).html


def test_who_leaves_the_bank_may_go_back_or_pay_with_another_card(sandbox: Sandbox) -> None:
    for url in _urls(sandbox):
        _fill(_open(url), ASKS)

        left = _open(f"{url}?bank=left")
        still_there = _open(url)
        _fill(left, PAYS)

        assert "You left your bank" in left.html
        assert [each["value"] for each in still_there.buttons] == ["pass", "fail"]
        assert "This payment is complete." in _open(url).html


def test_a_page_that_is_over_says_so(sandbox: Sandbox) -> None:
    session, link = _session(sandbox), _link(sandbox)
    sandbox.control("clock", {"advance": 366 * 24 * 3600})

    stripes, razorpays = _open(session["url"] or ""), _open(link["short_url"])
    late = _fill(Page(httpx.get(session["url"], trust_env=False)), PAYS) if stripes.actions else None

    assert late is None
    assert "This checkout session is expired." in stripes.html
    assert "https://shop.test/cart" in stripes.html
    assert "This payment link is expired." in razorpays.html


def test_a_link_that_was_cancelled_says_so(sandbox: Sandbox) -> None:
    link = _link(sandbox)
    with sandbox.razorpay() as client:
        client.payment_link.cancel(link["id"])

    page = _open(link["short_url"])

    assert "This payment link is cancelled." in page.html
    assert page.actions == []


def test_a_delayed_payment_is_on_its_way_until_it_is_settled(sandbox: Sandbox) -> None:
    arriving, failing = _session(sandbox), _session(sandbox)
    sandbox.pay(arriving["id"], method="delayed", settleAfter=60)
    sandbox.pay(failing["id"], DECLINED, method="delayed", settleAfter=60)

    before = [_open(session["url"]).html for session in (arriving, failing)]
    sandbox.control("clock", {"advance": 60})
    after = [_open(session["url"]).html for session in (arriving, failing)]

    assert all("Payment on its way" in page for page in before)
    assert "This payment is complete." in after[0]
    assert "The payment did not go through" in after[1]


def test_a_subscription_shows_its_price_and_period(sandbox: Sandbox) -> None:
    price = {
        "currency": "usd",
        "unit_amount": "900",
        "recurring[interval]": "month",
        "product_data[name]": "Pro",
    }
    address = f"{sandbox.url}/stripe/v1/prices"
    price_id = httpx.post(address, auth=(STRIPE_KEY, ""), data=price, trust_env=False).json()["id"]
    order = {
        "mode": "subscription",
        "success_url": "https://shop.test/paid",
        "line_items[0][price]": price_id,
        "line_items[0][quantity]": "2",
    }
    address = f"{sandbox.url}/stripe/v1/checkout/sessions"
    session = httpx.post(address, auth=(STRIPE_KEY, ""), data=order, trust_env=False).json()

    page = _open(session["url"])

    assert "Subscribe to Pro" in page.html
    assert "2 at 9.00 USD each, billed every month" in page.html


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


def test_every_mistake_is_told_beside_its_field_and_only_what_is_not_a_cards_is_kept(sandbox: Sandbox) -> None:
    typed = {"email": "ada@b", "number": REAL_LOOKING, "expiry": "11/19", "csc": "9876"}

    answer = httpx.post(_session(sandbox)["url"], data=typed, trust_env=False)

    fields = {each["name"]: each for each in Page(answer).inputs if each["type"] != "hidden"}
    assert answer.text.count('class="mistake"') == 4
    assert all(field["aria-describedby"] == f"{name}-mistake" for name, field in fields.items())
    assert [name for name, field in fields.items() if "autofocus" in field] == ["email"]
    assert {name: field["value"] for name, field in fields.items()} == {
        "email": "ada@b",
        "number": "",
        "expiry": "",
        "csc": "",
    }
    assert not [secret for secret in (REAL_LOOKING, "11/19", "9876") if secret in answer.text]


@pytest.mark.parametrize(
    "email", ["4111111111111111", "4111111111111111@example.com", "4111 1111 1111 1111@a.test", f"{PAYS}@example.com"]
)
def test_a_card_number_in_the_email_field_is_refused_beside_it_and_neither_repeated_nor_kept(
    tmp_path: Path, email: str
) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        answer = _fill(_open(_session(sandbox)["url"]), PAYS, email=email)
        session = sandbox.objects("stripe", "checkout.session")[0]

    (field,) = (each for each in Page(answer).inputs if each.get("name") == "email")
    written = b"".join(path.read_bytes() for path in (tmp_path / "sandbox").iterdir())
    assert (answer.status_code, session["status"], field["value"]) == (200, "open", "")
    assert re.search(r'id="email-mistake">[^<]*card number', answer.text)
    assert email not in answer.text
    assert email.encode() not in written


def test_a_card_number_in_the_upi_field_is_not_repeated(sandbox: Sandbox) -> None:
    answer = httpx.post(f"{_link(sandbox)['short_url']}/upi", data={"vpa": "4111111111111111"}, trust_env=False)

    assert "work here" in answer.text
    assert "4111" not in answer.text


@pytest.mark.parametrize("typed", ["12/34", "12 / 34", "1234", "12/2034", " 12 /34 "])
def test_an_expiry_date_is_read_however_it_is_typed(typed: str) -> None:
    card = read_card_form({"number": PAYS, "expiry": typed, "csc": "123"}, now=NOW)

    assert (card.last4, card.expires) == ("4242", (12, 2034))


@pytest.mark.parametrize(
    "typed", ["", "12", "13/34", "00/34", "12/3", "12-34-56", "\uff11\uff12/34", "123456", "10/26"]
)
def test_what_is_no_date_to_come_is_a_mistake(typed: str) -> None:
    with pytest.raises(FormRefused) as refused:
        read_card_form({"number": PAYS, "expiry": typed, "csc": "123"}, now=NOW)

    assert list(refused.value.mistakes) == ["expiry"]


def test_the_month_of_expiry_itself_still_pays() -> None:
    assert read_card_form({"number": PAYS, "expiry": "11/26", "csc": "123"}, now=NOW).expires == (11, 2026)


def test_a_page_runs_its_own_script_alone_and_loads_nothing(sandbox: Sandbox) -> None:
    for url in (*_urls(sandbox), f"{sandbox.url}/pay/stripe/none"):
        answer = httpx.get(url, trust_env=False)
        policy = answer.headers["content-security-policy"]

        for element in ("style", "script"):
            (found,) = re.findall(f"<{element}>(.*?)</{element}>", answer.text, re.DOTALL)
            digest = b64encode(hashlib.sha256(found.encode()).digest()).decode()
            assert f"{element}-src 'sha256-{digest}'" in policy
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"


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
