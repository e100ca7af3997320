"""Requests to Stripe, whole, before anybody sends them: a hosted page for exactly our price, and nothing beside it."""

from __future__ import annotations

from gateways.amounts import has_odd_thousandths
from gateways.client import Refusal, Refused, SessionOrder
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
    if unfit := _refuse_amount(order.expected):
        return unfit
    marks = {"order_id": order.order_id, "plan_id": order.plan_id, "counterfoil": order.instance_id}
    product = {"name": order.plan_name, **({"description": order.description} if order.description else {})}
    price = {"currency": order.expected.currency, "unit_amount": order.expected.minor, "product_data": product}
    return {
        "mode": "payment",
        "line_items": [{"quantity": 1, "price_data": price}],
        "client_reference_id": order.order_id,
        "metadata": marks,
        # The session's own metadata stays with the session.
        "payment_intent_data": {"metadata": marks},
        "adaptive_pricing": {"enabled": False},
        "allow_promotion_codes": False,
        "automatic_tax": {"enabled": False},
        "success_url": order.success_url,
        "cancel_url": order.cancel_url,
        "expires_at": int(order.expires_at.timestamp()),
        **({"customer_email": order.email} if order.email else {}),
    }


def _refuse_amount(expected: Money) -> Refused | None:
    """What Stripe would refuse, before anything is sent (F65). The smallest charge is judged in the currency that the
    account settles in, which only Stripe knows."""
    if has_odd_thousandths("stripe", expected):
        return Refused(Refusal.AMOUNT, f"{expected}: Stripe wants the last of three decimals to be 0")
    if expected.currency in _WHOLE_UNITS_IN_HUNDREDTHS and expected.minor % 100:
        return Refused(Refusal.AMOUNT, f"{expected}: Stripe wants hundredths of this currency to be 00")
    return None
