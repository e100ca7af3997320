"""What a shop asks of Stripe, and what it hears from it."""

from __future__ import annotations

from typing import Any

import stripe

from tests.sandboxes import Sandbox

DAY = 24 * 3600

CARD_ONLY = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}


def line(amount: int = 4900, currency: str = "usd", quantity: int = 1, **price: Any) -> dict[str, Any]:
    data = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Lifetime"}, **price}
    return {"price_data": data, "quantity": quantity}


def order(**changes: Any) -> dict[str, Any]:
    """What a shop sends; a change to None takes the parameter away."""
    asked = {"mode": "payment", "line_items": [line()], "success_url": "https://shop.test/paid", **changes}
    return {name: value for name, value in asked.items() if value is not None}


async def open_session(client: stripe.StripeClient, **changes: Any) -> stripe.checkout.Session:
    return await client.v1.checkout.sessions.create_async(order(**changes))  # type: ignore[arg-type]


def event_types(sandbox: Sandbox) -> list[str]:
    return [event["type"] for event in sandbox.objects("stripe", "event")]


async def paid_intent(
    client: stripe.StripeClient, method: str = "pm_card_visa", **changes: Any
) -> stripe.PaymentIntent:
    """49 dollars by card, paid at once unless ``changes`` say otherwise."""
    asked = {"amount": 4900, "currency": "usd", "payment_method": method, "confirm": True, **CARD_ONLY, **changes}
    return await client.v1.payment_intents.create_async(asked)  # type: ignore[arg-type]


async def charge_of(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> stripe.Charge:
    return await client.v1.charges.retrieve_async(str(intent.latest_charge))


def last_event(sandbox: Sandbox, kind: str) -> dict[str, Any]:
    """The newest of this type."""
    return [event for event in sandbox.objects("stripe", "event") if event["type"] == kind][-1]
