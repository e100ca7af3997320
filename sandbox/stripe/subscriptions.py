"""Subscriptions by calls: made, read, listed, cancelled. Their changes have modules of their own."""

from __future__ import annotations

from sandbox.store import Created, Json
from sandbox.stripe import (
    billing,
    collecting,
    diary,
    drafts,
    invoice_lines,
    invoicing,
    lists,
    payers,
    standing,
    starting,
    subscription_shapes,
)
from sandbox.stripe import subscription_parameters as reading
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, no_such
from sandbox.stripe.refusals import Refusal
from sandbox.stripe.standing import KIND

PAYMENT_BEHAVIOURS = ("allow_incomplete", "default_incomplete", "error_if_incomplete", "pending_if_incomplete")
PRORATIONS = ("always_invoice", "create_prorations", "none")
_STATUSES = (
    "active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused", "trialing",
    "unpaid",
)  # fmt: skip


def create(call: Call) -> Json:
    parameters, now = call.parameters, call.world.clock.now()
    customer = payers.find_living(call, parameters.required_text("customer"), "customer")
    subscription = subscription_shapes.subscription({"customer": customer["id"]}, now)
    items = reading.read_new_items(call, subscription["id"])
    subscription |= {
        "currency": items[0]["price"]["currency"],
        "default_payment_method": reading.read_method(call, customer["id"]),
        "description": parameters.text("description", limit=500),
        "metadata": parameters.metadata(),
        "trial_settings": reading.read_trial_settings(parameters) or subscription["trial_settings"],
        "payment_settings": reading.read_payment_settings(parameters) or subscription["payment_settings"],
    }
    trial_end = reading.read_trial_end(call, parameters)
    behaviour = parameters.choice("payment_behavior", PAYMENT_BEHAVIOURS) or "allow_incomplete"
    is_present = not parameters.flag("off_session")
    ends_with_period, cancel_at = parameters.flag("cancel_at_period_end"), parameters.integer("cancel_at")
    parameters.choice("proration_behavior", PRORATIONS)
    parameters.refuse_simulation_of(["billing_cycle_anchor"])
    reading.check_collection(parameters)
    reading.refuse_others(parameters)
    subscription = starting.make(subscription, items, trial_end, now)
    subscription |= planned_end(call, subscription, ends_with_period=ends_with_period, cancel_at=cancel_at)
    owes = subscription["status"] == "incomplete" and behaviour != "default_incomplete"
    if owes and not billing.has_method(call.world, subscription):
        raise StripeError(
            "This customer has no attached payment source or default payment method. Please consider adding a default"
            " payment method.",
            code="resource_missing",
            executed=True,
        )
    invoice = invoicing.finalise(call.world, starting.write_down(call.world, subscription, call.cause), call.cause)
    if invoice["status"] == "open" and behaviour != "default_incomplete":
        method = collecting.method_for(call.world, invoice)
        assert method is not None, "looked for above"
        refusal = collecting.attempt(call.world, invoice, method, call.cause, is_automatic=True, is_present=is_present)
        refuse_incomplete(call, subscription["id"], behaviour, refusal)
    return standing.announce(call.world, subscription["id"], call.cause)


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def list_subscriptions(call: Call) -> Json:
    """Without a status, all that have not ended."""
    parameters = call.parameters
    status = parameters.choice("status", _STATUSES)
    price_id, ends = parameters.text("price"), parameters.span("current_period_end")
    starts, customer = parameters.span("current_period_start"), parameters.text("customer")
    parameters.accept(["collection_method"])

    def keep(subscription: Json) -> bool:
        start, end_of_period = diary.period_of(subscription)
        prices = {item["price"]["id"] for item in subscription["items"]["data"]}
        return (
            _has_status(subscription, status)
            and (price_id is None or price_id in prices)
            and _is_within(start, starts)
            and _is_within(end_of_period, ends)
        )

    matching = {} if customer is None else {"customer": customer}
    return lists.page(call, KIND, "/v1/subscriptions", matching=matching, keep=keep)


def list_items(call: Call) -> Json:
    """All of a subscription's items on one page."""
    subscription = call.find(KIND, call.parameters.required_text("subscription"), "subscription")
    call.parameters.accept(["limit", "starting_after", "ending_before"])
    call.parameters.refuse_rest()
    return {**subscription["items"], "url": "/v1/subscription_items"}


def cancel(call: Call) -> Json:
    """At once; what is left of the period goes back where ``prorate`` says so, and is invoiced by ``invoice_now``."""
    parameters = call.parameters
    invoices, prorates = parameters.flag("invoice_now"), parameters.flag("prorate")
    details = reading.read_cancellation_details(parameters)
    parameters.refuse_rest()
    subscription = call.find(KIND, call.ids["id"])
    if diary.is_ended(subscription):
        raise no_such(KIND, subscription["id"], "id")
    if prorates:
        parts = invoice_lines.credit_for_rest(call.world, subscription)
        items = invoice_lines.proration_items(call.world, subscription, parts)
        invoice_lines.put_down(call.world, items, call.cause)
    standing.end(call.world, subscription, call.cause, "cancellation_requested", **details)
    if invoices and invoice_lines.waiting(call.world, subscription["customer"], subscription["id"]):
        invoice = drafts.draft(call.world, subscription, "subscription_update", [], call.cause)
        invoice = invoicing.finalise(call.world, invoice, call.cause)
        call.keep(KIND, {**call.find(KIND, subscription["id"]), "latest_invoice": invoice["id"]})
        if invoice["status"] == "open":
            collecting.collect(call.world, invoice, call.cause)
    return call.find(KIND, subscription["id"])


def planned_end(call: Call, subscription: Json, *, ends_with_period: bool | None, cancel_at: int | None) -> Json:
    """The fields that say when a subscription is to end."""
    now = call.world.clock.now()
    if ends_with_period and cancel_at is not None:
        message = "You may only specify one of these parameters: cancel_at, cancel_at_period_end."
        raise StripeError(message, param="cancel_at")
    if cancel_at is not None and cancel_at <= now:
        message = "`cancel_at` must be a future timestamp."
        raise StripeError(message, param="cancel_at")
    if not ends_with_period and cancel_at is None:
        return {}
    at = diary.period_of(subscription)[1] if ends_with_period else cancel_at
    details = {**subscription["cancellation_details"], "reason": "cancellation_requested"}
    return {
        "cancel_at": at,
        "cancel_at_period_end": bool(ends_with_period),
        "canceled_at": now,
        "cancellation_details": details,
    }


def refuse_incomplete(call: Call, subscription_id: str, behaviour: str, refusal: Refusal | None) -> None:
    """``error_if_incomplete``: what was not paid did not happen."""
    if behaviour != "error_if_incomplete":
        return
    subscription = call.find(KIND, subscription_id)
    if subscription["status"] in {"active", "trialing"}:
        return
    raise StripeError(
        "Your card was declined." if refusal is None else refusal.message,
        status=402,
        type="card_error",
        code="card_declined" if refusal is None else refusal.code,
        executed=True,
        about={} if refusal is None or refusal.decline_code is None else {"decline_code": refusal.decline_code},
    )


def _has_status(subscription: Json, status: str | None) -> bool:
    if status is None:
        return not diary.is_ended(subscription)
    if status == "ended":
        return diary.is_ended(subscription)
    return status == "all" or bool(subscription["status"] == status)


def _is_within(moment: int, span: Created) -> bool:
    return span.since <= moment <= span.until
