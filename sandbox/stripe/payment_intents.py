"""PaymentIntents by calls: made, changed, confirmed, captured, cancelled, read. Checkout's own are left to Checkout."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import (
    charging,
    collecting,
    intent_parameters,
    invoicing,
    lists,
    payment_methods,
    payments,
    shapes,
    versions,
)
from sandbox.stripe.calls import Call
from sandbox.stripe.charging import KIND, Terms
from sandbox.stripe.errors import Declined, StripeError

CANCELLATION_REASONS = {"abandoned", "duplicate", "fraudulent", "requested_by_customer"}

#: Nothing has been paid or set aside yet, and nothing is on its way.
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELLABLE = (*OPEN, "requires_capture")

#: Changes to the payment itself: refused once it is under way, and where Checkout made it.
_OF_THE_PAYMENT = (
    "allowed_payment_method_types", "amount", "capture_method", "currency", "customer", "payment_method",
    "payment_method_data", "payment_method_types", "setup_future_usage",
)  # fmt: skip


def create(call: Call) -> Json:
    parameters = call.parameters
    said = intent_parameters.read_new(call)
    said["metadata"] = parameters.metadata()
    confirms = parameters.flag("confirm") or False
    if not confirms:
        intent_parameters.refuse_terms(parameters)
    terms = intent_parameters.read_terms(parameters)
    method = _named_method(call)
    intent_parameters.refuse_others(parameters)
    intent = shapes.payment_intent(said, call.world.clock.now())
    if method is not None:
        _check_method(call, intent, method)
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    charging.open_intent(call.world, intent, call.cause)
    return _confirm(call, intent, method, terms) if confirms else intent


def retrieve(call: Call) -> Json:
    call.parameters.accept(["client_secret"])
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"], "intent")


def list_intents(call: Call) -> Json:
    customer = call.parameters.text("customer")
    matching = {} if customer is None else {"customer": customer}
    return lists.page(call, KIND, "/v1/payment_intents", matching=matching)


def update(call: Call) -> Json:
    intent, parameters = call.find(KIND, call.ids["id"], "intent"), call.parameters
    changed = [name for name in _OF_THE_PAYMENT if name in parameters]
    if changed:
        _refuse_checkouts_own(call, intent)
        if intent["status"] not in OPEN:
            raise _unexpected(call, intent, _not_in_this_state(intent, f"{changed[0]} could not be updated", OPEN))
    intent |= intent_parameters.read_changes(call, intent) | intent_parameters.read_notes(call)
    intent["metadata"] = parameters.metadata(intent["metadata"])
    method = _named_method(call)
    intent_parameters.refuse_others(parameters)
    if method is not None:
        _check_method(call, intent, method)
        intent |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    return call.keep(KIND, intent)


def confirm(call: Call) -> Json:
    intent, parameters = call.find(KIND, call.ids["id"], "intent"), call.parameters
    terms = intent_parameters.read_terms(parameters)
    if "capture_method" in parameters:
        intent["capture_method"] = parameters.choice("capture_method", intent_parameters.CAPTURE_METHODS)
    intent |= intent_parameters.read_notes(call) | intent_parameters.read_terms_of_use(call)
    parameters.accept(["client_secret"])
    method = _named_method(call)
    intent_parameters.refuse_others(parameters)
    _refuse_checkouts_own(call, intent)
    if intent["status"] == "succeeded":
        message = "You cannot confirm this PaymentIntent because it has already succeeded after being previously"
        raise _unexpected(call, intent, f"{message} confirmed.")
    if intent["status"] not in OPEN:
        raise _unexpected(call, intent, _not_in_this_state(intent, "You cannot confirm this PaymentIntent", OPEN))
    return _confirm(call, intent, method or _method_of(call, intent), terms)


def capture(call: Call) -> Json:
    intent, parameters = call.find(KIND, call.ids["id"], "intent"), call.parameters
    asked, final = parameters.integer("amount_to_capture"), parameters.flag("final_capture")
    intent["metadata"] = parameters.metadata(intent["metadata"])
    intent |= intent_parameters.read_notes(call)
    if final is False:
        raise StripeError("The sandbox captures once: `final_capture` cannot be false.", param="final_capture")
    intent_parameters.refuse_others(parameters)
    if intent["status"] != "requires_capture":
        message = _not_in_this_state(intent, "This PaymentIntent could not be captured", ("requires_capture",))
        raise _unexpected(call, intent, message)
    amount = intent["amount_capturable"] if asked is None else asked
    if not 1 <= amount <= intent["amount_capturable"]:
        message = f"You can capture from 1 up to {intent['amount_capturable']}."
        raise StripeError(message, code="amount_too_large", param="amount_to_capture", executed=True)
    return charging.capture(call.world, intent, amount, call.cause)


def cancel(call: Call) -> Json:
    reason = call.parameters.choice("cancellation_reason", CANCELLATION_REASONS)
    call.parameters.refuse_rest()
    intent = call.find(KIND, call.ids["id"], "intent")
    if intent["status"] not in _CANCELLABLE:
        message = _not_in_this_state(intent, "You cannot cancel this PaymentIntent", _CANCELLABLE)
        raise _unexpected(call, intent, message)
    _refuse_checkouts_own(call, intent)
    if invoicing.of_intent(call.world, intent) is not None:
        message = "You cannot cancel a PaymentIntent that was created by an invoice. Void the invoice instead."
        raise _unexpected(call, intent, message)
    return charging.cancel(call.world, intent, reason, call.cause)


def _confirm(call: Call, intent: Json, method: Json | None, terms: Terms) -> Json:
    if method is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the"
            " PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a"
            " payment method or ConfirmationToken."
        )
        raise _unexpected(call, intent, message)
    _check_method(call, intent, method)
    refusal = charging.confirm(call.world, intent, method, call.cause, terms)
    collecting.follow(call.world, intent, call.cause)
    if refusal is not None:
        raise Declined(intent["last_payment_error"], _shown(call, intent))
    return intent


def _named_method(call: Call) -> Json | None:
    """The method that the call names, or the new one that it describes."""
    name, data = call.parameters.text("payment_method"), call.parameters.level("payment_method_data")
    if name is not None and data is not None:
        message = "You may only specify one of these parameters: payment_method, payment_method_data."
        raise StripeError(message, param="payment_method_data")
    if name is not None:
        return payment_methods.find(call, name, "payment_method")
    if data is None:
        return None
    method = payment_methods.read_new(call, data)
    data.refuse_rest()
    return call.keep(payment_methods.KIND, method)


def _method_of(call: Call, intent: Json) -> Json | None:
    name = intent["payment_method"]
    return None if name is None else call.find(payment_methods.KIND, name, "payment_method")


def _check_method(call: Call, intent: Json, method: Json) -> None:
    """Whether this intent may be paid with it: its kind, its owner, and what it was used for."""
    payment_methods.refuse_spent(call, method)
    if method["customer"] not in {None, intent["customer"]}:
        message = (
            f"The PaymentMethod {method['id']} belongs to a Customer. Please include the Customer in the `customer`"
            " parameter on the PaymentIntent."
        )
        raise StripeError(message, param="payment_method")
    if method["type"] not in intent["payment_method_types"]:
        message = (
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. Please attach a"
            f" PaymentMethod of one of the following types: {', '.join(intent['payment_method_types'])}."
        )
        raise StripeError(message, param="payment_method")
    if method["type"] == "sepa_debit" and intent["capture_method"] == "manual":
        raise StripeError("The payment method `sepa_debit` cannot be captured manually.", param="capture_method")


def _refuse_checkouts_own(call: Call, intent: Json) -> None:
    if payments.session_of(call.world, intent) is not None:
        raise StripeError(
            "You cannot perform this action on PaymentIntents created by Checkout. Expire the Checkout Session"
            " instead.",
            executed=True,
            about=_shown(call, intent),
        )


def _not_in_this_state(intent: Json, what: str, allowed: tuple[str, ...]) -> str:
    return (
        f"{what} because it has a status of {intent['status']}. This takes a PaymentIntent with one of the following"
        f" statuses: {', '.join(allowed)}."
    )


def _unexpected(call: Call, intent: Json, message: str) -> StripeError:
    return StripeError(message, code="payment_intent_unexpected_state", executed=True, about=_shown(call, intent))


def _shown(call: Call, intent: Json) -> Json:
    """The intent beside an error, as the call's version shows it."""
    shown: Json = versions.render(call.world.store, {"payment_intent": intent}, call.version)
    return shown
