"""The end of a checkout that makes a subscription. Since Basil there is none before, nor an invoice, nor a customer
who was not there already: a declined card leaves nothing but its intent.
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import (
    collecting,
    invoice_lines,
    invoice_shapes,
    invoicing,
    payers,
    records,
    standing,
    starting,
    subscription_shapes,
)
from sandbox.stripe import subscription_parameters as reading
from sandbox.stripe.calls import Call, Cause
from sandbox.stripe.errors import StripeError, not_simulated
from sandbox.stripe.parameters import Parameters
from sandbox.world import World

#: Taken, and of no consequence in here.
_ACCEPTED = ("billing_mode", "default_tax_rates", "invoice_settings", "on_behalf_of", "proration_behavior")
_NOT_SIMULATED = (
    "application_fee_percent", "billing_cycle_anchor", "billing_cycle_anchor_config", "pending_invoice_item_interval",
    "transfer_data",
)  # fmt: skip
_DAY = 24 * 3600
#: Checkout's trials last for two days at least, where their end is named (docs.stripe.com/api/checkout/sessions).
_TRIAL_MIN_SECONDS = 48 * 3600


def read(call: Call, parameters: Parameters, mode: str) -> Json | None:
    """What a session says about the subscription that it will make."""
    level = parameters.level("subscription_data")
    if level is None:
        return None
    if mode != "subscription":
        raise StripeError(f"You can not pass `subscription_data` in `{mode}` mode.", param="subscription_data")
    days, now = level.integer("trial_period_days"), call.world.clock.now()
    trial_end = reading.read_trial_end(call, level)
    if level.text("trial_end") is not None and (trial_end or 0) < now + _TRIAL_MIN_SECONDS:
        message = "The `trial_end` date has to be at least 2 days in the future."
        raise StripeError(message, param=level.name("trial_end"))
    said = {
        "description": level.text("description", limit=500),
        "metadata": level.metadata(),
        "trial_end": None if days is not None else trial_end,
        "trial_period_days": days,
        "trial_settings": reading.read_trial_settings(level),
    }
    level.accept(_ACCEPTED)
    for name in _NOT_SIMULATED:
        if name in level:
            raise not_simulated(level.name(name))
    level.accept(_NOT_SIMULATED)
    level.refuse_rest()
    return said


def has_trial(said: Json | None) -> bool:
    return said is not None and (said["trial_end"] is not None or said["trial_period_days"] is not None)


def due_today(items: list[Json], said: Json | None) -> list[Json]:
    """The lines of a session as they are charged on its page: nothing for what is tried out first."""
    if not has_trial(said):
        return items
    nothing = dict.fromkeys(("amount_subtotal", "amount_total"), 0)
    return [item if item["price"]["recurring"] is None else {**item, **nothing} for item in items]


def begin(world: World, session: Json, method: Json, email: str, cause: Cause, *, intent: Json | None) -> None:
    """The customer, the subscription and its first invoice, which ``intent`` has paid where anything was due."""
    if session["customer"] is None:
        _welcome(world, session, email, cause)
    customer = session["customer"]
    if intent is not None:
        _give(world, intent, customer)
    method = payers.keep_method(world, customer, records.find(world, "payment_method", method["id"]), cause)
    subscription = _make(world, session, method)
    _put_down_extras(world, session, subscription, cause)
    invoice = starting.write_down(world, subscription, cause)
    standing.announce(world, subscription["id"], cause)
    if intent is not None:
        intent["payment_details"] = invoicing.name_payee(invoice["id"])
        records.keep(world, intent)
        invoicing.tie(world, invoice, intent)
    invoicing.finalise(world, invoice, cause)
    if intent is not None:
        collecting.follow(world, intent, cause, is_automatic=True)
    session |= {"invoice": invoice["id"], "subscription": subscription["id"]}


def _welcome(world: World, session: Json, email: str, cause: Cause) -> None:
    customer = payers.blank({"email": email}, world.clock.now())
    payers.add(world, customer, cause)
    session["customer"] = customer["id"]


def _give(world: World, intent: Json, customer_id: str) -> None:
    """What a guest paid is this customer's."""
    intent["customer"] = customer_id
    charge = records.find(world, "charge", intent["latest_charge"])
    records.keep(world, intent, {**charge, "customer": customer_id})


def _make(world: World, session: Json, method: Json) -> Json:
    kept, now = records.kept_lines(world, session), world.clock.now()
    said = kept["subscription_data"] or {}
    subscription = subscription_shapes.subscription(
        {
            "currency": session["currency"],
            "customer": session["customer"],
            "default_payment_method": method["id"],
            "description": said.get("description"),
            "metadata": dict(said.get("metadata") or {}),
        },
        now,
    )
    subscription["trial_settings"] = said.get("trial_settings") or subscription["trial_settings"]
    items = [
        subscription_shapes.item(subscription["id"], line["price"], line["quantity"], {}, now)
        for line in kept["list"]["data"]
        if line["price"]["recurring"] is not None
    ]
    days = said.get("trial_period_days")
    trial_end = said.get("trial_end") if days is None else now + days * _DAY
    subscription = starting.make(subscription, items, trial_end, now)
    return {**subscription, "status": "trialing" if subscription["status"] == "trialing" else "active"}


def _put_down_extras(world: World, session: Json, subscription: Json, cause: Cause) -> None:
    """What is paid once stands on the first invoice."""
    for line in records.kept_lines(world, session)["list"]["data"]:
        if line["price"]["recurring"] is None:
            said = {
                "amount": line["price"]["unit_amount"] * line["quantity"],
                "currency": line["currency"],
                "customer": session["customer"],
                "description": line["description"],
                "parent": invoice_shapes.item_parent(subscription["id"], None),
                "pricing": invoice_shapes.pricing(line["price"]),
                "quantity": line["quantity"],
            }
            item = invoice_shapes.invoice_item(said, world.clock.now())
            invoice_lines.put_down(world, [item], cause)
