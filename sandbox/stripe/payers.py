"""Customers as everything else here meets them: made, found while they live, and given a method to pay with."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import events, records, standing
from sandbox.stripe.calls import GATEWAY, Call, Cause
from sandbox.stripe.errors import no_such
from sandbox.world import World

KIND = "customer"


def find_living(call: Call, customer_id: str, param: str) -> Json:
    """The customer, unless it was deleted: then there is no such customer."""
    customer = call.find(KIND, customer_id, param)
    if "deleted" in customer:
        raise no_such(KIND, customer_id, param)
    return customer


def blank(said: Json, now: int) -> Json:
    """A customer of whom nothing more is known."""
    return {
        "id": new_id("cus_", 14),
        "object": KIND,
        "address": None,
        "balance": 0,
        "created": now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": new_id("", 8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **said,
    }


def add(world: World, customer: Json, cause: Cause) -> Json:
    records.keep(world, customer)
    events.record(world, "customer.created", customer, cause)
    return customer


def keep_method(world: World, customer_id: str, method: Json, cause: Cause) -> Json:
    """From now on it is the customer's own."""
    if method["customer"] is None:
        method["customer"] = customer_id
        records.keep(world, method)
        events.record(world, "payment_method.attached", method, cause)
    return method


def prefer(world: World, customer_id: str, method_id: str | None, cause: Cause) -> None:
    """What pays the customer's invoices, unless a subscription names something else."""
    before = records.find(world, KIND, customer_id)
    settings = {**before["invoice_settings"], "default_payment_method": method_id}
    records.change(world, before, {**before, "invoice_settings": settings}, cause, "customer.updated")


def part_with(world: World, method: Json, cause: Cause) -> None:
    """Nothing of the customer's is paid with this method any more."""
    customer = world.store.find(GATEWAY, KIND, method["customer"])
    if customer is not None and customer.get("invoice_settings", {}).get("default_payment_method") == method["id"]:
        prefer(world, customer["id"], None, cause)
    for subscription in standing.of_customer(world, method["customer"]):
        if subscription["default_payment_method"] == method["id"]:
            standing.change(world, {**subscription, "default_payment_method": None}, cause)
