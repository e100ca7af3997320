"""Pausing a subscription for as long as one likes, and resuming it (docs.stripe.com/billing/subscriptions/pause).

While it is paused there are no periods and no invoices. ``pause_collection`` is something else: there the subscription
goes on, and only its invoices are set aside.
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import (
    billing,
    collecting,
    diary,
    drafts,
    invoice_lines,
    invoicing,
    periods,
    prorations,
    records,
    standing,
)
from sandbox.stripe import subscription_parameters as reading
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError
from sandbox.stripe.prorations import Part
from sandbox.stripe.standing import KIND
from sandbox.stripe.subscriptions import PRORATIONS

_PAUSABLE = ("trialing", "active", "past_due")


def pause(call: Call) -> Json:
    """Now; the time that is paid for and not used goes back with the next invoice, or with one of its own."""
    parameters = call.parameters
    behaviour = parameters.choice("invoicing_behavior", {"invoice", "pending_invoice_item"})
    parameters.choice("type", {"subscription"})
    credits_from = _read_credit(call)
    parameters.refuse_rest()
    subscription = call.find(KIND, call.ids["id"])
    if subscription["status"] not in _PAUSABLE:
        message = f"You cannot pause a subscription with a status of `{subscription['status']}`."
        raise StripeError(message, executed=True)
    parts = _credit(call, subscription, credits_from)
    items = invoice_lines.proration_items(call.world, subscription, parts)
    invoice_lines.put_down(call.world, items, call.cause)
    standing.pause(call.world, subscription, "pause_requested", call.cause)
    if behaviour == "invoice" and items:
        invoice = drafts.draft(call.world, subscription, "subscription_update", [], call.cause)
        invoicing.finalise(call.world, invoice, call.cause)
    return call.find(KIND, subscription["id"])


def resume(call: Call) -> Json:
    """In a new cycle from now on, unless ``billing_cycle_anchor`` is to stay; what is due is charged at once."""
    parameters = call.parameters
    stays = ("billing_cycle_anchor" in parameters) and not reading.read_anchor_now(call, parameters)
    waits = parameters.choice("payment_behavior", {"resume_on_payment_attempt", "resume_on_payment_success"})
    proration = parameters.choice("proration_behavior", PRORATIONS) or "create_prorations"
    parameters.accept(["proration_date"])
    parameters.refuse_rest()
    subscription = call.find(KIND, call.ids["id"])
    if subscription["status"] != "paused":
        message = f"You cannot resume a subscription with a status of `{subscription['status']}`."
        raise StripeError(message, executed=True)
    if stays:
        return _resume_in_old_cycle(call, subscription, proration)
    return _resume_in_new_cycle(call, subscription, waits=waits == "resume_on_payment_success")


def _resume_in_new_cycle(call: Call, subscription: Json, *, waits: bool) -> Json:
    now = call.world.clock.now()
    end = periods.next_boundary(now, subscription["items"]["data"][0]["price"]["recurring"], now)
    after = billing.with_period({**subscription, "billing_cycle_anchor": now}, now, end)
    if after["trial_end"] is not None:
        after["trial_end"] = min(after["trial_end"], now)
    lines = invoice_lines.of_period(call.world, after)
    invoice = drafts.draft(call.world, after, "subscription_update", lines, call.cause)
    after["latest_invoice"] = invoice["id"]
    if waits:
        standing.change(call.world, after, call.cause)
    else:
        standing.resume(call.world, after, "active", call.cause)
    invoice = invoicing.finalise(call.world, invoice, call.cause)
    if invoice["status"] == "open":
        collecting.collect(call.world, invoice, call.cause)
    return call.find(KIND, subscription["id"])


def _resume_in_old_cycle(call: Call, subscription: Json, proration: str) -> Json:
    """Where the old cycle stands by now; the time to its next boundary is prorated."""
    now, anchor = call.world.clock.now(), subscription["billing_cycle_anchor"]
    recurring = subscription["items"]["data"][0]["price"]["recurring"]
    start, end = periods.last_boundary(anchor, recurring, now), periods.next_boundary(anchor, recurring, now)
    after = billing.with_period(subscription, start, end)
    parts: list[Part] = []
    if proration != "none":
        items = after["items"]["data"]
        parts = prorations.debit(items, invoice_lines.names_of(call.world, items), now)
    invoice_lines.put_down(call.world, invoice_lines.proration_items(call.world, after, parts), call.cause)
    standing.resume(call.world, after, "active", call.cause)
    if proration == "always_invoice" and parts:
        invoice = drafts.draft(call.world, after, "subscription_update", [], call.cause)
        standing.change(
            call.world, {**standing.find(call.world, after["id"]), "latest_invoice": invoice["id"]}, call.cause
        )
        invoice = invoicing.finalise(call.world, invoice, call.cause)
        if invoice["status"] == "open":
            collecting.collect(call.world, invoice, call.cause)
    return call.find(KIND, subscription["id"])


def _read_credit(call: Call) -> str:
    """From when on unused time goes back."""
    level = call.parameters.level("bill_for")
    if level is None:
        return "now"
    unused = level.level("unused_time_from")
    level.accept(["outstanding_usage_through"])
    level.refuse_rest()
    if unused is None:
        return "now"
    kind = unused.choice("type", {"item_current_period_start", "none", "now"}) or "now"
    unused.refuse_rest()
    return kind


def _credit(call: Call, subscription: Json, credits_from: str) -> list[Part]:
    """What is left of the period, all of it, or nothing; and nothing where the period has not been paid for."""
    newest = records.find(call.world, invoicing.KIND, subscription["latest_invoice"])
    if credits_from == "none" or subscription["status"] == "trialing" or newest["status"] != "paid":
        return []
    if credits_from == "now":
        return invoice_lines.credit_for_rest(call.world, subscription)
    items = subscription["items"]["data"]
    names = invoice_lines.names_of(call.world, items)
    return prorations.credit(items, names, diary.period_of(subscription)[0])
