"""PaymentMethods: cards and SEPA debits, made from test names or test numbers, kept by customers."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from sandbox.cards import Card, read_card
from sandbox.store import Json
from sandbox.stripe import addresses, charging, events, lists, means, payers, shapes
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.stripe.errors import StripeError, missing, no_such
from sandbox.stripe.method_types import KNOWN
from sandbox.stripe.parameters import Parameters

KIND = "payment_method"

_MONTHS = range(1, 13)


def create(call: Call) -> Json:
    if "customer" in call.parameters:
        raise StripeError("The sandbox does not clone payment methods: attach one instead.", param="customer")
    method = read_new(call, call.parameters)
    call.parameters.refuse_rest()
    return call.keep(KIND, method)


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"], KIND)


def update(call: Call) -> Json:
    method, before = call.find(KIND, call.ids["id"], KIND), call.find(KIND, call.ids["id"], KIND)
    _read_about(call.parameters, method)
    call.parameters.refuse_simulation_of(["card"])
    call.parameters.refuse_rest()
    if method["customer"] is None:
        message = "You must save this PaymentMethod to a customer before you can update it."
        raise StripeError(message, executed=True)
    call.keep(KIND, method)
    previous = {name: value for name, value in before.items() if method[name] != value}
    if previous:
        events.record(call.world, "payment_method.updated", method, call.cause, previous=previous)
    return method


def attach(call: Call) -> Json:
    """A ready-made name makes a new method of the customer's."""
    customer = call.parameters.required_text("customer")
    call.parameters.refuse_rest()
    payers.find_living(call, customer, "customer")
    method = find(call, call.ids["id"], KIND, missing_is=404)
    if method["customer"] not in {None, customer}:
        raise StripeError("The payment method you provided has already been attached to a customer.", executed=True)
    refuse_spent(call, method)
    if method["customer"] is None:
        method["customer"] = customer
        call.keep(KIND, method)
        events.record(call.world, "payment_method.attached", method, call.cause)
    return method


def detach(call: Call) -> Json:
    call.parameters.refuse_rest()
    method = call.find(KIND, call.ids["id"], KIND)
    if method["customer"] is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise StripeError(message, executed=True)
    payers.part_with(call.world, method, call.cause)
    previous = {"customer": method["customer"]}
    method["customer"] = None
    call.keep(KIND, method)
    charging.spend(call.world, method)
    events.record(call.world, "payment_method.detached", method, call.cause, previous=previous)
    return method


def list_methods(call: Call) -> Json:
    """A customer's own; guests keep none."""
    customer, kind = call.parameters.text("customer"), call.parameters.text("type")
    if customer is None:
        raise missing("customer")
    return _page(call, customer, kind, "/v1/payment_methods")


def list_of_customer(call: Call) -> Json:
    customer = payers.find_living(call, call.ids["id"], "id")["id"]
    return _page(call, customer, call.parameters.text("type"), f"/v1/customers/{customer}/payment_methods")


def retrieve_of_customer(call: Call) -> Json:
    call.parameters.refuse_rest()
    method = call.find(KIND, call.ids["method"], KIND)
    if method["customer"] != call.ids["id"]:
        raise no_such(KIND, method["id"], KIND)
    return method


def find(call: Call, name: str, param: str, *, missing_is: int = 400) -> Json:
    """The method of this id; for a ready-made name, a new one that is kept."""
    if means.is_ready_made(name):
        return call.keep(KIND, shapes.card_method(means.read_name(name, param), call.world.clock.now()))
    found = call.world.store.find(GATEWAY, KIND, name)
    if found is None:
        message = f"No such PaymentMethod: '{name[:60]}'"
        raise StripeError(message, status=missing_is, code="resource_missing", param=param)
    return found


def read_new(call: Call, parameters: Parameters) -> Json:
    """A method as it is described, not yet kept."""
    kind = parameters.text("type")
    if kind is None:
        raise missing(parameters.name("type"))
    if kind not in KNOWN:
        raise StripeError(f"The sandbox takes `{'` and `'.join(KNOWN)}` alone.", param=parameters.name("type"))
    details = parameters.level(kind)
    if details is None:
        raise missing(parameters.name(kind))
    now = call.world.clock.now()
    if kind == "card":
        method = shapes.card_method(_read_card(call, details), now)
    else:
        method = shapes.debit_method(means.read_iban(details.required_text("iban"), details.name("iban")), now)
    details.refuse_rest()
    _read_about(parameters, method)
    return method


def refuse_spent(call: Call, method: Json) -> None:
    if method["customer"] is None and charging.is_spent(call.world, method):
        raise StripeError(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared"
            " with a connected account without Customer attachment, or was detached from a Customer. It may not be"
            " used again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            executed=True,
        )


def _page(call: Call, customer: str, kind: str | None, url: str) -> Json:
    call.parameters.accept(["allow_redisplay"])
    matching = {"customer": customer} if kind is None else {"customer": customer, "type": kind}
    return lists.page(call, KIND, url, matching=matching)


def _read_card(call: Call, details: Parameters) -> Card:
    """From a token, or from the number of a test card. Foreign numbers have been refused at the door."""
    details.accept(["networks"])
    token = details.text("token")
    if token is not None and "number" not in details:
        return means.read_name(token, details.name("token"))
    card = read_card(details.required_text("number"))
    month, year = (_required_integer(details, name) for name in ("exp_month", "exp_year"))
    code = details.text("cvc", limit=10)
    today = datetime.fromtimestamp(call.world.clock.now(), UTC)
    if month not in _MONTHS:
        raise _mistyped("invalid_expiry_month", "Your card's expiration month is invalid.", details.name("exp_month"))
    if (year, month) < (today.year, today.month):
        raise _mistyped("invalid_expiry_year", "Your card's expiration year is invalid.", details.name("exp_year"))
    if code is not None and not re.fullmatch(r"[0-9]{3,4}", code):
        raise _mistyped("invalid_cvc", "Your card's security code is invalid.", details.name("cvc"))
    return replace(card, expires=(month, year))


def _required_integer(details: Parameters, name: str) -> int:
    value = details.integer(name)
    if value is None:
        raise missing(details.name(name))
    return value


def _mistyped(code: str, message: str, param: str) -> StripeError:
    return StripeError(message, status=402, type="card_error", code=code, param=param)


def _read_about(parameters: Parameters, method: Json) -> None:
    """Whose it is, and what the seller notes about it."""
    billing = parameters.level("billing_details")
    if billing is not None:
        method["billing_details"] = addresses.read_billing(billing, method["billing_details"])
    redisplay = parameters.choice("allow_redisplay", {"always", "limited", "unspecified"})
    method["allow_redisplay"] = redisplay or method["allow_redisplay"]
    method["metadata"] = parameters.metadata(method["metadata"])
    parameters.accept(["radar_options"])
