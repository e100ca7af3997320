"""Products, prices, customers and endpoints of Stripe's stand-in."""

from __future__ import annotations

import pytest
import stripe

from tests.contract.shop import open_session
from tests.sandboxes import Sandbox

# The catalogue, customers and endpoints.


async def test_a_lookup_key_moves_to_a_new_price_only_when_told(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"name": "Pro"})
    old = await client.v1.prices.create_async(
        {"product": product.id, "currency": "usd", "unit_amount": 1900, "lookup_key": "pro"}
    )
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await client.v1.prices.create_async(
            {"product": product.id, "currency": "usd", "unit_amount": 2900, "lookup_key": "pro"}
        )

    new = await client.v1.prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 2900,
            "lookup_key": "pro",
            "transfer_lookup_key": True,
        }
    )

    found = await client.v1.prices.list_async({"lookup_keys": ["pro"]})
    assert [price.id for price in found.data] == [new.id]
    assert (await client.v1.prices.retrieve_async(old.id)).lookup_key is None


async def test_an_inactive_price_is_not_sold(client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async(
        {"name": "Pro", "default_price_data": {"currency": "usd", "unit_amount": 1900}}
    )
    price = await client.v1.prices.update_async(str(product.default_price), {"active": False})

    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await open_session(client, line_items=[{"price": price.id, "quantity": 1}])

    active = await client.v1.prices.list_async({"product": product.id, "active": True})
    assert active.data == []


async def test_a_product_is_changed_and_says_what_it_was(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    product = await client.v1.products.create_async({"name": "Pro", "metadata": {"a": "1", "b": "2"}})

    changed = await client.v1.products.update_async(product.id, {"name": "Pro 2", "metadata": {"a": "", "c": "3"}})

    event = sandbox.objects("stripe", "event")[-1]
    assert (changed.name, changed.to_dict()["metadata"]) == ("Pro 2", {"b": "2", "c": "3"})
    assert event["type"] == "product.updated"
    assert event["data"]["previous_attributes"]["name"] == "Pro"


async def test_a_product_id_is_given_once(client: stripe.StripeClient) -> None:
    await client.v1.products.create_async({"id": "pro", "name": "Pro"})

    with pytest.raises(stripe.InvalidRequestError) as refused:
        await client.v1.products.create_async({"id": "pro", "name": "Pro"})

    assert refused.value.code == "resource_already_exists"


async def test_f34_a_deleted_customer_is_a_stub(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "a@b.test"})
    await client.v1.customers.update_async(customer.id, {"name": "Ada"})

    await client.v1.customers.delete_async(customer.id)

    stub = await client.v1.customers.retrieve_async(customer.id)
    assert stub.to_dict() == {"id": customer.id, "object": "customer", "deleted": True}
    assert (await client.v1.customers.list_async({"email": "a@b.test"})).data == []
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        await open_session(client, customer=customer.id)


async def test_an_endpoint_tells_its_secret_once(client: stripe.StripeClient) -> None:
    made = await client.v1.webhook_endpoints.create_async({"url": "http://127.0.0.1:9/a", "enabled_events": ["*"]})

    read = await client.v1.webhook_endpoints.retrieve_async(made.id)
    listed = await client.v1.webhook_endpoints.list_async()

    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert "secret" not in read.to_dict()
    assert "secret" not in listed.data[0].to_dict()


async def test_an_endpoint_is_changed_but_not_in_its_version(client: stripe.StripeClient) -> None:
    endpoints = client.v1.webhook_endpoints
    made = await endpoints.create_async(
        {"url": "http://127.0.0.1:9/a", "enabled_events": ["*"], "api_version": "2025-03-31.basil"}
    )

    changed = await endpoints.update_async(made.id, {"disabled": True, "enabled_events": ["charge.succeeded"]})
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: api_version"):
        await endpoints.update_async(made.id, {"api_version": "2020-08-27"})  # type: ignore[arg-type]
    gone = await endpoints.delete_async(made.id)

    assert (changed.status, changed.enabled_events) == ("disabled", ["charge.succeeded"])
    assert changed.api_version == "2025-03-31.basil"
    assert gone.deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook_endpoint"):
        await endpoints.retrieve_async(made.id)
