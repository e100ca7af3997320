"""Stripe's own command-line tool against the sandbox: ``stripe trigger`` and what comes of it.

The tool is the one that ``TEST_STRIPE_CLI`` names, or ``stripe`` on the path, or the npm package, installed for this run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stripe

from tests.sandboxes import (
    STRIPE_KEY,
    STRIPE_SECRET,
    Delivery,
    Receiver,
    Sandbox,
    running_receiver,
    running_sandbox,
    wait_until,
)

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "sandbox.md"
PACKAGE = "@stripe/cli@1.52.0"
INSTALL_SECONDS_MAX = 15
TRIGGER_SECONDS_MAX = 30

#: What ``stripe trigger`` can do here; of what is not in this list the sandbox lacks some call.
TRIGGERS = (
    *("checkout.session.completed", "checkout.session.expired"),
    *("checkout.session.async_payment_succeeded", "checkout.session.async_payment_failed"),
    *("payment_intent.created", "payment_intent.succeeded", "payment_intent.payment_failed"),
    *("payment_intent.requires_action", "payment_intent.processing", "payment_intent.canceled"),
    *("payment_intent.amount_capturable_updated", "charge.succeeded", "charge.failed", "charge.captured"),
    *("payment_method.attached", "payment_method.detached"),
    *("customer.created", "customer.updated", "customer.deleted"),
    *("product.created", "product.updated", "product.deleted", "price.created", "price.updated"),
    *("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"),
    *("customer.subscription.paused", "customer.subscription.trial_will_end"),
    *("invoice.created", "invoice.updated", "invoice.finalized", "invoice.deleted", "invoice.voided"),
    *("invoice.paid", "invoice.payment_failed", "invoice.payment_action_required", "invoice.marked_uncollectible"),
    *("invoiceitem.created", "invoiceitem.deleted"),
    *("charge.refunded", "charge.refund.updated", "payout.created", "payout.updated"),
    *("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"),
)

Trigger = Callable[..., str]


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> str:
    named = os.environ.get("TEST_STRIPE_CLI") or shutil.which("stripe")
    if named is not None:
        return named
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is neither Stripe's command-line tool here nor npm to install it with")
    folder = tmp_path_factory.mktemp("stripe-cli")
    wanted = ("install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", PACKAGE)
    try:
        subprocess.run((npm, *wanted), check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
    except subprocess.SubprocessError as reason:
        pytest.skip(f"npm cannot install Stripe's command-line tool here: {type(reason).__name__}")
    return str(folder / "node_modules" / ".bin" / "stripe")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def listened_to(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all triggers, whose webhooks the receiver takes."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), webhooks=receiver.url) as running:
        yield running


@pytest.fixture
def trigger(tool: str, listened_to: Sandbox, tmp_path: Path) -> Trigger:
    """Runs the tool as one would at a prompt, in a home of its own and with no way out of this machine."""
    nowhere = "http://127.0.0.1:9"
    surroundings = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }

    def run(event: str, *more: str) -> str:
        address = ("--api-key", "sk_test_123456789012345", "--api-base", listened_to.url)
        ended = subprocess.run(
            (tool, "trigger", event, *address, *more),
            capture_output=True,
            text=True,
            timeout=TRIGGER_SECONDS_MAX,
            env=surroundings,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


@pytest.mark.parametrize("event", TRIGGERS)
def test_a_trigger_makes_its_event_and_delivers_it_signed(
    listened_to: Sandbox, receiver: Receiver, trigger: Trigger, event: str
) -> None:
    client = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": f"{listened_to.url}/stripe"})
    before = {each.id for each in client.v1.events.list({"type": event, "limit": 100}).data}

    said = trigger(event)
    wait_until(lambda: bool(_delivered(receiver, event).keys() - before), receiver.types)

    (event_id,) = _delivered(receiver, event).keys() - before
    delivery = _delivered(receiver, event)[event_id]
    believed = stripe.Webhook.construct_event(delivery.body, delivery.headers["stripe-signature"], STRIPE_SECRET)
    listed = client.v1.events.list({"type": event, "limit": 1}).data[0]
    assert "Trigger succeeded!" in said
    assert (believed.id, believed.type, listed.id) == (event_id, event, event_id)
    assert believed.data.object["object"] in event


def test_a_trigger_carries_what_is_added_to_it(receiver: Receiver, trigger: Trigger) -> None:
    trigger("payment_intent.succeeded", "--add", "payment_intent:metadata.order_id=order-1")

    wait_until(lambda: "order-1" in _orders(receiver), receiver.types)


@pytest.mark.parametrize(
    ("card", "follows"),
    [
        ("pm_card_createDispute", "charge.dispute.funds_withdrawn"),
        ("pm_card_createIssuerFraudRecord", "radar.early_fraud_warning.created"),
    ],
)
def test_a_trigger_with_another_card_ends_as_that_card_does(
    receiver: Receiver, trigger: Trigger, card: str, follows: str
) -> None:
    before = len(_delivered(receiver, follows))

    trigger("payment_intent.succeeded", "--override", f"payment_intent:payment_method={card}")

    wait_until(lambda: len(_delivered(receiver, follows)) == before + 1, receiver.types)


def test_a_trigger_may_ask_for_an_older_version(receiver: Receiver, trigger: Trigger) -> None:
    asked = ("--api-version", "2025-03-31.basil", "--add", "checkout_session:metadata.order_id=order-2")

    trigger("checkout.session.completed", *asked)

    wait_until(lambda: "order-2" in _orders(receiver), receiver.types)


def test_the_documentation_lists_the_triggers_that_are_tried() -> None:
    chapter = DOCUMENTATION.read_text("utf-8").partition("Tried with version")[2].partition("Any other")[0]

    assert sorted(re.findall(r"`([a-z_.]+)`", chapter)) == sorted(TRIGGERS)


def _delivered(receiver: Receiver, event_type: str) -> dict[str, Delivery]:
    """What arrived of this type, by the event's id."""
    arrived = zip(list(receiver.deliveries), receiver.events(), strict=False)
    return {event["id"]: delivery for delivery, event in arrived if event["type"] == event_type}


def _orders(receiver: Receiver) -> set[str]:
    """The orders that arrived in anybody's metadata, which not every object has."""
    return {event["data"]["object"].get("metadata", {}).get("order_id", "") for event in receiver.events()}
