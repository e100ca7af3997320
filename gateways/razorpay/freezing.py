"""Requests to Razorpay, whole, before anybody sends them: a Payment Link for exactly our price, or a Subscription to
one of its plans; neither tells anybody."""

from __future__ import annotations

from gateways.amounts import has_odd_thousandths
from gateways.client import Recurring, Refusal, Refused, SessionOrder
from gateways.gateway import Json
from payments.money import Money

#: In the currency's smallest unit. Source: Razorpay docs, "Create a Standard Payment Link".
AMOUNT_MIN = 100

#: Razorpay's limit; an order's id leaves room for three digits more.
REFERENCE_LENGTH_MAX = 40

#: Every subscription at Razorpay has an end: 28 years of cycles. A hundred years are allowed, but a mandate of UPI
#: Autopay ends within 30, of which a trial may take two, and the page offers only what fits.
CYCLES: dict[str, int] = {"month": 28 * 12, "year": 28}


def freeze(order: SessionOrder) -> Json | Refused:
    """The body of a Payment Link, or of a Subscription, which has a hosted page itself. Neither has a page for a
    customer who turns back: ``cancel_url`` is not used."""
    if unfit := _refuse_amount(order.recurring.price if order.recurring else order.expected):
        return unfit
    return _subscription(order, order.recurring) if order.recurring else _payment_link(order)


def _payment_link(order: SessionOrder) -> Json | Refused:
    """The reference is unique at Razorpay for ever, and stands in for the idempotency key that it does not have."""
    reference = order.order_id if order.attempt == 1 else f"{order.order_id}-{order.attempt}"
    if len(reference) > REFERENCE_LENGTH_MAX:
        return Refused(Refusal.INVALID, "too many sessions of one order: Razorpay has no room for another reference")
    return {
        "amount": order.expected.minor,
        "currency": order.expected.currency.upper(),
        "accept_partial": False,
        "description": order.description or order.plan_name,
        "reference_id": reference,
        "expire_by": int(order.expires_at.timestamp()),
        "notes": {"order_id": order.order_id, "plan_id": order.plan_id, "counterfoil": order.instance_id},
        "callback_url": order.success_url,
        "callback_method": "get",
        "notify": {"sms": False, "email": False},
        "reminder_enable": False,
        **({"customer": {"email": order.email}} if order.email else {}),
    }


def _subscription(order: SessionOrder, recurring: Recurring) -> Json:
    """It is found again by its notes and its expiry, in which two attempts at one order differ. A trial is a start that
    lies ahead: until then the customer has only given a mandate."""
    return {
        "plan_id": recurring.price_id,
        "total_count": CYCLES[recurring.interval],
        "quantity": 1,
        "customer_notify": 0,
        "expire_by": int(order.expires_at.timestamp()),
        "notes": {
            "order_id": order.order_id,
            "subscription_id": recurring.subscription_id,
            "plan_id": order.plan_id,
            "counterfoil": order.instance_id,
        },
        **({"start_at": int(recurring.trial_ends_at.timestamp())} if recurring.trial_ends_at else {}),
    }


def _refuse_amount(expected: Money) -> Refused | None:
    if expected.minor < AMOUNT_MIN:
        return Refused(Refusal.AMOUNT, f"{expected}: Razorpay takes {AMOUNT_MIN} of the smallest unit at least")
    if has_odd_thousandths("razorpay", expected):
        return Refused(Refusal.AMOUNT, f"{expected}: Razorpay wants the last of three decimals to be 0")
    return None
