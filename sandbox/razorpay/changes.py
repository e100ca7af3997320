"""Changes of a subscription's terms: now, with the difference charged; or at the end of the cycle, without any.

Source: razorpay.com/docs/payments/subscriptions/update.
"""

from __future__ import annotations

from fractions import Fraction

from sandbox.razorpay import charging, cycles, invoices, lifecycle, mandates, plans
from sandbox.razorpay.calls import Call, keep
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.invoices import Line
from sandbox.razorpay.lifecycle import DAY, KIND
from sandbox.razorpay.subscriptions import QUANTITY_MAX
from sandbox.store import Json
from sandbox.world import World

#: A smaller difference than this is refused, in the smallest unit of the currency.
DIFFERENCE_MIN = 50

_KNOWN = {"plan_id", "offer_id", "quantity", "remaining_count", "start_at", "schedule_change_at", "customer_notify"}


def edit(call: Call) -> Json:
    subscription = call.find(KIND, call.ids["id"])
    call.fields.refuse_extra(_KNOWN)
    at = call.fields.text("schedule_change_at") or "now"
    if at not in {"now", "cycle_end"}:
        raise invalid("The schedule change at must be now or cycle_end.", "schedule_change_at")
    mandate = mandates.of(call.world, subscription["id"])
    _refuse_unless_changeable(call.world, subscription, mandate, at)
    changes = _wanted(call, subscription)
    if at == "cycle_end":
        return _schedule(call.world, subscription, mandate, changes)
    if subscription["status"] == "active":
        _charge_difference(call.world, subscription, changes)
    _apply(call.world, subscription, changes)
    return subscription


def fetch_scheduled(call: Call) -> Json:
    """The subscription as it will be."""
    subscription = call.find(KIND, call.ids["id"])
    return subscription | _scheduled(call.world, subscription)


def cancel_scheduled(call: Call) -> Json:
    subscription = call.find(KIND, call.ids["id"])
    _scheduled(call.world, subscription)
    mandates.keep(call.world, mandates.of(call.world, subscription["id"]) | {"changes": None})
    subscription |= {"has_scheduled_changes": False, "change_scheduled_at": None}
    return keep(call.world, KIND, subscription)


def are_cards_domestic(world: World) -> bool:
    """The sandbox's setting: cards issued in India, whose mandates allow no change of terms."""
    return world.store.setting("razorpay_domestic_cards") is True


def _refuse_unless_changeable(world: World, subscription: Json, mandate: Json, at: str) -> None:
    if subscription["status"] not in {"authenticated", "active"}:
        raise invalid("Can't update subscription when subscription is not in Authenticated or Active state")
    if mandate["vpa"] is not None:
        raise invalid("subscriptions cannot be updated when payment mode is UPI")
    if are_cards_domestic(world):
        if at == "now":
            raise invalid("Can't update subscription immediately when card mandate is applicable")
        raise invalid("Only offers can be updated for subscriptions when payment mode is domestic card.", "offer_id")
    if at == "cycle_end" and subscription["current_end"] is None:
        raise invalid("Subscription cannot be updated at cycle end since no billing cycle is going on.")


def _wanted(call: Call, subscription: Json) -> Json:
    """The fields that are to become others."""
    fields, now = call.fields, call.world.clock.now()
    if fields.text("offer_id") is not None:
        raise invalid("The sandbox does not simulate offers.", "offer_id")
    plan_id = fields.text("plan_id")
    remaining = fields.integer("remaining_count", lowest=1)
    start_at = fields.integer("start_at", lowest=0)
    if start_at is not None and (subscription["status"] != "authenticated" or start_at <= now):
        raise invalid("start_at can be changed before the start alone, to a time to come.", "start_at")
    wanted: Json = {
        "plan_id": None if plan_id is None else call.find(plans.KIND, plan_id)["id"],
        "quantity": fields.integer("quantity", lowest=1, highest=QUANTITY_MAX),
        "remaining_count": remaining,
        "start_at": start_at,
    }
    if fields.has("customer_notify"):
        wanted["customer_notify"] = fields.says("customer_notify", default=True)
    if remaining is not None:
        issued = subscription["total_count"] - subscription["remaining_count"]
        wanted["total_count"] = issued + remaining
    changes = {name: value for name, value in wanted.items() if value is not None and value != subscription[name]}
    _refuse_other_currency(call.world, subscription, changes)
    return changes


def _refuse_other_currency(world: World, subscription: Json, changes: Json) -> None:
    before, after = plans.of(world, subscription), plans.of(world, subscription | changes)
    if before["item"]["currency"] != after["item"]["currency"]:
        raise invalid("The currency of the new plan must be that of the old one.", "plan_id")


def _schedule(world: World, subscription: Json, mandate: Json, changes: Json) -> Json:
    mandates.keep(world, mandate | {"changes": changes})
    subscription |= {"has_scheduled_changes": True, "change_scheduled_at": subscription["current_end"]}
    return keep(world, KIND, subscription)


def _scheduled(world: World, subscription: Json) -> Json:
    changes: Json | None = mandates.of(world, subscription["id"])["changes"]
    if changes is None:
        raise invalid("No Pending update for this subscription")
    return changes


def _charge_difference(world: World, subscription: Json, changes: Json) -> None:
    """The rest of the cycle on the new terms, less what is paid for it already."""
    difference = _difference(world, subscription, subscription | changes)
    if difference == 0:
        return
    if difference < 0:
        raise invalid("The sandbox does not refund the difference: change to less at cycle_end.", "schedule_change_at")
    if difference < DIFFERENCE_MIN:
        raise invalid(f"The difference must be at least {DIFFERENCE_MIN} of the smallest unit.")
    item = plans.of(world, subscription | changes)["item"]
    invoice = invoices.issue(world, subscription, [Line(item["name"], difference)], item["currency"])
    invoice |= {"billing_start": world.clock.now(), "billing_end": subscription["current_end"]}
    if not charging.charge_extra(world, subscription, keep(world, invoices.KIND, invoice)):
        raise invalid("Payment failed: the subscription has not been updated.")


def _difference(world: World, before: Json, after: Json) -> int:
    """In days of Razorpay's own calendar, whose months have thirty; the day of the change belongs to the new terms."""
    old, new = plans.of(world, before), plans.of(world, after)
    days = cycles.prorated_days(old)
    left = max(0, days - (world.clock.now() - before["current_start"]) // DAY)
    unused = Fraction(_price(old, before) * left, days)
    if cycles.are_alike(old, new):
        return int(Fraction(_price(new, after) * left, days) - unused)
    return int(_price(new, after) - unused)


def _apply(world: World, subscription: Json, changes: Json) -> None:
    """On the dates of before; unless the new plan has others, which then count from now."""
    mandate = mandates.of(world, subscription["id"]) | {"changes": None}
    before, after = plans.of(world, subscription), plans.of(world, subscription | changes)
    subscription |= changes
    is_running = subscription["status"] == "active"
    if not is_running:
        mandate["anchor"] = subscription["start_at"]
    elif not cycles.are_alike(before, after):
        mandate |= {"anchor": world.clock.now(), "cycle": 0}
        subscription["current_start"] = world.clock.now()
    mandates.keep(world, mandate)
    next_at = mandates.begin_of_cycle(world, subscription, mandate, 1 if is_running else 0)
    to_come = subscription["remaining_count"] if is_running else subscription["remaining_count"] - 1
    terms = {
        "charge_at": next_at,
        "current_end": next_at if is_running else None,
        "end_at": mandates.begin_of_cycle(world, subscription, mandate, to_come),
    }
    world.agenda.enter(next_at, lifecycle.FALLS_DUE, subscription["id"])
    lifecycle.update(world, subscription, terms)


def _price(plan: Json, subscription: Json) -> int:
    return int(plan["item"]["amount"] * subscription["quantity"])
