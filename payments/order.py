"""The order's rules: which moves exist, and what one event does to one order. Everything else carries this out.

The one question is asked by ``decide``: given what we hold and what the gateway says, what is the next line in the
book? Its answers are a closed list (Move, Record, Capture, Surplus, Mismatch, Held, Returned, Early, Stale); "already
done" is one of them, not an error.
"""

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
from payments.failure import Failure
from payments.invoice import TakenBack
from payments.money import Money
from payments.payment import COUNTED, Payment, PaymentStatus, Standing, taken_back


class OrderStatus(StrEnum):
    PENDING = "pending"  # nobody knows yet -> paid | failed | cancelled; recovery asks the gateway
    PAID = "paid"  # the gateway took what was owed -> refunded | disputed
    FAILED = "failed"  # the session ended after a declined attempt; late money may still pay it
    CANCELLED = "cancelled"  # the session ended untouched; late money may still pay it
    REFUNDED = "refunded"  # all that was taken went back; a failed refund returns it to paid
    DISPUTED = "disputed"  # a dispute holds or has taken the money


#: Every move an order may make. The table ``moves`` holds the same pairs and refuses the rest; a test compares.
MOVES: frozenset[tuple[OrderStatus, OrderStatus]] = frozenset(
    {
        (OrderStatus.PENDING, OrderStatus.PAID),
        (OrderStatus.PENDING, OrderStatus.FAILED),
        (OrderStatus.PENDING, OrderStatus.CANCELLED),
        (OrderStatus.FAILED, OrderStatus.PAID),
        (OrderStatus.FAILED, OrderStatus.REFUNDED),
        (OrderStatus.CANCELLED, OrderStatus.PAID),
        (OrderStatus.CANCELLED, OrderStatus.REFUNDED),
        (OrderStatus.PAID, OrderStatus.REFUNDED),
        (OrderStatus.REFUNDED, OrderStatus.PAID),
        (OrderStatus.PAID, OrderStatus.DISPUTED),
        (OrderStatus.DISPUTED, OrderStatus.PAID),
        (OrderStatus.REFUNDED, OrderStatus.DISPUTED),
        (OrderStatus.DISPUTED, OrderStatus.REFUNDED),
    }
)

#: Statuses that say: this order's money was once accepted.
SETTLED = frozenset({OrderStatus.PAID, OrderStatus.REFUNDED, OrderStatus.DISPUTED})


class LateSuccess(StrEnum):
    """What becomes of money that arrives after we gave the order up (setting ``LATE_SUCCESS``)."""

    FULFIL = "fulfil"
    REFUND = "refund"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Order:
    """An order under lock, with all that the rules may look at.

    ``page_is_open``: a hosted page of this order can be paid, or is being opened, so money is not late.
    ``is_being_captured``: we have already set out to take a payment of this order.
    ``replaced``: the same user has meanwhile paid for, or has open, another checkout of the same plan.
    ``begins_subscription``: its session's word pays it, and its payment is told later, by the first invoice.
    """

    id: str
    status: OrderStatus
    expected: Money
    payments: tuple[Payment, ...] = ()
    session_id: str | None = None
    payment_intent_id: str | None = None
    attempt_failed: bool = False
    page_is_open: bool = False
    is_being_captured: bool = False
    replaced: bool = False
    begins_subscription: bool = False

    def payment(self, gateway_payment_id: str | None) -> Payment | None:
        return next((p for p in self.payments if p.gateway_payment_id == gateway_payment_id), None)

    @property
    def has_unreviewed_money(self) -> bool:
        """Money was taken that does not count until a person accepts it."""
        uncounted = (p for p in self.payments if p.standing in (Standing.MISMATCHED, Standing.HELD))
        return any(not p.is_wholly_refunded for p in uncounted)


@dataclass(frozen=True, slots=True)
class Move:
    """The order changes its status; ``failure`` is what to show where it ended badly."""

    to: OrderStatus
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """Something worth writing down, and no move: a declined attempt, a payment on its way."""

    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """The bank has promised exactly what is owed, and nobody has taken it: we do."""

    payment_id: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Surplus:
    """Money beyond what was owed. It is recorded, grants nothing, and a person decides."""

    paid: Money


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The money is not what was owed. It is recorded, moves nothing, and a person decides."""

    expected: Money
    paid: Money


@dataclass(frozen=True, slots=True)
class Held:
    """The right money, after we gave up, under the policy ``hold``: recorded, and a person decides."""

    paid: Money


@dataclass(frozen=True, slots=True)
class Returned:
    """The right money, after we gave up, under the policy ``refund``: recorded, and sent back."""

    paid: Money


@dataclass(frozen=True, slots=True)
class Early:
    """What this event builds on has not reached us. It comes back later."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stale:
    """Already so, or overtaken. Nothing to do, and nothing wrong."""

    reason: str


Outcome = Move | Record | Capture | Surplus | Mismatch | Held | Returned | Early | Stale


def decide(order: Order, event: OrderEvent, late_success: LateSuccess = LateSuccess.FULFIL) -> Outcome:
    """What this event means for this order. The caller holds the order's lock and writes what we answer."""
    match event:
        case PaymentSucceeded():
            return _decide_success(order, event, late_success)
        case PaymentPending() | PaymentCancelled():
            return _decide_progress(order, event)
        case PaymentAuthorised():
            return _decide_authorisation(order, event, late_success)
        case PaymentFailed():
            return _decide_failure(order, event)
        case CheckoutEnded():
            return _decide_end(order, event)


def _decide_success(order: Order, event: PaymentSucceeded, late_success: LateSuccess) -> Outcome:
    known = order.payment(event.payment_id)
    settled = order.status in SETTLED

    if known is not None and known.status is PaymentStatus.SUCCEEDED:
        # One payment is told by several event types; the second telling must not look like second money.
        return Stale("this payment is already recorded") if known.amount == event.paid else _differs(known, event)
    if settled and event.payment_id in (None, order.payment_intent_id):
        return Stale("the order is already paid")
    if event.payment_id is None and event.paid.minor > 0 and not order.begins_subscription:
        return Early("the gateway has not named the payment yet")
    if settled:
        return _decide_further_money(order, event, late_success)
    if event.paid != order.expected:
        return Mismatch(order.expected, event.paid)
    if not _is_late(order):
        return Move(OrderStatus.PAID)
    return _decide_late_money(order, event.paid, late_success)


def _decide_late_money(order: Order, paid: Money, late_success: LateSuccess) -> Outcome:
    """What has begun a subscription is not sent back by itself: its gateway would bill the next period all the same."""
    if late_success is LateSuccess.REFUND and paid.minor > 0 and not order.begins_subscription:
        return Returned(paid)
    if late_success is not LateSuccess.FULFIL or order.replaced:
        return Held(paid)
    return Move(OrderStatus.PAID)


def _decide_further_money(order: Order, event: PaymentSucceeded, late_success: LateSuccess) -> Outcome:
    standings = {payment.standing for payment in order.payments}
    was_named = Standing.ACCEPTED in standings
    if not was_named and Standing.RETURNED in standings and late_success is LateSuccess.REFUND:
        # What was given up, and is settled only because its late money went back, is given up still.
        return Returned(event.paid) if event.paid == order.expected else Mismatch(order.expected, event.paid)
    if was_named or not order.begins_subscription:
        return Surplus(event.paid)
    if event.paid != order.expected:
        return Mismatch(order.expected, event.paid)
    return Stale("the session has told of this money, before it had a name")


def _differs(known: Payment, event: PaymentSucceeded) -> Mismatch:
    """The same payment told again with other figures: refused, and raised."""
    return Mismatch(known.amount, event.paid)


def _decide_progress(order: Order, event: PaymentPending | PaymentAuthorised | PaymentCancelled) -> Outcome:
    known = order.payment(event.payment_id)
    if known is not None and known.status is PaymentStatus.SUCCEEDED:
        # Razorpay's payment.authorized is the snapshot at authorisation, sent even when the capture came first.
        return Stale("this payment has already succeeded")
    return Record()


def _decide_authorisation(order: Order, event: PaymentAuthorised, late_success: LateSuccess) -> Outcome:
    progress = _decide_progress(order, event)
    if isinstance(progress, Stale) or order.is_being_captured or not wants_capture(order, event.amount, late_success):
        return progress
    return Capture(event.payment_id, event.amount)


def wants_capture(order: Order, promised: Money, late_success: LateSuccess) -> bool:
    """Whether promised money is to be taken. What nobody captures lapses, and costs nobody anything: in every doubt it
    is left to. Asked when the promise is told, and again at the moment of the call."""
    if promised != order.expected or order.status in SETTLED or order.has_unreviewed_money:
        return False
    if order.begins_subscription:
        # What is promised there is a mandate's token, or its gateway takes it by itself.
        return False
    return not _is_late(order) or (late_success is LateSuccess.FULFIL and not order.replaced)


def _is_late(order: Order) -> bool:
    """We have given the order up, and no page of it can be paid."""
    return order.status is not OrderStatus.PENDING and not order.page_is_open


def _decide_failure(order: Order, event: PaymentFailed) -> Outcome:
    if order.status is OrderStatus.CANCELLED or (order.status is OrderStatus.FAILED and order.page_is_open):
        # The end of the session overtook the news of why, or this is an attempt on a page of an order that failed
        # before. The order stays as it is, and says why.
        return Record(event.failure)
    if order.status is not OrderStatus.PENDING:
        return Stale(f"the order is {order.status}")
    if event.final and not order.has_unreviewed_money:
        return Move(OrderStatus.FAILED, event.failure)
    return Record(event.failure)


def _decide_end(order: Order, event: CheckoutEnded) -> Outcome:
    if order.status is not OrderStatus.PENDING:
        return Stale(f"the order is {order.status}")
    if order.session_id is not None and order.session_id != event.session_id:
        return Stale("another session of this order is the open one")
    if order.has_unreviewed_money:
        return Stale("money was taken and waits for a person")
    return Move(OrderStatus.FAILED if order.attempt_failed else OrderStatus.CANCELLED)


# --- money that goes back ---


@dataclass(frozen=True, slots=True)
class Settled:
    """How an order stands by all that its payments, refunds and disputes say. ``refunded`` is in its own currency."""

    status: OrderStatus
    refunded: Money


def settle(order: Order) -> Settled:
    """The status of an order whose money was once accepted, always found anew from its payments and never by a step
    from what it was: whichever of two news comes first, the end is the same."""
    return Settled(_settled_status(order), Money(_refunded(order), order.expected.currency))


def _refunded(order: Order) -> int:
    """What has gone back of this order, in minor units. What was taken beyond its price never was its own: where that
    goes back, it is no refund of the order."""
    mine = [p for p in order.payments if p.amount.currency == order.expected.currency]
    counted = [p for p in mine if p.standing in COUNTED]
    beyond = max(0, sum(p.amount.minor for p in counted) - order.expected.minor)
    by_policy = sum(p.refunded for p in mine if p.standing is Standing.RETURNED)
    return max(0, sum(p.refunded for p in counted) - beyond) + by_policy


def _settled_status(order: Order) -> OrderStatus:
    if order.status not in SETTLED:
        returned = [p for p in order.payments if p.standing is Standing.RETURNED]
        is_over = order.status is not OrderStatus.PENDING
        return OrderStatus.REFUNDED if is_over and any(p.is_wholly_refunded for p in returned) else order.status
    if not any(p.standing is Standing.ACCEPTED for p in order.payments):
        # Nothing was due, or its payment has no name yet, or it went back by policy: nothing here speaks of it.
        return order.status
    match taken_back(order.payments):
        case TakenBack.DISPUTED:
            return OrderStatus.DISPUTED
        case TakenBack.REFUNDED:
            return OrderStatus.REFUNDED
        case None:
            return OrderStatus.PAID
