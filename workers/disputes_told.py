"""Write what a gateway tells of a dispute: its row, its history, its movements, and what a person must know.

The caller holds the locks of the order and of the payment, and the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from uuid import UUID

from db import discrepancies, disputes, history
from db.money_back import Taken
from db.pool import Tx
from payments.dispute import OVER
from payments.disputing import Dispute, dated, merge, speaks_of_other_money
from payments.effects import EffectKind
from payments.events import DisputeTold, FraudWarned
from workers.booking import book_dispute, book_dispute_fee
from workers.money_back_effects import Owner, owe_dispute
from workers.subscription_effects import Line


async def write_dispute(
    tx: Tx, owner: Owner | None, taken: Taken, told: DisputeTold, line: Line, *, is_read: bool
) -> tuple[Dispute | None, tuple[UUID, ...]]:
    """The dispute as it is now, or None where this says nothing new; and the effects that are owed for it."""
    told = dated(told, line.at) if is_read else told
    found = await disputes.find(tx, taken.gateway, told.gateway_dispute_id)
    if found is not None and found[1] != taken.id:
        raise RuntimeError(f"dispute {told.gateway_dispute_id} is of another payment")
    known = found[2] if found else None
    now = merge(known, told, taken.amount.currency)
    if speaks_of_other_money(told, taken.amount.currency):
        await _raise_mismatch(tx, taken, told)
    if found is not None and now == known:
        return (now if await book_dispute_fee(tx, line, taken, found[0], told.fee) else None), ()
    dispute_id = await disputes.write(tx, taken, now, at=line.at)
    await _write_history(tx, dispute_id, known, now, line)
    await book_dispute(tx, line, taken, dispute_id, known, now)
    await book_dispute_fee(tx, line, taken, dispute_id, told.fee)
    return now, await owe_dispute(tx, owner, taken, dispute_id, now, _news(dispute_id, known, now), line)


async def note_warning(tx: Tx, taken: Taken, told: FraudWarned) -> None:
    """A task for a person, one per payment: to refund it now is cheaper than the dispute that is likely to come. Of
    what went back already there is nothing left to do."""
    if taken.is_wholly_refunded:
        return
    await discrepancies.open_discrepancy(
        tx,
        kind="early_fraud_warning",
        gateway=taken.gateway,
        order_id=taken.order_id,
        payment_id=taken.id,
        amount_at_risk=taken.amount.minor,
        currency=taken.amount.currency,
        evidence={
            "ours": {"standing": taken.standing.value if taken.standing else None},
            "theirs": {"payment": taken.gateway_payment_id, "warning": told.warning_id, "kind": told.kind},
        },
        proposed_action="look_and_refund",
        fingerprint=f"early_fraud_warning:{taken.id}",
    )


def _news(dispute_id: UUID, known: Dispute | None, now: Dispute) -> dict[EffectKind, str]:
    """What is told of it, each under the name by which it is told once."""
    news = {EffectKind.NOTIFY_DISPUTE_OPENED: str(dispute_id)} if known is None else {}
    if now.status in OVER and (known is None or known.status is not now.status):
        # An appeal may open it again and end in the same way: that is other news, of another second.
        news[EffectKind.NOTIFY_DISPUTE_CLOSED] = f"{dispute_id}:{now.status}:{now.told_at and now.told_at.timestamp()}"
    return news


async def _write_history(tx: Tx, dispute_id: UUID, known: Dispute | None, now: Dispute, line: Line) -> None:
    """One line for a move, for money that the bank has taken or given back, and for every other change but the second
    of its telling."""
    if known is not None and _shown(known) == _shown(now):
        return
    has_moved = known is not None and known.status is not now.status
    await history.write(
        tx,
        subject="dispute",
        subject_id=dispute_id,
        from_status=known.status.value if known is not None and has_moved else None,
        to_status=now.status.value,
        cause=line.cause,
        at=line.at,
        detail=_shown(now),
    )


def _shown(dispute: Dispute) -> dict[str, object]:
    """Without what is not known: nobody gave a reason, or no evidence is wanted."""
    told = {
        "dispute": dispute.gateway_dispute_id,
        "amount": dispute.amount.minor,
        "currency": dispute.amount.currency,
        "gatewayStatus": dispute.gateway_status,
        "withdrawn": dispute.withdrawn,
        "reinstated": dispute.returned,
        "reason": dispute.reason,
        "evidenceDueAt": dispute.evidence_due_at and dispute.evidence_due_at.isoformat(),
    }
    return {name: value for name, value in told.items() if value is not None}


async def _raise_mismatch(tx: Tx, taken: Taken, told: DisputeTold) -> None:
    told_money = [str(money) for money in (told.withdrawn, told.reinstated) if money is not None]
    await discrepancies.open_discrepancy(
        tx,
        kind="dispute_mismatch",
        gateway=taken.gateway,
        order_id=taken.order_id,
        payment_id=taken.id,
        amount_at_risk=told.amount.minor,
        currency=told.amount.currency,
        evidence={
            "ours": {"payment": taken.gateway_payment_id, "currency": taken.amount.currency},
            "theirs": {"dispute": told.gateway_dispute_id, "moved": told_money},
        },
        proposed_action="compare_with_gateway",
        fingerprint=f"dispute_mismatch:{taken.gateway}:{told.gateway_dispute_id}",
    )
