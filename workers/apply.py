"""Apply one observed fact to our record: find its order, lock, decide, write.

The webhook, the poll, the reconciliation and the operator all come through here, so that the same fact has the same
outcome whoever brings it (F119).

The caller holds the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from db import attempts, discrepancies, effects, entitlements, history, orders, payments, references
from db.history import Cause
from db.orders import Locked
from db.pool import Tx
from payments import effects as rules
from payments.events import CheckoutEnded, Observed, OrderEvent, PaymentFailed, PaymentSucceeded, References
from payments.failure import Failure
from payments.order import (
    Capture,
    Early,
    Held,
    LateSuccess,
    Mismatch,
    Move,
    OrderStatus,
    Outcome,
    Record,
    Stale,
    Surplus,
    decide,
)
from payments.payment import PaymentStatus, Sighting, Standing, advance, sighted
from workers.clock import real_time

#: Business time: the development clock moves it, SQL's now() never stands in for it.
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Book:
    """What an application of facts needs beside the transaction: who we are, our policy, and what time it is.

    ``host``: what ``clock`` would say if no time had been skipped.
    """

    instance_id: str
    late_success: LateSuccess
    clock: Clock
    host: Clock = real_time


@dataclass(frozen=True, slots=True)
class Applied:
    """The fact met its order; ``effects`` were written and may be hinted once the transaction has committed."""

    order_id: UUID
    outcome: Outcome
    effects: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """Another application's money on the same account: stored, counted, never alarmed."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """No order of ours bears any of these names, and the names are locked until the transaction ends."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """The names point to different orders of ours. Nothing was moved; a discrepancy is open."""

    order_ids: tuple[UUID, ...]


async def apply(tx: Tx, observed: Observed, cause: Cause, book: Book) -> Applied | Foreign | Unmatched | Contradiction:
    """Write what this fact means, or say why it means nothing here. Safe to call again with the same fact."""
    names = observed.references
    if names.instance is not None and names.instance != book.instance_id:
        return Foreign()

    found = await _find_orders(tx, observed.gateway, names)
    if not found:
        # Nobody can store one of these names between this look and the parking that follows it.
        await references.lock(tx, parking_names(names))
        found = await _find_orders(tx, observed.gateway, names)
    if not found:
        return Unmatched(parking_names(names))
    if len(found) > 1:
        await _open_contradiction(tx, observed, found)
        return Contradiction(tuple(sorted(found)))

    held = await orders.lock(tx, found.pop())
    # The order first, then its names, all at once and sorted: everybody who takes both takes them so.
    await references.lock(tx, parking_names(names))
    outcome = decide(held.order, observed.event, book.late_success)
    written = await _write(tx, held, observed, outcome, cause, book)
    await _learn_names(tx, held, observed)
    return Applied(held.id, outcome, written)


def parking_names(names: References) -> tuple[str, ...]:
    """Every name that, once stored, wakes an event: our own ids under ``order:``, the gateway's objects as given."""
    return tuple(sorted({*(f"order:{order_id}" for order_id in _own_ids(names)), *names.objects}))


async def _find_orders(tx: Tx, gateway: str, names: References) -> set[UUID]:
    return await references.find_orders(tx, gateway, objects=names.objects, order_ids=_own_ids(names))


def _own_ids(names: References) -> list[UUID]:
    """Those that have the shape of our ids. A foreign id of any other shape must never reach a cast in SQL."""
    ours = []
    for text in names.order_ids:
        with suppress(ValueError):
            ours.append(UUID(text))
    return ours


async def _write(
    tx: Tx, held: Locked, observed: Observed, outcome: Outcome, cause: Cause, book: Book
) -> tuple[UUID, ...]:
    payment_row = await _write_payment(tx, held, observed, outcome)
    match outcome:
        case Move():
            return await _write_move(tx, held, observed, outcome, cause, book)
        case Capture():
            return await _owe_capture(tx, held, observed.gateway, outcome)
        case Record(failure=Failure() as failure):
            await orders.note_failure(tx, held.id, failure.code.value)
        case Surplus() | Mismatch() | Held():
            await _open_discrepancy(tx, held, observed, outcome, payment_row)
        case Record() | Early() | Stale():
            pass
    return ()


async def _write_payment(tx: Tx, held: Locked, observed: Observed, outcome: Outcome) -> UUID | None:
    seen = sighted(observed.event)
    if seen is None or isinstance(outcome, Early):
        return None
    known = held.order.payment(seen.gateway_payment_id)
    if known is not None and known.status is PaymentStatus.SUCCEEDED:
        # Taken money is never rewritten; what contradicts it is a discrepancy about this row.
        return await payments.find(tx, observed.gateway, seen.gateway_payment_id)
    status = advance(known.status, seen.status) if known else seen.status
    row = await payments.record(
        tx,
        observed.gateway,
        held.id,
        seen,
        status=status,
        standing=_standing(outcome, held) if status is PaymentStatus.SUCCEEDED else None,
        failure=observed.event.failure if isinstance(observed.event, PaymentFailed) else None,
    )
    if row is None:
        raise RuntimeError("a payment found under this order belongs to another")
    return row


def _standing(outcome: Outcome, held: Locked) -> Standing:
    match outcome:
        case Mismatch():
            return Standing.MISMATCHED
        case Held():
            return Standing.HELD
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
    tx: Tx, held: Locked, observed: Observed, move: Move, cause: Cause, book: Book
) -> tuple[UUID, ...]:
    at = book.clock()
    seen = sighted(observed.event)
    failure_code = move.failure.code.value if move.failure else None
    await orders.move(
        tx,
        held.id,
        from_status=held.order.status,
        to_status=move.to,
        at=at,
        gateway=observed.gateway,
        payment_id=seen.gateway_payment_id if seen else None,
        failure_code=failure_code,
    )
    await history.write(
        tx,
        subject="order",
        subject_id=held.id,
        from_status=held.order.status.value,
        to_status=move.to.value,
        cause=cause,
        at=at,
        detail=_told(seen, failure_code),
    )
    if move.to is OrderStatus.PAID:
        await entitlements.grant_for_order(tx, order_id=held.id, user_id=held.user_id, plan_id=held.plan_id)
    return await _owe_effects(tx, held, observed.gateway, move.to, at)


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
    ]
    return tuple(effect for effect in owed if effect is not None)


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


async def _open_discrepancy(
    tx: Tx, held: Locked, observed: Observed, outcome: Surplus | Mismatch | Held, payment_row: UUID | None
) -> None:
    kind, proposed = _raised_as(outcome)
    expected = outcome.expected if isinstance(outcome, Mismatch) else held.order.expected
    seen = sighted(observed.event)
    payment_id = seen.gateway_payment_id if seen else None
    await discrepancies.open_discrepancy(
        tx,
        kind=kind,
        gateway=observed.gateway,
        order_id=held.id,
        payment_id=payment_row,
        amount_at_risk=outcome.paid.minor,
        currency=outcome.paid.currency,
        evidence={
            "ours": {"status": held.order.status.value, "amount": expected.minor, "currency": expected.currency},
            "theirs": {"payment": payment_id, "amount": outcome.paid.minor, "currency": outcome.paid.currency},
        },
        proposed_action=proposed,
        fingerprint=f"{kind}:{held.id}:{observed.gateway}:{payment_id}:{outcome.paid}",
    )


def _raised_as(outcome: Surplus | Mismatch | Held) -> tuple[str, str]:
    """The discrepancy's kind, and the action that we propose to the person who looks at it."""
    match outcome:
        case Surplus():
            return "duplicate_payment", "refund_payment"
        case Held():
            return "late_success", "accept_or_refund"
        case Mismatch(expected=expected, paid=paid) if expected.currency != paid.currency:
            return "currency_mismatch", "accept_or_refund"
        case Mismatch():
            return "amount_mismatch", "accept_or_refund"


async def _open_contradiction(tx: Tx, observed: Observed, found: set[UUID]) -> None:
    """The money is recorded without an order: it was taken, and only a person can say for what."""
    seen = sighted(observed.event)
    payment_row = await _record_without_order(tx, observed.gateway, seen) if seen else None
    named = sorted(str(order_id) for order_id in found)
    told = f"{seen.gateway_payment_id}:{seen.status}:{seen.amount}" if seen else type(observed.event).__name__
    await discrepancies.open_discrepancy(
        tx,
        kind="reference_conflict",
        gateway=observed.gateway,
        payment_id=payment_row,
        amount_at_risk=seen.amount.minor if seen else 0,
        currency=seen.amount.currency if seen else None,
        evidence={"orders": named, "objects": list(observed.references.objects), "told": told},
        proposed_action="match_by_hand",
        fingerprint=f"reference_conflict:{observed.gateway}:{','.join(named)}:{told}",
    )


async def _record_without_order(tx: Tx, gateway: str, seen: Sighting) -> UUID | None:
    if (known := await payments.find(tx, gateway, seen.gateway_payment_id)) is not None:
        return known
    standing = Standing.MISMATCHED if seen.status is PaymentStatus.SUCCEEDED else None
    return await payments.record(tx, gateway, None, seen, status=seen.status, standing=standing, failure=None)


async def _learn_names(tx: Tx, held: Locked, observed: Observed) -> None:
    """What this event called the order's objects, so that the next event may name any one of them alone."""
    if observed.references.objects:
        await references.store(tx, observed.gateway, held.id, observed.references.objects)
    event = observed.event
    session_id = event.session_id if isinstance(event, CheckoutEnded) else observed.references.session_id
    if session_id is None:
        return
    if _ends_its_page(event):
        await attempts.close(tx, held.id, session_id)
    if not isinstance(event, CheckoutEnded):
        await orders.learn_session(tx, held.id, observed.gateway, session_id)


def _ends_its_page(event: OrderEvent) -> bool:
    """Whether nobody can pay through the page any more that this event names."""
    return isinstance(event, CheckoutEnded | PaymentSucceeded) or (isinstance(event, PaymentFailed) and event.final)
