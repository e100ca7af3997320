"""The customer portal: sessions that a call makes for a customer, and the new card that the customer leaves there."""

from __future__ import annotations

from sandbox.cards import Card
from sandbox.ids import new_id
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.store import Json
from sandbox.stripe import payers, records, shapes, standing
from sandbox.stripe.calls import GATEWAY, NOBODY, Call
from sandbox.stripe.errors import StripeError, missing, not_simulated
from sandbox.stripe.means import behaviour_of, fails_later
from sandbox.stripe.parameters import Parameters
from sandbox.stripe.refusals import REFUSALS
from sandbox.world import World

KIND = "billing_portal.session"
CONFIGURATION = "billing_portal.configuration"
#: What a session shows that names no configuration.
DEFAULT_CONFIGURATION = "bpc_1TheDefaultConfiguration0"

_FLOWS = {
    "customer_update", "payment_method_update", "subscription_cancel", "subscription_pause", "subscription_update",
    "subscription_update_confirm",
}  # fmt: skip


def create(call: Call) -> Json:
    parameters = call.parameters
    customer = payers.find_living(call, parameters.required_text("customer"), "customer")
    configuration, return_url = parameters.text("configuration"), parameters.url("return_url")
    flow = _read_flow(parameters)
    locale = parameters.text("locale")
    parameters.accept(["on_behalf_of", "after_expiration"])
    parameters.refuse_rest()
    if configuration is not None:
        call.find(CONFIGURATION, configuration, "configuration")
    session_id = new_id("bps_1", 23)
    return call.keep(
        KIND,
        {
            "id": session_id,
            "object": KIND,
            "configuration": configuration or DEFAULT_CONFIGURATION,
            "created": call.world.clock.now(),
            "customer": customer["id"],
            "customer_account": None,
            "flow": flow,
            "livemode": False,
            "locale": locale,
            "on_behalf_of": None,
            "return_url": return_url,
            "url": f"{call.world.options.url}/stripe/p/session/{session_id}",
        },
    )


def use_card(world: World, session_id: str, card: Card) -> Paid:
    """The new card pays from now on: by default, and for each subscription that had a method of its own."""
    session = world.store.find(GATEWAY, KIND, session_id)
    if session is None:
        raise NotPayable("There is no such portal session.")
    customer = world.store.find(GATEWAY, payers.KIND, session["customer"])
    if customer is None or "deleted" in customer:
        raise NotPayable("The customer of this portal session is gone.")
    method = shapes.card_method(card, world.clock.now())
    decline = behaviour_of(method).decline
    if decline is not None and not fails_later(method):
        return Paid(Outcome.DECLINED, None, REFUSALS[decline].message)
    method["billing_details"]["email"] = customer["email"]
    payers.keep_method(world, customer["id"], method, NOBODY)
    payers.prefer(world, customer["id"], method["id"], NOBODY)
    for subscription in standing.of_customer(world, customer["id"]):
        if subscription["default_payment_method"] is not None:
            standing.change(world, {**subscription, "default_payment_method": method["id"]}, NOBODY)
    return Paid(Outcome.PAID, None)


def open_invoice(world: World, session: Json) -> Json | None:
    """What the customer still owes, the newest of it."""
    matching = {"customer": session["customer"], "status": "open"}
    found = world.store.newest(GATEWAY, "invoice", limit=1, matching=matching)
    return found[0] if found else None


def _read_flow(parameters: Parameters) -> Json | None:
    level = parameters.level("flow_data")
    if level is None:
        return None
    kind = level.choice("type", _FLOWS)
    if kind is None:
        raise missing(level.name("type"))
    if kind != "payment_method_update":
        raise not_simulated(level.name("type"))
    after = _read_completion(level)
    level.refuse_rest()
    flow: Json = dict.fromkeys(sorted(_FLOWS - {"payment_method_update"}))
    return {**flow, "after_completion": after, "type": kind}


def _read_completion(level: Parameters) -> Json:
    completion: Json = {"hosted_confirmation": None, "redirect": None, "type": "portal_homepage"}
    after = level.level("after_completion")
    if after is None:
        return completion
    kind = after.choice("type", {"hosted_confirmation", "portal_homepage", "redirect"})
    redirect, confirmation = after.level("redirect"), after.level("hosted_confirmation")
    after.refuse_rest()
    if redirect is not None:
        completion["redirect"] = {"return_url": redirect.url("return_url")}
    if confirmation is not None:
        completion["hosted_confirmation"] = {"custom_message": confirmation.text("custom_message", limit=500)}
    if kind == "redirect" and completion["redirect"] is None:
        raise StripeError("A redirect needs its `return_url`.", param=after.name("redirect"))
    return {**completion, "type": kind or "portal_homepage"}


def find_session(world: World, session_id: str) -> Json | None:
    return world.store.find(GATEWAY, KIND, session_id)


def customer_of(world: World, session: Json) -> Json:
    return records.find(world, payers.KIND, session["customer"])
