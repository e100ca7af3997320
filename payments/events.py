"""What can happen to an order and its subscription, in our words. Gateways translate into these; the rules read nothing
else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from payments.dispute import DisputeStatus
from payments.failure import Failure
from payments.invoice import InvoiceSighting
from payments.money import Money
from payments.refund import RefundReason, RefundStatus
from payments.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PaymentSucceeded:
    """The gateway says that the money was taken.

    ``payment_id`` is None where nothing was due (a fully discounted session), or where the gateway has not named the
    payment yet. ``paid`` is what the gateway says it took, never what we hoped for. ``fee`` is what it keeps
    of that; None: it does not say.
    """

    payment_id: str | None
    paid: Money
    fee: Money | None = None


@dataclass(frozen=True, slots=True)
class PaymentPending:
    """The customer has done their part, the money is on its way (bank debits and other delayed methods)."""

    payment_id: str | None
    amount: Money


@dataclass(frozen=True, slots=True)
class PaymentAuthorised:
    """The bank has promised the money; nobody has taken it. Lapses when it is not captured."""

    payment_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class PaymentFailed:
    """An attempt was declined. While the session is open the customer may try again: not the end of the order.

    ``final`` is True where the session is over too, as when a delayed method fails after checkout was completed.
    """

    payment_id: str | None
    amount: Money | None
    failure: Failure
    final: bool = False


@dataclass(frozen=True, slots=True)
class PaymentCancelled:
    """The gateway gave this payment up. Its session's own end, not this, closes the order."""

    payment_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class CheckoutEnded:
    """The hosted page expired or was cancelled at the gateway: nobody can pay through it any more."""

    session_id: str


@dataclass(frozen=True, slots=True)
class UpcomingInvoice:
    """The gateway will bill this much then, and says so beforehand. There is no invoice yet, and so no id."""

    due: Money
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionTold:
    """What one telling says of a subscription: how it is, one of its invoices, what is about to happen; or some of it.

    ``told_at`` is the gateway's own second of it. None: it does not say, and only a read of the object can order it.
    ``trial_ends``: told only to say that the trial is about to end.
    """

    told_at: datetime | None
    snapshot: Snapshot | None = None
    invoice: InvoiceSighting | None = None
    upcoming: UpcomingInvoice | None = None
    trial_ends: bool = False


@dataclass(frozen=True, slots=True)
class PaymentNamed:
    """Whose money goes back: the payment as the gateway names it, or only the charge that took it (Stripe of old)."""

    gateway_payment_id: str | None
    charge_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefundTold:
    """How far one refund has come, whoever asked for it.

    ``refund_id`` claims to be ours and may be of any shape; None where it did not begin here. ``failure`` is the
    gateway's own word for why it failed. ``refunded_in_all`` is the gateway's running total of the payment, the refunds
    on their way included: a check against our sum, never a sum to book.
    """

    gateway_refund_id: str
    payment: PaymentNamed
    amount: Money
    status: RefundStatus
    reason: RefundReason = RefundReason.OTHER
    refund_id: str | None = None
    failure: str | None = None
    refunded_in_all: Money | None = None


@dataclass(frozen=True, slots=True)
class RefundsTotalled:
    """The gateway's running total of what went back of a payment, or is on its way, without saying by which refunds."""

    payment: PaymentNamed
    refunded_in_all: Money


@dataclass(frozen=True, slots=True)
class DisputeTold:
    """How one dispute stands, and what its money has done so far.

    ``gateway_status`` is the gateway's own word, for people. ``withdrawn`` and ``reinstated`` are all that ever was, in
    the payment's currency; None: this telling does not say. ``kept`` is told by a gateway without events for the money:
    how much of it the bank has now. ``told_at`` is the gateway's second of it, or that at which it was asked; None: it
    does not say.
    """

    gateway_dispute_id: str
    payment: PaymentNamed
    amount: Money
    status: DisputeStatus
    gateway_status: str
    told_at: datetime | None
    reason: str | None = None
    evidence_due_at: datetime | None = None
    withdrawn: Money | None = None
    reinstated: Money | None = None
    kept: Money | None = None
    fee: Money | None = None


@dataclass(frozen=True, slots=True)
class FraudWarned:
    """A card network takes a payment for fraud, before anybody has disputed it. No money moves."""

    warning_id: str
    payment: PaymentNamed
    kind: str | None


@dataclass(frozen=True, slots=True)
class PayoutTold:
    """What the gateway pays out to our bank: its own business and nobody's order's.

    ``minor`` is signed: below 0 it takes money back. ``has_failed``: it came back, also after it was told as paid.
    """

    gateway_payout_id: str
    minor: int
    currency: str
    is_paid: bool
    has_failed: bool
    arrives_at: datetime | None


OrderEvent = PaymentSucceeded | PaymentPending | PaymentAuthorised | PaymentFailed | PaymentCancelled | CheckoutEnded


#: What is told of money that an order has taken, and may go back.
MoneyBack = RefundTold | RefundsTotalled | DisputeTold | FraudWarned


Event = OrderEvent | SubscriptionTold | MoneyBack | PayoutTold


@dataclass(frozen=True, slots=True)
class References:
    """All that an event says about whose money this is; nothing here has been looked up yet.

    ``order_ids`` claim to be our order's id and may be of any shape: another application may use the same field.
    ``objects`` are the gateway's own ids (session, payment link, gateway order, payment), most telling first.
    ``subscription_id`` is that of the subscription, where an event that does not describe it names it.
    """

    order_ids: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    instance: str | None = None
    session_id: str | None = None
    subscription_id: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """One fact about one order, or about the subscription that it began, as a gateway told it: the only thing that
    ``apply`` takes, whoever brings it."""

    gateway: str
    references: References
    event: Event
