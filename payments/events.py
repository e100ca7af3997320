"""What can happen to an order and its subscription, in our words. Gateways translate into these; the rules read nothing
else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from payments.failure import Failure
from payments.invoice import InvoiceSighting
from payments.money import Money
from payments.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PaymentSucceeded:
    """The gateway says that the money was taken.

    ``payment_id`` is None where nothing was due (a fully discounted session), or where the gateway has not named the
    payment yet. ``paid`` is what the gateway says it took, never what we hoped for.
    """

    payment_id: str | None
    paid: Money


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


OrderEvent = PaymentSucceeded | PaymentPending | PaymentAuthorised | PaymentFailed | PaymentCancelled | CheckoutEnded


Event = OrderEvent | SubscriptionTold


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
