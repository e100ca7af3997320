"""Invoices of subscriptions: issued with an order of their own, and paid through it, or left as they are.

issued -> paid      one that is never paid stays issued, whatever becomes of its subscription
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.ids import new_id
from sandbox.razorpay import events, orders
from sandbox.razorpay.calls import GATEWAY, Call, collection, keep
from sandbox.store import Json
from sandbox.world import World

KIND = "invoice"


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that an invoice asks for; ``kind`` is ``plan`` or ``addon``."""

    name: str
    unit_amount: int
    quantity: int = 1
    kind: str = "plan"

    @property
    def amount(self) -> int:
        return self.unit_amount * self.quantity


def issue(world: World, subscription: Json, lines: list[Line], currency: str) -> Json:
    """An invoice that waits for its money. A subscription hands its notes down to neither invoice nor order."""
    amount, now = sum(line.amount for line in lines), world.clock.now()
    invoice_id = new_id("inv_", 14)
    invoice: Json = {
        "id": invoice_id,
        "entity": KIND,
        "receipt": None,
        "invoice_number": None,
        "customer_id": subscription["customer_id"],
        "customer_details": _customer_details(world, subscription["customer_id"]),
        "order_id": orders.open_order(world, amount, currency, None, {})["id"],
        "subscription_id": subscription["id"],
        "line_items": [_line_item(line, currency) for line in lines],
        "payment_id": None,
        "status": "issued",
        "expire_by": None,
        "issued_at": now,
        "paid_at": None,
        "cancelled_at": None,
        "expired_at": None,
        "sms_status": None,
        "email_status": None,
        "date": now,
        "terms": None,
        "partial_payment": False,
        "gross_amount": amount,
        "tax_amount": 0,
        "taxable_amount": amount,
        "amount": amount,
        "amount_paid": 0,
        "amount_due": amount,
        "currency": currency,
        "currency_symbol": "₹" if currency == "INR" else currency,
        "description": None,
        "notes": [],
        "comment": None,
        "short_url": subscription["short_url"],
        "view_less": True,
        "billing_start": None,
        "billing_end": None,
        "type": KIND,
        "group_taxes_discounts": False,
        "created_at": now,
        "idempotency_key": None,
    }
    return keep(world, KIND, invoice)


def settle(world: World, invoice: Json, payment: Json) -> Json:
    """The invoice is paid, by a payment that has been captured; told with its order, as Razorpay does."""
    order = world.store.find(GATEWAY, orders.KIND, invoice["order_id"])
    assert order is not None, "an invoice is issued with an order"
    invoice |= {
        "status": "paid",
        "payment_id": payment["id"],
        "paid_at": world.clock.now(),
        "amount_paid": payment["amount"],
        "amount_due": invoice["amount"] - payment["amount"],
        "customer_id": payment.get("customer_id"),
        "customer_details": _customer_details(world, payment.get("customer_id")),
    }
    keep(world, KIND, invoice)
    told = {name: value for name, value in invoice.items() if name != "line_items"}
    events.record(world, "invoice.paid", payment=payment, order=order, invoice=told)
    return invoice


def fetch(call: Call) -> Json:
    return call.find(KIND, call.ids["id"])


def list_invoices(call: Call) -> Json:
    subscription_id = call.fields.text("subscription_id")
    return collection(call, KIND, {} if subscription_id is None else {"subscription_id": subscription_id})


def find(world: World, invoice_id: str | None) -> Json | None:
    return None if invoice_id is None else world.store.find(GATEWAY, KIND, invoice_id)


def of_order(world: World, order_id: str) -> Json | None:
    """The invoice that this order was opened for, if it was for one."""
    found = world.store.newest(GATEWAY, KIND, limit=1, matching={"order_id": order_id})
    return found[0] if found else None


def _customer_details(world: World, customer_id: str | None) -> Json:
    customer = world.store.find(GATEWAY, "customer", customer_id) if customer_id else None
    known = {name: (customer or {}).get(name) for name in ("name", "email", "contact", "gstin")}
    return {
        "id": customer_id,
        **known,
        "billing_address": None,
        "shipping_address": None,
        "customer_name": known["name"],
        "customer_email": known["email"],
        "customer_contact": known["contact"],
    }


def _line_item(line: Line, currency: str) -> Json:
    return {
        "id": new_id("li_", 14),
        "item_id": None,
        "ref_id": None,
        "ref_type": None,
        "name": line.name,
        "description": None,
        "amount": line.amount,
        "unit_amount": line.unit_amount,
        "gross_amount": line.amount,
        "tax_amount": 0,
        "taxable_amount": line.amount,
        "net_amount": line.amount,
        "currency": currency,
        "type": line.kind,
        "tax_inclusive": False,
        "hsn_code": None,
        "sac_code": None,
        "tax_rate": None,
        "unit": None,
        "quantity": line.quantity,
        "taxes": [],
    }
