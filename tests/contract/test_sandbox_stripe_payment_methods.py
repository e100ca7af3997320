"""PaymentMethods of Stripe's stand-in, and the pages that its command-line tool pays sessions on."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from sandbox.cards import TEST_CARDS
from sandbox.stripe.means import CARDS
from tests.contract.shop import event_types, line, open_session
from tests.sandboxes import DECLINED, PAYS, Sandbox


async def _card(client: stripe.StripeClient, number: str = PAYS, **changes: Any) -> stripe.PaymentMethod:
    details = {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123", **changes}
    return await client.v1.payment_methods.create_async({"type": "card", "card": details})  # type: ignore[arg-type]


async def _pay(client: stripe.StripeClient, method: str, **changes: Any) -> stripe.PaymentIntent:
    asked = {"amount": 4900, "currency": "usd", "payment_method": method, "confirm": True, **changes}
    return await client.v1.payment_intents.create_async(asked)  # type: ignore[arg-type]


async def _confirm_page(client: stripe.StripeClient, session: str, **asked: Any) -> Any:
    """What no SDK has a method for."""
    answer = await client.raw_request_async("post", f"/v1/payment_pages/{session}/confirm", **asked)
    return client.deserialize(answer, api_mode="V1")


@pytest.mark.parametrize("number", [number for number, _ in TEST_CARDS])
async def test_a_test_cards_number_makes_a_method_without_it(
    sandbox: Sandbox, client: stripe.StripeClient, number: str
) -> None:
    method = await _card(client, number)

    (kept,) = sandbox.objects("stripe", "payment_method")
    assert method.card is not None
    assert (method.card.last4, method.card.exp_year) == (number[-4:], 2040)
    assert number.replace(" ", "") not in str(kept)


def test_the_last_four_digits_tell_every_card_from_every_other() -> None:
    cards = set(CARDS.values())

    assert len({card.last4 for card in cards}) == len(cards)


async def test_a_method_says_whose_it_is(client: stripe.StripeClient) -> None:
    billing: Any = {"name": "Ada", "email": "ada@shop.test", "address": {"city": "London", "country": "GB"}}

    method = await client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}, "billing_details": billing, "metadata": {"a": "b"}}
    )

    assert method.billing_details.name == "Ada"
    assert method.billing_details.address is not None
    assert (method.billing_details.address.city, method.billing_details.address.line1) == ("London", None)
    assert method.to_dict()["metadata"] == {"a": "b"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp_month": 13}, "invalid_expiry_month"),
        ({"exp_year": 2020}, "invalid_expiry_year"),
        ({"cvc": "12"}, "invalid_cvc"),
    ],
)
async def test_a_mistyped_card_is_refused(client: stripe.StripeClient, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        await _card(client, **changes)

    assert (refused.value.http_status, refused.value.code) == (402, code)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({}, "type"),
        ({"type": "klarna"}, "type"),
        ({"type": "card"}, "card"),
        ({"type": "card", "card": {"token": "tok_none"}}, "card[token]"),
        ({"type": "card", "card": {"token": "tok_visa", "colour": "red"}}, "card[colour]"),
        ({"type": "card", "card": {"exp_month": 1}}, "card[number]"),
        ({"type": "card", "card": {"token": "tok_visa"}, "customer": "cus_1"}, "customer"),
    ],
)
async def test_a_method_that_cannot_be_is_refused(unchanged: Sandbox, asked: Any, param: str) -> None:
    async with unchanged.stripe() as client:
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await client.v1.payment_methods.create_async(asked)

    assert refused.value.param == param
    assert unchanged.objects("stripe", "payment_method") == []


async def test_a_customer_keeps_a_method_and_pays_with_it_again(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "ada@shop.test"})

    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    paid = [await _pay(client, method.id, customer=customer.id) for _ in range(2)]
    kept = await client.v1.customers.payment_methods.list_async(customer.id)
    one = await client.v1.customers.payment_methods.retrieve_async(customer.id, method.id)

    assert [intent.status for intent in paid] == ["succeeded", "succeeded"]
    assert ([each.id for each in kept.data], one.id) == ([method.id], method.id)
    assert event_types(sandbox)[:2] == ["customer.created", "payment_method.attached"]


async def test_a_customers_method_pays_for_nobody_else(client: stripe.StripeClient) -> None:
    ada, eve = [await client.v1.customers.create_async({"name": name}) for name in ("Ada", "Eve")]
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": ada.id})

    with pytest.raises(stripe.InvalidRequestError, match="belongs to a Customer"):
        await _pay(client, method.id)
    with pytest.raises(stripe.InvalidRequestError, match="belongs to a Customer"):
        await _pay(client, method.id, customer=eve.id)
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        await client.v1.payment_methods.attach_async(method.id, {"customer": eve.id})


async def test_a_guests_method_pays_once(client: stripe.StripeClient) -> None:
    method = await _card(client)
    await _pay(client, method.id)

    with pytest.raises(stripe.InvalidRequestError, match="It may not be used again"):
        await _pay(client, method.id)


async def test_a_method_is_kept_for_later_when_the_payment_asks_for_it(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    customer = await client.v1.customers.create_async({"name": "Ada"})
    method = await _card(client)

    await _pay(client, method.id, customer=customer.id, setup_future_usage="off_session")
    later = await _pay(client, method.id, customer=customer.id, off_session=True)

    assert later.status == "succeeded"
    assert "payment_method.attached" in event_types(sandbox)


async def test_a_detached_method_is_of_no_more_use(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"name": "Ada"})
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})

    detached = await client.v1.payment_methods.detach_async(method.id)
    with pytest.raises(stripe.InvalidRequestError, match="not attached to a customer"):
        await client.v1.payment_methods.detach_async(method.id)
    with pytest.raises(stripe.InvalidRequestError, match="It may not be used again"):
        await client.v1.payment_methods.attach_async(method.id, {"customer": customer.id})

    assert detached.customer is None
    assert (await client.v1.payment_methods.list_async({"customer": customer.id})).data == []
    assert event_types(sandbox)[-1] == "payment_method.detached"


async def test_a_method_takes_notes_once_a_customer_has_it(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"name": "Ada"})
    guests = await _card(client)
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})

    with pytest.raises(stripe.InvalidRequestError, match="must save this PaymentMethod"):
        await client.v1.payment_methods.update_async(guests.id, {"metadata": {"a": "b"}})
    changed = await client.v1.payment_methods.update_async(method.id, {"billing_details": {"name": "Ada L."}})

    assert changed.billing_details.name == "Ada L."
    assert event_types(sandbox)[-1] == "payment_method.updated"


# A session that is paid by calls.


async def test_a_session_is_paid_with_a_method_made_beforehand(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)
    page = client.deserialize(await client.raw_request_async("get", f"/v1/payment_pages/{session.id}"), api_mode="V1")

    await _confirm_page(client, session.id, payment_method="pm_card_visa", expected_amount=4900)

    paid = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert page.to_dict()["session_id"] == session.id
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert event_types(sandbox)[-1] == "checkout.session.completed"


async def test_a_page_that_shows_another_amount_takes_nothing(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client)

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await _confirm_page(client, session.id, payment_method="pm_card_visa", expected_amount=4899)

    assert refused.value.code == "checkout_amount_mismatch"
    assert sandbox.objects("stripe", "payment_intent") == []


async def test_a_declined_page_leaves_the_session_open_and_says_why(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client)
    method = await _card(client, DECLINED)

    with pytest.raises(stripe.CardError) as declined:
        await _confirm_page(client, session.id, payment_method=method.id)
    await _confirm_page(client, session.id, payment_method="pm_card_visa")
    with pytest.raises(stripe.InvalidRequestError, match="is complete"):
        await _confirm_page(client, session.id, payment_method="pm_card_visa")

    (intent,) = sandbox.objects("stripe", "payment_intent")
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "generic_decline"
    assert intent["status"] == "succeeded"


async def test_nothing_due_cannot_be_paid(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    session = await open_session(client, line_items=[line(0)])

    with pytest.raises(stripe.InvalidRequestError, match="Nothing is due"):
        await _confirm_page(client, session.id, payment_method="pm_card_visa")

    assert sandbox.objects("stripe", "payment_intent") == []


async def test_f66_a_session_for_debits_is_complete_before_it_is_paid(
    sandbox: Sandbox, client: stripe.StripeClient
) -> None:
    session = await open_session(client, line_items=[line(currency="eur")], allowed_payment_method_types=["sepa_debit"])
    method = await client.v1.payment_methods.create_async(
        {"type": "sepa_debit", "sepa_debit": {"iban": "AT321904300235473204"}}
    )

    with pytest.raises(stripe.InvalidRequestError, match="does not take payment methods of the type `card`"):
        await _confirm_page(client, session.id, payment_method="pm_card_visa")
    await _confirm_page(client, session.id, payment_method=method.id)
    before = await client.v1.checkout.sessions.retrieve_async(session.id)
    sandbox.control("clock", {"advance": 180})

    after = await client.v1.checkout.sessions.retrieve_async(session.id)
    assert (before.status, before.payment_status, after.payment_status) == ("complete", "unpaid", "paid")
    assert event_types(sandbox)[-1] == "checkout.session.async_payment_succeeded"


async def test_a_product_without_prices_can_be_deleted(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    unused = await client.v1.products.create_async({"name": "Unused"})
    sold = await client.v1.products.create_async({"name": "Sold"})
    await client.v1.prices.create_async({"product": sold.id, "currency": "usd", "unit_amount": 4900})

    deleted = await client.v1.products.delete_async(unused.id)
    with pytest.raises(stripe.InvalidRequestError, match="user-created prices"):
        await client.v1.products.delete_async(sold.id)

    assert deleted.deleted
    assert event_types(sandbox)[-1] == "product.deleted"
    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        await client.v1.products.retrieve_async(unused.id)
