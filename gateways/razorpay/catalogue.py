"""A plan as one of Razorpay's, by which it bills subscriptions. It never changes, and ours is found by its notes."""

from __future__ import annotations

from gateways.catalogue import PlanOnSale, Published
from gateways.gateway import Json
from gateways.reading import as_object, as_text
from gateways.translating import needed

#: What the names and descriptions of items may hold at Razorpay; ours are shorter, unless somebody tries.
TEXT_LIMIT = 250

PERIODS = {"month": "monthly", "year": "yearly"}


def plan(on_sale: PlanOnSale) -> Json | None:
    """The whole request; None for what is sold once."""
    if on_sale.interval is None:
        return None
    shown = {"description": on_sale.description[:TEXT_LIMIT]} if on_sale.description else {}
    return {
        "period": PERIODS[on_sale.interval],
        "interval": 1,
        "item": {
            "name": on_sale.name[:TEXT_LIMIT],
            "amount": on_sale.price.minor,
            "currency": on_sale.price.currency.upper(),
            **shown,
        },
        "notes": {"plan_id": on_sale.plan_id, "counterfoil": on_sale.instance_id},
    }


def is_same(wanted: Json, found: Json) -> bool:
    """Ours, and at this price: another amount is another plan, and the old one stays."""
    notes, item = as_object(found.get("notes")), as_object(found.get("item"))
    return (
        all(notes.get(name) == value for name, value in wanted["notes"].items())
        and all(item.get(name) == wanted["item"][name] for name in ("amount", "currency"))
        and all(found.get(name) == wanted[name] for name in ("period", "interval"))
    )


def read_plan(found: Json) -> Published:
    """Raises ``Unreadable``."""
    return Published(
        product_id=needed(as_text(as_object(found.get("item")).get("id")), "item.id"),
        price_id=needed(as_text(found.get("id")), "id"),
    )
