"""Requests to Stripe, whole, before anybody sends them: a hosted page for exactly our price, and nothing beside it.

What is paid once brings its price along; a subscription names a price of Stripe's catalogue, since it is billed by it.
"""

from __future__ import annotations

from gateways.amounts import has_odd_thousandths
from gateways.client import Recurring, Refusal, Refused, SessionOrder
from gateways.gateway import Json
from payments.money import Money

#: Currencies without decimals that Stripe nevertheless counts in hundredths, which must be 00.
#: Source: docs.stripe.com/currencies, "Special cases".
_WHOLE_UNITS_IN_HUNDREDTHS = frozenset({"isk", "ugx"})


def freeze(order: SessionOrder) -> Json | Refused:
    """The parameters of a Checkout Session. Whatever could change what is paid is switched off by name: some of it is
    on by default in some accounts.

    No payment methods are named: the account's own are offered.
    """
    if unfit := _refuse_amount(order.recurring.price if order.recurring else order.expected):
        return unfit
    return {
        **(_subscription(order, order.recurring) if order.recurring else _payment(order)),
        "client_reference_id": order.order_id,
        "metadata": _marks(order),
        "adaptive_pricing": {"enabled": False},
        "allow_promotion_codes": False,
        "automatic_tax": {"enabled": False},
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "expires_at": int(order.expires_at.timestamp()),
        **_payer(order),
    }


def _payment(order: SessionOrder) -> Json:
    product = {"name": order.plan_name, **({"description": order.description} if order.description else {})}
    price = {"currency": order.expected.currency, "unit_amount": order.expected.minor, "product_data": product}
    return {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        # The session's own metadata stays with the session.
        "payment_intent_data": {"metadata": _marks(order)},
    }


def _subscription(order: SessionOrder, recurring: Recurring) -> Json:
    trial = {"trial_period_days": recurring.trial_days} if recurring.trial_days else {}
    return {
        "mode": "subscription",
        "line_items": [{"quantity": 1, "price": recurring.price_id}],
        # A trial without a card would end in a renewal that nothing can pay.
        "payment_method_collection": "always",
        "subscription_data": {"metadata": _marks(order), **trial},
    }


def _marks(order: SessionOrder) -> Json:
    begun = {"subscription_id": order.recurring.subscription_id} if order.recurring else {}
    return {"order_id": order.order_id, **begun, "plan_id": order.plan_id, "counterfoil": order.instance_id}


def _payer(order: SessionOrder) -> Json:
    """Stripe takes one of the two, and prefills the page from either."""
    if order.recurring and order.recurring.customer_id:
        return {"customer": order.recurring.customer_id}
    return {"customer_email": order.email} if order.email else {}


def _refuse_amount(expected: Money) -> Refused | None:
    """What Stripe would refuse, before anything is sent (F65). The smallest charge is judged in the currency that the
    account settles in, which only Stripe knows."""
    if has_odd_thousandths("stripe", expected):
        return Refused(Refusal.AMOUNT, f"{expected}: Stripe wants the last of three decimals to be 0")
    if expected.currency in _WHOLE_UNITS_IN_HUNDREDTHS and expected.minor % 100:
        return Refused(Refusal.AMOUNT, f"{expected}: Stripe wants hundredths of this currency to be 00")
    return None
