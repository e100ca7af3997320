"""One refund: how far it has come, what may be asked for, and what a gateway's word of it means.

One row per refund of the gateway, whoever began it: the application, an operator, a policy of ours, or somebody in the
gateway's dashboard. A refund only ever advances, by how far its money has come and never by anybody's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from payments.money import Money


class RefundStatus(StrEnum):
    REQUESTED = "requested"  # written down, and asked of nobody yet -> sent | cancelled
    SENT = (
        "sent"  # asked of the gateway, which has not said what came of it -> pending | succeeded | failed | cancelled
    )
    PENDING = "pending"  # the gateway has it in hand -> succeeded | failed | cancelled
    SUCCEEDED = "succeeded"  # the money went back -> failed (banks return it, weeks later)
    FAILED = "failed"  # refused, or came back: the money is ours again
    CANCELLED = "cancelled"  # given up before any money moved


class RefundReason(StrEnum):
    """Why the money goes back; each gateway has its own words for the first three."""

    REQUESTED_BY_CUSTOMER = "requested_by_customer"
    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    OTHER = "other"


#: Every move a refund may make. The table ``moves`` holds the same pairs and refuses the rest; a test compares.
#: Out of ``failed`` leads a way only for what we took for refused and the gateway has made all the same.
MOVES: frozenset[tuple[RefundStatus, RefundStatus]] = frozenset(
    {
        (RefundStatus.REQUESTED, RefundStatus.SENT),
        (RefundStatus.REQUESTED, RefundStatus.PENDING),
        (RefundStatus.REQUESTED, RefundStatus.SUCCEEDED),
        (RefundStatus.REQUESTED, RefundStatus.FAILED),
        (RefundStatus.REQUESTED, RefundStatus.CANCELLED),
        (RefundStatus.SENT, RefundStatus.PENDING),
        (RefundStatus.SENT, RefundStatus.SUCCEEDED),
        (RefundStatus.SENT, RefundStatus.FAILED),
        (RefundStatus.SENT, RefundStatus.CANCELLED),
        (RefundStatus.PENDING, RefundStatus.SUCCEEDED),
        (RefundStatus.PENDING, RefundStatus.FAILED),
        (RefundStatus.PENDING, RefundStatus.CANCELLED),
        (RefundStatus.SUCCEEDED, RefundStatus.FAILED),
        (RefundStatus.SUCCEEDED, RefundStatus.CANCELLED),
        (RefundStatus.FAILED, RefundStatus.PENDING),
        (RefundStatus.FAILED, RefundStatus.SUCCEEDED),
        (RefundStatus.CANCELLED, RefundStatus.PENDING),
        (RefundStatus.CANCELLED, RefundStatus.SUCCEEDED),
    }
)

#: Its money is on its way back, or may be: it cannot be asked for a second time.
UNDER_WAY = frozenset({RefundStatus.REQUESTED, RefundStatus.SENT, RefundStatus.PENDING})


# --- what may be asked for ---


@dataclass(frozen=True, slots=True)
class Earlier:
    """A refund of the same payment that is there already. ``is_ours``: it began here, and not at the gateway."""

    id: str
    amount: Money
    status: RefundStatus
    is_ours: bool = True

    @property
    def counts(self) -> bool:
        """Its money is gone, or on its way."""
        return self.status is RefundStatus.SUCCEEDED or self.status in UNDER_WAY


@dataclass(frozen=True, slots=True)
class Refundable:
    """A payment of which something is asked back, under lock, with all that the rules may look at.

    ``was_taken``: its money is ours, so that there is something to give back. ``is_disputed``: a dispute holds it.
    ``earlier`` are its refunds, oldest first.
    """

    amount: Money
    was_taken: bool
    is_disputed: bool = False
    earlier: tuple[Earlier, ...] = ()

    @property
    def remaining(self) -> Money:
        """What has neither gone back nor been asked back."""
        gone = sum(refund.amount.minor for refund in self.earlier if refund.counts)
        return Money(max(self.amount.minor - gone, 0) if self.was_taken else 0, self.amount.currency)


@dataclass(frozen=True, slots=True)
class Granted:
    """It may be asked of the gateway."""

    amount: Money


@dataclass(frozen=True, slots=True)
class Already:
    """All of it goes back already, by this refund: the same wish again."""

    refund_id: str


@dataclass(frozen=True, slots=True)
class OverRefund:
    """More than there is left to give back."""

    remaining: Money


@dataclass(frozen=True, slots=True)
class DisputeOpen:
    """The bank holds the money: a refund would give it back twice."""


@dataclass(frozen=True, slots=True)
class NothingToRefund:
    """No money was taken, or all of it went back by somebody else's doing."""


Request = Granted | Already | OverRefund | DisputeOpen | NothingToRefund


def decide_request(payment: Refundable, wanted: int | None, *, may_repeat: bool = False) -> Request:
    """Whether so many minor units may go back; None: all that is left. The caller holds the payment's lock.

    ``may_repeat``: who asks has no name for the request, so that it may be one that was made before.
    """
    remaining = payment.remaining
    if wanted is None and may_repeat and remaining.minor == 0:
        again = next((refund for refund in reversed(payment.earlier) if refund.is_ours and refund.counts), None)
        if again is not None:
            return Already(again.id)
    if payment.is_disputed:
        return DisputeOpen()
    if not payment.was_taken or (wanted is None and remaining.minor == 0):
        return NothingToRefund()
    if wanted is None:
        return Granted(remaining)
    if wanted > remaining.minor:
        return OverRefund(remaining)
    return Granted(Money(wanted, remaining.currency))


def is_still_wanted(payment: Refundable) -> bool:
    """Asked once more at the moment of the call: a dispute may hold the money meanwhile."""
    return payment.was_taken and not payment.is_disputed
