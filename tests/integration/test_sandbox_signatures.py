"""Webhooks that are signed badly, and changes that are told twice: what the official verifiers make of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import razorpay
import stripe

from tests.sandboxes import (
    OLD_RAZORPAY_SECRET,
    OLD_STRIPE_SECRET,
    RAZORPAY_SECRET,
    STRIPE_SECRET,
    Delivery,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
)

FOUR = ["payment.authorized", "payment.captured", "order.paid", "payment_link.paid"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url, has_old_secrets=True) as running:
        yield running


def _is_stripes(delivery: Delivery, secret: str) -> bool:
    try:
        stripe.Webhook.construct_event(delivery.body, delivery.headers["stripe-signature"], secret)
    except stripe.SignatureVerificationError:
        return False
    return True


def _is_razorpays(delivery: Delivery, secret: str) -> bool:
    try:
        razorpay.Utility().verify_webhook_signature(
            delivery.body.decode(), delivery.headers["x-razorpay-signature"], secret
        )
    except razorpay.errors.SignatureVerificationError:
        return False
    return True


def _signatures(sandbox: Sandbox) -> list[tuple[str, list[str]]]:
    attempts = [attempt for delivery in sandbox.settled() for attempt in delivery["attempts"]]
    return [(attempt["signature"], attempt["faults"]) for attempt in attempts]


def test_f21_the_old_secret_signs_and_the_new_one_does_not_verify_it(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"oldSecret": 1})

    sandbox.customer()
    sandbox.pay(sandbox.link())
    deliveries = receiver.wait_for("customer.created", *FOUR)

    from_stripe = [each for each in deliveries if each.path == "/stripe"]
    from_razorpay = [each for each in deliveries if each.path == "/razorpay"]
    assert [_is_stripes(each, OLD_STRIPE_SECRET) for each in from_stripe] == [True]
    assert [_is_stripes(each, STRIPE_SECRET) for each in from_stripe] == [False]
    assert [_is_razorpays(each, OLD_RAZORPAY_SECRET) for each in from_razorpay] == [True] * 4
    assert [_is_razorpays(each, RAZORPAY_SECRET) for each in from_razorpay] == [False] * 4
    assert _signatures(sandbox) == [("old", ["oldSecret"])] * 5


def test_a_wrong_signature_is_one_that_no_secret_made(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"wrongSignature": 1, "oldSecret": 1})

    sandbox.customer()
    sandbox.pay(sandbox.link())
    deliveries = receiver.wait_for("customer.created", *FOUR)

    stripes = [_is_stripes(each, s) for each in deliveries if each.path == "/stripe" for s in _stripe_secrets()]
    razorpays = [_is_razorpays(each, s) for each in deliveries if each.path == "/razorpay" for s in _razorpay_secrets()]
    assert stripes == [False] * 2
    assert razorpays == [False] * 8
    assert _signatures(sandbox) == [("wrong", ["wrongSignature"])] * 5


def _stripe_secrets() -> tuple[str, str]:
    return STRIPE_SECRET, OLD_STRIPE_SECRET


def _razorpay_secrets() -> tuple[str, str]:
    return RAZORPAY_SECRET, OLD_RAZORPAY_SECRET


def test_each_attempt_is_signed_anew_so_that_a_retry_may_be_right(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"wrongSignature": 1})
    receiver.status = 400
    sandbox.customer()
    receiver.wait_for("customer.created")

    sandbox.control("faults", {})
    receiver.status = 200

    assert _signatures(sandbox) == [("wrong", ["wrongSignature"]), ("current", [])]
    assert [_is_stripes(each, STRIPE_SECRET) for each in receiver.deliveries] == [False, True]
    assert receiver.deliveries[0].body == receiver.deliveries[1].body


def test_an_endpoint_that_never_rotated_is_signed_with_its_own_secret(sandbox: Sandbox, receiver: Receiver) -> None:
    own = sandbox.post_to_stripe("webhook_endpoints", url=f"{receiver.url}/own", **{"enabled_events[]": "*"})
    sandbox.control("faults", {"oldSecret": 1})

    sandbox.customer()
    deliveries = receiver.wait_for("customer.created", "customer.created")

    (arrived,) = [each for each in deliveries if each.path == "/own"]
    assert _is_stripes(arrived, own["secret"])


def test_an_old_secret_that_nobody_knows_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "sandbox") as sandbox:
        status, code, says = sandbox.refused("faults", {"oldSecret": 0.1})
        in_force = sandbox.ask("faults")

    assert (status, code, in_force) == (400, "invalid_faults", {})
    assert "SANDBOX_STRIPE_OLD_WEBHOOK_SECRET or SANDBOX_RAZORPAY_OLD_WEBHOOK_SECRET" in says


def test_stripe_tells_one_change_by_two_events(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.control("faults", {"twoEvents": 1})

    sandbox.customer()
    receiver.wait_for("customer.created", "customer.created")

    first, second = receiver.events()
    listed = sandbox.get_from_stripe("events")["data"]
    assert first["id"] != second["id"]
    assert _without(first, "id") == _without(second, "id")
    assert {event["id"] for event in listed} == {first["id"], second["id"]}
    assert all(_is_stripes(each, STRIPE_SECRET) for each in receiver.deliveries)


def test_razorpay_tells_one_change_by_two_events_a_second_apart(sandbox: Sandbox, receiver: Receiver) -> None:
    link = sandbox.link()
    sandbox.control("faults", {"twoEvents": 1})

    with sandbox.razorpay() as client:
        client.payment_link.cancel(link)
    receiver.wait_for("payment_link.cancelled", "payment_link.cancelled")

    first, second = receiver.events()
    assert len({each.headers["x-razorpay-event-id"] for each in receiver.deliveries}) == 2
    assert second["created_at"] == first["created_at"] + 1
    assert _without(first, "created_at") == _without(second, "created_at")
    assert all(_is_razorpays(each, RAZORPAY_SECRET) for each in receiver.deliveries)


def _without(event: dict[str, Any], name: str) -> dict[str, Any]:
    return {each: value for each, value in event.items() if each != name}
