"""Refunds at Razorpay's stand-in, as Razorpay's own SDK makes them and as its webhooks tell of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import razorpay
from razorpay.errors import BadRequestError

from tests.contract.recorded import FIXTURES, load, needs_fixtures
from tests.sandboxes import DECLINED, RAZORPAY_KEY, Sandbox, wait_until

HOUR, DAY = 3600, 24 * 3600
KEY = "X-Refund-Idempotency"


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[razorpay.Client]:
    with sandbox.razorpay() as connected:
        yield connected


@pytest.fixture
def payment(sandbox: Sandbox) -> str:
    """49900 paise, paid through a link."""
    return str(sandbox.pay(sandbox.link())["payment"])


def _refunds_told(sandbox: Sandbox) -> list[str]:
    told = [event["event"] for event in sandbox.objects("razorpay", "event")]
    return [kind for kind in told if kind.startswith("refund.")]


def _last(sandbox: Sandbox) -> dict[str, Any]:
    return sandbox.objects("razorpay", "event")[-1]


def test_a_payment_is_refunded_whole(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    refund = client.payment.refund(payment, {"notes": {"refund": "r-1"}, "receipt": "r-1"})

    paid, told = client.payment.fetch(payment), _last(sandbox)
    assert (refund["amount"], refund["currency"], refund["status"]) == (49900, "INR", "processed")
    assert (refund["payment_id"], refund["receipt"], refund["notes"]) == (payment, "r-1", {"refund": "r-1"})
    assert (refund["speed_requested"], refund["speed_processed"]) == ("normal", "normal")
    assert (paid["status"], paid["refund_status"], paid["amount_refunded"]) == ("refunded", "full", 49900)
    assert client.order.fetch(paid["order_id"])["status"] == "paid"
    assert client.refund.fetch(refund["id"]) == refund
    assert _refunds_told(sandbox) == ["refund.created", "refund.processed"]
    assert told["contains"] == ["refund", "payment"]
    assert told["payload"]["payment"]["entity"] == paid


def test_f92_partial_refunds_add_up(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    first = client.payment.refund(payment, {"amount": 10000})
    between = client.payment.fetch(payment)
    rest = client.payment.refund(payment, {})

    assert (between["status"], between["refund_status"], between["amount_refunded"]) == ("captured", "partial", 10000)
    assert (first["amount"], rest["amount"]) == (10000, 39900)
    assert client.payment.fetch(payment)["refund_status"] == "full"
    assert [each["id"] for each in client.payment.fetch_multiple_refund(payment)["items"]] == [rest["id"], first["id"]]
    assert client.payment.fetch_refund_id(payment, first["id"]) == first


@pytest.mark.parametrize(
    ("before", "asked", "says"),
    [
        (None, {"amount": 49901}, "greater than amount captured"),
        (10000, {"amount": 39901}, "total refund amount is greater than the refund payment amount"),
        (49900, {}, "fully refunded already"),
        (None, {"amount": 99}, "atleast INR 1.00"),
        (None, {"amount": "all"}, "must be an integer"),
        (None, {"speed": "warp"}, "normal or optimum"),
        (None, {"receipt": "x" * 41}, "no more than 40"),
        (None, {"colour": "red"}, "extra fields"),
    ],
)
def test_what_razorpay_would_refuse_is_refused(
    sandbox: Sandbox, client: razorpay.Client, payment: str, before: int | None, asked: dict[str, Any], says: str
) -> None:
    if before is not None:
        client.payment.refund(payment, {"amount": before})

    with pytest.raises(BadRequestError, match=says):
        client.payment.refund(payment, dict(asked))

    assert client.payment.fetch(payment)["amount_refunded"] == (before or 0)
    assert len(sandbox.objects("razorpay", "refund")) == (0 if before is None else 1)


def test_only_what_was_captured_is_refunded(sandbox: Sandbox, client: razorpay.Client) -> None:
    failed = sandbox.pay(sandbox.link(), DECLINED)["payment"]

    with pytest.raises(BadRequestError, match="should be captured"):
        client.payment.refund(failed, {})
    with pytest.raises(BadRequestError, match="does not exist"):
        client.payment.refund("pay_nobody", {})

    assert sandbox.objects("razorpay", "refund") == []


def test_f104_an_old_payment_is_refunded_at_once_or_not_at_all(
    sandbox: Sandbox, client: razorpay.Client, payment: str
) -> None:
    sandbox.control("clock", {"advance": 184 * DAY})

    with pytest.raises(BadRequestError, match="more than 6 months old"):
        client.payment.refund(payment, {"amount": 1000})
    instant = client.payment.refund(payment, {"amount": 1000, "speed": "optimum"})

    assert (instant["speed_requested"], instant["speed_processed"]) == ("optimum", "instant")


# The one idempotency key that Razorpay knows.


def test_the_same_key_is_the_same_refund(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    first = client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-1"})
    again = client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-1"})
    other = client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-2"})

    assert again == first
    assert other["id"] != first["id"]
    assert client.payment.fetch(payment)["amount_refunded"] == 2000
    assert sandbox.calls()[0]["idempotencyKey"] is None
    assert "refund-r-1" in [call["idempotencyKey"] for call in sandbox.calls()]


def test_another_body_under_the_same_key_is_refused(client: razorpay.Client, payment: str) -> None:
    client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-1"})

    with pytest.raises(BadRequestError, match="Different request with the same idempotency key"):
        client.payment.refund(payment, {"amount": 1001}, headers={KEY: "refund-r-1"})

    assert client.payment.fetch(payment)["amount_refunded"] == 1000


@pytest.mark.parametrize("key", ["short", "has a space in it", "umlaut-ist-käse".encode(), "x" * 256])
def test_a_key_that_is_none_is_refused(sandbox: Sandbox, client: razorpay.Client, payment: str, key: Any) -> None:
    with pytest.raises(BadRequestError, match="at least 10 characters"):
        client.payment.refund(payment, {}, headers={KEY: key})

    assert sandbox.objects("razorpay", "refund") == []


def test_a_key_keeps_nothing_of_what_was_refused(client: razorpay.Client, payment: str) -> None:
    with pytest.raises(BadRequestError, match="greater than amount captured"):
        client.payment.refund(payment, {"amount": 50000}, headers={KEY: "refund-r-1"})

    assert client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-1"})["amount"] == 1000


def test_a_key_that_is_being_answered_is_a_conflict(sandbox: Sandbox, payment: str) -> None:
    address = f"{sandbox.url}/razorpay/v1/payments/{payment}/refund"

    def ask() -> httpx.Response:
        return httpx.post(address, auth=RAZORPAY_KEY, json={}, headers={KEY: "refund-r-1"}, trust_env=False)

    sandbox.control("faults", {"timeout": 2})
    answers: list[httpx.Response] = []
    first = threading.Thread(target=lambda: answers.append(ask()))
    first.start()
    wait_until(lambda: bool(sandbox.objects("razorpay", "refund")))

    second = ask()
    first.join()

    assert (second.status_code, [answer.status_code for answer in answers]) == (409, [200])
    assert len(sandbox.objects("razorpay", "refund")) == 1


def test_a_refund_whose_answer_is_lost_is_found_again(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    sandbox.control("faults", {"cutAfterCommit": 1})
    with pytest.raises(Exception, match=r"Connection|Remote|closed|aborted"):
        client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-1"})
    sandbox.control("faults", {})

    again = client.payment.refund(payment, {"amount": 1000}, headers={KEY: "refund-r-1"})

    assert client.payment.fetch_multiple_refund(payment)["items"] == [again]


# Other ends.


@pytest.mark.parametrize(
    ("ending", "statuses", "told"),
    [
        ("succeeds_later", ("pending", "processed"), ["refund.created", "refund.processed"]),
        ("fails", ("pending", "failed"), ["refund.created", "refund.failed"]),
        ("fails_after_success", ("processed", "failed"), ["refund.created", "refund.processed", "refund.failed"]),
        ("stays_pending", ("pending", "pending"), ["refund.created"]),
    ],
)
def test_a_refund_ends_as_it_was_set(
    sandbox: Sandbox, client: razorpay.Client, payment: str, ending: str, statuses: tuple[str, str], told: list[str]
) -> None:
    sandbox.control("settings", {"refundEnding": ending})

    begun = client.payment.refund(payment, {})
    sandbox.control("clock", {"advance": HOUR})
    ended, paid = client.refund.fetch(begun["id"]), client.payment.fetch(payment)

    taken_back = statuses[1] == "failed"
    assert (begun["status"], ended["status"]) == statuses
    assert (paid["amount_refunded"], paid["refund_status"]) == ((0, None) if taken_back else (49900, "full"))
    assert paid["status"] == ("captured" if taken_back else "refunded")
    assert _refunds_told(sandbox) == told


def test_what_was_to_be_instant_may_become_slow(sandbox: Sandbox, client: razorpay.Client, payment: str) -> None:
    sandbox.control("settings", {"refundEnding": "succeeds_later"})

    begun = client.payment.refund(payment, {"speed": "optimum"})
    sandbox.control("clock", {"advance": HOUR})

    assert begun["speed_processed"] == "instant"
    assert client.refund.fetch(begun["id"])["speed_processed"] == "normal"
    assert _refunds_told(sandbox) == ["refund.created", "refund.speed_changed", "refund.processed"]


def test_refunds_are_listed_by_the_time_of_their_making(
    sandbox: Sandbox, client: razorpay.Client, payment: str
) -> None:
    early = [client.payment.refund(payment, {"amount": 100 + n})["id"] for n in range(3)]
    sandbox.control("clock", {"advance": HOUR})
    late = client.payment.refund(payment, {"amount": 200})

    recent = client.refund.all({"from": late["created_at"], "count": 100})
    older = client.refund.all({"to": late["created_at"] - 1, "count": 2, "skip": 1})

    assert [each["id"] for each in recent["items"]] == [late["id"]]
    assert [each["id"] for each in older["items"]] == early[1::-1]


def test_f95_somebody_refunds_in_the_dashboard(sandbox: Sandbox, client: razorpay.Client) -> None:
    link = sandbox.link("order-2")
    payment = sandbox.pay(link)["payment"]

    by_link = sandbox.control("refund", {"payment": link, "amount": 1000, "ending": "stays_pending"})
    ended = sandbox.control("refund", {"refund": by_link["refund"], "ending": "succeeds"})
    by_order = sandbox.control("refund", {"payment": client.payment.fetch(payment)["order_id"]})

    assert (by_link["payment"], by_link["status"], ended["status"]) == (payment, "pending", "processed")
    assert by_order["amount"] == 48900
    assert sandbox.refused("refund", {"payment": payment})[:2] == (409, "not_refundable")
    assert sandbox.refused("refund", {"payment": payment, "ending": "asks_customer"})[:2] == (400, "invalid_ending")
    assert sandbox.refused("refund", {"refund": by_link["refund"], "ending": "cancelled"})[:2] == (
        400,
        "invalid_ending",
    )


def test_a_subscription_is_refunded_by_its_newest_invoice(sandbox: Sandbox, client: razorpay.Client) -> None:
    item = {"name": "Pro", "amount": 49900, "currency": "INR"}
    plan = client.plan.create({"period": "monthly", "interval": 1, "item": item})["id"]
    subscription = client.subscription.create({"plan_id": plan, "total_count": 12})["id"]
    paid = sandbox.pay(subscription)["payment"]
    (invoice,) = client.invoice.all({"subscription_id": subscription})["items"]

    made = [sandbox.control("refund", {"payment": name, "amount": 100}) for name in (subscription, invoice["id"])]

    assert [each["payment"] for each in made] == [paid, paid]
    assert client.payment.fetch(paid)["amount_refunded"] == 200


@needs_fixtures
@pytest.mark.parametrize(
    "file",
    [
        "refund.created__refund+payment.json",
        "refund.processed__refund+payment.json",
        "refund.failed__refund+payment.json",
        "refund.speed_changed__refund+payment.json",
    ],
)
def test_an_event_looks_as_recorded(sandbox: Sandbox, client: razorpay.Client, payment: str, file: str) -> None:
    recorded = load(FIXTURES / "razorpay/events" / file)
    sandbox.control("settings", {"refundEnding": "succeeds_later"})
    client.payment.refund(payment, {"speed": "optimum", "amount": 1000})
    sandbox.control("refund", {"payment": payment, "amount": 1000, "ending": "fails"})
    sandbox.control("clock", {"advance": HOUR})

    (told,) = [event for event in sandbox.objects("razorpay", "event") if event["event"] == recorded["event"]][:1]

    assert told["contains"] == recorded["contains"]
    for name in ("refund", "payment"):
        assert set(recorded["payload"][name]["entity"]) <= set(told["payload"][name]["entity"])
