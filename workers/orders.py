"""Write what the rules make of an order: its payment, its move, access, and what follows.

The caller holds the order's lock and the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from db import effects, entitlements, history, money_back, orders, payments
from db.orders import Locked
from db.pool import Tx
from payments import effects as rules
from payments.events import OrderEvent, PaymentFailed, PaymentSucceeded
from payments.failure import Failure
from payments.order import (
    Capture,
    Early,
    Held,
    Mismatch,
    Move,
    Order,
    OrderStatus,
    Outcome,
    Record,
    Returned,
    Stale,
    Surplus,
)
from payments.payment import PaymentStatus, Sighting, Standing, advance, sighted
from payments.refund import NothingToRefund, RefundReason
from workers.booking import book_payment
from workers.raising import raise_money
from workers.refund_requests import LATE_MONEY, Asked, Wish, ask_for_payment
from workers.settling import find_settled, settle_order
from workers.subscription_effects import Line


async def write_outcome(tx: Tx, held: Locked, event: OrderEvent, outcome: Outcome, line: Line) -> tuple[UUID, ...]:
    unowned = await _find_unowned(tx, event, line)
    payment_row = await _write_payment(tx, held, event, outcome, line)
    if unowned is not None and payment_row == unowned:
        await money_back.follow_payment(tx, unowned, held.id)
    match outcome:
        case Move():
            return await _write_move(tx, held, event, outcome, line, was_unowned=unowned is not None)
        case Capture():
            return await _owe_capture(tx, held, line.gateway, outcome)
        case Record(failure=Failure() as failure):
            await orders.note_failure(tx, held.id, failure.code.value)
        case Surplus() | Mismatch() | Held():
            await raise_money(tx, held, line.gateway, event, outcome, payment_row)
            return await settle_order(tx, held, line) if isinstance(outcome, Surplus) else ()
        case Returned():
            return await _give_back(tx, held, payment_row, event, outcome, line)
        case Record() | Early() | Stale():
            pass
    return ()


async def _find_unowned(tx: Tx, event: OrderEvent, line: Line) -> UUID | None:
    """Its payment, where it was recorded under names that contradicted each other: it may have gone back meanwhile."""
    seen = sighted(event)
    return await money_back.find_unowned(tx, line.gateway, seen.gateway_payment_id) if seen else None


async def _give_back(
    tx: Tx, held: Locked, payment_row: UUID | None, event: OrderEvent, returned: Returned, line: Line
) -> tuple[UUID, ...]:
    """Late money, by policy: its refund is asked for with its recording, so that neither is ever there alone. Where it
    was recorded before, it may have gone back already, or be held by a dispute: a person looks at that."""
    assert payment_row is not None, "what took the money was named, or it would have been early"
    wish = Wish(None, RefundReason.OTHER, LATE_MONEY, str(payment_row))
    match await ask_for_payment(tx, payment_row, wish, line.cause, line.at):
        case Asked(effect=effect):
            return (effect,) if effect else ()
        case NothingToRefund():
            return await settle_order(tx, held, line)
        case _:
            await raise_money(tx, held, line.gateway, event, Held(returned.paid), payment_row)
            return ()


async def _write_payment(tx: Tx, held: Locked, event: OrderEvent, outcome: Outcome, line: Line) -> UUID | None:
    seen = sighted(event)
    if seen is None or isinstance(outcome, Early):
        return None
    known = held.order.payment(seen.gateway_payment_id)
    if known is not None and known.status is PaymentStatus.SUCCEEDED:
        # Taken money is never rewritten; what contradicts it is a discrepancy about this row.
        row = await payments.find(tx, line.gateway, seen.gateway_payment_id)
        if row is not None and isinstance(event, PaymentSucceeded) and event.fee is not None:
            await book_payment(tx, line, row, held.id, known.amount, event.fee)
        return row
    status = advance(known.status, seen.status) if known else seen.status
    row = await payments.record(
        tx,
        line.gateway,
        held.id,
        seen,
        status=status,
        standing=standing_of(outcome, held) if status is PaymentStatus.SUCCEEDED else None,
        failure=event.failure if isinstance(event, PaymentFailed) else None,
    )
    if row is None:
        raise RuntimeError("a payment found under this order belongs to another")
    if status is PaymentStatus.SUCCEEDED:
        fee = event.fee if isinstance(event, PaymentSucceeded) else None
        await book_payment(tx, line, row, held.id, seen.amount, fee)
    return row


def standing_of(outcome: Outcome, held: Locked) -> Standing:
    match outcome:
        case Mismatch():
            return Standing.MISMATCHED
        case Held():
            return Standing.HELD
        case Returned():
            return Standing.RETURNED
        case Surplus():
            return Standing.SURPLUS
        case Move(to=OrderStatus.PAID):
            return Standing.ACCEPTED
        case Stale():
            # The order was paid by this very payment before its row was written.
            return Standing.ACCEPTED
        case Move() | Record() | Capture() | Early():
            raise RuntimeError(f"{outcome} does not take money for order {held.id}")


async def _write_move(
    tx: Tx, held: Locked, event: OrderEvent, move: Move, line: Line, *, was_unowned: bool
) -> tuple[UUID, ...]:
    """``was_unowned``: its payment is older than the move, and may have gone back, or be held, since."""
    seen = sighted(event)
    failure_code = move.failure.code.value if move.failure else None
    await orders.move(
        tx,
        held.id,
        from_status=held.order.status,
        to_status=move.to,
        at=line.at,
        gateway=line.gateway,
        payment_id=seen.gateway_payment_id if seen else None,
        failure_code=failure_code,
    )
    await history.write(
        tx,
        subject="order",
        subject_id=held.id,
        from_status=held.order.status.value,
        to_status=move.to.value,
        cause=line.cause,
        at=line.at,
        detail=_told(seen, failure_code),
    )
    if move.to is OrderStatus.PAID and not held.order.begins_subscription:
        await entitlements.grant_for_order(tx, order_id=held.id, user_id=held.user_id, plan_id=held.plan_id)
    if not was_unowned or move.to is not OrderStatus.PAID:
        return await _owe_effects(tx, held, line.gateway, move.to, line.at)
    moved = replace(held, order=replace(held.order, status=move.to))
    is_paid = (await find_settled(tx, moved)).status is OrderStatus.PAID
    owed = await _owe_effects(tx, held, line.gateway, move.to, line.at) if is_paid else ()
    return owed + await settle_order(tx, moved, line)


def _told(seen: Sighting | None, failure_code: str | None) -> dict[str, object]:
    told: dict[str, object] = {}
    if seen is not None:
        told |= {
            "payment": seen.gateway_payment_id,
            "amount": seen.amount.minor,
            "currency": seen.amount.currency,
        }
    if failure_code is not None:
        told["failure"] = failure_code
    return told


async def _owe_effects(tx: Tx, held: Locked, gateway: str, to: OrderStatus, at: datetime) -> tuple[UUID, ...]:
    owed = [
        await effects.add(
            tx,
            kind=kind.value,
            order_id=held.id,
            idempotency_key=rules.idempotency_key(kind, held.order.id),
            detail={
                "orderId": held.order.id,
                "userId": held.user_id,
                "planId": held.plan_id,
                "planName": held.plan_name,
                "amount": held.order.expected.minor,
                "currency": held.order.expected.currency,
                "gateway": gateway,
                "paidAt": at.astimezone(UTC).isoformat(),
            },
        )
        for kind in rules.FOLLOWS.get(to, ())
        if not (kind is rules.EffectKind.MAIL_PAYMENT_CONFIRMED and _began_a_trial(held.order))
    ]
    return tuple(effect for effect in owed if effect is not None)


def _began_a_trial(order: Order) -> bool:
    """Nobody is thanked for a payment of nothing: the subscription's own mail says that it has begun."""
    return order.begins_subscription and order.expected.minor == 0


async def _owe_capture(tx: Tx, held: Locked, gateway: str, capture: Capture) -> tuple[UUID, ...]:
    kind = rules.EffectKind.GATEWAY_CAPTURE_PAYMENT
    owed = await effects.add(
        tx,
        kind=kind.value,
        order_id=held.id,
        idempotency_key=rules.idempotency_key(kind, capture.payment_id),
        detail={
            "orderId": held.order.id,
            "gateway": gateway,
            "paymentId": capture.payment_id,
            "amount": capture.amount.minor,
            "currency": capture.amount.currency,
        },
    )
    return (owed,) if owed else ()
