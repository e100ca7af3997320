"""Stripe's disputes in our words, and its early fraud warnings.

What the money did, ``balance_transactions`` says, in every API shape since 2014: those below 0 were withdrawn, those
above 0 reinstated. They are in the currency that the account settles in; where that is another, each stands for the
disputed amount in its own. A dispute without any is believed as to its stage, and its events' types say the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from gateways.gateway import Json
from gateways.reading import as_money, as_object, as_signed, as_text, as_time
from gateways.stripe.refunds import the_payment
from gateways.translating import confirm, needed
from payments.dispute import DisputeStatus
from payments.events import DisputeTold, FraudWarned
from payments.money import Money

#: How Stripe's statuses end (docs.stripe.com/api/disputes/object, ``status``), those of appeals and of inquiries too.
#: The words are not all known: there were seven in 2024, eight in 2025, and ten in 2026.
ENDINGS: dict[str, DisputeStatus] = {
    "needs_response": DisputeStatus.NEEDS_RESPONSE,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "closed": DisputeStatus.CLOSED,
    "prevented": DisputeStatus.CLOSED,
    "refunded": DisputeStatus.CLOSED,
}

#: An inquiry, which may become a dispute.
INQUIRY = "warning_"

#: In these, no money is said to have moved.
_HARMLESS = frozenset({DisputeStatus.INQUIRY, DisputeStatus.CLOSED})


@dataclass(frozen=True, slots=True)
class _Moved:
    """What its money did; None: the dispute does not say."""

    withdrawn: Money | None = None
    reinstated: Money | None = None
    fee: Money | None = None


def dashboard_url(dispute_id: str, *, livemode: bool | None) -> str:
    """Where a person answers it."""
    mode = "test/" if livemode is False else ""
    return f"https://dashboard.stripe.com/{mode}disputes/{quote(dispute_id, safe='')}"


def dispute_told(dispute: Json) -> DisputeTold:
    confirm(dispute, "object", "dispute")
    amount = needed(as_money(dispute.get("amount"), dispute.get("currency")), "amount with currency")
    word = needed(as_text(dispute.get("status")), "status")
    moved = _read_moved(dispute, amount)
    status = _judge(read_status(word), moved)
    is_taken = status is DisputeStatus.LOST and moved.withdrawn is None
    evidence = as_object(dispute.get("evidence_details"))
    return DisputeTold(
        gateway_dispute_id=needed(as_text(dispute.get("id")), "id"),
        payment=the_payment(dispute),
        amount=amount,
        status=status,
        gateway_status=word,
        told_at=None,
        reason=as_text(dispute.get("reason")),
        evidence_due_at=as_time(evidence.get("due_by")) or as_time(dispute.get("evidence_due_by")),
        withdrawn=amount if is_taken else moved.withdrawn,
        reinstated=moved.reinstated,
        fee=moved.fee,
    )


def funds_withdrawn(dispute: Json) -> DisputeTold:
    """Where the dispute does not say what its money did, the event does."""
    match dispute_told(dispute):
        case DisputeTold(withdrawn=None) as told if told.status not in _HARMLESS:
            return replace(told, withdrawn=told.amount)
        case told:
            return told


def funds_reinstated(dispute: Json) -> DisputeTold:
    match dispute_told(dispute):
        case DisputeTold(reinstated=None) as told if told.status not in _HARMLESS:
            return replace(told, withdrawn=told.withdrawn or told.amount, reinstated=told.amount)
        case told:
            return told


def fraud_warned(warning: Json) -> FraudWarned:
    kind = as_text(warning.get("fraud_type"))
    return FraudWarned(needed(as_text(warning.get("id")), "id"), the_payment(warning), kind)


def read_status(word: str) -> DisputeStatus:
    """A word of tomorrow by its form; one of no form that we know is somebody's to look at, and decides nothing."""
    status = next((status for ending, status in ENDINGS.items() if word.endswith(ending)), DisputeStatus.UNDER_REVIEW)
    is_inquiry = word.startswith(INQUIRY) and status is not DisputeStatus.CLOSED
    return DisputeStatus.INQUIRY if is_inquiry else status


def _judge(status: DisputeStatus, moved: _Moved) -> DisputeStatus:
    """One that is over without a verdict, and has kept the money, was lost: so are some that Stripe prevents."""
    kept = moved.withdrawn.minor - moved.reinstated.minor if moved.withdrawn and moved.reinstated else 0
    return DisputeStatus.LOST if status is DisputeStatus.CLOSED and kept > 0 else status


def _read_moved(dispute: Json, amount: Money) -> _Moved:
    told = dispute.get("balance_transactions")
    transactions = [as_object(each) for each in told] if isinstance(told, list) else []
    if not transactions:
        return _Moved()
    withdrawn = [each for each in transactions if _signed(each) < 0]
    reinstated = [each for each in transactions if _signed(each) > 0]
    return _Moved(_sum(withdrawn, amount), _sum(reinstated, amount), _fee(withdrawn))


def _sum(transactions: Sequence[Json], disputed: Money) -> Money:
    is_converted = any(each.get("currency") != disputed.currency for each in transactions)
    moved = (disputed.minor if is_converted else abs(_signed(each)) for each in transactions)
    return needed(as_money(sum(moved), disputed.currency), "balance_transactions.amount")


def _signed(transaction: Json) -> int:
    told = as_signed(transaction.get("amount"), transaction.get("currency"))
    return needed(told, "balance_transactions.amount with currency")[0]


def _fee(withdrawn: Sequence[Json]) -> Money | None:
    """In the currency that it is kept in."""
    fees = [fee for each in withdrawn if (fee := as_money(each.get("fee"), each.get("currency"))) and fee.minor]
    return as_money(sum(fee.minor for fee in fees), fees[0].currency) if fees else None
