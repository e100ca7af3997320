"""How an order stands, in the words of the API: what its owner may know, and the way forward where it failed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from db.own_orders import OwnOrder
from payments.failure import REMEDIES, FailureCode
from payments.order import OrderStatus

#: A failure is shown while it can be mended. What was paid in the end did not fail.
SHOWS_FAILURE = frozenset({OrderStatus.PENDING, OrderStatus.FAILED, OrderStatus.CANCELLED})


def order_id_of(text: str) -> UUID | None:
    """None for what was never an id of ours, whatever else Python may read as a UUID."""
    try:
        order_id = UUID(text)
    except ValueError:
        return None
    return order_id if str(order_id) == text.lower() else None


def describe(order: OwnOrder) -> dict[str, Any]:
    """The order as ``GET /order-status`` gives it; what is not known is left out."""
    told: dict[str, Any] = {
        "orderId": str(order.id),
        "status": shown_status(order),
        "amount": order.amount,
        "amountRefunded": order.amount_refunded,
        "currency": order.currency,
    }
    if order.paid_at is not None:
        told["paidAt"] = order.paid_at.isoformat()
    code = failure_of(order)
    if code is not None:
        remedy = REMEDIES[code]
        told["failure"] = {"code": code.value, "message": remedy.message, "action": remedy.action.value}
    return told


def shown_status(order: OwnOrder) -> str:
    """An order that failed, or was given up, and has a new page that can be paid is pending to whoever is to pay it."""
    if order.page_is_open and order.status in (OrderStatus.FAILED, OrderStatus.CANCELLED):
        return OrderStatus.PENDING.value
    return order.status


def failure_of(order: OwnOrder) -> FailureCode | None:
    """Unknown goes first: while a page may exist that nobody has seen, "try again" could be advice to pay twice."""
    if order.status not in SHOWS_FAILURE:
        return None
    if order.outcome_unknown:
        return FailureCode.UNKNOWN
    if order.failure_reason is None:
        return None
    if order.page_is_open and order.failure_reason == FailureCode.GATEWAY_ERROR:
        # That was the page before, which the gateway would not make; this one it has made.
        return None
    try:
        return FailureCode(order.failure_reason)
    except ValueError:
        # Written by another hand than ours.
        return FailureCode.GATEWAY_ERROR
