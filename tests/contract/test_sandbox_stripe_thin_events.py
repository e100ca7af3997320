"""Thin events of Stripe's stand-in, as the official SDK reads them, and the events that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from gateways.client import Gone
from gateways.snapshots import Snapshots
from tests.contract.accounts import STRIPE
from tests.sandboxes import STRIPE_SECRET, Delivery, Receiver, Sandbox, running_receiver, running_sandbox
from tests.subscribers import check_out


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox", webhooks=receiver.url) as running:
        yield running


def subscribed(sandbox: Sandbox, receiver: Receiver, payload: str, *awaited: str) -> dict[str, Delivery]:
    """What was told of somebody who subscribed, by its type."""
    sandbox.control("settings", {"stripeEventPayload": payload})
    check_out(sandbox)
    return {str(_read(each)["type"]): each for each in receiver.wait_for(*awaited)}


def _read(delivery: Delivery) -> dict[str, Any]:
    return Receiver("", [delivery]).events()[0]


async def test_f17_the_sdk_reads_a_thin_event_and_what_it_is_about(
    sandbox: Sandbox, receiver: Receiver, client: stripe.StripeClient
) -> None:
    told = subscribed(sandbox, receiver, "thin", "v1.checkout.session.completed", "v1.invoice.paid")
    paid = told["v1.invoice.paid"]
    signature = next(value for name, value in paid.headers.items() if name.lower() == "stripe-signature")

    read: Any = client.parse_event_notification(paid.body, signature, STRIPE_SECRET)
    # The SDK's own fetch_event_async sends its notes about usage along as parameters, which nobody knows.
    whole = await client.v2.core.events.retrieve_async(read.id)
    about = await client.v1.invoices.retrieve_async(read.related_object.id)

    assert type(read).__name__ == "V1InvoicePaidEventNotification"
    assert (about.object, about.status) == ("invoice", "paid")
    assert "data" not in _read(paid)
    assert "snapshot_event" not in _read(paid)
    assert whole.snapshot_event is not None
    assert (await client.v1.events.retrieve_async(whole.snapshot_event)).type == "invoice.paid"
    assert all(kind.startswith("v1.") for kind in told)


def test_f17_each_of_both_kinds_has_an_id_of_its_own(sandbox: Sandbox, receiver: Receiver) -> None:
    told = subscribed(sandbox, receiver, "both", "v1.checkout.session.completed", "checkout.session.completed")

    whole, thin = _read(told["checkout.session.completed"]), _read(told["v1.checkout.session.completed"])
    assert whole["id"] != thin["id"]
    assert thin["related_object"] == {
        "id": whole["data"]["object"]["id"],
        "type": "checkout.session",
        "url": f"/v1/checkout/sessions/{whole['data']['object']['id']}",
    }


async def test_f17_our_client_tells_what_was_made_beside_it(sandbox: Sandbox, receiver: Receiver) -> None:
    told = subscribed(sandbox, receiver, "both", "v1.invoice.paid", "invoice.paid")
    ours = STRIPE.build_for(sandbox)
    assert isinstance(ours, Snapshots), "Stripe keeps what its thin events leave out"

    beside = await ours.fetch_snapshot(str(_read(told["v1.invoice.paid"])["id"]))
    unknown = await ours.fetch_snapshot("evt_nobodys")
    await ours.aclose()

    assert isinstance(beside, dict)
    assert (beside["id"], beside["type"]) == (_read(told["invoice.paid"])["id"], "invoice.paid")
    assert unknown == Gone()
