"""Write what a gateway tells of a refund: its row, its history, its movement, and what a person must know.

The caller holds the locks of the order and of the payment, and the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from uuid import UUID

from db import discrepancies, history, money_back, movements
from db.money_back import Taken
from db.pool import Tx
from payments.events import RefundTold
from payments.money import Money
from payments.order import Early, Stale
from payments.payment import Standing
from payments.refund import RefundReason, RefundStatus
from payments.refunding import CAME_TO_NOTHING, Advance, Begin, Differs, Exceeds, Refund, follow, told_in_all
from workers.booking import book_refund, book_refund_reversal
from workers.money_back_effects import Owner, ToldRefund, owe_read, owe_refund
from workers.subscription_effects import Line

OVERTAKEN = "overtaken: when its turn came, less was left of its payment than was asked for"

#: What nobody has to decide any more once all of a payment's money went back.
DECIDED_BY_REFUND = (
    "duplicate_payment",
    "late_success",
    "amount_mismatch",
    "currency_mismatch",
    "early_fraud_warning",
)

#: And what its customer waits for no more. Of one that fails, another discrepancy tells.
HEALED_BY_REFUND = (*DECIDED_BY_REFUND, "refund_failed")


async def write_refund(
    tx: Tx, owner: Owner | None, taken: Taken, told: RefundTold, line: Line
) -> tuple[Begin | Advance | Differs | Exceeds | Early | Stale, tuple[UUID, ...]]:
    """What this telling did, and the effects that are owed for it."""
    outcome = follow(told, taken.amount, taken.refunds)
    owed: tuple[UUID, ...] = ()
    match outcome:
        case Begin(giving_way=giving_way):
            owed = await _give_way(tx, owner, taken, giving_way, line)
            refund_id = await money_back.begin(tx, taken, told, at=line.at)
            owed += await _tell(tx, owner, taken, refund_id, None, told, line)
        case Advance(refund=refund, status=to, giving_way=giving_way):
            owed = await _give_way(tx, owner, taken, giving_way, line)
            await money_back.advance(
                tx, refund, to, at=line.at, gateway_refund_id=told.gateway_refund_id, failure=told.failure
            )
            if to is not refund.status:
                owed += await _tell(tx, owner, taken, UUID(refund.id), refund.status, told, line)
        case Differs(ours=ours) | Exceeds(left=ours):
            await _raise_mismatch(tx, taken, told, ours)
            return outcome, await owe_read(
                tx, owner, taken, f"mismatch:{told.gateway_refund_id}:{await _as_it_stands(tx, taken)}"
            )
        case Early() | Stale():
            return outcome, ()
    await discrepancies.cure(tx, _mismatch(taken, told))
    await _review(tx, taken, await money_back.read(tx, taken.id))
    return outcome, owed


async def check_total(
    tx: Tx, owner: Owner | None, payment_id: UUID, in_all: Money, *, is_read: bool
) -> tuple[bool, tuple[UUID, ...]]:
    """Whether the gateway's running total is the sum of ours. Where it is not, the gateway is asked for each refund;
    where that did not help, a person is told."""
    taken = await money_back.read(tx, payment_id)
    ours = told_in_all(taken.refunds, taken.amount.currency)
    if ours == in_all:
        await discrepancies.cure_about_payment(tx, payment_id, ("refund_total_mismatch",))
        return True, ()
    if not is_read:
        return False, await owe_read(tx, owner, taken, f"total:{in_all.minor}:{await _as_it_stands(tx, taken)}")
    await _raise_total(tx, taken, ours, in_all)
    return False, ()


async def _as_it_stands(tx: Tx, taken: Taken) -> str:
    """What the payment's refunds had come to: what is told once more of another state is another reason to read."""
    ours = told_in_all(taken.refunds, taken.amount.currency)
    return f"{ours.minor}:{await movements.times_given_back(tx, taken.id)}"


async def end_unmade(
    tx: Tx,
    owner: Owner | None,
    taken: Taken,
    refund: Refund,
    to: RefundStatus,
    why: str,
    line: Line,
    *,
    reason: RefundReason = RefundReason.OTHER,
) -> tuple[UUID, ...]:
    """No money has moved for it, and none will: given up by us, or refused by the gateway."""
    await money_back.advance(tx, refund, to, at=line.at, failure=why)
    await _write_history(tx, UUID(refund.id), refund.status, to, line, {"failure": why})
    if taken.standing is Standing.RETURNED:
        await _raise_kept(tx, taken)
    told = ToldRefund(UUID(refund.id), None, refund.amount, to, reason.value, why, 0)
    return await owe_refund(tx, owner, taken, told, line)


async def _give_way(
    tx: Tx, owner: Owner | None, taken: Taken, refunds: tuple[Refund, ...], line: Line
) -> tuple[UUID, ...]:
    """Asked of nobody yet: the gateway has given the same money back already, by another's doing."""
    owed: tuple[UUID, ...] = ()
    for refund in refunds:
        owed += await end_unmade(tx, owner, taken, refund, RefundStatus.CANCELLED, OVERTAKEN, line)
    return owed


async def _tell(
    tx: Tx, owner: Owner | None, taken: Taken, refund_id: UUID, was: RefundStatus | None, told: RefundTold, line: Line
) -> tuple[UUID, ...]:
    """The move that is written already: its history, its movement, and what follows."""
    times = await movements.times_refunded(tx, refund_id)
    await _write_history(tx, refund_id, was, told.status, line, _detail(taken, told))
    if told.status is RefundStatus.SUCCEEDED:
        await book_refund(tx, line, taken, refund_id, told.amount)
    if was is RefundStatus.SUCCEEDED:
        await book_refund_reversal(tx, line, taken, refund_id, told.amount)
        await _raise_failed(tx, taken, refund_id, told, times)
    if told.status in CAME_TO_NOTHING and taken.standing is Standing.RETURNED:
        await _raise_kept(tx, taken)
    named = told.gateway_refund_id, told.amount, told.status, told.reason.value, told.failure
    return await owe_refund(tx, owner, taken, ToldRefund(refund_id, *named, times), line)


async def _write_history(
    tx: Tx, refund_id: UUID, was: RefundStatus | None, to: RefundStatus, line: Line, detail: dict[str, object]
) -> None:
    await history.write(
        tx,
        subject="refund",
        subject_id=refund_id,
        from_status=was.value if was else None,
        to_status=to.value,
        cause=line.cause,
        at=line.at,
        detail=detail,
    )


def _detail(taken: Taken, told: RefundTold) -> dict[str, object]:
    detail: dict[str, object] = {
        "payment": taken.gateway_payment_id,
        "refund": told.gateway_refund_id,
        "amount": told.amount.minor,
        "currency": told.amount.currency,
    }
    return detail | ({"failure": told.failure} if told.failure else {})


async def _review(tx: Tx, before: Taken, now: Taken) -> None:
    """What a person had to decide about the payment, now that all of it went back; or no longer did."""
    if now.is_wholly_refunded:
        await discrepancies.cure_about_payment(tx, now.id, HEALED_BY_REFUND)
    elif before.is_wholly_refunded:
        await discrepancies.reopen_about_payment(tx, now.id, DECIDED_BY_REFUND)


# --- for a person ---


def _mismatch(taken: Taken, told: RefundTold) -> str:
    return f"refund_mismatch:{taken.gateway}:{told.gateway_refund_id}:{told.amount}"


async def _raise_mismatch(tx: Tx, taken: Taken, told: RefundTold, ours: Money) -> None:
    await discrepancies.open_discrepancy(
        tx,
        kind="refund_mismatch",
        gateway=taken.gateway,
        order_id=taken.order_id,
        payment_id=taken.id,
        amount_at_risk=told.amount.minor,
        currency=told.amount.currency,
        evidence={
            "ours": {"taken": taken.amount.minor, "amount": ours.minor, "currency": ours.currency},
            "theirs": {
                "payment": taken.gateway_payment_id,
                "refund": told.gateway_refund_id,
                "amount": told.amount.minor,
                "currency": told.amount.currency,
                "status": told.status.value,
            },
        },
        proposed_action="compare_with_gateway",
        fingerprint=_mismatch(taken, told),
    )


async def _raise_failed(tx: Tx, taken: Taken, refund_id: UUID, told: RefundTold, times: int) -> None:
    """The customer was told that the money is on its way, and it came back to us."""
    await discrepancies.open_discrepancy(
        tx,
        kind="refund_failed",
        gateway=taken.gateway,
        order_id=taken.order_id,
        payment_id=taken.id,
        amount_at_risk=told.amount.minor,
        currency=told.amount.currency,
        evidence={
            "ours": {"refund": str(refund_id), "status": RefundStatus.SUCCEEDED.value},
            "theirs": {"refund": told.gateway_refund_id, "status": told.status.value, "failure": told.failure},
        },
        proposed_action="refund_in_another_way",
        fingerprint=f"refund_failed:{refund_id}:{times}",
    )


async def _raise_kept(tx: Tx, taken: Taken) -> None:
    """By policy it was to go back, and it did not: we hold money for an order that was given up."""
    fingerprint = f"late_success:{taken.order_id}:{taken.gateway}:{taken.gateway_payment_id}:{taken.amount}"
    if await discrepancies.reopen(tx, fingerprint):
        return
    await discrepancies.open_discrepancy(
        tx,
        kind="late_success",
        gateway=taken.gateway,
        order_id=taken.order_id,
        payment_id=taken.id,
        amount_at_risk=taken.amount.minor,
        currency=taken.amount.currency,
        evidence={
            "ours": {"standing": Standing.RETURNED.value},
            "theirs": {"payment": taken.gateway_payment_id, "refund": "failed"},
        },
        proposed_action="accept_or_refund",
        fingerprint=fingerprint,
    )


async def _raise_total(tx: Tx, taken: Taken, ours: Money, theirs: Money) -> None:
    """One difference at a time, the latest: what a person has closed says nothing of other sums."""
    fingerprint = f"refund_total_mismatch:{taken.id}:{ours}:{theirs}"
    if await discrepancies.opened_at(tx, fingerprint) is not None:
        return
    await discrepancies.cure_about_payment(tx, taken.id, ("refund_total_mismatch",))
    if await discrepancies.reopen(tx, fingerprint):
        return
    await discrepancies.open_discrepancy(
        tx,
        kind="refund_total_mismatch",
        gateway=taken.gateway,
        order_id=taken.order_id,
        payment_id=taken.id,
        amount_at_risk=abs(theirs.minor - ours.minor),
        currency=taken.amount.currency,
        evidence={
            "ours": {"refunded": ours.minor, "currency": ours.currency},
            "theirs": {
                "payment": taken.gateway_payment_id,
                "refunded": theirs.minor,
                "currency": theirs.currency,
            },
        },
        proposed_action="compare_with_gateway",
        fingerprint=fingerprint,
    )
