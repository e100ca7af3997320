"""A subscription's beginning, by a call or at the end of a checkout: its first period, and its first invoice."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import billing, drafts, invoice_lines, periods, standing, subscription_shapes
from sandbox.stripe.calls import Cause
from sandbox.world import World


def make(subscription: Json, items: list[Json], trial_end: int | None, now: int) -> Json:
    """The subscription with these items in their first period; nothing is written down yet."""
    subscription["items"] = subscription_shapes.items(subscription["id"], items)
    if trial_end is not None and trial_end > now:
        trial = {"billing_cycle_anchor": trial_end, "trial_end": trial_end, "trial_start": now, "status": "trialing"}
        return billing.with_period({**subscription, **trial}, now, trial_end)
    end = periods.next_boundary(now, items[0]["price"]["recurring"], now)
    is_free = not any(item["price"]["unit_amount"] * item["quantity"] for item in items)
    return billing.with_period({**subscription, "status": "active" if is_free else "incomplete"}, now, end)


def write_down(world: World, subscription: Json, cause: Cause) -> Json:
    """Writes it down, with a draft of its first invoice, which is given back; nobody is told of it yet."""
    lines = invoice_lines.of_period(world, subscription)
    invoice = drafts.draft(world, subscription, "subscription_create", lines, cause)
    standing.write_down(world, {**subscription, "latest_invoice": invoice["id"]})
    return invoice
