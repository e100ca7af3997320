"""Where a subscription stands, and the ways from one standing to another; each is written down, planned for, and told.

incomplete -> active               the first invoice is paid
           -> incomplete_expired   it was not, for 23 hours
trialing, active -> past_due       an invoice could not be paid
past_due -> active                 the newest invoice is paid, or forgiven
         -> canceled, unpaid       the last retry has failed, and the seller's settings say so
trialing, active, past_due -> paused -> active
any but the ended -> canceled
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import diary, events, records
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.stripe.subscription_shapes import paused
from sandbox.world import World

KIND = "subscription"
UPDATED = "customer.subscription.updated"
_IN_THE_MAKING = "subscription_in_the_making"


def find(world: World, subscription_id: str) -> Json:
    return records.find(world, KIND, subscription_id)


def of_customer(world: World, customer_id: str) -> list[Json]:
    """The customer's subscriptions that have not ended, oldest first."""
    found = world.store.newest(GATEWAY, KIND, limit=1000, matching={"customer": customer_id})
    return [subscription for subscription in reversed(found) if not diary.is_ended(subscription)]


def write_down(world: World, subscription: Json) -> None:
    """A new subscription that is still in the making: nothing of it is told before it is announced."""
    records.keep(world, subscription)
    world.store.put(GATEWAY, _IN_THE_MAKING, {"id": subscription["id"]}, created=subscription["created"])
    diary.write(world, subscription)


def announce(world: World, subscription_id: str, cause: Cause) -> Json:
    """A trial that is about to end is announced with it."""
    world.store.remove(GATEWAY, _IN_THE_MAKING, subscription_id)
    subscription = find(world, subscription_id)
    events.record(world, "customer.subscription.created", subscription, cause)
    trial_end = subscription["trial_end"]
    if trial_end is not None and trial_end - world.clock.now() <= diary.TRIAL_NOTICE_SECONDS:
        events.record(world, "customer.subscription.trial_will_end", subscription, cause)
    return subscription


def change(world: World, after: Json, cause: Cause) -> Json:
    """Whatever became of a subscription, short of its end."""
    if world.store.find(GATEWAY, _IN_THE_MAKING, after["id"]) is not None:
        records.keep(world, after)
        diary.write(world, after)
    elif records.change(world, find(world, after["id"]), after, cause, UPDATED):
        diary.write(world, after)
    return after


def pause(world: World, subscription: Json, reason: str, cause: Cause) -> Json:
    """No periods and no invoices, until somebody resumes it."""
    details = paused(reason, world.clock.now())
    change(world, {**subscription, "status": "paused", "status_details": details}, cause)
    subscription = find(world, subscription["id"])
    events.record(world, "customer.subscription.paused", subscription, cause)
    return subscription


def resume(world: World, subscription: Json, status: str, cause: Cause) -> Json:
    subscription = change(world, {**subscription, "status": status, "status_details": None}, cause)
    events.record(world, "customer.subscription.resumed", subscription, cause)
    return subscription


def end(world: World, subscription: Json, cause: Cause, reason: str | None, **details: str | None) -> Json:
    """The end for good. What is still owed is not collected by itself any more."""
    now = world.clock.now()
    said = {**subscription["cancellation_details"], **details, "reason": reason}
    subscription |= {"status": "canceled", "ended_at": now, "cancellation_details": said, "pending_update": None}
    subscription["canceled_at"] = subscription["canceled_at"] or now
    _conclude(world, subscription)
    events.record(world, "customer.subscription.deleted", subscription, cause)
    return subscription


def expire(world: World, subscription: Json, cause: Cause) -> Json:
    """The first payment never came. Stripe tells it as a change, not as an end."""
    before = dict(subscription)
    subscription |= {"status": "incomplete_expired", "ended_at": world.clock.now()}
    _conclude(world, subscription)
    previous = {name: value for name, value in before.items() if subscription[name] != value}
    events.record(world, UPDATED, subscription, cause, previous=previous)
    return subscription


def _conclude(world: World, subscription: Json) -> None:
    records.keep(world, subscription)
    diary.write(world, subscription)
    for invoice in world.store.newest(GATEWAY, "invoice", limit=1000, matching={_SUBSCRIPTION: subscription["id"]}):
        if invoice["status"] in {"draft", "open"}:
            records.keep(world, {**invoice, "auto_advance": False, "next_payment_attempt": None})
    schedule = world.store.find(GATEWAY, "subscription_schedule", subscription["schedule"] or "")
    if schedule is not None and schedule["status"] == "active":
        schedule |= {"status": "canceled", "canceled_at": world.clock.now(), "current_phase": None}
        records.keep(world, schedule)
        events.record(world, "subscription_schedule.canceled", schedule, NOBODY)


_SUBSCRIPTION = "parent.subscription_details.subscription"
