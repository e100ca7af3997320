"""Customers: one per e-mail address and contact, unless the caller says that an existing one will do."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay.calls import GATEWAY, Call, collection, keep
from sandbox.razorpay.errors import invalid
from sandbox.store import Json
from sandbox.world import World

KIND = "customer"
NAME_MAX = 50
CONTACT_MAX = 15
EMAIL_MAX = 64


def create(call: Call) -> Json:
    """``fail_existing`` is ``"1"`` where it is not given: then a second customer with the same data is refused."""
    fields = call.fields
    email, contact = fields.text("email", limit=EMAIL_MAX), fields.text("contact", limit=CONTACT_MAX)
    fields.refuse_extra({"name", "email", "contact", "fail_existing", "gstin", "notes"})
    customer = _new(call.world, email, contact)
    customer |= {
        "name": fields.text("name", limit=NAME_MAX),
        "gstin": fields.text("gstin"),
        "notes": fields.notes() or [],
    }
    existing = _existing(call.world, email, contact)
    if existing is None:
        return keep(call.world, KIND, customer)
    if fields.text("fail_existing") == "0":
        return existing
    raise invalid("Customer already exists for the merchant")


def make(world: World, email: str | None, contact: str | None) -> Json:
    """The customer of a first payment, who may be known already."""
    return _existing(world, email, contact) or keep(world, KIND, _new(world, email, contact))


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def edit(call: Call) -> Json:
    customer = call.find(KIND, call.ids["id"])
    call.fields.refuse_extra({"name", "email", "contact"})
    changes = {
        "name": call.fields.text("name", limit=NAME_MAX),
        "email": call.fields.text("email", limit=EMAIL_MAX),
        "contact": call.fields.text("contact", limit=CONTACT_MAX),
    }
    return keep(call.world, KIND, customer | {name: value for name, value in changes.items() if value is not None})


def list_customers(call: Call) -> Json:
    return collection(call, KIND)


def _new(world: World, email: str | None, contact: str | None) -> Json:
    return {
        "id": new_id("cust_", 14),
        "entity": KIND,
        "name": None,
        "email": email,
        "contact": contact,
        "gstin": None,
        "notes": [],
        "created_at": world.clock.now(),
    }


def _existing(world: World, email: str | None, contact: str | None) -> Json | None:
    same = {name: value for name, value in (("email", email), ("contact", contact)) if value is not None}
    if not same:
        return None
    found = world.store.newest(GATEWAY, KIND, limit=1, matching=same)
    return found[0] if found else None
