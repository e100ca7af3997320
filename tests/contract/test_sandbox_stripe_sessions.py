"""Checkout Sessions of Stripe's stand-in: what becomes of them, how they end, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import stripe

from tests.contract.shop import DAY, event_types, line, open_session
from tests.sandboxes import ASKS, DECLINED, EXPIRED, NO_FUNDS, PAYS, Sandbox

# A session, and what becomes of it.


async def test_a_session_is_open_and_knows_its_total(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    now = sandbox.now()

    session = await open_session(
        client, line_items=[line(4900, quantity=2), line(100)], client_reference_id="order-1", metadata={"a": "b"}
    )

    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.amount_subtotal, session.currency) == (9900, 9900, "usd")
    assert (session.client_reference_id, session.to_dict()["metadata"]) == ("order-1", {"a": "b"})
    assert session.url is not None
    assert httpx.get(session.url, trust_env=False).status_code == 200
    assert now + DAY <= session.expires_at <= now + DAY + 5


async def test_a_price_of_the_catalogue_can_be_sold(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"id": "lifetime", "name": "Lifetime"})
    price = await client.v1.prices.create_async({"product": product.id, "currency": "USD", "unit_amount": 4900})

    session = await open_session(client, line_items=[{"price": price.id, "quantity": 3}])
    lines = await client.v1.checkout.sessions.line_items.list_async(session.id)

    assert (session.amount_total, session.currency) == (14700, "usd")
    assert [(line.price.id, line.quantity) for line in lines.data if line.price] == [(price.id, 3)]


async def test_paying_completes_the_session_in_stripes_order_of_events(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)

    answer = sandbox.pay(session.id)

    paid = await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent.latest_charge"]})
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert answer == {"outcome": "paid", "payment": intent.id}
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert (intent.status, intent.amount_received) == ("succeeded", 4900)
    assert (intent.latest_charge.status, intent.latest_charge.paid) == ("succeeded", True)
    assert event_types(sandbox) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


async def test_a_sessions_metadata_stays_on_the_session(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client, metadata={"on": "session"}, payment_intent_data={"metadata": {"on": "intent"}})

    sandbox.pay(session.id)

    (intent,) = (await client.v1.payment_intents.list_async()).data
    (charge,) = (await client.v1.charges.list_async({"payment_intent": intent.id})).data
    assert session.to_dict()["metadata"] == {"on": "session"}
    assert intent.to_dict()["metadata"] == charge.to_dict()["metadata"] == {"on": "intent"}


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        (DECLINED, "card_declined", "generic_decline"),
        (NO_FUNDS, "card_declined", "insufficient_funds"),
        (EXPIRED, "expired_card", "expired_card"),
    ],
)
async def test_a_refused_card_leaves_the_session_open(
    sandbox: Sandbox, client: stripe.StripeClient, card: str, code: str, decline_code: str
) -> None:
    session = await open_session(client)

    answer = sandbox.pay(session.id, card)

    intent = await client.v1.payment_intents.retrieve_async(answer["payment"])
    error = intent.last_payment_error
    assert error is not None
    assert answer["outcome"] == "declined"
    assert (intent.status, error.code, error.decline_code) == ("requires_payment_method", code, decline_code)
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "open"
    assert event_types(sandbox) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


async def test_f68_another_card_pays_the_same_intent_after_a_decline(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)

    declined = sandbox.pay(session.id, DECLINED)
    paid = sandbox.pay(session.id, PAYS)

    intent = await client.v1.payment_intents.retrieve_async(paid["payment"])
    assert (declined["payment"], paid["outcome"]) == (paid["payment"], "paid")
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)
    assert len((await client.v1.charges.list_async()).data) == 2


async def test_authentication_that_is_passed_pays(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)

    answer = sandbox.pay(session.id, ASKS)

    assert answer["outcome"] == "paid"
    assert "payment_intent.requires_action" in event_types(sandbox)


async def test_authentication_that_is_left_alone_waits(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)

    answer = sandbox.pay(session.id, ASKS, authenticate=False)

    intent = await client.v1.payment_intents.retrieve_async(answer["payment"])
    assert (answer["outcome"], intent.status) == ("requires_action", "requires_action")
    assert sandbox.pay(session.id, PAYS)["outcome"] == "paid"


async def test_authentication_that_fails_is_a_decline_without_a_charge(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)

    answer = sandbox.pay(session.id, ASKS, authenticate="fail")

    intent = await client.v1.payment_intents.retrieve_async(answer["payment"])
    assert intent.last_payment_error is not None
    assert answer["outcome"] == "declined"
    assert intent.last_payment_error.code == "payment_intent_authentication_failure"
    assert (await client.v1.charges.list_async()).data == []


async def test_f66_a_delayed_method_completes_unpaid_and_succeeds_later(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)

    answer = sandbox.pay(session.id, method="delayed")
    before = await client.v1.checkout.sessions.retrieve_async(session.id)
    sandbox.control("clock", {"advance": 3 * DAY})
    after = await client.v1.checkout.sessions.retrieve_async(session.id)

    assert answer["outcome"] == "pending"
    assert (before.status, before.payment_status, after.payment_status) == ("complete", "unpaid", "paid")
    assert event_types(sandbox) == [
        "payment_intent.created",
        "charge.pending",
        "payment_intent.processing",
        "checkout.session.completed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.async_payment_succeeded",
    ]


async def test_f66_a_delayed_method_may_fail_later(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)

    sandbox.pay(session.id, NO_FUNDS, method="delayed", settleAfter=3600)
    sandbox.control("clock", {"advance": 3600})

    failed = await client.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["payment_intent"]})
    assert isinstance(failed.payment_intent, stripe.PaymentIntent)
    assert failed.payment_status == "unpaid"
    assert failed.payment_intent.status == "requires_payment_method"
    assert event_types(sandbox)[-3:] == [
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    ]


async def test_f69_nothing_due_needs_no_payment(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client, line_items=[line(0)])

    answer = sandbox.pay(session.id)

    done = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert answer == {"outcome": "paid", "payment": None}
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)
    assert event_types(sandbox) == ["checkout.session.completed"]


# The end of a session.


async def test_a_session_is_expired_once(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)

    expired = await client.v1.checkout.sessions.expire_async(session.id)
    with pytest.raises(stripe.InvalidRequestError, match=r"status of `expired`"):
        await client.v1.checkout.sessions.expire_async(session.id)

    assert (expired.status, expired.url) == ("expired", None)
    assert event_types(sandbox) == ["checkout.session.expired"]


async def test_a_paid_session_cannot_be_expired(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    sandbox.pay(session.id)

    with pytest.raises(stripe.InvalidRequestError, match=r"status of `complete`"):
        await client.v1.checkout.sessions.expire_async(session.id)

    assert "checkout.session.expired" not in event_types(sandbox)


async def test_the_clock_expires_a_session_and_cancels_its_intent(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client, expires_at=sandbox.now() + 31 * 60)
    declined = sandbox.pay(session.id, DECLINED)

    sandbox.control("clock", {"advance": 32 * 60})

    intent = await client.v1.payment_intents.retrieve_async(declined["payment"])
    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "expired"
    assert intent.status == "canceled"
    assert event_types(sandbox)[-2:] == ["payment_intent.canceled", "checkout.session.expired"]


async def test_an_ended_session_cannot_be_paid(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    await client.v1.checkout.sessions.expire_async(session.id)

    answer = httpx.post(f"{sandbox.url}/_control/pay", json={"session": session.id, "card": PAYS}, trust_env=False)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_payable")
    assert sandbox.objects("stripe", "payment_intent") == []


async def test_the_clock_leaves_a_paid_session_alone(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    sandbox.pay(session.id)

    sandbox.control("clock", {"advance": 2 * DAY})

    assert (await client.v1.checkout.sessions.retrieve_async(session.id)).status == "complete"


async def test_an_intent_of_checkout_cannot_be_cancelled_by_itself(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)
    declined = sandbox.pay(session.id, DECLINED)

    with pytest.raises(stripe.InvalidRequestError, match="created by Checkout"):
        await client.v1.payment_intents.cancel_async(declined["payment"])
    sandbox.pay(session.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.payment_intents.cancel_async(declined["payment"])

    assert refused.value.code == "payment_intent_unexpected_state"


# What Stripe refuses.


@pytest.mark.parametrize(
    ("changes", "param", "says"),
    [
        ({"mode": None}, "mode", "Missing required param"),
        ({"mode": "gift"}, "mode", "must be one of"),
        ({"line_items": None}, "line_items", "Missing required param"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0][price]", "Missing required param"),
        ({"line_items": [{"price": "price_none", "quantity": 1}]}, "line_items[0][price]", "No such price"),
        ({"line_items": [line(quantity=0)]}, "line_items[0][quantity]", "between 1 and"),
        ({"line_items": [{**line(), "quantity": "two"}]}, "line_items[0][quantity]", "Invalid integer"),
        ({"line_items": [line(-1)]}, "line_items[0][price_data][unit_amount]", "greater than or equal to 0"),
        ({"line_items": [line(49)]}, None, "at least 0.50 USD"),
        ({"line_items": [line(99_999_999, quantity=2)]}, "line_items[0][quantity]", "no more than"),
        ({"line_items": [line(), line(currency="eur")]}, "line_items", "same currency"),
        ({"line_items": [line(1001, "kwd")]}, "line_items[0][price_data][unit_amount]", "divisible by 10"),
        ({"line_items": [line(10050, "isk")]}, "line_items[0][price_data][unit_amount]", "divisible by 100"),
        ({"line_items": [line(recurring={"interval": "month"})]}, "line_items", "recurring price"),
        ({"mode": "subscription"}, "line_items", "at least one recurring price"),
        ({"success_url": None}, "success_url", "Missing required param"),
        ({"success_url": "javascript:alert(1)"}, "success_url", "Not a valid URL"),
        ({"success_url": "https://shop.test/\r\nSet-Cookie: a=b"}, "success_url", "Not a valid URL"),
        ({"success_url": "https://shop\n.test/"}, "success_url", "Not a valid URL"),
        ({"cancel_url": "https://shop.test/\r"}, "cancel_url", "Not a valid URL"),
        ({"cancel_url": "https://shop.test/\u2028"}, "cancel_url", "Not a valid URL"),
        ({"client_reference_id": "x" * 201}, "client_reference_id", "at most 200"),
        ({"metadata": {"k" * 41: "v"}}, "metadata[" + "k" * 41 + "]", "up to 40 characters"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", "up to 500 characters"),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata", "up to 50 keys"),
        ({"subscription_data": {"metadata": {"a": "b"}}}, "subscription_data", "in `payment` mode"),
        ({"customer": "cus_none"}, "customer", "No such customer"),
        ({"customer": "cus_none", "customer_email": "a@b.test"}, "customer_email", "only specify one"),
        ({"colour": "red"}, "colour", "unknown parameter"),
        ({"payment_intent_data": {"colour": "red"}}, "payment_intent_data[colour]", "unknown parameter"),
        ({"payment_method_types": ["card"]}, "payment_method_types", "unknown parameter"),
        ({"discounts": [{"coupon": "c"}]}, "discounts", "does not simulate"),
    ],
)
async def test_a_session_that_stripe_would_refuse_is_refused(
    unchanged: Sandbox, changes: dict[str, Any], param: str | None, says: str
) -> None:
    async with unchanged.stripe() as client:
        with pytest.raises(stripe.InvalidRequestError, match=says) as refused:
            await open_session(client, **changes)

    assert (refused.value.http_status, refused.value.param) == (400, param)
    assert unchanged.objects("stripe", "checkout.session") == unchanged.objects("stripe", "price") == []


async def test_what_is_switched_off_needs_no_simulation(client: stripe.StripeClient) -> None:
    off = {"enabled": False}

    session = await open_session(
        client, automatic_tax=off, adaptive_pricing=off, invoice_creation=off, shipping_options=[]
    )

    assert session.status == "open"


async def test_a_subscription_that_was_offered_and_expired_cannot_be_paid(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    recurring = line(recurring={"interval": "month"})
    session = await open_session(
        client, mode="subscription", line_items=[recurring], subscription_data={"metadata": {"order_id": "order-1"}}
    )

    expired = await client.v1.checkout.sessions.expire_async(session.id)
    refused = httpx.post(f"{sandbox.url}/_control/pay", json={"session": session.id, "card": PAYS}, trust_env=False)

    assert (refused.status_code, refused.json()["code"]) == (409, "not_payable")
    assert expired.status == "expired"


async def test_intent_data_is_refused_in_subscription_mode(client: stripe.StripeClient) -> None:
    changes = {
        "mode": "subscription",
        "line_items": [line(recurring={"interval": "month"})],
        "payment_intent_data": {"metadata": {"a": "b"}},
    }

    with pytest.raises(stripe.InvalidRequestError, match="in `subscription` mode") as refused:
        await open_session(client, **changes)

    assert refused.value.param == "payment_intent_data"


@pytest.mark.parametrize(("seconds", "says"), [(30 * 60 - 5, "at least 30 minutes"), (DAY + 60, "less than 24 hours")])
async def test_a_session_ends_within_stripes_bounds_by_the_development_clock(
    sandbox: Sandbox, client: stripe.StripeClient, seconds: int, says: str
) -> None:
    sandbox.control("clock", {"advance": 10 * DAY})

    with pytest.raises(stripe.InvalidRequestError, match=says) as refused:
        await open_session(client, expires_at=sandbox.now() + seconds)

    assert refused.value.param == "expires_at"
    assert (await open_session(client, expires_at=sandbox.now() + 31 * 60)).status == "open"


async def test_payment_method_types_went_with_endive(sandbox: Sandbox) -> None:
    async with sandbox.stripe(version="2026-03-25.dahlia") as before, sandbox.stripe() as after:
        old = await open_session(before, payment_method_types=["card"])
        new = await open_session(after, allowed_payment_method_types=["card"])
        with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: allowed_payment_method_types"):
            await open_session(before, allowed_payment_method_types=["card"])

    assert "allowed_payment_method_types" not in old.to_dict()
    assert new.to_dict()["allowed_payment_method_types"] == ["card"]
