"""The phases of a subscription schedule, as the clock goes through them; the last one lets go of its subscription."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import diary, events, records, schedule_shapes, standing, subscription_shapes
from sandbox.stripe.calls import NOBODY, Cause
from sandbox.world import World

KIND = "subscription_schedule"
TURNS = "stripe.schedule.turns"

_MOMENTS = {"released": "released_at", "canceled": "canceled_at", "completed": "completed_at"}


def turn_when_due(world: World, schedule_id: str) -> None:
    """A phase that ends within a period; one that ends with it is turned by the renewal."""
    schedule = records.find(world, KIND, schedule_id)
    if schedule["status"] == "active" and schedule["current_phase"]["end_date"] <= world.clock.now():
        turn(world, standing.find(world, schedule["subscription"]), world.clock.now())


def turn(world: World, subscription: Json, at: int) -> Json:
    """The subscription as the phase that begins at a moment wants it; as it was, where none does."""
    if subscription["schedule"] is None:
        return subscription
    schedule = records.find(world, KIND, subscription["schedule"])
    if schedule["current_phase"]["end_date"] > at:
        return subscription
    coming = [phase for phase in schedule["phases"] if phase["start_date"] >= schedule["current_phase"]["end_date"]]
    if not coming:
        _finish(world, schedule)
        return standing.find(world, subscription["id"])
    phase, before = coming[0], dict(schedule)
    schedule["current_phase"] = schedule_shapes.span(phase)
    records.change(world, before, schedule, NOBODY, "subscription_schedule.updated")
    world.agenda.enter(phase["end_date"], TURNS, schedule["id"])
    return standing.change(world, _as_in(world, subscription, phase), NOBODY)


def _finish(world: World, schedule: Json) -> None:
    if schedule["end_behavior"] == "release":
        let_go(world, schedule, "released", NOBODY)
        return
    subscription = standing.find(world, schedule["subscription"])
    standing.end(world, {**subscription, "schedule": None}, NOBODY, "cancellation_requested")
    end(world, schedule, "completed", NOBODY)


def let_go(world: World, schedule: Json, status: str, cause: Cause) -> Json:
    """The subscription goes on without its schedule."""
    subscription = standing.find(world, schedule["subscription"])
    standing.change(world, {**subscription, "schedule": None}, cause)
    schedule["released_subscription"] = schedule["subscription"]
    return end(world, {**schedule, "subscription": None}, status, cause)


def end(world: World, schedule: Json, status: str, cause: Cause) -> Json:
    schedule |= {"status": status, "current_phase": None, _MOMENTS[status]: world.clock.now()}
    world.agenda.strike(TURNS, schedule["id"])
    records.keep(world, schedule)
    events.record(world, f"subscription_schedule.{status}", schedule, cause)
    return schedule


def _as_in(world: World, subscription: Json, phase: Json) -> Json:
    """The phase's prices in place of the subscription's, item for item, in the period that the subscription has."""
    old, period = subscription["items"]["data"], diary.period_of(subscription)
    new: list[Json] = []
    for place, wanted in enumerate(phase["items"]):
        price = records.find(world, "price", wanted["price"])
        made = subscription_shapes.item(
            subscription["id"], price, wanted["quantity"], wanted["metadata"], world.clock.now()
        )
        kept = {"id": old[place]["id"], "created": old[place]["created"]} if place < len(old) else {}
        new.append({**made, **kept, "current_period_start": period[0], "current_period_end": period[1]})
    items = subscription_shapes.items(subscription["id"], new)
    changed = {**subscription, "items": items, "metadata": {**subscription["metadata"], **phase["metadata"]}}
    is_same = _interval(old[0]) == _interval(new[0])
    return changed if is_same else {**changed, "billing_cycle_anchor": phase["start_date"]}


def _interval(item: Json) -> tuple[str, int]:
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]
