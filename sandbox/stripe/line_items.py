"""The lines of a Checkout Session: a price of the catalogue, or one that the line brings along, so many times."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import catalogue
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, missing
from sandbox.stripe.money import check_amount
from sandbox.stripe.parameters import Parameters

LINES_MAX = 100
QUANTITY_MAX = 999_999


def read(call: Call, lines: list[Parameters], mode: str) -> list[Json]:
    """The lines that a session asks for, as they will be shown."""
    if not lines:
        raise missing("line_items")
    if len(lines) > LINES_MAX:
        raise StripeError(f"You may have up to {LINES_MAX} line items.", param="line_items")
    items = [_line_item(call, line) for line in lines]
    recurring = [item for item in items if item["price"]["recurring"] is not None]
    if mode == "payment" and recurring:
        raise StripeError(
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use"
            " only one-time prices.",
            param="line_items",
        )
    if mode == "subscription" and not recurring:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise StripeError(message, param="line_items")
    return items


def _line_item(call: Call, line: Parameters) -> Json:
    price_id, price_data = line.text("price"), line.level("price_data")
    quantity = line.integer("quantity")
    line.accept(["adjustable_quantity", "metadata", "tax_rates"])
    line.refuse_rest()
    if (price_id is None) == (price_data is None):
        raise missing(line.name("price"))
    if quantity is None:
        raise missing(line.name("quantity"))
    if not 1 <= quantity <= QUANTITY_MAX:
        message = f"This value must be between 1 and {QUANTITY_MAX}."
        raise StripeError(message, code="parameter_invalid_integer", param=line.name("quantity"))
    if price_data is not None:
        price = catalogue.one_off(call, price_data)
    else:
        price = catalogue.find_active_price(call, price_id or "", line.name("price"))
    product = call.find("product", price["product"], line.name("price"))
    amount = price["unit_amount"] * quantity
    check_amount(amount, price["currency"], line.name("quantity"))
    return {
        "id": new_id("li_1", 23),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product["name"],
        "price": price,
        "quantity": quantity,
    }


def one_currency(items: list[Json], asked: str | None) -> str:
    """The currency of all lines."""
    currencies = {item["currency"] for item in items} | ({asked.lower()} if asked else set())
    if len(currencies) > 1:
        raise StripeError("All prices of a Checkout Session must have the same currency.", param="line_items")
    return str(currencies.pop())


def as_list(session_id: str, items: list[Json]) -> Json:
    """All of a session's lines, on one page."""
    url = f"/v1/checkout/sessions/{session_id}/line_items"
    return {"object": "list", "data": items, "has_more": False, "url": url}
