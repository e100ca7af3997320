"""The shape of Stripe's refunds, at the newest version."""

from __future__ import annotations

import random

from sandbox.ids import new_id
from sandbox.store import Json


def refund(charge: Json, amount: int, said: Json, now: int) -> Json:
    """A refund that is on its way; ``said`` is what its maker said about it."""
    kind = charge["payment_method_details"]["type"]
    return {
        "id": new_id("re_3", 23),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {kind: _destination(kind), "type": kind},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending",
        "transfer_reversal": None,
        **said,
    }


def arrived(refund: Json) -> Json:
    """The same with the number under which the customer's bank finds it, where it is a card's."""
    details = refund["destination_details"]
    if details["type"] != "card":
        return refund
    digits = random.Random(refund["id"])  # noqa: S311 - nobody has to be kept from guessing it
    card = details["card"] | {
        "reference": f"{digits.randrange(10**11, 10**12)}",
        "reference_status": "available",
    }
    return {**refund, "destination_details": {**details, "card": card}}


def _destination(kind: str) -> Json:
    if kind != "card":
        return {}
    return {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
