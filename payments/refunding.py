"""What a gateway's word of a refund means for the refunds that we hold of the same payment.

The one question is asked by ``follow``. Its answers are a closed list (Begin, Advance, Differs, Exceeds, Early, Stale);
"already so" is one of them. Whoever began the refund, and in whichever order its news come, the rows end the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from payments.events import RefundTold
from payments.money import Money
from payments.order import Early, Stale
from payments.refund import MOVES, RefundStatus

#: Its money is ours, or has come back to us.
CAME_TO_NOTHING = frozenset({RefundStatus.FAILED, RefundStatus.CANCELLED})

#: These a gateway counts in the running total of a payment.
AT_THE_GATEWAY = frozenset({RefundStatus.PENDING, RefundStatus.SUCCEEDED})


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as we hold it. ``id`` is ours; ``gateway_refund_id`` is None until the gateway has said it."""

    id: str
    amount: Money
    status: RefundStatus
    gateway_refund_id: str | None = None

    @property
    def weighs(self) -> bool:
        """Its money has gone back, or is on its way, or is asked for."""
        return self.status not in CAME_TO_NOTHING


@dataclass(frozen=True, slots=True)
class Begin:
    """A refund that we did not know. ``giving_way`` are ours, asked of nobody yet, for which nothing is left.

    ``status`` is how far it has come.
    """

    status: RefundStatus
    giving_way: tuple[Refund, ...] = ()


@dataclass(frozen=True, slots=True)
class Advance:
    """Ours has come so far. Where ``status`` is what it had, the gateway has only given it a name."""

    refund: Refund
    status: RefundStatus
    giving_way: tuple[Refund, ...] = ()


@dataclass(frozen=True, slots=True)
class Differs:
    """The gateway tells another amount or currency than we hold: it is refused, and raised."""

    ours: Money
    theirs: Money


@dataclass(frozen=True, slots=True)
class Exceeds:
    """With it, more would have gone back than was taken: it is refused, and raised."""

    left: Money
    theirs: Money


Outcome = Begin | Advance | Differs | Exceeds | Early | Stale


def follow(told: RefundTold, taken: Money, refunds: tuple[Refund, ...]) -> Outcome:
    """What this telling means. ``taken`` is what the payment has taken, ``refunds`` are all of it, oldest first; the
    caller holds the payment's lock and writes what we answer."""
    if told.amount.currency != taken.currency:
        return Differs(taken, told.amount)
    known = find(told, refunds)
    if known is None:
        return _make_room(Begin(told.status), told, taken, refunds)
    if known.amount != told.amount:
        return Differs(known.amount, told.amount)
    if may_move(known, told.status):
        return _make_room(Advance(known, told.status), told, taken, tuple(each for each in refunds if each != known))
    if known.gateway_refund_id is None:
        return Advance(known, known.status)
    return Stale(f"the refund is {known.status}")


def find(told: RefundTold, refunds: tuple[Refund, ...]) -> Refund | None:
    """Ours, where it names one of this payment and amount that has no other name yet; or the one of that name."""
    by_name = next((each for each in refunds if each.gateway_refund_id == told.gateway_refund_id), None)
    if by_name is not None:
        return by_name
    return next(
        (
            each
            for each in refunds
            if each.id == told.refund_id and each.amount == told.amount and each.gateway_refund_id is None
        ),
        None,
    )


def may_move(refund: Refund, to: RefundStatus) -> bool:
    """Only ever forwards. Out of its end leads a way for what was refused, as we took it, and was made all the same."""
    was_named = refund.gateway_refund_id is not None
    return (refund.status, to) in MOVES and not (refund.status in CAME_TO_NOTHING and was_named)


def _make_room(
    made: Begin | Advance, told: RefundTold, taken: Money, others: tuple[Refund, ...]
) -> Begin | Advance | Exceeds | Early:
    """What was asked of nobody yet gives way to what the gateway has done, the newest first."""
    left = Money(taken.minor - sum(each.amount.minor for each in others if each.weighs), taken.currency)
    if made.status in CAME_TO_NOTHING:
        return made
    giving_way: list[Refund] = []
    room = left.minor
    for each in reversed(others):
        if room < told.amount.minor and each.status is RefundStatus.REQUESTED:
            giving_way.append(each)
            room += each.amount.minor
    if room >= told.amount.minor:
        return replace(made, giving_way=tuple(giving_way))
    if any(each.status is RefundStatus.SENT and each.gateway_refund_id is None for each in others):
        return Early("a refund of ours is on its way, and may be this one")
    return Exceeds(left, told.amount)


def told_in_all(refunds: tuple[Refund, ...], currency: str) -> Money:
    """What has gone back or is on its way, as a gateway adds it up: of what we have only asked for it knows nothing."""
    known = (each.amount.minor for each in refunds if each.status in AT_THE_GATEWAY)
    return Money(sum(known), currency)
