"""Subscriptions as the merchant's calls make, read and end them. None of the calls can be repeated safely."""

from __future__ import annotations

from typing import Any

from sandbox.ids import new_id
from sandbox.razorpay import billing, customers, cycles, invoices, lifecycle, mandates, plans
from sandbox.razorpay.calls import Call, collection, keep
from sandbox.razorpay.errors import RazorpayError, invalid
from sandbox.razorpay.fields import Fields
from sandbox.razorpay.invoices import Line
from sandbox.razorpay.lifecycle import KIND
from sandbox.store import Json

QUANTITY_MAX = 500
ADDONS_MAX = 10

_KNOWN = frozenset(
    "addons customer_id customer_notify expire_by notes notify_info offer_id plan_id quantity start_at"
    " total_count".split()
)


def create(call: Call) -> Json:
    fields, world, now = call.fields, call.world, call.world.clock.now()
    fields.refuse_extra(_KNOWN)
    plan = call.find(plans.KIND, required(fields.text("plan_id"), "plan_id"))
    if fields.text("offer_id") is not None:
        raise invalid("The sandbox does not simulate offers.", "offer_id")
    start_at, total_count = _start_at(fields, now), _total_count(fields, plan)
    addons = [_addon(item, plan["item"]["currency"]) for item in fields.levels("addons", limit=ADDONS_MAX)]
    subscription_id = new_id("sub_", 14)
    subscription: Json = {
        "id": subscription_id,
        "entity": KIND,
        "plan_id": plan["id"],
        "customer_id": _customer_id(call),
        "status": "created",
        "current_start": None,
        "current_end": None,
        "ended_at": None,
        "quantity": fields.integer("quantity", lowest=1, highest=QUANTITY_MAX) or 1,
        "notes": fields.notes() or [],
        "charge_at": start_at,
        "start_at": start_at,
        "end_at": None if start_at is None else cycles.begin_of(total_count - 1, start_at, plan),
        "auth_attempts": 0,
        "total_count": total_count,
        "paid_count": 0,
        "customer_notify": fields.says("customer_notify", default=True),
        "created_at": now,
        "expire_by": _expire_by(fields, now),
        "short_url": f"{world.options.url}/pay/razorpay/subscriptions/{subscription_id}",
        "has_scheduled_changes": False,
        "change_scheduled_at": None,
        "source": "api",
        "payment_method": None,
        "offer_id": None,
        "remaining_count": total_count,
        "halted_at": None,
        "paused_at": None,
        "pause_initiated_by": None,
        "cancel_initiated_by": None,
    }
    keep(world, KIND, subscription)
    mandates.open_for(world, subscription, _first_invoice(call, subscription, addons), _notify(fields))
    if (at := lifecycle.expires_at(subscription)) is not None:
        world.agenda.enter(at, lifecycle.EXPIRES, subscription_id)
    return subscription


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_subscriptions(call: Call) -> Json:
    plan_id = call.fields.text("plan_id")
    return collection(call, KIND, {} if plan_id is None else {"plan_id": plan_id})


def cancel(call: Call) -> Json:
    """At once, whatever it is doing; or at the end of the cycle, of which no field tells.

    In ``pending``, ``halted`` and ``paused`` the latter is taken, and does nothing: so it was seen at Razorpay.
    """
    subscription = call.find(KIND, call.ids["id"])
    call.fields.refuse_extra({"cancel_at_cycle_end"})
    status = subscription["status"]
    if status in lifecycle.ENDED:
        raise RazorpayError(f"Subscription is not cancellable in {status} status.", field="status")
    if not call.fields.says("cancel_at_cycle_end", default=False):
        subscription["cancel_initiated_by"] = "self"
        lifecycle.cancel(call.world, subscription)
        return subscription
    if subscription["current_end"] is None:
        raise invalid("Subscription cannot be cancelled since no billing cycle is going on.")
    if subscription["remaining_count"] == 0:
        raise invalid("The subscription is in its final cycle and cannot be cancelled now.")
    if status == "active":
        mandates.keep(call.world, mandates.of(call.world, subscription["id"]) | {"cancels_at_end": True})
    return subscription


def pause(call: Call) -> Json:
    """Only what is active; a subscription that waits for its start is cancelled instead."""
    subscription = call.find(KIND, call.ids["id"])
    _now_only(call.fields, "pause_at")
    match subscription["status"]:
        case "active":
            lifecycle.pause(call.world, subscription)
        case "authenticated":
            lifecycle.cancel(call.world, subscription)
        case status:
            raise invalid(f"subscription can't be paused as subscription is in {status} state")
    return subscription


def resume(call: Call) -> Json:
    subscription = call.find(KIND, call.ids["id"])
    _now_only(call.fields, "resume_at")
    if subscription["status"] != "paused":
        raise invalid(f"subscription can't be resumed as subscription is in {subscription['status']} state")
    lifecycle.resume(call.world, subscription)
    return subscription


def required(value: Any, name: str) -> Any:
    if value is None:
        raise invalid(f"The {name.replace('_', ' ')} field is required.", name)
    return value


def _first_invoice(call: Call, subscription: Json, addons: list[Line]) -> Json | None:
    """What the first payment pays: the first cycle, unless it is to come, and what is asked for upfront."""
    if subscription["start_at"] is None:
        return billing.issue_for_cycle(call.world, subscription, addons)
    if not addons:
        return None
    currency = plans.of(call.world, subscription)["item"]["currency"]
    return invoices.issue(call.world, subscription, addons, currency)


def _total_count(fields: Fields, plan: Json) -> int:
    count: int = required(fields.integer("total_count", lowest=1), "total_count")
    highest = cycles.cycles_max(plan)
    if count > highest:
        said = f"Exceeds the maximum total_count ({highest}) allowed for the given period and interval"
        raise invalid(said, "total_count")
    return count


def _start_at(fields: Fields, now: int) -> int | None:
    start_at = fields.integer("start_at", lowest=0)
    if start_at is not None and start_at <= now:
        raise invalid("start_at cannot be lesser than the current time.", "start_at")
    return start_at


def _expire_by(fields: Fields, now: int) -> int | None:
    expire_by = fields.integer("expire_by", lowest=0)
    if expire_by is not None and expire_by <= now:
        raise invalid("Link expire by cannot be lesser than the current time.", "expire_by")
    return expire_by


def _customer_id(call: Call) -> str | None:
    customer_id = call.fields.text("customer_id")
    return None if customer_id is None else str(call.find(customers.KIND, customer_id)["id"])


def _addon(addon: Fields, currency: str) -> Line:
    addon.refuse_extra({"item", "quantity"})
    name, amount, asked = plans.read_item(addon.level("item"))
    if asked != currency:
        raise invalid("The currency of an add-on must be that of the plan.", "addons")
    return Line(name, amount, addon.integer("quantity", lowest=1, highest=QUANTITY_MAX) or 1, "addon")


def _notify(fields: Fields) -> Json:
    """Whom the link is sent to, which is all that is known of a customer before the first payment."""
    notify = fields.level("notify_info")
    notify.refuse_extra({"notify_phone", "notify_email"})
    return {
        "email": notify.text("notify_email", limit=customers.EMAIL_MAX),
        "contact": notify.text("notify_phone", limit=customers.CONTACT_MAX),
    }


def _now_only(fields: Fields, name: str) -> None:
    fields.refuse_extra({name})
    if fields.text(name) not in {None, "now"}:
        raise invalid(f"The {name} must be now.", name)
