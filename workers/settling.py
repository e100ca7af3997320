"""An order found anew by what became of its money: its status, access by it, and what follows.

Called after every fact of money that goes back. The caller holds the order's lock and the transaction.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from db import effects, entitlements, history, invoices, money_back, orders, payments, subscriptions
from db.orders import Locked
from db.pool import Tx
from payments import effects as rules
from payments.dunning import Policy
from payments.effects import EffectKind
from payments.order import OrderStatus, Settled, settle
from payments.payment import ways_taken_back
from workers.subscription_effects import Line
from workers.subscriptions import keep_its_time


async def settle_order(tx: Tx, held: Locked, line: Line) -> tuple[UUID, ...]:
    """Write how it stands now; returns the effects that are owed for it."""
    settled = await find_settled(tx, held)
    await orders.note_refunds(
        tx,
        held.id,
        refunded=settled.refunded.minor,
        gateway_refund_id=await money_back.newest_gateway_refund(tx, held.id),
    )
    if settled.status is held.order.status:
        return ()
    return await _move(tx, held, settled, line)


async def find_settled(tx: Tx, held: Locked) -> Settled:
    """How it stands now, by its payments as they are by now."""
    return settle(replace(held.order, payments=await payments.of_order(tx, held.id)))


async def settle_invoice(tx: Tx, held: Locked, invoice_id: UUID, line: Line, policy: Policy) -> tuple[UUID, ...]:
    """Whether an invoice's money still pays for its period, and what its subscription gives by that."""
    taken = policy.acts_on(ways_taken_back(await payments.of_invoice(tx, invoice_id)))
    if not await invoices.note_taken_back(tx, invoice_id, taken):
        return ()
    begun = await subscriptions.lock_begun_by(tx, held.id)
    return (await keep_its_time(tx, begun, line, policy)).effects if begun else ()


async def _move(tx: Tx, held: Locked, settled: Settled, line: Line) -> tuple[UUID, ...]:
    was, to = held.order.status, settled.status
    await orders.move(
        tx,
        held.id,
        from_status=was,
        to_status=to,
        at=line.at,
        gateway=line.gateway,
        payment_id=None,
        failure_code=None,
    )
    told = await history.write(
        tx,
        subject="order",
        subject_id=held.id,
        from_status=was.value,
        to_status=to.value,
        cause=line.cause,
        at=line.at,
        detail={"refunded": settled.refunded.minor, "currency": settled.refunded.currency},
    )
    is_active = to is OrderStatus.PAID
    if not await entitlements.change_for_order(tx, held.id, active=is_active, reason=to.value):
        return ()
    kind = EffectKind.NOTIFY_ACCESS_RESTORED if is_active else EffectKind.NOTIFY_ACCESS_SUSPENDED
    owed = await effects.add(
        tx,
        kind=kind.value,
        order_id=held.id,
        idempotency_key=rules.idempotency_key(kind, held.order.id, str(told)),
        detail=_access_told(held, to, line),
    )
    return (owed,) if owed else ()


def _access_told(held: Locked, to: OrderStatus, line: Line) -> dict[str, object]:
    return {
        "subscriptionId": None,
        "orderId": held.order.id,
        "userId": held.user_id,
        "planId": held.plan_id,
        "planName": held.plan_name,
        "gateway": line.gateway,
        "status": to.value,
        "at": line.at.isoformat(),
        "reason": to.value,
        "until": None,
    }
