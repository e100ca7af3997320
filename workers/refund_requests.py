"""Ask for a refund: decided under the lock of its payment, and a row with its errand before anybody is asked.

The application, an operator and a policy of ours all come through here. What is written here is sent by
``workers.refunds``, from another process and after the commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from db import effects, history, refunds
from db.history import Cause
from db.ids import new_id
from db.pool import Tx
from db.refunds import Held, Refund
from payments import effects as rules
from payments.effects import EffectKind
from payments.money import Money
from payments.refund import (
    Already,
    DisputeOpen,
    Granted,
    NothingToRefund,
    OverRefund,
    RefundReason,
    decide_request,
)

#: Who asks back money that came after we gave its order up (``LATE_SUCCESS``).
LATE_MONEY = "policy:late_success"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants back, and who that is. ``amount`` None: all that is left.

    ``asked_by``: api:<caller>, operator:<name>, policy:<which>. ``asked_key`` is their own name for the wish: by it a
    repeat finds what the first one made. ``note`` is an operator's words.
    """

    amount: int | None
    reason: RefundReason
    asked_by: str
    asked_key: str | None = None
    note: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """The refund, written now or before. ``effect`` sends it, and wants a hint; None: it was there already."""

    refund: Refund
    effect: UUID | None = None


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The caller gave this name to another wish."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Nothing is left of what paid the order; of these other payments of it there is. Each is named by itself."""

    payments: tuple[str, ...]


Answer = Asked | KeyReused | OverRefund | DisputeOpen | NothingToRefund | Elsewhere


async def ask_for_order(tx: Tx, order_id: UUID, wish: Wish, cause: Cause, at: datetime) -> Answer:
    """Of the payment that paid the order, which must exist. Not of what came beside it: that is named by itself."""
    accepted = await refunds.lock_order(tx, order_id)
    answer = await ask_for_payment(tx, accepted, wish, cause, at) if accepted else NothingToRefund()
    if isinstance(answer, NothingToRefund) and (others := await refunds.find_others_left(tx, order_id)):
        return Elsewhere(others)
    return answer


async def ask_for_payment(tx: Tx, payment_id: UUID, wish: Wish, cause: Cause, at: datetime) -> Answer:
    """The payment must exist. ``at`` is business time."""
    held = await refunds.lock_payment(tx, payment_id)
    if wish.asked_key is not None:
        known = await refunds.find_asked(tx, wish.asked_by, wish.asked_key)
        if known is not None:
            return Asked(known) if _is_the_same(known, payment_id, wish) else KeyReused()
    match decide_request(held.money, wish.amount, may_repeat=wish.asked_key is None):
        case Granted(amount=amount):
            return await _write(tx, held, wish, amount, cause, at)
        case Already(refund_id=refund_id):
            return Asked(await _find(tx, UUID(refund_id)))
        case refused:
            return refused


def _is_the_same(known: Refund, payment_id: UUID, wish: Wish) -> bool:
    return known.payment_id == payment_id and wish.amount in (None, known.amount) and known.reason_code is wish.reason


async def _write(tx: Tx, held: Held, wish: Wish, amount: Money, cause: Cause, at: datetime) -> Asked | KeyReused:
    refund_id = new_id()
    is_placed = await refunds.place(
        tx,
        refund_id=refund_id,
        held=held,
        amount=amount,
        reason=wish.reason,
        asked_by=wish.asked_by,
        asked_key=wish.asked_key,
        note=wish.note,
        idempotency_key=gateway_key(refund_id),
        at=at,
    )
    if not is_placed:
        # Of another payment, in the same moment: whoever asks of this one waits for its lock, and finds the first.
        return KeyReused()
    refund = await _find(tx, refund_id)
    await history.write(
        tx,
        subject="refund",
        subject_id=refund_id,
        from_status=None,
        to_status=refund.status.value,
        cause=cause,
        at=at,
        detail={
            "payment": held.gateway_payment_id,
            "amount": amount.minor,
            "currency": amount.currency,
            "reason": wish.reason.value,
            "askedBy": wish.asked_by,
        },
    )
    return Asked(refund, await _owe_call(tx, refund))


def gateway_key(refund_id: UUID) -> str:
    """The same for every repeat of one refund. Letters, digits and hyphens: Razorpay takes nothing else."""
    return f"refund-{refund_id}"


async def _owe_call(tx: Tx, refund: Refund) -> UUID | None:
    kind = EffectKind.GATEWAY_REFUND_PAYMENT
    return await effects.add(
        tx,
        kind=kind.value,
        order_id=refund.order_id,
        idempotency_key=rules.idempotency_key(kind, str(refund.id)),
        detail={
            "refundId": str(refund.id),
            "gateway": refund.gateway,
            "paymentId": refund.gateway_payment_id,
            "amount": refund.amount,
            "currency": refund.currency,
        },
    )


async def _find(tx: Tx, refund_id: UUID) -> Refund:
    refund = await refunds.find(tx, refund_id)
    assert refund is not None, "it was read, or written, under the same lock"
    return refund
