"""Refunds by calls: made, described, cancelled, read. What becomes of one is told in ``refunding``."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import disputing, lists, refunding
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError
from sandbox.stripe.money import show
from sandbox.stripe.refunding import KIND
from sandbox.world import World

REASONS = {"duplicate", "fraudulent", "requested_by_customer"}

#: They concern connected accounts, and customers' own balances.
_NOT_SIMULATED = ("customer", "origin", "refund_application_fee", "reverse_transfer")


def create(call: Call) -> Json:
    parameters = call.parameters
    amount, reason = parameters.integer("amount"), parameters.choice("reason", REASONS)
    metadata = parameters.metadata()
    parameters.accept(["instructions_email", "currency"])
    charge = _named_charge(call)
    parameters.refuse_simulation_of(_NOT_SIMULATED)
    parameters.refuse_rest()
    if amount is not None and amount < 1:
        message = "This value must be greater than or equal to 1."
        raise StripeError(message, code="parameter_invalid_integer", param="amount")
    refuse(call.world, charge, amount)
    said = {"metadata": metadata, "reason": reason}
    left = refunding.refundable(charge)
    return refunding.make(call.world, charge, left if amount is None else amount, said, call.cause)


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def update(call: Call) -> Json:
    before = call.find(KIND, call.ids["id"])
    after = {**before, "metadata": call.parameters.metadata(before["metadata"])}
    call.parameters.refuse_rest()
    return refunding.change(call.world, before, after, call.cause)


def cancel(call: Call) -> Json:
    call.parameters.refuse_rest()
    refund = call.find(KIND, call.ids["id"])
    if refund["status"] != "requires_action":
        message = f"You can only cancel refunds that have a status of requires_action, not {refund['status']}."
        raise StripeError(message, executed=True)
    return refunding.end(call.world, refund, "canceled", call.cause)


def list_refunds(call: Call) -> Json:
    asked = {name: call.parameters.text(name) for name in ("charge", "payment_intent")}
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(call, KIND, "/v1/refunds", matching=matching)


def list_of_charge(call: Call) -> Json:
    charge = call.find("charge", call.ids["id"])
    return lists.page(call, KIND, f"/v1/charges/{charge['id']}/refunds", matching={"charge": charge["id"]})


def refuse(world: World, charge: Json, amount: int | None) -> None:
    """Raises where so much, or without an amount anything, cannot be given back of this charge."""
    left, currency = refunding.refundable(charge), charge["currency"]
    if charge["status"] != "succeeded" or not charge["captured"]:
        message = f"Charge {charge['id']} has not been captured, so that there is nothing to refund."
        raise StripeError(message, code="charge_not_refundable", executed=True)
    if disputing.holds(world, charge):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise StripeError(message, code="charge_disputed", executed=True)
    if left < 1:
        message = f"Charge {charge['id']} has already been refunded."
        raise StripeError(message, code="charge_already_refunded", executed=True)
    if amount is not None and amount > left:
        message = (
            f"Refund amount ({show(amount, currency)}) is greater than unrefunded amount on charge"
            f" ({show(left, currency)})"
        )
        raise StripeError(message, code="amount_too_large", param="amount", executed=True)


def _named_charge(call: Call) -> Json:
    charge_id, intent_id = call.parameters.text("charge"), call.parameters.text("payment_intent")
    if charge_id is not None and intent_id is not None:
        message = "You may only specify one of these parameters: charge, payment_intent."
        raise StripeError(message, param="payment_intent")
    if charge_id is not None:
        return call.find("charge", charge_id, "charge")
    if intent_id is None:
        raise StripeError("One of the following params should be provided for this request: payment_intent or charge.")
    intent = call.find("payment_intent", intent_id, "payment_intent")
    if intent["status"] not in {"succeeded", "requires_capture"}:
        message = f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
        raise StripeError(message, param="payment_intent", executed=True)
    return call.find("charge", intent["latest_charge"])
