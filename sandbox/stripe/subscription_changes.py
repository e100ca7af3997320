"""Changes of a subscription by a call: notes, plans for its end, and what is subscribed to, with what that costs now.

A change of price in the middle of a period goes by ``proration_behavior``; one of the interval, of the cycle or of the
trial begins a new period and is billed at once (docs.stripe.com/billing/subscriptions/change).
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import (
    billing,
    collecting,
    diary,
    drafts,
    events,
    invoice_lines,
    invoicing,
    pending_updates,
    periods,
    standing,
    subscription_shapes,
)
from sandbox.stripe import change_parameters as asked
from sandbox.stripe import subscription_parameters as reading
from sandbox.stripe.calls import Call
from sandbox.stripe.change_parameters import Wanted
from sandbox.stripe.prorations import Part
from sandbox.stripe.standing import KIND
from sandbox.stripe.subscriptions import refuse_incomplete


def update(call: Call) -> Json:
    subscription = call.find(KIND, call.ids["id"])
    after = asked.read_notes(call, subscription)
    wanted = asked.read_wanted(call, subscription)
    reading.check_collection(call.parameters)
    reading.refuse_others(call.parameters)
    asked.refuse_unfit(subscription, after, wanted)
    if not wanted.concerns_money:
        return standing.change(call.world, after, call.cause)
    after = in_new_shape(call, after, wanted)
    if _ends_trial(call, after, wanted):
        return _end_trial(call, after, wanted)
    parts, lines = bill_for(call, subscription, after, wanted)
    return _carry_out(call, after, wanted, parts, lines)


def read_preview(call: Call, subscription: Json) -> tuple[Json, Wanted]:
    """The changes that a preview asks about, in its ``subscription_details``."""
    wanted = asked.read_wanted(call, subscription)
    return in_new_shape(call, subscription, wanted), wanted


def in_new_shape(call: Call, subscription: Json, wanted: Wanted) -> Json:
    """The subscription with its new items, in the period that they then have."""
    now, after = call.world.clock.now(), dict(subscription)
    if wanted.items is not None:
        start, end = diary.period_of(subscription)
        after["items"] = subscription_shapes.items(after["id"], wanted.items)
        after = billing.with_period(after, start, end)
    if wanted.trial_end is not None and wanted.trial_end > now:
        trial = {"billing_cycle_anchor": wanted.trial_end, "status": "trialing", "trial_end": wanted.trial_end}
        start = diary.period_of(subscription)[0] if subscription["status"] == "trialing" else now
        return billing.with_period({**after, **trial, "trial_start": start}, start, wanted.trial_end)
    if _begins_period(subscription, after, wanted):
        if after["status"] == "trialing":
            after |= {"status": "active", "trial_end": now}
        end = periods.next_boundary(now, after["items"]["data"][0]["price"]["recurring"], now)
        after = billing.with_period({**after, "billing_cycle_anchor": now}, now, end)
    return after


def bill_for(call: Call, before: Json, after: Json, wanted: Wanted) -> tuple[list[Part], list[Json]]:
    """The prorations of a change, and the lines of the new period that it begins, if it begins one."""
    world = call.world
    if diary.period_of(before) == diary.period_of(after):
        parts = invoice_lines.parts_of_change(world, before, after, wanted.prorated_at)
        return ([] if wanted.proration == "none" or after["status"] == "trialing" else parts), []
    parts = [] if wanted.proration == "none" else invoice_lines.credit_for_rest(world, before)
    return parts, invoice_lines.of_period(world, after)


def _carry_out(call: Call, after: Json, wanted: Wanted, parts: list[Part], lines: list[Json]) -> Json:
    """Writes the change down, and bills for it: at once, or with the next renewal."""
    world, cause = call.world, call.cause
    invoice_lines.put_down(world, invoice_lines.proration_items(world, after, parts), cause)
    if not lines and (wanted.proration != "always_invoice" or not parts):
        return standing.change(world, after, cause)
    invoice = drafts.draft(world, after, "subscription_update", lines, cause)
    if wanted.behaviour == "pending_if_incomplete":
        pending_updates.lay_by(world, after, invoice["id"])
        before = standing.find(world, after["id"])
        standing.change(world, {**before, "latest_invoice": invoice["id"]}, cause)
    else:
        standing.change(world, {**after, "latest_invoice": invoice["id"]}, cause)
    _collect(call, after["id"], wanted, invoice)
    return call.find(KIND, after["id"])


def _collect(call: Call, subscription_id: str, wanted: Wanted, invoice: Json) -> None:
    invoice = invoicing.finalise(call.world, invoice, call.cause)
    if invoice["status"] != "open":
        return
    method = collecting.method_for(call.world, invoice)
    refusal = None
    if method is None:
        collecting.collect(call.world, invoice, call.cause)
    else:
        refusal = collecting.attempt(
            call.world, invoice, method, call.cause, is_automatic=True, is_present=wanted.is_present
        )
    refuse_incomplete(call, subscription_id, wanted.behaviour, refusal)
    still_open = call.find(invoicing.KIND, invoice["id"])["status"] == "open"
    if still_open and wanted.behaviour == "pending_if_incomplete":
        pending_updates.announce(call.world, call.find(KIND, subscription_id), call.cause)


def _ends_trial(call: Call, after: Json, wanted: Wanted) -> bool:
    now = call.world.clock.now()
    return wanted.trial_end == now and after["trial_end"] == now


def _end_trial(call: Call, after: Json, wanted: Wanted) -> Json:
    """A trial that is cut short: announced after all, and then what its end would have been."""
    events.record(call.world, "customer.subscription.trial_will_end", after, call.cause)
    before = standing.find(call.world, after["id"])
    if billing.stop_without_card(call.world, {**before, "trial_end": after["trial_end"]}, call.cause):
        return call.find(KIND, after["id"])
    return _carry_out(call, after, wanted, [], invoice_lines.of_period(call.world, after))


def _begins_period(before: Json, after: Json, wanted: Wanted) -> bool:
    """A trial cut short, a cycle that is to begin now, or an interval that is not the old one."""
    intervals = [each["items"]["data"][0]["price"]["recurring"] for each in (before, after)]
    is_moved = any(intervals[0][name] != intervals[1][name] for name in ("interval", "interval_count"))
    is_cut_short = wanted.trial_end is not None and before["status"] == "trialing"
    return is_cut_short or wanted.begins_cycle or (is_moved and before["status"] != "trialing")
