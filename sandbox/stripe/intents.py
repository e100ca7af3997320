"""Reading what payments left behind: PaymentIntents, Charges, PaymentMethods. Customers make them, not calls."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import lists
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, missing

CANCELLATION_REASONS = {"abandoned", "duplicate", "fraudulent", "requested_by_customer"}


def retrieve_intent(call: Call) -> Json:
    call.parameters.accept(["client_secret"])
    call.parameters.refuse_rest()
    return call.find("payment_intent", call.ids["id"], "intent")


def list_intents(call: Call) -> Json:
    return lists.page(call, "payment_intent", "/v1/payment_intents", matching=_asked(call, "customer"))


def cancel_intent(call: Call) -> Json:
    """Refused, always: every intent in here belongs to a Checkout Session, and is ended by ending that."""
    call.parameters.choice("cancellation_reason", CANCELLATION_REASONS)
    call.parameters.refuse_rest()
    intent = call.find("payment_intent", call.ids["id"], "intent")
    if intent["status"] in {"succeeded", "canceled"}:
        raise StripeError(
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent"
            " with one of the following statuses may be canceled: requires_payment_method, requires_capture,"
            " requires_confirmation, requires_action, processing.",
            code="payment_intent_unexpected_state",
            executed=True,
        )
    raise StripeError(
        "You cannot perform this action on PaymentIntents created by Checkout. Expire the Checkout Session instead.",
        executed=True,
    )


def retrieve_charge(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find("charge", call.ids["id"])


def list_charges(call: Call) -> Json:
    return lists.page(call, "charge", "/v1/charges", matching=_asked(call, "customer", "payment_intent"))


def retrieve_method(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find("payment_method", call.ids["id"], "payment_method")


def list_methods(call: Call) -> Json:
    """A customer's own; guests keep none, and neither do sessions that save no card."""
    if "customer" not in call.parameters:
        raise missing("customer")
    return lists.page(call, "payment_method", "/v1/payment_methods", matching=_asked(call, "customer", "type"))


def _asked(call: Call, *names: str) -> dict[str, object]:
    asked = {name: call.parameters.text(name) for name in names}
    return {name: value for name, value in asked.items() if value is not None}
