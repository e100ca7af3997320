"""Customers: made, changed, found, deleted. Two customers may share an e-mail address, here as at Stripe."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import events, lists
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import no_such

KIND = "customer"

#: Texts that a customer may carry, with their limits.
_TEXTS = {"email": 512, "name": 256, "phone": 20, "description": 5000}

#: Taken and not acted upon.
_ACCEPTED = ("address", "shipping", "preferred_locales", "tax_exempt", "invoice_settings", "invoice_prefix", "validate")


def create(call: Call) -> Json:
    customer: Json = {
        "id": new_id("cus_", 14),
        "object": KIND,
        "address": None,
        "balance": 0,
        "created": call.world.clock.now(),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "discount": None,
        "invoice_prefix": new_id("", 8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **{name: call.parameters.text(name, limit=limit) for name, limit in _TEXTS.items()},
        "metadata": call.parameters.metadata(),
    }
    call.parameters.accept(_ACCEPTED)
    call.parameters.refuse_rest()
    call.keep(KIND, customer)
    events.record(call.world, "customer.created", customer, call.cause)
    return customer


def retrieve(call: Call) -> Json:
    """A deleted customer is a stub that says so."""
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def update(call: Call) -> Json:
    customer = find_living(call, call.ids["id"], "id")
    before = dict(customer)
    for name, limit in _TEXTS.items():
        value = call.parameters.text(name, limit=limit)
        customer[name] = customer[name] if value is None else value
    customer["metadata"] = call.parameters.metadata(customer["metadata"])
    call.parameters.accept(_ACCEPTED)
    call.parameters.refuse_rest()
    call.keep(KIND, customer)
    previous = {name: value for name, value in before.items() if customer[name] != value}
    if previous:
        events.record(call.world, "customer.updated", customer, call.cause, previous=previous)
    return customer


def delete(call: Call) -> Json:
    call.parameters.refuse_rest()
    customer = find_living(call, call.ids["id"], "id")
    stub = {"id": customer["id"], "object": KIND, "deleted": True}
    call.world.store.put("stripe", KIND, stub, created=customer["created"])
    events.record(call.world, "customer.deleted", customer, call.cause)
    return stub


def list_customers(call: Call) -> Json:
    email = call.parameters.text("email")
    matching = {} if email is None else {"email": email}
    return lists.page(call, KIND, "/v1/customers", matching=matching, keep=lambda customer: "deleted" not in customer)


def find_living(call: Call, customer_id: str, param: str) -> Json:
    """The customer, unless it was deleted: then there is no such customer."""
    customer = call.find(KIND, customer_id, param)
    if "deleted" in customer:
        raise no_such(KIND, customer_id, param)
    return customer
