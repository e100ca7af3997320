"""Customers: made, changed, found, deleted. Two customers may share an e-mail address, here as at Stripe."""

from __future__ import annotations

import re

from sandbox.store import Json
from sandbox.stripe import events, lists, payers, payment_methods, standing
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, not_simulated
from sandbox.stripe.payers import KIND

#: Texts that a customer may carry, with their limits.
_TEXTS = {"email": 512, "name": 256, "phone": 20, "description": 5000}

#: Taken and not acted upon.
_ACCEPTED = ("address", "shipping", "preferred_locales", "tax_exempt", "invoice_prefix", "validate")

_SETTINGS_ACCEPTED = ("custom_fields", "footer", "rendering_options")

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_CLAUSE = re.compile(rf"metadata\[(?P<name>{_QUOTED})\]:(?P<value>{_QUOTED})", re.DOTALL)


def create(call: Call) -> Json:
    said = {name: call.parameters.text(name, limit=limit) for name, limit in _TEXTS.items()}
    customer = payers.blank({**said, "metadata": call.parameters.metadata()}, call.world.clock.now())
    named, default = call.parameters.text("payment_method"), _named_default(call)
    call.parameters.accept(_ACCEPTED)
    call.parameters.refuse_rest()
    call.keep(KIND, customer)
    events.record(call.world, "customer.created", customer, call.cause)
    if named is None:
        return customer
    method = payers.keep_method(
        call.world, customer["id"], payment_methods.find(call, named, "payment_method"), call.cause
    )
    if default in {named, method["id"]}:
        customer["invoice_settings"]["default_payment_method"] = method["id"]
    return call.keep(KIND, customer)


def retrieve(call: Call) -> Json:
    """A deleted customer is a stub that says so."""
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def update(call: Call) -> Json:
    customer = payers.find_living(call, call.ids["id"], "id")
    before = dict(customer)
    for name, limit in _TEXTS.items():
        value = call.parameters.text(name, limit=limit)
        customer[name] = customer[name] if value is None else value
    customer["metadata"] = call.parameters.metadata(customer["metadata"])
    customer["invoice_settings"] = _read_settings(call, customer)
    balance = call.parameters.integer("balance")
    customer["balance"] = customer["balance"] if balance is None else balance
    call.parameters.accept(_ACCEPTED)
    call.parameters.refuse_rest()
    call.keep(KIND, customer)
    previous = {name: value for name, value in before.items() if customer[name] != value}
    if previous:
        events.record(call.world, "customer.updated", customer, call.cause, previous=previous)
    return customer


def delete(call: Call) -> Json:
    """With it ends whatever it subscribed to."""
    call.parameters.refuse_rest()
    customer = payers.find_living(call, call.ids["id"], "id")
    for subscription in standing.of_customer(call.world, customer["id"]):
        standing.end(call.world, subscription, call.cause, "cancellation_requested")
    stub = {"id": customer["id"], "object": KIND, "deleted": True}
    call.world.store.put("stripe", KIND, stub, created=customer["created"])
    events.record(call.world, "customer.deleted", customer, call.cause)
    return stub


def list_customers(call: Call) -> Json:
    email = call.parameters.text("email")
    matching = {} if email is None else {"email": email}
    return lists.page(call, KIND, "/v1/customers", matching=matching, keep=lambda customer: "deleted" not in customer)


def search(call: Call) -> Json:
    """Whoever bears all the marks. Whom Stripe has just made, it finds a minute later."""
    marks = _read_marks(call.parameters.required_text("query"))
    limit = call.parameters.integer("limit") or lists.DEFAULT_LIMIT
    call.parameters.refuse_rest()
    living = [each for each in call.world.store.all("stripe", KIND) if "deleted" not in each]
    found = [each for each in living if marks.items() <= each["metadata"].items()]
    return {
        "object": "search_result",
        "data": found[:limit],
        "has_more": len(found) > limit,
        "next_page": None,
        "url": "/v1/customers/search",
    }


def _read_marks(query: str) -> dict[str, str]:
    """Of Stripe's language of searches, the part that asks for metadata."""
    clauses = list(_CLAUSE.finditer(query))
    if " AND ".join(clause[0] for clause in clauses) != query:
        raise not_simulated("query")
    return {_unquoted(clause["name"]): _unquoted(clause["value"]) for clause in clauses}


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _named_default(call: Call) -> str | None:
    """The default method as a call names it, which may be the name of the method that it brings along."""
    level = call.parameters.level("invoice_settings")
    if level is None:
        return None
    named = level.text("default_payment_method")
    level.accept(_SETTINGS_ACCEPTED)
    level.refuse_rest()
    return named


def _read_settings(call: Call, customer: Json) -> Json:
    settings: Json = dict(customer["invoice_settings"])
    named = _named_default(call)
    if named is None:
        return settings
    method = payment_methods.find(call, named, "invoice_settings[default_payment_method]")
    if method["customer"] != customer["id"]:
        raise StripeError(
            f"The customer does not have a payment method with the ID {method['id']}. The payment method must be"
            " attached to the customer.",
            code="resource_missing",
            param="invoice_settings[default_payment_method]",
        )
    return {**settings, "default_payment_method": method["id"]}
