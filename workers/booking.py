"""Book what a gateway has confirmed that money did: signed, with its cause, and each fact once.

What an order, a gateway or a period has taken in net is the sum of these rows. Each function may be called again with
the same fact: the fact's own name keeps it from being booked twice.
"""

from __future__ import annotations

from uuid import UUID

from db import movements
from db.money_back import Taken
from db.movements import Kind
from db.pool import Tx
from payments.disputing import Dispute
from payments.money import Flow, Money
from workers.subscription_effects import Line


async def book_payment(
    tx: Tx, line: Line, payment_id: UUID, order_id: UUID | None, amount: Money, fee: Money | None = None
) -> None:
    """Money was taken, whatever it counts for. The fee may be told by another event, later."""
    of = {"payment_id": payment_id, "order_id": order_id}
    await _book(tx, line, "payment", f"payment:{payment_id}", Flow.to_us(amount), **of)
    if fee is not None and fee.minor:
        await _book(tx, line, "fee", f"fee:{payment_id}", Flow.from_us(fee), **of)


async def book_refund(tx: Tx, line: Line, taken: Taken, refund_id: UUID, amount: Money) -> None:
    """It went back. Once more for one that came back to us and was sent anew."""
    name = f"refund:{refund_id}:{await movements.times_refunded(tx, refund_id) + 1}"
    await _book(tx, line, "refund", name, Flow.from_us(amount), **_of(taken), refund_id=refund_id)


async def book_refund_reversal(tx: Tx, line: Line, taken: Taken, refund_id: UUID, amount: Money) -> None:
    """It had gone, and came back to us."""
    name = f"refund_reversal:{refund_id}:{await movements.times_refunded(tx, refund_id)}"
    await _book(tx, line, "refund_reversal", name, Flow.to_us(amount), **_of(taken), refund_id=refund_id)


async def book_dispute(tx: Tx, line: Line, taken: Taken, dispute_id: UUID, was: Dispute | None, now: Dispute) -> None:
    """What the bank has taken since the last telling, and what it has given back. What was told to be back and is not
    was taken again; each movement bears the sum of its kind, which only grows."""
    of, currency = {**_of(taken), "dispute_id": dispute_id}, taken.amount.currency
    booked = await movements.booked_of_dispute(tx, taken.id, dispute_id)
    returned = now.returned - (was.returned if was else 0)
    if withdrawn := now.withdrawn - (was.withdrawn if was else 0) + max(0, -returned):
        name = f"dispute:{dispute_id}:{booked.get(('dispute', currency), 0) + withdrawn}"
        await _book(tx, line, "dispute", name, Flow(-withdrawn, currency), **of)
    if returned > 0:
        name = f"dispute_reversal:{dispute_id}:{booked.get(('dispute_reversal', currency), 0) + returned}"
        await _book(tx, line, "dispute_reversal", name, Flow(returned, currency), **of)


async def book_dispute_fee(tx: Tx, line: Line, taken: Taken, dispute_id: UUID, fee: Money | None) -> bool:
    """``fee`` is all that was ever kept for it; whether there was more of it than is booked. The first is also told by
    its payout, under the same name."""
    if fee is None:
        return False
    booked = await movements.booked_of_dispute(tx, taken.id, dispute_id)
    before = booked.get(("dispute_fee", fee.currency), 0)
    if fee.minor <= before:
        return False
    name = f"dispute_fee:{dispute_id}:{fee.minor}" if before else f"dispute_fee:{dispute_id}"
    more = Flow.from_us(Money(fee.minor - before, fee.currency))
    await _book(tx, line, "dispute_fee", name, more, **_of(taken), dispute_id=dispute_id)
    return True


def _of(taken: Taken) -> dict[str, UUID | None]:
    return {"payment_id": taken.id, "order_id": taken.order_id}


async def _book(tx: Tx, line: Line, kind: Kind, fact: str, flow: Flow, **of: UUID | None) -> None:
    await movements.book(tx, fact=fact, kind=kind, gateway=line.gateway, flow=flow, cause=line.cause, at=line.at, **of)
