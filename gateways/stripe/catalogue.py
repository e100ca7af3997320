"""A plan as a product and a price of Stripe's: names of our own make both findable, and making them again harmless.

A price at Stripe never changes its amount (docs.stripe.com/products-prices/manage-prices): another amount is another
price, under another lookup key, of the same product.
"""

from __future__ import annotations

import hashlib

from gateways.catalogue import PlanOnSale
from gateways.gateway import Json

#: What a product's name and description may hold at Stripe; ours are shorter, unless somebody tries.
TEXT_LIMIT = 250


def product_id(plan: PlanOnSale) -> str:
    """Ours, and the same for ever. Hashed, since a plan's id may hold what Stripe's ids may not."""
    return f"counterfoil_{_digest(plan.instance_id, plan.plan_id)}"


def lookup_key(plan: PlanOnSale) -> str:
    """Names this plan at this price: whoever publishes it again finds the price by it."""
    terms = (plan.instance_id, plan.plan_id, str(plan.price.minor), plan.price.currency, plan.interval or "once")
    return f"counterfoil_{_digest(*terms)}"


def product(plan: PlanOnSale) -> Json:
    """What may change about a product: how people see it."""
    shown = {"description": plan.description[:TEXT_LIMIT]} if plan.description else {}
    return {"name": plan.name[:TEXT_LIMIT], **shown, "metadata": _marks(plan)}


def price(plan: PlanOnSale) -> Json:
    """A price whole: nothing of it can be changed afterwards."""
    recurring = {"recurring": {"interval": plan.interval}} if plan.interval else {}
    return {
        "product": product_id(plan),
        "unit_amount": plan.price.minor,
        "currency": plan.price.currency,
        "lookup_key": lookup_key(plan),
        "metadata": _marks(plan),
        **recurring,
    }


def _marks(plan: PlanOnSale) -> Json:
    return {"plan_id": plan.plan_id, "counterfoil": plan.instance_id}


def _digest(*terms: str) -> str:
    return hashlib.sha256("\0".join(terms).encode()).hexdigest()[:24]
