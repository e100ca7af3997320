"""Razorpay's stand-in, as Razorpay's own SDK sees it: what it makes, what it refuses, and what it says happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import razorpay
from razorpay.errors import BadRequestError, ServerError, SignatureVerificationError

from tests.sandboxes import (
    ASKS,
    DECLINED,
    EXPIRED,
    NO_FUNDS,
    PAYS,
    RAZORPAY_KEY,
    Sandbox,
    running_sandbox,
)

SAMPLES = Path(__file__).parents[3] / "shared/fixtures/razorpay/events"
REAL_LOOKING = "5555555555554444"
CARD_NUMBERS = (REAL_LOOKING, "4111 1111 1111 1111", PAYS)
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[razorpay.Client]:
    with sandbox.razorpay() as connected:
        yield connected


def _link(client: razorpay.Client, **changes: Any) -> dict[str, Any]:
    """What a shop sends; a change to None takes the field away."""
    order = {"amount": 49900, "currency": "INR", "reference_id": "order-1", **changes}
    made = client.payment_link.create({name: value for name, value in order.items() if value is not None})
    return dict(made)


def _event_types(sandbox: Sandbox) -> list[str]:
    return [event["event"] for event in sandbox.objects("razorpay", "event")]


def _only(sandbox: Sandbox, kind: str) -> dict[str, Any]:
    (one,) = sandbox.objects("razorpay", kind)
    return one


# A payment link, and what becomes of it.


def test_a_link_is_made_and_found_again(client: razorpay.Client) -> None:
    made = _link(client, notes={"order_id": "order-1"}, description="Lifetime", customer={"email": "a@b.test"})

    fetched = client.payment_link.fetch(made["id"])
    found = client.payment_link.all({"reference_id": "order-1"})["payment_links"]

    assert made["id"].startswith("plink_")
    assert (made["status"], made["amount"], made["amount_paid"], made["payments"]) == ("created", 49900, 0, None)
    assert made["notes"] == {"order_id": "order-1"}
    assert fetched == made
    assert found == [made]
    assert client.payment_link.all({"reference_id": "other"})["payment_links"] == []
    assert httpx.get(made["short_url"], trust_env=False).status_code == 200


def test_f45_paying_a_link_says_so_four_times(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client, notes={"order_id": "order-1"})

    answer = sandbox.pay(link["id"])

    payment = client.payment.fetch(answer["payment"])
    order = client.order.fetch(payment["order_id"])
    paid = client.payment_link.fetch(link["id"])
    assert answer["outcome"] == "paid"
    assert (payment["status"], payment["captured"], payment["amount"]) == ("captured", True, 49900)
    assert payment["notes"] == {"order_id": "order-1"}
    assert (payment["fee"], payment["tax"]) == (1177, 179)
    assert (order["status"], order["amount_paid"], order["amount_due"]) == ("paid", 49900, 0)
    assert (order["receipt"], order["attempts"]) == ("order-1", 1)
    assert (paid["status"], paid["amount_paid"], paid["payments"][0]["payment_id"]) == ("paid", 49900, payment["id"])
    assert client.payment_link.all({"payment_id": payment["id"]})["payment_links"] == [paid]
    assert _event_types(sandbox) == ["payment.authorized", "payment.captured", "order.paid", "payment_link.paid"]


def test_f42_the_authorisation_is_told_as_it_was(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.pay(_link(client)["id"])

    authorised, captured, ordered, linked = sandbox.objects("razorpay", "event")

    assert authorised["payload"]["payment"]["entity"]["status"] == "authorized"
    assert captured["payload"]["payment"]["entity"]["status"] == "captured"
    assert ordered["contains"] == ["payment", "order"]
    assert linked["contains"] == ["payment_link", "order", "payment"]


@pytest.mark.parametrize(
    ("card", "reason", "step"),
    [
        (DECLINED, "card_declined", "payment_authorization"),
        (NO_FUNDS, "insufficient_funds", "payment_authorization"),
        (EXPIRED, "card_expired", "payment_authorization"),
    ],
)
def test_a_refused_card_leaves_the_link_open(
    sandbox: Sandbox, client: razorpay.Client, card: str, reason: str, step: str
) -> None:
    link = _link(client)

    answer = sandbox.pay(link["id"], card)

    payment = client.payment.fetch(answer["payment"])
    assert answer["outcome"] == "declined"
    assert (payment["status"], payment["error_code"]) == ("failed", "BAD_REQUEST_ERROR")
    assert (payment["error_reason"], payment["error_step"]) == (reason, step)
    assert client.payment_link.fetch(link["id"])["status"] == "created"
    assert client.order.fetch(payment["order_id"])["status"] == "attempted"
    assert _event_types(sandbox) == ["payment.failed"]


def test_another_attempt_is_another_payment_of_the_same_order(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client)

    declined = sandbox.pay(link["id"], DECLINED)
    paid = sandbox.pay(link["id"], PAYS)

    order_id = client.payment_link.fetch(link["id"])["order_id"]
    attempts = client.order.payments(order_id)
    assert [item["id"] for item in attempts["items"]] == [paid["payment"], declined["payment"]]
    assert client.order.fetch(order_id)["attempts"] == 2


@pytest.mark.parametrize(
    ("vpa", "outcome", "status"), [("success@razorpay", "paid", "captured"), ("failure@razorpay", "declined", "failed")]
)
def test_upi_succeeds_and_fails_by_its_address(
    sandbox: Sandbox, client: razorpay.Client, vpa: str, outcome: str, status: str
) -> None:
    link = _link(client)

    answer = sandbox.control("pay", {"session": link["id"], "method": "upi", "vpa": vpa})

    payment = client.payment.fetch(answer["payment"])
    assert (answer["outcome"], payment["status"]) == (outcome, status)
    assert (payment["method"], payment["vpa"]) == ("upi", vpa)
    assert "card" not in payment


def test_a_question_of_the_bank_is_answered(sandbox: Sandbox, client: razorpay.Client) -> None:
    passed = sandbox.pay(_link(client)["id"], ASKS)
    failed = sandbox.pay(_link(client, reference_id="order-2")["id"], ASKS, authenticate="fail")

    assert (passed["outcome"], failed["outcome"]) == ("paid", "declined")
    assert client.payment.fetch(failed["payment"])["error_reason"] == "authentication_failed"


def test_a_question_of_the_bank_that_nobody_answers_fails_after_ten_minutes(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    waiting = sandbox.pay(_link(client)["id"], ASKS, authenticate=False)

    before = client.payment.fetch(waiting["payment"])
    sandbox.control("clock", {"advance": 10 * MINUTE})
    after = client.payment.fetch(waiting["payment"])

    assert (waiting["outcome"], before["status"]) == ("requires_action", "created")
    assert (after["status"], after["error_reason"]) == ("failed", "payment_timed_out")
    assert _event_types(sandbox) == ["payment.failed"]


def test_a_link_is_cancelled_once(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client)

    cancelled = client.payment_link.cancel(link["id"])
    with pytest.raises(BadRequestError, match="already cancelled"):
        client.payment_link.cancel(link["id"])

    assert cancelled["status"] == "cancelled"
    assert cancelled["cancelled_at"] >= link["created_at"]
    assert _event_types(sandbox) == ["payment_link.cancelled"]


def test_a_paid_link_cannot_be_cancelled(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client)
    sandbox.pay(link["id"])

    with pytest.raises(BadRequestError, match="already paid"):
        client.payment_link.cancel(link["id"])

    assert client.payment_link.fetch(link["id"])["status"] == "paid"


def test_the_clock_expires_a_link(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client, expire_by=sandbox.now() + 16 * MINUTE)

    sandbox.control("clock", {"advance": 17 * MINUTE})

    expired = client.payment_link.fetch(link["id"])
    refused = httpx.post(f"{sandbox.url}/_control/pay", json={"session": link["id"], "card": PAYS}, trust_env=False)
    assert (expired["status"], expired["expired_at"]) == ("expired", link["expire_by"])
    assert (refused.status_code, refused.json()["code"]) == (409, "not_payable")
    assert _event_types(sandbox) == ["payment_link.expired"]


def test_f55_a_reference_is_unique_for_ever(client: razorpay.Client) -> None:
    link = _link(client)
    client.payment_link.cancel(link["id"])

    with pytest.raises(BadRequestError, match="payment link creation with reference ID already attempted"):
        _link(client)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amount": None}, "amount: cannot be blank"),
        ({"amount": 99}, "amount should be minimum 100"),
        ({"amount": "49900.5"}, "must be an integer"),
        ({"amount": 499.5}, "must be an integer"),
        ({"amount": 295991, "currency": "KWD"}, "last digit must be 0"),
        ({"currency": "inr"}, "wrong input field"),
        ({"reference_id": "x" * 41}, "no more than 40"),
        ({"reference_id": "a\u0000b"}, "must be a string"),
        ({"reference_id": "a\ud800b"}, "must be a string"),
        ({"expire_by": 1}, "atleast 15 minutes"),
        ({"expire_by": 2**40}, "six months"),
        ({"notes": {f"k{n}": "v" for n in range(16)}}, "less than or equal to 15"),
        ({"notes": {"k": "v" * 257}}, "length must not be greater than 256"),
        ({"notes": "k"}, "must be an object"),
        ({"callback_url": "javascript:alert(1)", "callback_method": "get"}, "URL should be sent"),
        ({"callback_url": "https://shop.test"}, "callback_method"),
        ({"callback_url": "https://shop.test/\r\nSet-Cookie: a=b", "callback_method": "get"}, "callback_url"),
        ({"callback_url": "https://shop\n.test/", "callback_method": "get"}, "callback_url"),
        ({"upi_link": True}, "not supported in Test Mode"),
        ({"accept_partial": True}, "does not simulate partial"),
        ({"colour": "red"}, "extra fields sent"),
    ],
)
def test_a_link_that_razorpay_would_refuse_is_refused(unchanged: Sandbox, changes: dict[str, Any], says: str) -> None:
    with unchanged.razorpay() as client, pytest.raises(BadRequestError, match=says):
        _link(client, **changes)

    assert unchanged.objects("razorpay", "payment_link") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "card 4111 1111 1111 1111"},
        {"reference_id": REAL_LOOKING},
        {"notes": {"card": int(REAL_LOOKING)}},
        {"notes": {REAL_LOOKING: "x"}},
        {"customer": {"email": f"{REAL_LOOKING}@example.com"}},
        {"amount": float(REAL_LOOKING)},
        {"callback_url": f"https://shop.test/{PAYS}", "callback_method": "get"},
    ],
)
def test_a_link_that_holds_a_card_number_is_refused_and_leaves_no_trace(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    refusing = pytest.raises(BadRequestError, match="must not hold a card number")
    with running_sandbox(tmp_path / "sandbox") as sandbox, sandbox.razorpay() as client, refusing as said:
        _link(client, **changes)

    written = b"".join(path.read_bytes() for path in (tmp_path / "sandbox").iterdir())
    assert not [number for number in CARD_NUMBERS if number in str(said.value) or number.encode() in written]


# Orders and payments.


def test_an_order_is_found_by_its_receipt(client: razorpay.Client) -> None:
    made = client.order.create({"amount": 49900, "currency": "INR", "receipt": "order-1", "notes": {"a": "b"}})
    client.order.create({"amount": 100, "currency": "INR", "receipt": "order-2"})

    found = client.order.all({"receipt": "order-1"})

    assert (made["status"], made["amount_due"], made["attempts"]) == ("created", 49900, 0)
    assert (found["count"], found["items"]) == (1, [made])


def test_an_order_is_paid_without_a_link(sandbox: Sandbox, client: razorpay.Client) -> None:
    order = client.order.create({"amount": 49900, "currency": "INR", "receipt": "order-1"})

    answer = sandbox.pay(order["id"])

    assert answer["outcome"] == "paid"
    assert client.order.fetch(order["id"])["status"] == "paid"
    assert _event_types(sandbox) == ["payment.authorized", "payment.captured", "order.paid"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amount": 99}, "at least 100"),
        ({"amount": None}, "amount field is required"),
        ({"currency": None}, "currency field is required"),
        ({"receipt": "x" * 41}, "no more than 40"),
    ],
)
def test_an_order_that_razorpay_would_refuse_is_refused(unchanged: Sandbox, changes: dict[str, Any], says: str) -> None:
    order = {"amount": 49900, "currency": "INR", **changes}

    with unchanged.razorpay() as client, pytest.raises(BadRequestError, match=says):
        client.order.create(order)

    assert unchanged.objects("razorpay", "order") == []


def test_without_automatic_capture_the_merchant_captures_exactly_what_was_authorised(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    sandbox.control("settings", {"razorpayAutoCapture": False})
    link = _link(client)
    answer = sandbox.pay(link["id"])
    payment_id = answer["payment"]
    with pytest.raises(BadRequestError, match="equal to the amount authorized"):
        client.payment.capture(payment_id, 49800, {"currency": "INR"})
    with pytest.raises(BadRequestError, match="equal to the amount authorized"):
        client.payment.capture(payment_id, 49900, {"currency": "USD"})

    captured = client.payment.capture(payment_id, 49900, {"currency": "INR"})
    with pytest.raises(BadRequestError, match="already been captured"):
        client.payment.capture(payment_id, 49900, {"currency": "INR"})

    assert (answer["outcome"], captured["status"]) == ("authorized", "captured")
    assert client.payment_link.fetch(link["id"])["status"] == "paid"
    assert _event_types(sandbox) == ["payment.authorized", "payment.captured", "order.paid", "payment_link.paid"]


def test_only_an_authorised_payment_can_be_captured(sandbox: Sandbox, client: razorpay.Client) -> None:
    failed = sandbox.pay(_link(client)["id"], DECLINED)["payment"]

    with pytest.raises(BadRequestError, match="Only payments which have been authorized"):
        client.payment.capture(failed, 49900, {"currency": "INR"})

    assert client.payment.fetch(failed)["status"] == "failed"


def test_f70_a_second_authorisation_of_a_paid_order_is_not_captured(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.control("settings", {"razorpayAutoCapture": False})
    link = _link(client)
    first, second = sandbox.pay(link["id"])["payment"], sandbox.pay(link["id"])["payment"]

    client.payment.capture(first, 49900, {"currency": "INR"})
    with pytest.raises(BadRequestError, match="order is already paid"):
        client.payment.capture(second, 49900, {"currency": "INR"})

    assert client.payment.fetch(second)["status"] == "authorized"


def test_f72_an_authorisation_that_nobody_captures_goes_back_after_three_days(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    sandbox.control("settings", {"razorpayAutoCapture": False})
    payment_id = sandbox.pay(_link(client)["id"])["payment"]

    sandbox.control("clock", {"advance": 3 * DAY - 60})
    before = client.payment.fetch(payment_id)
    sandbox.control("clock", {"advance": 60})
    after = client.payment.fetch(payment_id)

    refund = _only(sandbox, "refund")
    assert before["status"] == "authorized"
    assert (after["status"], after["refund_status"], after["amount_refunded"]) == ("refunded", "full", 49900)
    assert (refund["payment_id"], refund["amount"], refund["status"]) == (payment_id, 49900, "processed")
    assert _event_types(sandbox) == ["payment.authorized", "refund.processed"]


def test_f31_a_failed_payment_is_authorised_late(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client)

    answer = sandbox.pay(link["id"], late=2 * DAY)
    before = client.payment.fetch(answer["payment"])
    sandbox.control("clock", {"advance": 2 * DAY})
    after = client.payment.fetch(answer["payment"])

    assert (answer["outcome"], before["status"]) == ("declined", "failed")
    assert (after["status"], after["error_code"]) == ("captured", None)
    assert _event_types(sandbox)[:3] == ["payment.failed", "payment.authorized", "payment.captured"]
    assert client.payment_link.fetch(link["id"])["status"] == "paid"


def test_f71_late_money_does_not_reopen_a_link_that_ended(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = _link(client, expire_by=sandbox.now() + HOUR)
    sandbox.pay(link["id"], late=DAY)

    sandbox.control("clock", {"advance": DAY})

    assert client.payment_link.fetch(link["id"])["status"] == "expired"
    assert _event_types(sandbox) == [
        "payment.failed",
        "payment_link.expired",
        "payment.authorized",
        "payment.captured",
        "order.paid",
    ]


def test_a_late_authorisation_of_a_paid_order_stays_one_and_goes_back(
    sandbox: Sandbox, client: razorpay.Client
) -> None:
    link = _link(client)
    late = sandbox.pay(link["id"], late=HOUR)["payment"]
    sandbox.pay(link["id"])

    sandbox.control("clock", {"advance": HOUR})
    surplus = client.payment.fetch(late)
    sandbox.control("clock", {"advance": 3 * DAY})

    assert surplus["status"] == "authorized"
    assert client.payment.fetch(late)["status"] == "refunded"


def test_the_fault_of_late_authorisation_does_it_by_itself(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.control("faults", {"lateAuthorisation": 1})
    answer = sandbox.pay(_link(client)["id"])

    sandbox.control("clock", {"advance": HOUR})

    assert answer["outcome"] == "declined"
    assert client.payment.fetch(answer["payment"])["status"] == "captured"


def test_f112_payments_are_listed_in_a_window_that_moves(sandbox: Sandbox, client: razorpay.Client) -> None:
    made = [sandbox.pay(_link(client, reference_id=f"order-{n}")["id"])["payment"] for n in range(4)]
    sandbox.control("clock", {"advance": HOUR})
    edge = sandbox.now()
    late = sandbox.pay(_link(client, reference_id="late")["id"])["payment"]

    first = client.payment.all({"count": 2})
    second = client.payment.all({"count": 2, "skip": 2})
    slice_ = client.payment.all({"to": edge - 1, "count": 100})
    rest = client.payment.all({"from": edge, "count": 100})

    assert (first["entity"], first["count"]) == ("collection", 2)
    assert [item["id"] for item in first["items"]] == [late, made[3]]
    assert [item["id"] for item in second["items"]] == [made[2], made[1]]
    assert [item["id"] for item in slice_["items"]] == made[::-1]
    assert [item["id"] for item in rest["items"]] == [late]


def test_a_window_wider_than_a_hundred_is_refused(unchanged: Sandbox) -> None:
    with unchanged.razorpay() as client, pytest.raises(BadRequestError, match="may not be greater than 100"):
        client.payment.all({"count": 101})


# Customers.


def test_a_customer_exists_once(client: razorpay.Client) -> None:
    ada = {"name": "Ada", "email": "ada@b.test", "contact": "+919000090000"}
    made = client.customer.create(ada)

    with pytest.raises(BadRequestError, match="Customer already exists for the merchant"):
        client.customer.create(ada)
    same = client.customer.create({**ada, "fail_existing": "0"})
    edited = client.customer.edit(made["id"], {"name": "Ada L."})

    assert same == made
    assert client.customer.fetch(made["id"]) == edited == {**made, "name": "Ada L."}
    assert client.customer.all()["count"] == 1


# Who asks, and how.


@pytest.mark.parametrize("key", [("rzp_live_1", "secret"), ("sk_test_1", "secret"), ("rzp_test_1", "")])
def test_only_a_test_key_with_its_secret_comes_in(unchanged: Sandbox, key: tuple[str, str]) -> None:
    with unchanged.razorpay(key=key) as client, pytest.raises(BadRequestError, match="Authentication failed"):
        client.order.all()

    assert httpx.get(f"{unchanged.url}/razorpay/v1/orders", auth=key, trust_env=False).status_code == 401


def test_a_base_without_a_path_leads_to_the_same_place(sandbox: Sandbox) -> None:
    with sandbox.razorpay(base="") as bare:
        customer = bare.customer.create({"name": "Ada"})

    assert [each["id"] for each in sandbox.objects("razorpay", "customer")] == [customer["id"]]


@pytest.mark.parametrize("path", ["payments/pay_x", "orders/order_x", "payment_links/plink_x", "customers/cust_x"])
def test_what_is_not_there_is_a_400_in_razorpays_words(unchanged: Sandbox, path: str) -> None:
    answer = httpx.get(f"{unchanged.url}/razorpay/v1/{path}", auth=RAZORPAY_KEY, trust_env=False)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "BAD_REQUEST_ERROR")
    assert error["description"] == "The id provided does not exist"
    assert set(error) >= {"code", "description", "source", "step", "reason", "metadata"}


def test_a_slash_at_the_end_makes_no_difference(unchanged: Sandbox) -> None:
    answer = httpx.get(f"{unchanged.url}/razorpay/v1/payment_links/", auth=RAZORPAY_KEY, trust_env=False)

    assert (answer.status_code, answer.json()) == (200, {"payment_links": []})


@pytest.mark.parametrize(("method", "path"), [("GET", "transfers"), ("DELETE", "orders")])
def test_an_address_that_does_not_exist_is_not_found(unchanged: Sandbox, method: str, path: str) -> None:
    answer = httpx.request(method, f"{unchanged.url}/razorpay/v1/{path}", auth=RAZORPAY_KEY, trust_env=False)

    assert answer.status_code == 400
    assert "URL was not found" in answer.json()["error"]["description"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"amount": ' + b"9" * 5000 + b"}"])
def test_a_hostile_body_is_a_400(unchanged: Sandbox, body: bytes) -> None:
    answer = httpx.post(f"{unchanged.url}/razorpay/v1/orders", auth=RAZORPAY_KEY, content=body, trust_env=False)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BAD_REQUEST_ERROR")


def test_a_body_over_the_limit_is_not_read(unchanged: Sandbox) -> None:
    answer = httpx.post(
        f"{unchanged.url}/razorpay/v1/orders", auth=RAZORPAY_KEY, content=b" " * 2_000_000, trust_env=False
    )

    assert answer.status_code == 413


def test_a_server_error_is_one_for_the_sdk_too(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.control("faults", {"apiErrors": {"500": 1}})

    with pytest.raises(ServerError, match="facing some trouble"):
        client.order.all()

    assert sandbox.objects("razorpay", "order") == []


def _way_back(link: dict[str, Any]) -> dict[str, str]:
    """What the shop is told when this link is paid on its page, under the names that the SDK asks for."""
    form = {"number": PAYS, "expiry": "12/34", "csc": "123"}
    answer = httpx.post(link["short_url"], data=form, trust_env=False)
    assert answer.status_code == 303
    told = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name.replace("razorpay_payment_link_", "payment_link_"): values[0] for name, values in told.items()}


def test_the_way_back_is_signed_as_the_sdk_verifies_it(client: razorpay.Client) -> None:
    link = _link(client, callback_url="https://shop.test/back?theme=dark", callback_method="get")

    back = _way_back(link)

    assert back.pop("theme") == "dark"
    assert (back["payment_link_id"], back["payment_link_status"]) == (link["id"], "paid")
    assert client.utility.verify_payment_link_signature(back)


@pytest.mark.parametrize("forged", ["payment_link_reference_id", "payment_link_status", "razorpay_payment_id"])
def test_a_way_back_that_was_tampered_with_is_not_believed(client: razorpay.Client, forged: str) -> None:
    back = _way_back(_link(client, callback_url="https://shop.test/back", callback_method="get"))

    with pytest.raises(SignatureVerificationError):
        client.utility.verify_payment_link_signature({**back, forged: "forged"})


def test_the_sdks_own_flow_of_an_order_runs_to_its_end(sandbox: Sandbox, client: razorpay.Client) -> None:
    sandbox.control("settings", {"razorpayAutoCapture": False})
    order = client.order.create({"amount": 49900, "currency": "INR", "receipt": "order-1", "notes": {"a": "b"}})
    sandbox.pay(order["id"])

    (payment,) = client.order.payments(order["id"])["items"]
    captured = client.payment.capture(payment["id"], payment["amount"], {"currency": "INR"})

    assert (payment["status"], captured["status"]) == ("authorized", "captured")
    assert client.payment.fetch(payment["id"])["captured"]
    assert client.order.fetch(order["id"])["amount_paid"] == 49900


# Shapes.


@pytest.mark.skipif(not SAMPLES.exists(), reason="Razorpay's sample events are not beside this checkout")
@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        ("payment.authorized__payment.json", "payment"),
        ("payment.captured__payment-2.json", "payment"),
        ("payment.failed__payment.json", "payment"),
        ("order.paid__payment+order.json", "order"),
        ("payment_link.expired__payment_link.json", "payment_link"),
        ("refund.processed__refund+payment.json", "refund"),
    ],
)
def test_every_field_of_razorpays_own_samples_is_there(
    sandbox: Sandbox, client: razorpay.Client, sample: str, kind: str
) -> None:
    theirs = json.loads((SAMPLES / sample).read_text())
    sandbox.control("settings", {"razorpayAutoCapture": False})
    sandbox.pay(_link(client, callback_url="https://shop.test", callback_method="get")["id"])
    sandbox.control("clock", {"advance": 3 * DAY})
    theirs_of_another_method = {"token_id", "customer_id", "card", "upi"}

    ours = _only(sandbox, kind)
    event = sandbox.objects("razorpay", "event")[0]

    assert set(theirs["payload"][kind]["entity"]) - set(ours) - theirs_of_another_method == set()
    assert set(theirs) - set(event) == set()
