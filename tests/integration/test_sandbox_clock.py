"""One clock for both gateways: it only goes forward, stops where something falls due, and is remembered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandboxes import PAYS, Receiver, Sandbox, running_receiver, running_sandbox, wait_until

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


def _link(sandbox: Sandbox, reference: str, minutes: int) -> str:
    order = {"amount": 49900, "reference_id": reference, "expire_by": sandbox.now() + minutes * MINUTE}
    with sandbox.razorpay() as client:
        return str(client.payment_link.create(order)["id"])


def test_the_clock_is_real_time_until_it_is_moved(sandbox: Sandbox) -> None:
    before = sandbox.ask("clock")

    moved = sandbox.control("clock", {"advance": DAY})

    assert abs(before["now"] - time.time()) < 5
    assert before["offset"] == 0
    assert DAY <= moved["now"] - before["now"] <= DAY + 5
    assert moved["offset"] == pytest.approx(DAY, abs=1)


@pytest.mark.parametrize("advance", [-1, True, "60", None, 10**9])
def test_the_clock_never_goes_back_or_wild(sandbox: Sandbox, advance: Any) -> None:
    answer = httpx.post(f"{sandbox.url}/_control/clock", json={"advance": advance}, trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_advance")
    assert sandbox.ask("clock")["offset"] == 0


def test_what_falls_due_happens_in_order_and_each_at_its_own_time(sandbox: Sandbox, receiver: Receiver) -> None:
    late, early, middle = (_link(sandbox, name, minutes) for name, minutes in (("l", 50), ("e", 20), ("m", 30)))

    sandbox.control("clock", {"advance": HOUR})

    events = [event["payload"]["payment_link"]["entity"] for event in receiver.events()]
    assert [link["id"] for link in events] == [early, middle, late]
    assert [link["expired_at"] for link in events] == [link["expire_by"] for link in events]
    assert [event["created_at"] for event in receiver.events()] == [link["expire_by"] for link in events]


def test_webhooks_have_been_answered_when_the_clock_has_been_moved(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.answer_after_seconds = 0.3
    _link(sandbox, "order-1", 20)

    sandbox.control("clock", {"advance": HOUR})

    assert [delivery["state"] for delivery in sandbox.deliveries()] == ["delivered"]


def test_a_receiver_may_call_back_while_the_clock_is_moved(sandbox: Sandbox) -> None:
    link = _link(sandbox, "order-1", 20)
    sandbox.pay(link, late=10 * MINUTE)

    sandbox.control("clock", {"advance": 15 * MINUTE})

    with sandbox.razorpay() as client:
        assert client.payment_link.fetch(link)["status"] == "paid"


def test_a_receiver_that_sets_off_something_new_each_time_does_not_hold_the_clock(
    sandbox: Sandbox, receiver: Receiver
) -> None:
    receiver.on_delivery = sandbox.customer
    _link(sandbox, "order-1", 20)
    try:
        moved = sandbox.control("clock", {"advance": HOUR})
        receiver.wait_for("customer.created", "customer.created")
    finally:
        receiver.on_delivery = None

    assert moved["offset"] >= HOUR - 1
    assert receiver.types()[0] == "payment_link.expired"


def test_real_time_passes_by_itself(sandbox: Sandbox, receiver: Receiver) -> None:
    link = _link(sandbox, "order-1", 16)
    sandbox.pay(link, PAYS, late=1)

    receiver.wait_for("payment.failed", "payment.authorized")

    wait_until(lambda: sandbox.objects("razorpay", "payment")[0]["status"] == "captured")


def test_the_clock_and_what_it_owes_outlive_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        link = _link(sandbox, "order-1", 60)
        before = sandbox.control("clock", {"advance": 30 * MINUTE})

    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as sandbox:
        after = sandbox.ask("clock")
        sandbox.control("clock", {"advance": 31 * MINUTE})
        expired = sandbox.objects("razorpay", "payment_link")

    assert 0 <= after["now"] - before["now"] <= 10
    assert [(each["id"], each["status"]) for each in expired] == [(link, "expired")]
    assert receiver.types() == ["payment_link.expired"]
