"""Things that wait for a customer's next invoice, made and read by calls; prorations are made by themselves."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import drafts, events, invoice_shapes, invoicing, lists, payers, standing
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, missing
from sandbox.stripe.invoice_lines import KIND
from sandbox.stripe.money import check_amount, check_currency

_NOT_SIMULATED = ("discounts", "price_data", "pricing", "quantity_decimal", "tax_rates", "unit_amount_decimal")


def create(call: Call) -> Json:
    parameters, world = call.parameters, call.world
    customer = payers.find_living(call, parameters.required_text("customer"), "customer")
    amount, currency = parameters.integer("amount"), parameters.text("currency")
    invoice_id, subscription_id = parameters.text("invoice"), parameters.text("subscription")
    said = {"description": parameters.text("description"), "metadata": parameters.metadata()}
    parameters.accept(["discountable", "period", "quantity", "tax_behavior", "tax_code"])
    parameters.refuse_simulation_of(_NOT_SIMULATED)
    parameters.refuse_rest()
    if amount is None:
        raise missing("amount")
    currency = check_currency(currency or "usd", "currency")
    check_amount(abs(amount), currency, "amount")
    if subscription_id is not None:
        call.find(standing.KIND, subscription_id, "subscription")
    item = invoice_shapes.invoice_item(
        {
            "amount": amount,
            "currency": currency,
            "customer": customer["id"],
            "invoice": invoice_id,
            "parent": invoice_shapes.item_parent(subscription_id, None),
            **said,
        },
        world.clock.now(),
    )
    call.keep(KIND, item)
    events.record(world, "invoiceitem.created", item, call.cause)
    if invoice_id is not None:
        _add_to_draft(call, invoice_id, item)
    return item


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def list_items(call: Call) -> Json:
    parameters = call.parameters
    asked = {name: parameters.text(name) for name in ("customer", "invoice")}
    is_pending = parameters.flag("pending")
    matching = {name: value for name, value in asked.items() if value is not None}

    def keep(item: Json) -> bool:
        return is_pending is None or is_pending == (item["invoice"] is None)

    return lists.page(call, KIND, "/v1/invoiceitems", matching=matching, keep=keep)


def delete(call: Call) -> Json:
    """Only what still waits can be taken back."""
    call.parameters.refuse_rest()
    item = call.find(KIND, call.ids["id"])
    if item["invoice"] is not None:
        raise StripeError("You can only delete invoice items that are not attached to an invoice.", executed=True)
    call.world.store.remove("stripe", KIND, item["id"])
    events.record(call.world, "invoiceitem.deleted", {**item, "deleted": True}, call.cause)
    return {"id": item["id"], "object": KIND, "deleted": True}


def _add_to_draft(call: Call, invoice_id: str, item: Json) -> None:
    invoice = call.find(invoicing.KIND, invoice_id, "invoice")
    if invoice["status"] != "draft":
        raise StripeError("You can only add invoice items to a draft invoice.", param="invoice", executed=True)
    customer = payers.find_living(call, invoice["customer"], "customer")
    lines = [*invoice["lines"]["data"], invoice_shapes.item_line(item)]
    call.keep(invoicing.KIND, drafts.add_up(invoice, customer, lines))
