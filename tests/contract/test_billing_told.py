"""A subscription's life at each stand-in: its webhooks, translated, and the objects, read, come to the same facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import stripe

from gateways.gateway import Unhandled
from gateways.razorpay import subscription_objects as razorpays
from gateways.registry import GATEWAYS
from gateways.stripe import subscription_objects as stripes
from payments.events import Observed, SubscriptionTold
from payments.failure import FailureCode
from payments.invoice import InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.snapshot import Snapshot, SubscriptionStatus
from tests.contract.billing_shapes import MARKS
from tests.contract.shapes import ORDER_ID
from tests.sandboxes import PAYS, Sandbox

DAY = 24 * 3600
ATTACHES_AND_FAILS = "4000000000000341"


def told(sandbox: Sandbox, gateway: str) -> list[Observed]:
    """What its webhooks have said so far; a ``TranslationError`` ends the test."""
    said = [GATEWAYS[gateway].translate(event) for event in sandbox.objects(gateway, "event")]
    assert Unhandled("unreadable") not in said
    return [each for each in said if isinstance(each, Observed)]


def last_snapshot(observed: Iterable[Observed]) -> Snapshot:
    tellings = [each.event for each in observed if isinstance(each.event, SubscriptionTold)]
    return [each.snapshot for each in tellings if each.snapshot is not None][-1]


def sightings(observed: Iterable[Observed]) -> list[InvoiceSighting]:
    tellings = [each.event for each in observed if isinstance(each.event, SubscriptionTold)]
    return [each.invoice for each in tellings if each.invoice is not None]


def paid(observed: Iterable[Observed]) -> dict[str, tuple[Any, ...]]:
    """What every telling of a paid invoice says of it; which payment it was, some leave to a look."""
    return {
        each.gateway_invoice_id: (each.reason, each.paid, each.period_start, each.period_end)
        for each in sightings(observed)
        if each.status is InvoiceStatus.PAID
    }


async def _subscribe_at_stripe(sandbox: Sandbox, client: stripe.StripeClient, **terms: Any) -> str:
    product = await client.v1.products.create_async({"name": "Pro"})
    recurring: Any = {"product": product.id, "unit_amount": 1900, "currency": "usd", "recurring": {"interval": "month"}}
    price = await client.v1.prices.create_async(recurring)
    customer = await client.v1.customers.create_async({"email": "ada@example.com"})
    asked: Any = {
        "mode": "subscription",
        "line_items": [{"price": price.id, "quantity": 1}],
        "success_url": "https://shop.example/",
        "client_reference_id": ORDER_ID,
        "metadata": MARKS,
        "customer": customer.id,
        "subscription_data": {"metadata": MARKS, **terms},
    }
    session = await client.v1.checkout.sessions.create_async(asked)
    assert sandbox.pay(session.id, PAYS)["outcome"] == "paid"
    begun = await client.v1.checkout.sessions.retrieve_async(session.id)
    return str(begun.subscription)


async def _read_at_stripe(client: stripe.StripeClient, subscription_id: str) -> tuple[Observed, ...]:
    held = await client.v1.subscriptions.retrieve_async(subscription_id)
    asked: Any = {"subscription": subscription_id, "expand": stripes.EXPAND_INVOICES}
    invoices = [each.to_dict(for_json=True) for each in (await client.v1.invoices.list_async(asked)).data]
    names = stripes.unexplained(invoices)
    intents = [(await client.v1.payment_intents.retrieve_async(name)).to_dict(for_json=True) for name in names]
    return stripes.read_subscription(held.to_dict(for_json=True), invoices, intents)


async def test_stripes_renewals_are_told_and_read_alike(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    subscription_id = await _subscribe_at_stripe(sandbox, client)
    sandbox.control("clock", {"advance": 32 * DAY})

    webhooks, read = told(sandbox, "stripe"), await _read_at_stripe(client, subscription_id)

    assert last_snapshot(read) == last_snapshot(webhooks)
    assert paid(read) == paid(webhooks)
    assert [each.reason for each in sightings(read)] == [InvoiceReason.RENEWAL, InvoiceReason.FIRST]
    assert all(each.payment is not None for each in sightings(read))
    assert all(each.references.order_ids == (ORDER_ID,) for each in read)


async def test_stripes_failed_renewal_is_read_with_its_reason(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    subscription_id = await _subscribe_at_stripe(sandbox, client, trial_period_days=14)
    sandbox.control("subscription", {"subscription": subscription_id, "card": ATTACHES_AND_FAILS})
    sandbox.control("clock", {"advance": 15 * DAY})

    webhooks, read = told(sandbox, "stripe"), await _read_at_stripe(client, subscription_id)

    assert last_snapshot(read) == last_snapshot(webhooks)
    assert last_snapshot(read).status is SubscriptionStatus.PAST_DUE
    failing, told_failing = sightings(read)[0], sightings(webhooks)[-1]
    assert (failing.attempts, failing.next_attempt_at) == (told_failing.attempts, told_failing.next_attempt_at)
    assert [each.failure and each.failure.code for each in (told_failing, failing)] == [
        FailureCode.UNKNOWN,
        FailureCode.CARD_DECLINED,
    ]


def test_razorpays_charges_are_told_and_read_alike(sandbox: Sandbox) -> None:
    with sandbox.razorpay() as client:
        plan = client.plan.create(
            {"period": "monthly", "interval": 1, "item": {"name": "Pro", "amount": 99_900, "currency": "INR"}}
        )
        asked = {"plan_id": plan["id"], "total_count": 12, "expire_by": sandbox.now() + 1860, "notes": MARKS}
        subscription_id = client.subscription.create(asked)["id"]
        sandbox.pay(subscription_id)
        sandbox.control("clock", {"advance": 32 * DAY})

        webhooks = told(sandbox, "razorpay")
        invoices = client.invoice.all({"subscription_id": subscription_id})["items"]
        read = razorpays.read_subscription(client.subscription.fetch(subscription_id), invoices)

    assert last_snapshot(read) == last_snapshot(webhooks)
    assert paid(read) == paid(webhooks)
    assert [each.reason for each in sightings(read)] == [InvoiceReason.RENEWAL, InvoiceReason.FIRST]
    assert all(each.references.order_ids == (ORDER_ID,) for each in read)


def test_razorpays_failed_charge_is_read_with_its_attempts_and_its_reason(sandbox: Sandbox) -> None:
    with sandbox.razorpay() as client:
        plan = client.plan.create(
            {"period": "monthly", "interval": 1, "item": {"name": "Pro", "amount": 99_900, "currency": "INR"}}
        )
        trial = {"start_at": sandbox.now() + 14 * DAY, "expire_by": sandbox.now() + 1860}
        subscription_id = client.subscription.create(
            {"plan_id": plan["id"], "total_count": 12, "notes": MARKS, **trial}
        )["id"]
        sandbox.pay(subscription_id)
        sandbox.control("subscription", {"subscription": subscription_id, "nextPayment": "fail"})
        sandbox.control("clock", {"advance": 14 * DAY + 3600})

        webhooks = told(sandbox, "razorpay")
        [invoice] = client.invoice.all({"subscription_id": subscription_id})["items"]
        attempts = client.order.payments(invoice["order_id"])["items"]
        read = razorpays.read_subscription(client.subscription.fetch(subscription_id), [invoice], attempts)

    assert last_snapshot(read) == last_snapshot(webhooks)
    assert last_snapshot(read).status is SubscriptionStatus.PAST_DUE
    [failing] = sightings(read)
    assert (failing.reason, failing.status, failing.attempts) == (InvoiceReason.RENEWAL, InvoiceStatus.OPEN, 1)
    assert failing.failure is not None
    assert failing.failure.code is not FailureCode.UNKNOWN
    assert failing.next_attempt_at is not None
