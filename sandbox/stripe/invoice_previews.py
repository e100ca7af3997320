"""The next invoice of a subscription before there is one, as it is or as a change would make it."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import billing, drafts, invoice_lines, standing, subscription_changes
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import missing

_NOT_SIMULATED = (
    "automatic_tax", "customer_details", "discounts", "invoice_items", "schedule", "schedule_details",
)  # fmt: skip


def create_preview(call: Call) -> Json:
    parameters = call.parameters
    subscription_id, details = parameters.text("subscription"), parameters.level("subscription_details")
    parameters.accept(["customer", "currency", "preview_mode"])
    parameters.refuse_simulation_of(_NOT_SIMULATED)
    parameters.refuse_rest()
    if subscription_id is None:
        raise missing("subscription")
    subscription = call.find(standing.KIND, subscription_id, "subscription")
    if details is None:
        return billing.preview(call.world, subscription)
    asked = Call(call.world, details, call.ids, call.version, call.cause, call.names_version)
    after, wanted = subscription_changes.read_preview(asked, subscription)
    details.accept(["cancel_at_period_end", "cancel_at", "cancel_now", "billing_mode"])
    details.refuse_rest()
    parts, lines = subscription_changes.bill_for(asked, subscription, after, wanted)
    items = invoice_lines.proration_items(call.world, subscription, parts)
    if not lines and wanted.proration != "always_invoice":
        return billing.preview(call.world, after, items)
    waiting = invoice_lines.waiting(call.world, subscription["customer"], subscription["id"])
    now = call.world.clock.now()
    all_lines = invoice_lines.item_lines([*waiting, *items]) + lines
    return drafts.sketch(call.world, after, "subscription_update", all_lines, period=(now, now))
