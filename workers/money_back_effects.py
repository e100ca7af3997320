"""What follows when money goes back or is disputed: to be told to its customer and the application, or asked of its
gateway.

Each effect holds what was so when it was written. Money that is nobody's is told to nobody: a person looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db import effects
from db.money_back import Taken
from db.orders import Locked
from db.pool import Tx
from db.subscriptions import Locked as Begun
from payments import effects as rules
from payments.disputing import Dispute
from payments.effects import EffectKind
from payments.money import Money
from payments.refund import RefundStatus
from workers.subscription_effects import Line


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose money it is: the order, and the subscription that it began."""

    held: Locked
    begun: Begun | None


@dataclass(frozen=True, slots=True)
class ToldRefund:
    """A refund as it is told: ``times`` is how often it had gone before, and tells apart what may happen twice."""

    id: UUID
    gateway_refund_id: str | None
    amount: Money
    status: RefundStatus
    reason: str
    failure: str | None
    times: int


REFUND_FOLLOWS = {
    RefundStatus.SUCCEEDED: (EffectKind.MAIL_REFUND_SUCCEEDED, EffectKind.NOTIFY_REFUND_SUCCEEDED),
    RefundStatus.FAILED: (EffectKind.NOTIFY_REFUND_FAILED,),
    RefundStatus.CANCELLED: (EffectKind.NOTIFY_REFUND_FAILED,),
}


async def owe_refund(tx: Tx, owner: Owner | None, taken: Taken, refund: ToldRefund, line: Line) -> tuple[UUID, ...]:
    """A refund has come to its end, or has come back from it."""
    detail = {
        "refundId": str(refund.id),
        "gatewayRefundId": refund.gateway_refund_id,
        "amount": refund.amount.minor,
        "currency": refund.amount.currency,
        "status": refund.status.value,
        "refundReason": refund.reason,
        "failure": refund.failure,
    }
    what = f"{refund.id}:{refund.times}" if refund.times else str(refund.id)
    kinds = REFUND_FOLLOWS.get(refund.status, ())
    return await _owe(tx, owner, dict.fromkeys(kinds, what), _told(owner, taken, line) | detail)


async def owe_dispute(
    tx: Tx,
    owner: Owner | None,
    taken: Taken,
    dispute_id: UUID,
    dispute: Dispute,
    kinds: Mapping[EffectKind, str],
    line: Line,
) -> tuple[UUID, ...]:
    """``kinds``: which of its news, each with what tells it apart from others of the same dispute."""
    detail = {
        "disputeId": str(dispute_id),
        "gatewayDisputeId": dispute.gateway_dispute_id,
        "amount": dispute.amount.minor,
        "currency": dispute.amount.currency,
        "status": dispute.status.value,
        "gatewayStatus": dispute.gateway_status,
        "disputeReason": dispute.reason,
        "evidenceDueAt": _iso(dispute.evidence_due_at),
        "withdrawn": dispute.withdrawn,
        "reinstated": dispute.returned,
    }
    return await _owe(tx, owner, kinds, _told(owner, taken, line) | detail)


async def owe_read(tx: Tx, owner: Owner | None, taken: Taken, why: str) -> tuple[UUID, ...]:
    """Have all that went back of this payment read at its gateway, once for this reason."""
    kind = EffectKind.GATEWAY_READ_MONEY_BACK
    owed = await effects.add(
        tx,
        kind=kind.value,
        order_id=owner.held.id if owner else None,
        idempotency_key=rules.idempotency_key(kind, str(taken.id), why),
        detail={"gateway": taken.gateway, "paymentId": str(taken.id), "gatewayPaymentId": taken.gateway_payment_id},
    )
    return (owed,) if owed else ()


async def _owe(
    tx: Tx, owner: Owner | None, kinds: Mapping[EffectKind, str], detail: Mapping[str, Any]
) -> tuple[UUID, ...]:
    if owner is None:
        return ()
    owed = [
        await effects.add(
            tx,
            kind=kind.value,
            order_id=owner.held.id,
            subscription_id=owner.begun.id if owner.begun else None,
            idempotency_key=rules.idempotency_key(kind, what),
            detail=detail,
        )
        for kind, what in kinds.items()
    ]
    return tuple(effect for effect in owed if effect is not None)


def _told(owner: Owner | None, taken: Taken, line: Line) -> dict[str, Any]:
    """Whose it is, and of which payment."""
    held, begun = (owner.held, owner.begun) if owner else (None, None)
    return {
        "orderId": held.order.id if held else None,
        "subscriptionId": str(begun.id) if begun else None,
        "userId": held.user_id if held else None,
        "planId": held.plan_id if held else None,
        "planName": held.plan_name if held else None,
        "gateway": taken.gateway,
        "paymentId": str(taken.id),
        "gatewayPaymentId": taken.gateway_payment_id,
        "at": _iso(line.at),
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None
