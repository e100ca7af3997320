"""What subscriptions and their invoices do by themselves, when the clock gets there.

Each act looks first whether it is still due: what fell due in the same moment may have ended the subscription, or
moved its period.
"""

from __future__ import annotations

from functools import partial

from sandbox.store import Created, Json
from sandbox.stripe import (
    collecting,
    diary,
    drafts,
    events,
    invoice_lines,
    invoicing,
    pending_updates,
    periods,
    phases,
    records,
    standing,
)
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.world import World

#: How long Stripe waits with a draft for whoever has not taken its ``invoice.created``.
_WAITS_FOR_WEBHOOKS_SECONDS = 72 * 3600


def enter(world: World) -> None:
    """Tells the agenda what is done for each kind of entry."""
    acts = {
        diary.TRIAL_ENDS_SOON: announce_trial_end,
        diary.RENEWS_SOON: announce_renewal,
        diary.CANCELS: cancel_as_planned,
        diary.PERIOD_ENDS: end_period,
        diary.FIRST_PAYMENT_EXPIRES: give_up_first_payment,
        diary.COLLECTION_RESUMES: resume_collection,
        diary.UPDATE_EXPIRES: give_up_update,
        drafts.FINALISES: finalise_draft,
        invoicing.RETRIES: retry,
        phases.TURNS: phases.turn_when_due,
    }
    for what, act in acts.items():
        world.agenda.on(what, partial(act, world))


def announce_trial_end(world: World, subscription_id: str) -> None:
    subscription = standing.find(world, subscription_id)
    if subscription["status"] == "trialing":
        events.record(world, "customer.subscription.trial_will_end", subscription, NOBODY)


def announce_renewal(world: World, subscription_id: str) -> None:
    """An invoice that does not exist yet, and so has no id."""
    subscription = standing.find(world, subscription_id)
    if not diary.is_renewed(subscription) or subscription["pause_collection"] is not None:
        return
    invoice = preview(world, subscription)
    del invoice["id"]
    events.record(world, "invoice.upcoming", invoice, NOBODY)


def cancel_as_planned(world: World, subscription_id: str) -> None:
    subscription = standing.find(world, subscription_id)
    planned = subscription["cancel_at"]
    if not diary.is_ended(subscription) and planned is not None and planned <= world.clock.now():
        standing.end(world, subscription, NOBODY, "cancellation_requested")


def end_period(world: World, subscription_id: str) -> None:
    """The next period begins, and its invoice is drafted; or the trial had no card, and there is none."""
    subscription = standing.find(world, subscription_id)
    _, end = diary.period_of(subscription)
    if not diary.is_renewed(subscription) or end > world.clock.now():
        return
    subscription = phases.turn(world, subscription, end)
    is_stopped = subscription["status"] == "trialing" and stop_without_card(world, subscription, NOBODY)
    if diary.is_renewed(subscription) and not is_stopped:
        renew(world, subscription)


def stop_without_card(world: World, subscription: Json, cause: Cause) -> bool:
    """What a trial that ends without a method to pay with comes to, where it is not simply billed."""
    behaviour = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if behaviour == "create_invoice" or has_method(world, subscription):
        return False
    if behaviour == "pause":
        standing.pause(world, subscription, "trial_end_without_payment_method", cause)
    else:
        standing.end(world, subscription, cause, "cancellation_requested")
    return True


def has_method(world: World, subscription: Json) -> bool:
    customer = records.find(world, "customer", subscription["customer"])
    return (
        subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    ) is not None


def renew(world: World, subscription: Json) -> None:
    ended = diary.period_of(subscription)
    subscription = with_next_period(subscription)
    invoice = drafts.draft(
        world,
        subscription,
        "subscription_cycle",
        invoice_lines.of_period(world, subscription),
        NOBODY,
        period=ended,
    )
    subscription["latest_invoice"] = invoice["id"]
    standing.change(world, subscription, NOBODY)
    _set_aside(world, subscription, invoice)


def with_next_period(subscription: Json) -> Json:
    """The subscription as it is when its period is over; whoever was trying it out is no longer."""
    _, start = diary.period_of(subscription)
    items = subscription["items"]["data"]
    end = periods.next_boundary(subscription["billing_cycle_anchor"], items[0]["price"]["recurring"], start)
    status = "active" if subscription["status"] == "trialing" else subscription["status"]
    return {**with_period(subscription, start, end), "status": status}


def with_period(subscription: Json, start: int, end: int) -> Json:
    """The subscription with all its items in this period; a cancellation at the end of it moves with the end."""
    period = {"current_period_start": start, "current_period_end": end}
    items = [{**item, **period} for item in subscription["items"]["data"]]
    moved = {**subscription, "items": {**subscription["items"], "data": items}}
    return {**moved, "cancel_at": end} if subscription["cancel_at_period_end"] else moved


def preview(world: World, subscription: Json, extra: list[Json] | None = None) -> Json:
    """The next invoice as it would be if nothing changed; ``extra`` are prorations that a change would make."""
    _, end = diary.period_of(subscription)
    coming = with_next_period(subscription)
    waiting = invoice_lines.waiting(world, subscription["customer"], subscription["id"]) + (extra or [])
    lines = invoice_lines.item_lines(waiting) + invoice_lines.of_period(world, coming)
    return drafts.sketch(world, coming, "upcoming", lines, period=(diary.period_of(subscription)[0], end))


def finalise_draft(world: World, invoice_id: str) -> None:
    """The hour is over; a seller who has not taken the news of the draft holds it up, for three days at most."""
    invoice = records.find(world, invoicing.KIND, invoice_id)
    due = invoice["automatically_finalizes_at"]
    if invoice["status"] != "draft" or not invoice["auto_advance"] or due is None or due > world.clock.now():
        return
    if _waits_for_seller(world, invoice):
        drafts.leave_open_to_changes(world, invoice)
        return
    invoice["webhooks_delivered_at"] = world.clock.now()
    invoice = invoicing.finalise(world, invoice, NOBODY)
    if invoice["status"] == "open":
        collecting.collect(world, invoice, NOBODY)


def retry(world: World, invoice_id: str) -> None:
    invoice = records.find(world, invoicing.KIND, invoice_id)
    due = invoice["next_payment_attempt"]
    if invoice["status"] == "open" and invoice["auto_advance"] and due is not None and due <= world.clock.now():
        collecting.collect(world, invoice, NOBODY)


def give_up_first_payment(world: World, subscription_id: str) -> None:
    subscription = standing.find(world, subscription_id)
    if subscription["status"] != "incomplete":
        return
    invoice = records.find(world, invoicing.KIND, subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoicing.void(world, invoice, NOBODY)
    else:
        standing.expire(world, subscription, NOBODY)


def give_up_update(world: World, subscription_id: str) -> None:
    subscription = standing.find(world, subscription_id)
    waiting = subscription["pending_update"]
    if diary.is_ended(subscription) or waiting is None or waiting["expires_at"] > world.clock.now():
        return
    invoice_id = pending_updates.forget(world, subscription)
    invoice = None if invoice_id is None else records.find(world, invoicing.KIND, invoice_id)
    if invoice is not None and invoice["status"] == "open":
        invoicing.void(world, invoice, NOBODY)


def resume_collection(world: World, subscription_id: str) -> None:
    subscription = standing.find(world, subscription_id)
    resumes_at = (subscription["pause_collection"] or {}).get("resumes_at")
    if not diary.is_ended(subscription) and resumes_at is not None and resumes_at <= world.clock.now():
        standing.change(world, {**subscription, "pause_collection": None}, NOBODY)


def _set_aside(world: World, subscription: Json, invoice: Json) -> None:
    """What is done with a renewal's draft: left for an hour, or what the seller wants done with it meanwhile."""
    pausing = (subscription["pause_collection"] or {}).get("behavior")
    if pausing == "keep_as_draft" or subscription["status"] == "unpaid":
        records.keep(world, {**invoice, "auto_advance": False})
    elif pausing is None:
        drafts.leave_open_to_changes(world, invoice)
    else:
        invoice = invoicing.finalise(world, invoice, NOBODY)
        if invoice["status"] == "open" and pausing == "void":
            invoicing.void(world, invoice, NOBODY)
        elif invoice["status"] == "open":
            invoicing.forgive(world, invoice, "subscription_paused", NOBODY)


def _waits_for_seller(world: World, invoice: Json) -> bool:
    """Whether an endpoint is still being told of this draft. What was dropped on purpose nobody waits for."""
    now = world.clock.now()
    if invoice["created"] + _WAITS_FOR_WEBHOOKS_SECONDS <= now:
        return False
    told = world.store.newest(
        GATEWAY,
        "event",
        limit=1,
        matching={"type": "invoice.created", "data.object.id": invoice["id"]},
        created=Created(invoice["created"], invoice["created"]),
    )
    return any(
        delivery.state in {"pending", "sending"} for event in told for delivery in world.post.book.of_event(event["id"])
    )
