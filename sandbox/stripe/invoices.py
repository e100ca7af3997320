"""Invoices by calls: read, listed, previewed, and moved on; and those that a call makes for itself."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import (
    collecting,
    drafts,
    events,
    invoice_lines,
    invoicing,
    lists,
    payers,
    payment_methods,
    records,
)
from sandbox.stripe.calls import GATEWAY, Call
from sandbox.stripe.errors import Declined, StripeError
from sandbox.stripe.invoicing import KIND
from sandbox.stripe.money import check_currency
from sandbox.stripe.refusals import Refusal

_STATUSES = {"draft", "open", "paid", "uncollectible", "void"}
_ACCEPTED = ("account_tax_ids", "custom_fields", "default_tax_rates", "footer", "issuer", "rendering")
_NOT_SIMULATED = (
    "application_fee_amount", "automatic_tax", "automatically_finalizes_at", "days_until_due", "default_source",
    "discounts", "due_date", "effective_at", "from_invoice", "number", "on_behalf_of", "payment_settings",
    "shipping_cost", "shipping_details", "transfer_data",
)  # fmt: skip

#: The bank asks, and nobody is there to answer.
_NOT_ANSWERED = {
    "code": "invoice_payment_intent_requires_action",
    "message": "This payment requires additional user action before it can be completed successfully.",
}


def create(call: Call) -> Json:
    """One that no renewal makes: of what waits for an invoice, if the call says so."""
    parameters = call.parameters
    customer = payers.find_living(call, parameters.required_text("customer"), "customer")
    takes = parameters.choice("pending_invoice_items_behavior", {"include", "exclude"}) == "include"
    advances = parameters.flag("auto_advance") or False
    said = {"auto_advance": advances, **_read_notes(call)}
    said["metadata"] = parameters.metadata()
    asked_currency = parameters.text("currency")
    _refuse_others(call)
    waiting = invoice_lines.waiting(call.world, customer["id"], None) if takes else []
    currency = asked_currency or next((item["currency"] for item in waiting), "usd")
    said["currency"] = check_currency(currency, "currency")
    invoice = drafts.write(call.world, said, customer, [], call.cause, takes_waiting=takes)
    return drafts.leave_open_to_changes(call.world, invoice) if advances else invoice


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def update(call: Call) -> Json:
    before, parameters = call.find(KIND, call.ids["id"]), call.parameters
    invoice = {**before, **_read_notes(call)}
    invoice["metadata"] = parameters.metadata(invoice["metadata"])
    advances = parameters.flag("auto_advance")
    _refuse_others(call)
    if advances is not None:
        invoice["auto_advance"] = advances
    records.change(call.world, before, invoice, call.cause, "invoice.updated")
    if advances and invoice["status"] == "draft":
        return drafts.leave_open_to_changes(call.world, invoice)
    return invoice


def delete(call: Call) -> Json:
    """A draft that no subscription has made."""
    call.parameters.refuse_rest()
    invoice = _in_status(call, ("draft",), "deleted")
    if invoice["parent"] is not None:
        raise StripeError("You cannot delete invoices that were created by subscription billing.", executed=True)
    call.world.store.remove(GATEWAY, KIND, invoice["id"])
    events.record(call.world, "invoice.deleted", invoice, call.cause)
    return {"id": invoice["id"], "object": KIND, "deleted": True}


def list_invoices(call: Call) -> Json:
    parameters = call.parameters
    subscription, customer = parameters.text("subscription"), parameters.text("customer")
    status = parameters.choice("status", _STATUSES)
    parameters.accept(["collection_method"])
    asked = {
        "customer": customer,
        "status": status,
        "parent.subscription_details.subscription": subscription,
    }
    matching = {name: value for name, value in asked.items() if value is not None}
    return lists.page(call, KIND, "/v1/invoices", matching=matching)


def list_lines(call: Call) -> Json:
    """All of an invoice's lines on one page."""
    call.parameters.accept(["limit", "starting_after", "ending_before"])
    call.parameters.refuse_rest()
    lines: Json = call.find(KIND, call.ids["id"])["lines"]
    return lines


def finalise(call: Call) -> Json:
    call.parameters.accept(["auto_advance"])
    call.parameters.refuse_rest()
    return invoicing.finalise(call.world, _in_status(call, ("draft",), "finalized"), call.cause)


def pay(call: Call) -> Json:
    """Now, with the method that is named or the one that would be taken by itself; a draft is finalised first."""
    parameters = call.parameters
    name, is_elsewhere = parameters.text("payment_method"), parameters.flag("paid_out_of_band")
    is_present = parameters.flag("off_session") is False
    parameters.refuse_simulation_of(["forgive", "mandate", "source"])
    parameters.refuse_rest()
    invoice = call.find(KIND, call.ids["id"])
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid", code="invoice_already_paid", executed=True)
    invoice = _in_status(call, ("draft", "open", "uncollectible"), "paid")
    if invoice["status"] == "draft":
        invoice = invoicing.finalise(call.world, invoice, call.cause)
    if invoice["status"] == "paid":
        return invoice
    if is_elsewhere:
        return invoicing.settle(call.world, invoice, call.cause, is_off_stripe=True)
    method = _method(call, invoice, name)
    refusal = collecting.attempt(call.world, invoice, method, call.cause, is_present=is_present)
    return _answer(call, invoice["id"], refusal)


def void(call: Call) -> Json:
    call.parameters.refuse_rest()
    return _moved(call, invoicing.void(call.world, _in_status(call, ("open", "uncollectible"), "voided"), call.cause))


def mark_uncollectible(call: Call) -> Json:
    call.parameters.refuse_rest()
    invoice = _in_status(call, ("open",), "marked as uncollectible")
    return _moved(call, invoicing.forgive(call.world, invoice, "user_forgiven", call.cause))


def _moved(call: Call, invoice: Json) -> Json:
    return call.find(KIND, invoice["id"])


def _answer(call: Call, invoice_id: str, refusal: Refusal | None) -> Json:
    """The invoice that is paid; a refusal is told without undoing what the attempt has left behind."""
    invoice = call.find(KIND, invoice_id)
    if invoice["status"] == "paid":
        return invoice
    intent = invoicing.intent_of(call.world, invoice)
    if refusal is not None and intent is not None:
        raise Declined(intent["last_payment_error"], {})
    if intent is not None and intent["status"] == "requires_action":
        raise Declined(_NOT_ANSWERED, {})
    return invoice


def _method(call: Call, invoice: Json, name: str | None) -> Json:
    if name is None:
        method = collecting.method_for(call.world, invoice)
    else:
        method = payment_methods.find(call, name, "payment_method")
        payment_methods.refuse_spent(call, method)
        if method["customer"] not in {None, invoice["customer"]}:
            message = f"The PaymentMethod {method['id']} does not belong to the customer of this invoice."
            raise StripeError(message, param="payment_method", executed=True)
    if method is None:
        raise StripeError(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a payment method first.",
            executed=True,
        )
    return method


def _in_status(call: Call, allowed: tuple[str, ...], verb: str) -> Json:
    invoice = call.find(KIND, call.ids["id"])
    if invoice["status"] not in allowed:
        message = f"This invoice is `{invoice['status']}` and cannot be {verb}."
        raise StripeError(message, code="invoice_not_editable", executed=True)
    return invoice


def _read_notes(call: Call) -> Json:
    parameters = call.parameters
    told: Json = {}
    for name in ("description", "statement_descriptor"):
        if name in parameters:
            told[name] = parameters.text(name)
    if "default_payment_method" in parameters:
        method = payment_methods.find(
            call, parameters.required_text("default_payment_method"), "default_payment_method"
        )
        told["default_payment_method"] = method["id"]
    return told


def _refuse_others(call: Call) -> None:
    call.parameters.accept(_ACCEPTED)
    if call.parameters.choice("collection_method", {"charge_automatically", "send_invoice"}) == "send_invoice":
        raise StripeError("The sandbox does not simulate `send_invoice`.", param="collection_method")
    call.parameters.refuse_simulation_of([*_NOT_SIMULATED, "subscription"])
    call.parameters.refuse_rest()
