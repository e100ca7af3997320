"""What somebody does with a payment in Razorpay's dashboard: which one is meant, and its refunds."""

from __future__ import annotations

from sandbox.razorpay import invoices, lifecycle, orders, payment_links, refunding, refunds
from sandbox.razorpay.calls import GATEWAY
from sandbox.refund_endings import Course
from sandbox.store import Json
from sandbox.world import World

#: An order rarely sees more attempts than this.
_ATTEMPTS_MAX = 1000


def find_payment(world: World, named: str) -> Json | None:
    """The payment that took the money: by its own id, a link's, an order's, an invoice's or a subscription's."""
    payment = world.store.find(GATEWAY, "payment", named)
    if payment is not None:
        return payment
    invoice = world.store.find(GATEWAY, invoices.KIND, named) or _paid_invoice(world, named)
    if invoice is not None:
        return world.store.find(GATEWAY, "payment", invoice["payment_id"] or "")
    link = world.store.find(GATEWAY, payment_links.KIND, named) or {}
    order = world.store.find(GATEWAY, orders.KIND, link.get("order_id") or named)
    if order is None:
        return None
    attempts = world.store.newest(GATEWAY, "payment", limit=_ATTEMPTS_MAX, matching={"order_id": order["id"]})
    return next((attempt for attempt in attempts if attempt["captured"]), None)


def refund(world: World, payment: Json, amount: int | None, course: Course | None) -> Json:
    """Raises ``RazorpayError`` where a call would be refused, too."""
    refunds.refuse(world, payment, amount, "normal")
    left = refunding.refundable(payment)
    return refunding.make(world, payment, left if amount is None else amount, {}, course)


def find_refund(world: World, refund_id: str) -> Json | None:
    return world.store.find(GATEWAY, refunding.KIND, refund_id)


def _paid_invoice(world: World, subscription_id: str) -> Json | None:
    """The newest of a subscription's invoices that has been paid."""
    if world.store.find(GATEWAY, lifecycle.KIND, subscription_id) is None:
        return None
    matching = {"subscription_id": subscription_id, "status": "paid"}
    found = world.store.newest(GATEWAY, invoices.KIND, limit=1, matching=matching)
    return found[0] if found else None
