"""The flows of Stripe's quick-starts, written as their pages write them, with the base address added."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import stripe

from tests.sandboxes import STRIPE_KEY, STRIPE_SECRET, Sandbox, running_receiver, running_sandbox


@pytest.fixture
def synchronous(sandbox: Sandbox) -> stripe.StripeClient:
    return stripe.StripeClient(STRIPE_KEY, base_addresses={"api": f"{sandbox.url}/stripe"}, max_network_retries=2)


@pytest.fixture
def pointed_at(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The SDK's older style, which keeps key and address in its module."""
    before = stripe.api_key, stripe.api_base
    stripe.api_key, stripe.api_base = STRIPE_KEY, f"{sandbox.url}/stripe"
    try:
        yield sandbox
    finally:
        stripe.api_key, stripe.api_base = before


def test_accept_a_payment_with_the_synchronous_client(synchronous: stripe.StripeClient) -> None:
    customer = synchronous.v1.customers.create({"email": "ada@shop.test"})
    intent = synchronous.v1.payment_intents.create(
        {
            "amount": 1099,
            "currency": "usd",
            "customer": customer.id,
            "automatic_payment_methods": {"enabled": True},
            "metadata": {"order_id": "6735"},
        }
    )

    confirmed = synchronous.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/complete"}
    )
    read = synchronous.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge", "customer"]})

    assert isinstance(read.latest_charge, stripe.Charge)
    assert isinstance(read.customer, stripe.Customer)
    assert (confirmed.status, read.status, read.latest_charge.paid) == ("succeeded", "succeeded", True)
    assert (read.customer.email, read.to_dict()["metadata"]) == ("ada@shop.test", {"order_id": "6735"})


def test_a_key_makes_one_intent_however_often_it_is_sent(synchronous: stripe.StripeClient) -> None:
    intents = synchronous.v1.payment_intents

    made = [intents.create({"amount": 1099, "currency": "usd"}, {"idempotency_key": "order-6735"}).id for _ in range(3)]
    with pytest.raises(stripe.IdempotencyError):
        intents.create({"amount": 2000, "currency": "usd"}, {"idempotency_key": "order-6735"})

    assert len(set(made)) == 1
    assert [intent.id for intent in intents.list().data] == made[:1]


def test_an_answer_that_is_lost_is_asked_for_again_by_the_sdk_itself(
    sandbox: Sandbox, synchronous: stripe.StripeClient
) -> None:
    sandbox.control("faults", {"cutAfterCommit": 1})

    intent = synchronous.v1.payment_intents.create(
        {"amount": 1099, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    )

    assert intent.status == "succeeded"
    assert len(sandbox.objects("stripe", "charge")) == 1


def test_every_page_of_a_list_is_walked(synchronous: stripe.StripeClient) -> None:
    intents = synchronous.v1.payment_intents
    made = [intents.create({"amount": 1000 + n, "currency": "usd"}).id for n in range(12)]

    walked = [intent.id for intent in intents.list({"limit": 5}).auto_paging_iter()]

    assert walked == made[::-1]


async def test_many_intents_are_made_at_once_with_the_asynchronous_client(client: stripe.StripeClient) -> None:
    intents = client.v1.payment_intents

    made = await asyncio.gather(
        *(
            intents.create_async({"amount": 1099, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True})
            for _ in range(10)
        )
    )
    listed = [intent.id async for intent in (await intents.list_async({"limit": 3})).auto_paging_iter()]

    assert {intent.status for intent in made} == {"succeeded"}
    assert sorted(listed) == sorted(intent.id for intent in made)


def test_the_older_style_sells_through_checkout(pointed_at: Sandbox) -> None:
    session = stripe.checkout.Session.create(
        line_items=[
            {
                "price_data": {"currency": "usd", "product_data": {"name": "T-shirt"}, "unit_amount": 2000},
                "quantity": 1,
            }
        ],
        mode="payment",
        success_url="http://localhost:4242/success",
    )

    pointed_at.pay(session.id)

    paid = stripe.checkout.Session.retrieve(session.id, expand=["line_items"])
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert paid.line_items is not None
    assert [line.description for line in paid.line_items.auto_paging_iter()] == ["T-shirt"]


def test_the_older_style_handles_a_decline_as_the_page_on_errors_does(pointed_at: Sandbox) -> None:
    with pytest.raises(stripe.CardError) as declined:
        stripe.PaymentIntent.create(
            amount=1099,
            currency="usd",
            payment_method="pm_card_visa_chargeDeclinedInsufficientFunds",
            confirm=True,
            idempotency_key="order-6735",
        )

    error = declined.value
    assert (error.http_status, error.code, error.user_message) == (
        402,
        "card_declined",
        "Your card has insufficient funds.",
    )
    assert error.error is not None
    assert error.error.payment_intent is not None
    assert stripe.PaymentIntent.retrieve(error.error.payment_intent.id).status == "requires_payment_method"
    assert len(pointed_at.objects("stripe", "charge")) == 1


def test_place_a_hold_and_capture_it_later(pointed_at: Sandbox) -> None:
    held = stripe.PaymentIntent.create(
        amount=1099,
        currency="usd",
        payment_method="pm_card_visa",
        capture_method="manual",
        confirm=True,
    )

    captured = stripe.PaymentIntent.capture(held.id, amount_to_capture=750)

    assert (held.status, held.amount_capturable) == ("requires_capture", 1099)
    assert (captured.status, captured.amount_received) == ("succeeded", 750)
    assert pointed_at.objects("stripe", "event")[-1]["type"] == "payment_intent.succeeded"


def test_a_webhook_is_believed_as_the_quick_start_believes_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        running_receiver() as receiver,
        running_sandbox(tmp_path_factory.mktemp("sandbox"), webhooks=receiver.url) as sandbox,
    ):
        client = stripe.StripeClient(STRIPE_KEY, base_addresses={"api": f"{sandbox.url}/stripe"})
        intent = client.v1.payment_intents.create(
            {"amount": 1099, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
        )
        delivered = receiver.wait_for("payment_intent.succeeded")[-1]

        event = client.construct_event(delivered.body, delivered.headers["stripe-signature"], STRIPE_SECRET)

    assert (event.type, event.data.object["id"]) == ("payment_intent.succeeded", intent.id)
