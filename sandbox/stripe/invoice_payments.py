"""How invoices were paid, or are to be: since Basil that is an object between an invoice and its PaymentIntent."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import lists
from sandbox.stripe.calls import Call

KIND = "invoice_payment"


def list_payments(call: Call) -> Json:
    parameters = call.parameters
    invoice_id, level = parameters.text("invoice"), parameters.level("payment")
    status = parameters.choice("status", {"canceled", "open", "paid"})
    intent_id = None
    if level is not None:
        level.choice("type", {"payment_intent"})
        intent_id = level.required_text("payment_intent")
        level.refuse_rest()
    asked = {"invoice": invoice_id, "payment.payment_intent": intent_id, "status": status}
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(call, KIND, "/v1/invoice_payments", matching=matching)


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])
