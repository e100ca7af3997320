"""Plans: a price and how often it is asked for. Nothing about a plan ever changes."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay.calls import GATEWAY, Call, collection, keep
from sandbox.razorpay.cycles import PERIODS
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.fields import Fields
from sandbox.razorpay.money import AMOUNT_MAX, AMOUNT_MIN, check_currency, check_last_digit
from sandbox.store import Json
from sandbox.world import World

KIND = "plan"
INTERVAL_MAX = 4000
#: A shorter cycle than a week is refused.
DAILY_INTERVAL_MIN = 7


def create(call: Call) -> Json:
    fields, now = call.fields, call.world.clock.now()
    fields.refuse_extra({"period", "interval", "item", "notes"})
    period = fields.text("period")
    interval = fields.integer("interval", lowest=1, highest=INTERVAL_MAX)
    if period not in PERIODS:
        raise invalid(f"Not a valid period: {period}" if period else "The period field is required.", "period")
    if interval is None:
        raise invalid("The interval field is required.", "interval")
    if period == "daily" and interval < DAILY_INTERVAL_MIN:
        raise invalid(f"For daily plans, the interval must be at least {DAILY_INTERVAL_MIN}.", "interval")
    plan: Json = {
        "id": new_id("plan_", 14),
        "entity": KIND,
        "interval": interval,
        "period": period,
        "item": _item(fields.level("item"), now),
        "notes": fields.notes() or [],
        "created_at": now,
    }
    return keep(call.world, KIND, plan)


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_plans(call: Call) -> Json:
    return collection(call, KIND)


def of(world: World, subscription: Json) -> Json:
    """The plan that a subscription is on."""
    plan = world.store.find(GATEWAY, KIND, subscription["plan_id"])
    assert plan is not None, "a subscription names a plan that exists, and plans stay"
    return plan


def read_item(item: Fields) -> tuple[str, int, str]:
    """Name, price and currency of something that is sold, be it a plan's or an add-on's."""
    name, currency = item.text("name"), check_currency(item.text("currency") or "INR")
    amount = item.integer("amount", lowest=0, highest=AMOUNT_MAX)
    if name is None:
        raise invalid("The name field is required.", "name")
    if amount is None:
        raise invalid("The amount field is required.", "amount")
    if amount < AMOUNT_MIN:
        raise invalid(f"The amount must be at least {AMOUNT_MIN} of the smallest unit.", "amount")
    check_last_digit(amount, currency)
    return name, amount, currency


def _item(item: Fields, now: int) -> Json:
    item.refuse_extra({"name", "amount", "currency", "description"})
    name, amount, currency = read_item(item)
    return {
        "id": new_id("item_", 14),
        "active": True,
        "name": name,
        "description": item.text("description", limit=2048),
        "amount": amount,
        "unit_amount": amount,
        "currency": currency,
        "type": KIND,
        "unit": None,
        "tax_inclusive": False,
        "hsn_code": None,
        "sac_code": None,
        "tax_rate": None,
        "tax_id": None,
        "tax_group_id": None,
        "created_at": now,
        "updated_at": now,
    }
