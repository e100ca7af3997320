"""Faults on order: the API fails, hangs or falls silent after it acted, and the same seed does it all again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import stripe

from tests.sandboxes import RAZORPAY_KEY, STRIPE_KEY, Sandbox, running_sandbox

#: Stripe's client hands its form to httpx in a way that httpx has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


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


def test_faults_outlive_a_restart(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        ordered = sandbox.control("faults", {"drop": 0.5, "seed": 3})

    with running_sandbox(tmp_path / "sandbox") as sandbox:
        told = sandbox.ask("faults")

    assert told == ordered
