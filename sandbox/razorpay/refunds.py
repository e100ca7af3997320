"""Refunds by calls: made, noted, read. What becomes of one is told in ``refunding``."""

from __future__ import annotations

from sandbox.razorpay import disputing, refund_keys, refunding
from sandbox.razorpay.calls import Call, collection, keep
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.refunding import KIND
from sandbox.store import Json
from sandbox.world import World

SPEEDS = ("normal", "optimum")
RECEIPT_MAX = 40
AMOUNT_MIN = 100
#: Most banks take back no payment that is older, unless at once (razorpay.com/docs/payments/refunds/errors).
REFUNDABLE_SECONDS = 183 * 24 * 3600


def create(call: Call) -> Json:
    """Of the payment in the address. Under a key that has made a refund, the answer is that refund."""
    payment_id, key = call.ids["id"], call.refund_key
    if key is None:
        return _create(call, payment_id)
    mark = refund_keys.fingerprint(payment_id, call.fields.everything())
    known = refund_keys.recall(call.world, key, mark)
    if known is None:
        known = _create(call, payment_id)
        refund_keys.remember(call.world, key, mark, known)
    return known


def create_of_named(call: Call) -> Json:
    """Of the payment in the body."""
    payment_id = call.fields.text("payment_id")
    if payment_id is None:
        raise invalid("The payment id field is required.", "payment_id")
    return _create(call, payment_id)


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def fetch_of_payment(call: Call) -> Json:
    refund = call.find(KIND, call.ids["refund"])
    if refund["payment_id"] != call.ids["id"]:
        raise invalid("The id provided does not exist")
    return refund


def edit(call: Call) -> Json:
    """Its notes, and nothing else."""
    refund = call.find(KIND, call.ids["id"])
    call.fields.refuse_extra({"notes"})
    refund["notes"] = call.fields.notes() or []
    return keep(call.world, KIND, refund)


def list_refunds(call: Call) -> Json:
    return collection(call, KIND)


def list_of_payment(call: Call) -> Json:
    payment = call.find("payment", call.ids["id"])
    return collection(call, KIND, {"payment_id": payment["id"]})


def refuse(world: World, payment: Json, amount: int | None, speed: str) -> None:
    """Raises where so much, or without an amount anything, cannot be given back of this payment."""
    left = refunding.refundable(payment)
    if payment["status"] == "refunded":
        raise invalid("The payment has been fully refunded already")
    if payment["status"] != "captured":
        raise invalid("The payment status should be captured for action to be taken")
    if disputing.holds(world, payment):
        raise invalid("The refund on this payment is blocked due to ongoing dispute investigation")
    if amount is not None and amount > payment["amount"]:
        raise invalid("The refund amount provided is greater than amount captured", "amount")
    if amount is not None and amount > left:
        raise invalid("The total refund amount is greater than the refund payment amount", "amount")
    if speed == "normal" and payment["created_at"] + REFUNDABLE_SECONDS < world.clock.now():
        raise invalid("Payment is more than 6 months old, only instant refund is supported")


def _create(call: Call, payment_id: str) -> Json:
    fields, payment = call.fields, call.find("payment", payment_id)
    fields.refuse_extra({"amount", "speed", "notes", "receipt", "payment_id"})
    amount, speed = fields.integer("amount", lowest=1), fields.text("speed") or "normal"
    if speed not in SPEEDS:
        raise invalid("The speed must be normal or optimum.", "speed")
    if amount is not None and amount < AMOUNT_MIN:
        raise invalid(f"The amount must be atleast {payment['currency']} 1.00", "amount")
    refuse(call.world, payment, amount, speed)
    said: Json = {
        "notes": fields.notes() or [],
        "receipt": fields.text("receipt", limit=RECEIPT_MAX),
        "speed_requested": speed,
    }
    left = refunding.refundable(payment)
    return refunding.make(call.world, payment, left if amount is None else amount, said)
