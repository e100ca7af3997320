"""Subscription schedules, as far as a change at the end of a period needs them: the phase that is, and those to come.

A schedule is made of a subscription, is given its phases, and lets go of the subscription when the last has begun and
ended, or when a call says so (docs.stripe.com/billing/subscriptions/subscription-schedules).
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import catalogue, diary, events, lists, periods, phases, records, schedule_shapes, standing
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, missing, no_such
from sandbox.stripe.parameters import Parameters
from sandbox.stripe.phases import KIND

PHASES_MAX = 10

#: Taken, and of no consequence in here.
_PHASE_ACCEPTED = (
    "automatic_tax", "collection_method", "currency", "default_payment_method", "default_tax_rates", "description",
    "invoice_settings", "on_behalf_of", "proration_behavior",
)  # fmt: skip
_PHASE_NOT_SIMULATED = (
    "add_invoice_items", "application_fee_percent", "billing_cycle_anchor", "billing_thresholds", "discounts",
    "transfer_data", "trial", "trial_end",
)  # fmt: skip


def create(call: Call) -> Json:
    """Of a subscription that is there; schedules that begin one are not simulated."""
    parameters = call.parameters
    subscription_id = parameters.text("from_subscription")
    metadata = parameters.metadata()
    parameters.accept(["billing_mode"])
    parameters.refuse_simulation_of(["customer", "phases", "start_date", "end_behavior", "default_settings"])
    parameters.refuse_rest()
    if subscription_id is None:
        raise missing("from_subscription")
    subscription = call.find(standing.KIND, subscription_id, "from_subscription")
    _refuse_unfit(subscription)
    schedule = schedule_shapes.schedule(subscription, metadata, call.world.clock.now())
    records.keep(call.world, schedule)
    events.record(call.world, "subscription_schedule.created", schedule, call.cause)
    standing.change(call.world, {**subscription, "schedule": schedule["id"]}, call.cause)
    return schedule


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def list_schedules(call: Call) -> Json:
    customer = call.parameters.text("customer")
    return lists.page(
        call, KIND, "/v1/subscription_schedules", matching={} if customer is None else {"customer": customer}
    )


def update(call: Call) -> Json:
    """New phases; the first begins where the running one began."""
    before, parameters = call.find(KIND, call.ids["id"]), call.parameters
    schedule = dict(before)
    levels = parameters.levels("phases")
    schedule["metadata"] = parameters.metadata(schedule["metadata"])
    schedule["end_behavior"] = parameters.choice("end_behavior", {"release", "cancel"}) or schedule["end_behavior"]
    parameters.accept(["proration_behavior"])
    parameters.refuse_simulation_of(["default_settings"])
    parameters.refuse_rest()
    if schedule["status"] != "active":
        message = f"You cannot update a subscription schedule that is currently in the `{schedule['status']}` status."
        raise StripeError(message, executed=True)
    if levels:
        schedule["phases"] = _read_phases(call, schedule, levels)
        schedule["current_phase"] = schedule_shapes.span(schedule["phases"][0])
    records.change(call.world, before, schedule, call.cause, "subscription_schedule.updated")
    call.world.agenda.enter(schedule["phases"][0]["end_date"], phases.TURNS, schedule["id"])
    return schedule


def release(call: Call) -> Json:
    """The subscription goes on as it is, and what was to come does not."""
    call.parameters.accept(["preserve_cancel_date"])
    call.parameters.refuse_rest()
    schedule = call.find(KIND, call.ids["id"])
    if schedule["status"] != "active":
        message = f"You cannot release a subscription schedule that is currently in the `{schedule['status']}` status."
        raise StripeError(message, executed=True)
    return phases.let_go(call.world, schedule, "released", call.cause)


def cancel(call: Call) -> Json:
    """Ends the subscription with it."""
    call.parameters.accept(["invoice_now", "prorate"])
    call.parameters.refuse_rest()
    schedule = call.find(KIND, call.ids["id"])
    if schedule["status"] != "active":
        message = f"You cannot cancel a subscription schedule that is currently in the `{schedule['status']}` status."
        raise StripeError(message, executed=True)
    subscription = standing.find(call.world, schedule["subscription"])
    standing.end(call.world, {**subscription, "schedule": None}, call.cause, "cancellation_requested")
    return phases.end(call.world, schedule, "canceled", call.cause)


def _read_phases(call: Call, schedule: Json, levels: list[Parameters]) -> list[Json]:
    if len(levels) > PHASES_MAX:
        raise StripeError(f"You may have up to {PHASES_MAX} phases.", param="phases")
    phases: list[Json] = []
    start = schedule["current_phase"]["start_date"]
    for level in levels:
        phases.append(_read_phase(call, level, start, schedule["phases"][0]["currency"]))
        start = phases[-1]["end_date"]
    return phases


def _read_phase(call: Call, level: Parameters, start: int, currency: str) -> Json:
    items = [_read_item(call, item) for item in level.levels("items")]
    if not items:
        raise missing(level.name("items"))
    asked_start, end, duration = level.text("start_date"), level.integer("end_date"), level.level("duration")
    if asked_start not in {None, "now", str(start)}:
        message = f"The phase must begin where the one before it ends: {start}."
        raise StripeError(message, param=level.name("start_date"))
    metadata = level.metadata()
    level.accept(_PHASE_ACCEPTED)
    level.refuse_simulation_of(_PHASE_NOT_SIMULATED)
    if duration is not None:
        lasts = catalogue.read_recurring(duration)
        end = periods.boundary(start, lasts, 1)
    level.refuse_rest()
    if end is None:
        price = call.find("price", items[0]["price"])
        end = periods.boundary(start, price["recurring"], 1)
    if end <= start:
        raise StripeError("A phase must end after it begins.", param=level.name("end_date"))
    return schedule_shapes.phase(items, start, end, currency, metadata)


def _read_item(call: Call, level: Parameters) -> Json:
    price = catalogue.find_active_price(call, level.required_text("price"), level.name("price"))
    if price["recurring"] is None:
        raise StripeError("The price specified is not recurring.", param=level.name("price"))
    quantity = level.integer("quantity")
    metadata = level.metadata()
    level.accept(["tax_rates"])
    level.refuse_simulation_of(["price_data", "discounts", "billing_thresholds", "trial"])
    level.refuse_rest()
    return schedule_shapes.phase_item(price["id"], 1 if quantity is None else quantity, metadata)


def _refuse_unfit(subscription: Json) -> None:
    if diary.is_ended(subscription):
        raise no_such("subscription", subscription["id"], "from_subscription")
    if subscription["schedule"] is not None:
        message = (
            "You cannot migrate a subscription that is already attached to a schedule:"
            f" `{subscription['id']}` is attached to `{subscription['schedule']}`."
        )
        raise StripeError(message, param="from_subscription", executed=True)
    if subscription["cancel_at"] is not None:
        message = "You cannot migrate a subscription that is already set to cancel to a schedule."
        raise StripeError(message, param="from_subscription", executed=True)
