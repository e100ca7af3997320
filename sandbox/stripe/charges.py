"""Charges: one for every time that a bank was asked for money. PaymentIntents make them; calls read and annotate."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import events, lists
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError

KIND = "charge"

_TEXTS = ("description", "receipt_email", "transfer_group")


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def update(call: Call) -> Json:
    charge, before = call.find(KIND, call.ids["id"]), call.find(KIND, call.ids["id"])
    parameters = call.parameters
    charge |= {name: parameters.text(name) for name in _TEXTS if name in parameters}
    charge["metadata"] = parameters.metadata(charge["metadata"])
    fraud = parameters.level("fraud_details")
    if fraud is not None:
        charge["fraud_details"] = _read_fraud(fraud.choice("user_report", {"safe", "fraudulent"}))
        fraud.refuse_rest()
    if "customer" in parameters:
        raise StripeError("The sandbox does not give a charge to another customer.", param="customer")
    parameters.accept(["shipping"])
    parameters.refuse_rest()
    call.keep(KIND, charge)
    previous = {name: value for name, value in before.items() if charge[name] != value}
    if previous:
        events.record(call.world, "charge.updated", charge, call.cause, previous=previous)
    return charge


def list_charges(call: Call) -> Json:
    asked = {name: call.parameters.text(name) for name in ("customer", "payment_intent", "transfer_group")}
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(call, KIND, "/v1/charges", matching=matching)


def _read_fraud(report: str | None) -> Json:
    return {} if report is None else {"user_report": report}
