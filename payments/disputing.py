"""What a gateway's word of a dispute makes of the row that we hold of it.

Tellings come in any order, twice, and several within one second. Each field follows a rule under which their order is
of no matter: the status is that of the latest second, by rank in a tie. What the money did is the most ever told; where
only the status tells it, what is kept goes with the status, and a verdict that turns takes the money with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from payments.dispute import RANK, DisputeStatus
from payments.events import DisputeTold, Observed
from payments.money import Money


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute as we hold it. ``withdrawn``, ``reinstated`` and ``kept`` are minor units of its payment's currency.

    ``kept`` is what the bank has by the telling whose status this is; None: what was told of the money adds up.
    """

    gateway_dispute_id: str
    amount: Money
    status: DisputeStatus
    gateway_status: str
    told_at: datetime | None
    reason: str | None = None
    evidence_due_at: datetime | None = None
    withdrawn: int = 0
    reinstated: int = 0
    kept: int | None = None

    @property
    def returned(self) -> int:
        """What came back: never what was not withdrawn, whatever is told."""
        return min(self.withdrawn, self.reinstated)

    @property
    def holds(self) -> bool:
        """It has the money of its payment, or has taken it for good. A verdict for us brings it back; an end without a
        verdict does not by itself."""
        if self.status is DisputeStatus.WON:
            return False
        is_untold = self.status is DisputeStatus.LOST and not self.withdrawn
        return is_untold or self.withdrawn > self.reinstated


def merge(known: Dispute | None, told: DisputeTold, currency: str) -> Dispute:
    """The row after this telling; the same row where it says nothing new. ``currency`` is the payment's: of money in
    another nothing is added up."""
    described = _described(told, currency)
    after = described if known is None or _is_newer(known, described) else known
    withdrawn = max(known.withdrawn if known else 0, _minor(told.withdrawn, currency))
    reinstated = max(known.reinstated if known else 0, _minor(told.reinstated, currency))
    return replace(
        after,
        told_at=after.told_at or (known.told_at if known else None),
        withdrawn=withdrawn,
        reinstated=reinstated if after.kept is None else max(0, withdrawn - after.kept),
    )


def ask_at(observed: Observed, at: datetime) -> Observed:
    """What was read, with the second at which it was asked: all that was told before it is older."""
    match observed.event:
        case DisputeTold(told_at=None) as told:
            return replace(observed, event=dated(told, at))
        case _:
            return observed


def dated(told: DisputeTold, at: datetime) -> DisputeTold:
    """A read, ordered by when it was asked. In whole seconds, as gateways tell theirs: within one, rank decides."""
    return replace(told, told_at=at.astimezone(UTC).replace(microsecond=0)) if told.told_at is None else told


def speaks_of_other_money(told: DisputeTold, currency: str) -> bool:
    return any(money and money.currency != currency for money in (told.withdrawn, told.reinstated, told.kept))


def _described(told: DisputeTold, currency: str) -> Dispute:
    return Dispute(
        told.gateway_dispute_id,
        told.amount,
        told.status,
        told.gateway_status,
        told.told_at,
        told.reason,
        told.evidence_due_at,
        kept=None if told.kept is None else _minor(told.kept, currency),
    )


def _is_newer(known: Dispute, told: Dispute) -> bool:
    """By its second; without one on either side by rank alone. Of two that are alike in both, any fixed choice."""
    if known.told_at is None or told.told_at is None:
        return RANK[told.status] >= RANK[known.status]
    return (told.told_at, *_place(told)) >= (known.told_at, *_place(known))


def _place(dispute: Dispute) -> tuple[int, str, int, int, float, str]:
    due = dispute.evidence_due_at
    return (
        RANK[dispute.status],
        dispute.gateway_status,
        dispute.kept or 0,
        dispute.amount.minor,
        due.timestamp() if due else 0.0,
        dispute.reason or "",
    )


def _minor(money: Money | None, currency: str) -> int:
    return money.minor if money is not None and money.currency == currency else 0
