"""Razorpay's disputes in our words. It sends no event for their money: that ``amount_deducted`` is above 0, or the
dispute lost, means that the money was withdrawn, and is kept; that it is won, or closed without loss, that none is.

Source: razorpay.com/docs/payments/disputes and razorpay.com/docs/api/disputes/entity.
"""

from __future__ import annotations

from urllib.parse import quote

from gateways.gateway import Json
from gateways.razorpay.entities import Entities
from gateways.reading import as_money, as_text, as_time
from gateways.translating import Unreadable, needed
from payments.dispute import DisputeStatus
from payments.events import DisputeTold, PaymentNamed
from payments.money import Money

#: Razorpay's statuses in our words. One that we do not know yet decides nothing, and is shown as it is.
WORDS: dict[str, DisputeStatus] = {
    "open": DisputeStatus.NEEDS_RESPONSE,
    "action_required": DisputeStatus.NEEDS_RESPONSE,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "closed": DisputeStatus.CLOSED,
}

#: In these phases the bank only asks; what comes of it, if anything, is a chargeback.
INQUIRING = ("fraud", "retrieval")
_OPEN = frozenset({DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW})


def dashboard_url(dispute_id: str, *, livemode: bool | None) -> str:
    """Where a person answers it; in which mode, the dashboard itself asks."""
    del livemode
    return f"https://dashboard.razorpay.com/app/disputes/{quote(dispute_id, safe='')}"


def dispute_told(told: Entities) -> DisputeTold:
    """What the bank keeps is told with each status, since a verdict may turn: when it is won, nothing, however much was
    withdrawn, which Razorpay may not say any more."""
    dispute = told.dispute
    amount = needed(as_money(dispute.get("amount"), dispute.get("currency")), "dispute.amount with currency")
    word = needed(as_text(dispute.get("status")), "dispute.status")
    deducted = _read_deducted(dispute)
    is_inquiry = dispute.get("phase") in INQUIRING and deducted is None
    status = _read_status(word, deducted, is_inquiry=is_inquiry)
    withdrawn = deducted or (amount if status is DisputeStatus.LOST else None)
    has_come_back = status in (DisputeStatus.WON, DisputeStatus.CLOSED)
    return DisputeTold(
        gateway_dispute_id=needed(as_text(dispute.get("id")), "dispute.id"),
        payment=PaymentNamed(_payment_id(told)),
        amount=amount,
        status=status,
        gateway_status=word,
        told_at=None,
        reason=as_text(dispute.get("reason_code")),
        evidence_due_at=as_time(dispute.get("respond_by")),
        withdrawn=withdrawn,
        kept=withdrawn if withdrawn and not has_come_back else Money(0, amount.currency),
    )


def _read_status(word: str, deducted: Money | None, *, is_inquiry: bool) -> DisputeStatus:
    status = WORDS.get(word, DisputeStatus.UNDER_REVIEW)
    if status is DisputeStatus.CLOSED and deducted is not None:
        return DisputeStatus.LOST
    return DisputeStatus.INQUIRY if is_inquiry and status in _OPEN else status


def _read_deducted(dispute: Json) -> Money | None:
    """What was taken from us; None where nothing was, or it is not said."""
    told = dispute.get("amount_deducted")
    if told is None:
        return None
    deducted = needed(as_money(told, dispute.get("currency")), "dispute.amount_deducted with currency")
    return deducted if deducted.minor else None


def _payment_id(told: Entities) -> str:
    own, beside = as_text(told.dispute.get("payment_id")), as_text(told.payment.get("id"))
    if own is not None and beside is not None and own != beside:
        raise Unreadable("dispute.payment_id contradicts payment.id")
    return needed(own or beside, "dispute.payment_id")
