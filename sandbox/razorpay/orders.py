"""Orders: what is to be paid, and how much of it has been. A receipt finds an order again; it need not be unique."""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay.calls import GATEWAY, Call, as_collection, collection, keep
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.money import AMOUNT_MAX, AMOUNT_MIN, check_currency, check_last_digit
from sandbox.store import Json
from sandbox.world import World

KIND = "order"
RECEIPT_MAX = 40
#: An order rarely sees more attempts than this; the API gives them all at once.
ATTEMPTS_MAX = 1000


def create(call: Call) -> Json:
    fields = call.fields
    amount = fields.integer("amount", lowest=AMOUNT_MIN, highest=AMOUNT_MAX)
    currency = fields.text("currency")
    if amount is None:
        raise invalid("The amount field is required.", "amount")
    if currency is None:
        raise invalid("The currency field is required.", "currency")
    check_last_digit(amount, check_currency(currency))
    receipt, notes = fields.text("receipt", limit=RECEIPT_MAX), fields.notes()
    if fields.flag("partial_payment"):
        raise invalid("The sandbox does not simulate partial payments.", "partial_payment")
    return open_order(call.world, amount, currency, receipt, notes)


def open_order(world: World, amount: int, currency: str, receipt: str | None, notes: dict[str, str]) -> Json:
    """An order that nobody has paid yet."""
    order: Json = {
        "id": new_id("order_", 14),
        "entity": KIND,
        "amount": amount,
        "amount_paid": 0,
        "amount_due": amount,
        "currency": currency,
        "receipt": receipt,
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": notes or [],
        "created_at": world.clock.now(),
    }
    return keep(world, KIND, order)


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_orders(call: Call) -> Json:
    receipt = call.fields.text("receipt")
    return collection(call, KIND, {} if receipt is None else {"receipt": receipt})


def list_payments(call: Call) -> Json:
    """Every attempt to pay this order, the newest first."""
    order = call.find(KIND, call.ids["id"])
    attempts = call.world.store.newest(GATEWAY, "payment", limit=ATTEMPTS_MAX, matching={"order_id": order["id"]})
    return as_collection(attempts)
