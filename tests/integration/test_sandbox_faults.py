"""Faults on order: the API fails, hangs or falls silent after it acted, and the same seed does it all again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import stripe

from tests.sandboxes import DECLINED, PAYS, RAZORPAY_KEY, STRIPE_KEY, Sandbox, running_sandbox

#: Stripe's client hands its form to httpx in a way that httpx has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


ORDERABLE = (
    "drop duplicate delay reorder sameSecond twoEvents oldSecret wrongSignature"
    " apiErrors timeout cutAfterCommit lateAuthorisation amountMismatch seed"
).split()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


def _order(sandbox: Sandbox, faults: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{sandbox.url}/_control/faults", json=faults, trust_env=False)


def _statuses(sandbox: Sandbox, count: int) -> list[int]:
    address = f"{sandbox.url}/stripe/v1/products"
    with httpx.Client(auth=(STRIPE_KEY, ""), trust_env=False) as client:
        return [client.get(address).status_code for _ in range(count)]


def test_faults_are_told_with_their_seed_and_cleared_by_nothing(sandbox: Sandbox) -> None:
    ordered = sandbox.control("faults", {"drop": 0.5, "delay": 2})
    told = sandbox.ask("faults")
    cleared = sandbox.control("faults", {})

    assert (ordered["drop"], ordered["delay"]) == (0.5, 2)
    assert isinstance(ordered["seed"], int)
    assert told == ordered
    assert cleared == sandbox.ask("faults") == {}


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"drip": 1, "drop": 1, "dupe": 1}, "unknown faults: drip, dupe"),
        ({"drop": 1.1}, "drop must be a number from 0 to 1"),
        ({"drop": -0.1}, "drop must be"),
        ({"drop": True}, "drop must be"),
        ({"drop": "1"}, "drop must be"),
        ({"delay": 61}, "from 0 to 60"),
        ({"timeout": 121}, "from 0 to 120"),
        ({"timeout": {"seconds": 1}}, "seconds and rate"),
        ({"apiErrors": {"503": 1}}, "unknown in apiErrors: 503"),
        ({"apiErrors": {"500": 0.6, "429": 0.6}}, "more than 1"),
        ({"seed": "x"}, "whole number"),
        ({"seed": -1}, "from 0 to 9007199254740991"),
        ({"seed": 2**53}, "from 0 to 9007199254740991"),
        ({"seed": True}, "whole number"),
        ({"twoEvents": 2}, "twoEvents must be"),
        ({"wrongSignature": []}, "wrongSignature must be"),
        ({"amountMismatch": None}, "amountMismatch must be"),
        ({"oldSecret": 1}, "SANDBOX_STRIPE_OLD_WEBHOOK_SECRET"),
        ({"x" * 5000: 1}, f"unknown faults: {'x' * 40};"),
    ],
)
def test_an_order_that_cannot_be_is_refused_and_changes_nothing(
    sandbox: Sandbox, faults: dict[str, Any], says: str
) -> None:
    before = sandbox.control("faults", {"drop": 0.25, "seed": 1})

    answer = _order(sandbox, faults)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_faults")
    assert says in answer.json()["detail"]
    assert sandbox.ask("faults") == before


def test_every_fault_is_told_with_its_kind_and_a_sentence(sandbox: Sandbox) -> None:
    known = sandbox.ask("faults/known")

    kinds = {name: fault["kind"] for name, fault in known.items()}
    assert list(known) == ORDERABLE
    assert {name for name, kind in kinds.items() if kind != "rate"} == {"delay", "timeout", "apiErrors", "seed"}
    assert (kinds["delay"], kinds["timeout"], kinds["apiErrors"], kinds["seed"]) == (
        "seconds",
        "seconds",
        "rates",
        "number",
    )
    assert all(fault["says"].endswith(".") for fault in known.values())


def test_the_same_seed_gives_the_same_faults(sandbox: Sandbox) -> None:
    faults = {"apiErrors": 0.5, "seed": 7}

    sandbox.control("faults", faults)
    first = _statuses(sandbox, 40)
    sandbox.control("faults", faults)
    again = _statuses(sandbox, 40)
    sandbox.control("faults", {**faults, "seed": 8})
    other = _statuses(sandbox, 40)

    assert first == again
    assert first != other
    assert set(first) == {200, 429, 500, 502}


def test_one_fault_does_not_disturb_another(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"apiErrors": 0.5, "seed": 7})
    alone = _statuses(sandbox, 20)

    sandbox.control("faults", {"apiErrors": 0.5, "timeout": {"seconds": 0, "rate": 0.5}, "drop": 0.5, "seed": 7})

    assert _statuses(sandbox, 20) == alone


async def test_too_many_requests_say_when_to_come_back(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"apiErrors": {"429": 1}})

    async with sandbox.stripe() as client:
        with pytest.raises(stripe.RateLimitError) as refused:
            await client.v1.products.create_async({"name": "Pro"}, {"idempotency_key": "k"})
        sandbox.control("faults", {})
        product = await client.v1.products.create_async({"name": "Pro"}, {"idempotency_key": "k"})
    sandbox.control("faults", {"apiErrors": {"429": 1}})
    razorpays = httpx.get(f"{sandbox.url}/razorpay/v1/orders", auth=RAZORPAY_KEY, trust_env=False)

    assert refused.value.headers is not None
    assert (refused.value.http_status, refused.value.headers["retry-after"]) == (429, "1")
    assert product.name == "Pro"
    assert (razorpays.status_code, razorpays.headers["retry-after"]) == (429, "1")


async def test_a_bad_gateway_is_not_even_json(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"apiErrors": {"502": 1}})

    async with sandbox.stripe() as client:
        with pytest.raises(stripe.APIError) as refused:
            await client.v1.products.create_async({"name": "Pro"})
    with sandbox.razorpay() as razorpay_client, pytest.raises(requests.exceptions.JSONDecodeError):
        razorpay_client.order.all()

    assert refused.value.http_status == 502
    assert sandbox.objects("stripe", "product") == []


async def test_f57_the_connection_is_cut_after_stripe_has_acted_and_the_key_finds_it_again(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"cutAfterCommit": 1})

    async with sandbox.stripe() as client:
        with pytest.raises(stripe.APIConnectionError):
            await client.v1.products.create_async({"name": "Pro"}, {"idempotency_key": "k"})
        (made,) = sandbox.objects("stripe", "product")
        replayed = await client.v1.products.create_async({"name": "Pro"}, {"idempotency_key": "k"})
        listed = await client.v1.products.list_async()

    assert replayed.id == made["id"]
    assert [product.id for product in listed.data] == [made["id"]]


def test_f55_the_connection_is_cut_after_razorpay_has_acted_and_the_reference_finds_it_again(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"cutAfterCommit": 1})
    order = {"amount": 49900, "currency": "INR", "reference_id": "order-1"}

    with sandbox.razorpay() as client:
        with pytest.raises(requests.exceptions.ConnectionError):
            client.payment_link.create(order)
        found = client.payment_link.all({"reference_id": "order-1"})["payment_links"]

    assert [link["id"] for link in found] == [link["id"] for link in sandbox.objects("razorpay", "payment_link")]
    assert len(found) == 1


def test_a_refused_call_is_answered_although_cuts_are_ordered(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"cutAfterCommit": 1})

    answer = httpx.post(f"{sandbox.url}/stripe/v1/products", auth=(STRIPE_KEY, ""), trust_env=False)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")


def test_an_answer_is_withheld_although_the_work_is_done(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"timeout": 2})
    order = {"amount": 49900, "currency": "INR"}

    with sandbox.razorpay() as client, pytest.raises(requests.exceptions.ReadTimeout):
        client.order.create(order, timeout=0.5)

    assert len(sandbox.objects("razorpay", "order")) == 1


async def test_stripe_takes_a_cent_less_and_every_object_and_event_says_so(sandbox: Sandbox) -> None:
    session_id = sandbox.session()
    sandbox.control("faults", {"amountMismatch": 1})

    declined, paid = sandbox.pay(session_id, DECLINED), sandbox.pay(session_id, PAYS)

    async with sandbox.stripe() as client:
        session = await client.v1.checkout.sessions.retrieve_async(session_id, {"expand": ["line_items"]})
        intent = await client.v1.payment_intents.retrieve_async(paid["payment"], {"expand": ["latest_charge"]})
    (line,) = session.line_items.data if session.line_items else []
    charge = intent.latest_charge
    assert (declined["outcome"], paid["outcome"]) == ("declined", "paid")
    assert isinstance(charge, stripe.Charge)
    assert (session.amount_subtotal, session.amount_total, line.amount_total) == (4900, 4899, 4899)
    assert session.total_details is not None
    assert session.total_details.amount_discount == 1
    assert (intent.amount, intent.amount_received) == (charge.amount, charge.amount_captured) == (4899, 4899)
    told = {event["type"]: event["data"]["object"] for event in sandbox.objects("stripe", "event")}
    assert told["checkout.session.completed"]["amount_total"] == 4899
    assert told["payment_intent.succeeded"]["amount_received"] == told["charge.succeeded"]["amount_captured"] == 4899


def test_a_delayed_method_settles_a_cent_less(sandbox: Sandbox) -> None:
    session_id = sandbox.session()
    sandbox.control("faults", {"amountMismatch": 1})

    sandbox.pay(session_id, method="delayed", settleAfter=60)
    sandbox.control("clock", {"advance": 61})

    (intent,), (session,) = sandbox.objects("stripe", "payment_intent"), sandbox.objects("stripe", "checkout.session")
    told = {event["type"]: event["data"]["object"] for event in sandbox.objects("stripe", "event")}
    assert (intent["amount_received"], session["amount_total"], session["payment_status"]) == (4899, 4899, "paid")
    assert told["checkout.session.completed"]["amount_total"] == 4899
    assert told["checkout.session.async_payment_succeeded"]["amount_total"] == 4899


def test_razorpay_takes_a_paisa_less_and_every_entity_and_event_says_so(sandbox: Sandbox) -> None:
    link_id = sandbox.link()
    sandbox.control("faults", {"amountMismatch": 1})

    paid = sandbox.pay(link_id, PAYS)

    with sandbox.razorpay() as client:
        payment, link = client.payment.fetch(paid["payment"]), client.payment_link.fetch(link_id)
        order = client.order.fetch(payment["order_id"])
    told = {event["event"]: event["payload"] for event in sandbox.objects("razorpay", "event")}
    assert (payment["amount"], payment["base_amount"], payment["status"]) == (49899, 49899, "captured")
    assert (link["amount"], link["amount_paid"], link["payments"][0]["amount"]) == (49900, 49899, 49899)
    assert (order["amount"], order["amount_paid"], order["amount_due"], order["status"]) == (49900, 49899, 1, "paid")
    assert told["payment.captured"]["payment"]["entity"]["amount"] == 49899
    assert told["order.paid"]["order"]["entity"]["amount_paid"] == 49899
    assert told["payment_link.paid"]["payment_link"]["entity"]["amount_paid"] == 49899


def test_without_the_fault_exactly_what_was_asked_is_taken(sandbox: Sandbox) -> None:
    sandbox.control("faults", {"amountMismatch": 0})

    sandbox.pay(sandbox.session())
    sandbox.pay(sandbox.link())

    assert [each["amount_received"] for each in sandbox.objects("stripe", "payment_intent")] == [4900]
    assert [each["amount"] for each in sandbox.objects("razorpay", "payment")] == [49900]


def test_faults_outlive_a_restart(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        ordered = sandbox.control("faults", {"drop": 0.5, "seed": 3})

    with running_sandbox(tmp_path / "sandbox") as sandbox:
        told = sandbox.ask("faults")

    assert told == ordered
