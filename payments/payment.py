"""One gateway payment: how far its money has come, and whether it counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from payments.events import (
    CheckoutEnded,
    OrderEvent,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
)
from payments.money import Money


class PaymentStatus(StrEnum):
    PENDING = "pending"  # the customer is done, the bank is not -> failed | authorised | succeeded
    FAILED = "failed"  # this attempt was declined -> authorised | succeeded (Razorpay authorises late)
    CANCELLED = "cancelled"  # given up at the gateway -> authorised | succeeded
    AUTHORISED = "authorised"  # promised, not taken -> succeeded, or lapses
    SUCCEEDED = "succeeded"  # taken; refunds and disputes are rows of their own


class Standing(StrEnum):
    """Whether a succeeded payment counts for its order."""

    ACCEPTED = "accepted"  # it paid the order
    SURPLUS = "surplus"  # real money beyond what was owed; counted, grants nothing
    MISMATCHED = "mismatched"  # not what was owed: does not count until a person accepts it
    HELD = "held"  # came after we gave up: does not count until a person accepts it


#: How far each status has come. A payment only ever advances: gateways repeat themselves, out of order, and two
#: events of one second cannot be ordered by their time.
RANK: dict[PaymentStatus, int] = {
    PaymentStatus.PENDING: 0,
    PaymentStatus.FAILED: 1,
    PaymentStatus.CANCELLED: 1,
    PaymentStatus.AUTHORISED: 2,
    PaymentStatus.SUCCEEDED: 3,
}


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment as we have recorded it. ``standing`` is None until its money was taken."""

    gateway_payment_id: str
    amount: Money
    status: PaymentStatus
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What an event says of a payment: enough to record or to advance its row."""

    gateway_payment_id: str
    amount: Money
    status: PaymentStatus


def sighted(event: OrderEvent) -> Sighting | None:
    """The payment that an event speaks of, or None where it names none (or gives no amount to record)."""
    match event:
        case PaymentSucceeded(payment_id=str() as payment_id, paid=paid):
            return Sighting(payment_id, paid, PaymentStatus.SUCCEEDED)
        case PaymentPending(payment_id=str() as payment_id, amount=amount):
            return Sighting(payment_id, amount, PaymentStatus.PENDING)
        case PaymentAuthorised(payment_id=payment_id, amount=amount):
            return Sighting(payment_id, amount, PaymentStatus.AUTHORISED)
        case PaymentFailed(payment_id=str() as payment_id, amount=Money() as amount):
            return Sighting(payment_id, amount, PaymentStatus.FAILED)
        case PaymentCancelled(payment_id=payment_id, amount=amount):
            return Sighting(payment_id, amount, PaymentStatus.CANCELLED)
        case PaymentSucceeded() | PaymentPending() | PaymentFailed() | CheckoutEnded():
            return None


def advance(known: PaymentStatus, told: PaymentStatus) -> PaymentStatus:
    """The later of the two, by how far the money has come and never by anybody's clock."""
    return told if RANK[told] > RANK[known] else known
