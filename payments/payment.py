"""One gateway payment: how far its money has come, and whether it counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from payments.events import (
    CheckoutEnded,
    DisputeTold,
    Event,
    FraudWarned,
    OrderEvent,
    PaymentAuthorised,
    PaymentCancelled,
    PaymentFailed,
    PaymentPending,
    PaymentSucceeded,
    PayoutTold,
    RefundsTotalled,
    RefundTold,
    SubscriptionTold,
)
from payments.invoice import InvoiceStatus, TakenBack
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
    RETURNED = "returned"  # came after we gave up, and goes back by policy


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
    """A payment as we have recorded it.

    ``standing`` is None until its money was taken. ``refunded``: so much of it has gone back, in minor units of its
    currency. ``is_disputed``: a dispute holds its money, or has taken it for good.
    """

    gateway_payment_id: str
    amount: Money
    status: PaymentStatus
    standing: Standing | None = None
    refunded: int = 0
    is_disputed: bool = False

    @property
    def is_wholly_refunded(self) -> bool:
        return self.refunded == self.amount.minor > 0


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


#: These took money for their order or invoice; what a person has not accepted is none of its money.
COUNTED = frozenset({Standing.ACCEPTED, Standing.SURPLUS})


def taken_back(payments: Iterable[Payment]) -> TakenBack | None:
    """Whether all the money that counts is gone, and how."""
    return next(iter(ways_taken_back(payments)), None)


def ways_taken_back(payments: Iterable[Payment]) -> tuple[TakenBack, ...]:
    """All that holds of money that is gone, the weightier first: what was refunded may be disputed too. Nothing where
    some of it is here, nor where it has no accepted payment: nothing was due, or its payment has no name yet."""
    counted = [payment for payment in payments if payment.standing in COUNTED]
    if not any(payment.standing is Standing.ACCEPTED for payment in counted):
        return ()
    if any(not payment.is_disputed and not payment.is_wholly_refunded for payment in counted):
        return ()
    holds = {
        TakenBack.DISPUTED: any(payment.is_disputed for payment in counted),
        TakenBack.REFUNDED: any(payment.is_wholly_refunded for payment in counted),
    }
    return tuple(how for how, is_so in holds.items() if is_so)


def payment_told(event: Event) -> Sighting | None:
    """The payment whose money an event tells of: an order's, or the one that took an invoice's."""
    match event:
        case SubscriptionTold(invoice=invoice):
            paid = invoice.payment if invoice else None
            return Sighting(paid.gateway_payment_id, paid.paid, PaymentStatus.SUCCEEDED) if paid else None
        case RefundTold() | RefundsTotalled() | DisputeTold() | FraudWarned() | PayoutTold():
            return None
        case _:
            return sighted(event)


def invoiced(event: Event) -> Money | None:
    """The money that an invoice has taken, also where nobody names its payment."""
    invoice = event.invoice if isinstance(event, SubscriptionTold) else None
    return invoice.paid if invoice and invoice.status is InvoiceStatus.PAID and invoice.paid.minor else None


def advance(known: PaymentStatus, told: PaymentStatus) -> PaymentStatus:
    """The later of the two, by how far the money has come and never by anybody's clock."""
    return told if RANK[told] > RANK[known] else known
