"""What a shop asks of Stripe, and what it hears from it."""

from __future__ import annotations

from typing import Any

import stripe

from tests.sandboxes import Sandbox

DAY = 24 * 3600


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
