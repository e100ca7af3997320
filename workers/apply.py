"""Apply one observed fact to our record: find its order, lock, decide, write.

The webhook, the poll, the reconciliation and the operator all come through here, so that the same fact has the same
outcome whoever brings it (F119).

The caller holds the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from db import attempts, discrepancies, effects, entitlements, history, orders, payments, references, subscriptions
from db.history import Cause
from db.orders import Locked
from db.pool import Tx
from payments import dunning
from payments import effects as rules
from payments.dunning import Policy
from payments.events import (
    CheckoutEnded,
    Event,
    Observed,
    OrderEvent,
    PaymentFailed,
    PaymentSucceeded,
    References,
    SubscriptionTold,
)
from payments.failure import Failure
from payments.invoice import InvoiceReason, InvoiceSighting, InvoiceStatus, contradicts
from payments.money import Money
from payments.order import (
    Capture,
    Early,
    Held,
    LateSuccess,
    Mismatch,
    Move,
    Order,
    OrderStatus,
    Outcome,
    Record,
    Stale,
    Surplus,
    decide,
)
from payments.payment import PaymentStatus, Sighting, Standing, advance, sighted
from payments.subscription import ENDED, LIVING, Followed, Subscription, another
from workers.clock import real_time
from workers.subscription_effects import Line
from workers.subscriptions import FirstPayment, follow_telling, give_up_unbegun, keep_its_time

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
    dunning: Policy = dunning.DEFAULT


@dataclass(frozen=True, slots=True)
class NotSubscribed:
    """It tells of a subscription, and names an order that began none."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The fact met its order; ``effects`` were written and may be hinted once the transaction has committed."""

    order_id: UUID
    outcome: Outcome | Followed | NotSubscribed
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


async def apply(
    tx: Tx, observed: Observed, cause: Cause, book: Book, *, is_read: bool = False
) -> Applied | Foreign | Unmatched | Contradiction:
    """Write what this fact means, or say why it means nothing here. Safe to call again with the same fact.

    ``is_read``: see ``apply_answer``.
    """
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

    # The order first, then its subscription, then its names, all at once and sorted: everybody takes them so.
    held = await orders.lock(tx, found.pop())
    begun = await subscriptions.lock_begun_by(tx, held.id) if held.order.begins_subscription else None
    await references.lock(tx, _names_to_store(observed))
    applied = await _apply(tx, held, begun, observed, cause, book, is_read=is_read)
    if not isinstance(applied.outcome, NotSubscribed) and not _is_of_another(begun, observed):
        await _learn_names(tx, held, observed)
    return applied


async def apply_answer(
    tx: Tx, subscription_id: UUID, observed: Iterable[Observed], version: int, cause: Cause, book: Book
) -> tuple[UUID, ...] | None:
    """Write how its gateway holds a subscription, as an authenticated answer said it; returns the effects to hint.

    None, and nothing is written, where the subscription is no longer of the ``version`` that it had before the call:
    what was written meanwhile may be newer than the answer, and only another read can tell.
    """
    if (await subscriptions.lock(tx, subscription_id)).version != version:
        return None
    applied = [await apply(tx, fact, cause, book, is_read=True) for fact in observed]
    return tuple(effect for each in applied if isinstance(each, Applied) for effect in each.effects)


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


def _names_to_store(observed: Observed) -> tuple[str, ...]:
    """Those that it may be parked under, and that of its payment: whoever stores one wakes what waits for it."""
    seen = payment_told(observed.event)
    return (*parking_names(observed.references), *([seen.gateway_payment_id] if seen else []))


def payment_told(event: Event) -> Sighting | None:
    """The payment that an event speaks of: an order's, or the one that took an invoice's money."""
    if not isinstance(event, SubscriptionTold):
        return sighted(event)
    paid = event.invoice.payment if event.invoice else None
    return Sighting(paid.gateway_payment_id, paid.paid, PaymentStatus.SUCCEEDED) if paid else None


def _is_of_another(begun: subscriptions.Locked | None, observed: Observed) -> bool:
    """Of a subscription that this order did not begin: its names would lead all that is told of it to ours."""
    told, name = observed.event, observed.references.subscription_id
    return (
        begun is not None and isinstance(told, SubscriptionTold) and another(begun.subscription, told, name) is not None
    )


def _invoiced(event: Event) -> Money | None:
    """The money that an invoice has taken, also where nobody names its payment."""
    invoice = event.invoice if isinstance(event, SubscriptionTold) else None
    return invoice.paid if invoice and invoice.status is InvoiceStatus.PAID and invoice.paid.minor else None


async def _apply(
    tx: Tx,
    held: Locked,
    begun: subscriptions.Locked | None,
    observed: Observed,
    cause: Cause,
    book: Book,
    *,
    is_read: bool,
) -> Applied:
    line = Line(observed.gateway, cause, book.clock(), observed.references.subscription_id)
    match observed.event:
        case SubscriptionTold() as told if begun is None:
            if _invoiced(told) is not None:
                await _open_contradiction(tx, observed, {held.id})
            return Applied(held.id, NotSubscribed())
        case SubscriptionTold() as told:
            assert begun is not None
            return await _apply_telling(tx, held, begun, told, line, book, is_read=is_read)
        case event if begun is not None and await _is_of_a_renewal(tx, observed.gateway, event):
            return Applied(held.id, Stale("this payment is a later invoice's"))
        case event:
            outcome = decide(held.order, event, _policy(begun, book))
            written = await _write(tx, held, event, outcome, line)
            if begun is not None and isinstance(outcome, Move):
                written += await _tell_subscription(tx, begun, event, outcome, line, book)
            return Applied(held.id, outcome, written)


# --- subscriptions ---


async def _is_of_a_renewal(tx: Tx, gateway: str, event: OrderEvent) -> bool:
    """The payment's own event finds the order by what the invoice has called it, and is no money of the order's."""
    seen = sighted(event)
    return seen is not None and await payments.is_a_renewals(tx, gateway, seen.gateway_payment_id)


async def _apply_telling(
    tx: Tx,
    held: Locked,
    begun: subscriptions.Locked,
    told: SubscriptionTold,
    line: Line,
    book: Book,
    *,
    is_read: bool,
) -> Applied:
    """What is told of the subscription; and of its order, where that is what the telling pays."""
    is_anothers = another(begun.subscription, told, line.subscription_id) is not None
    success = None if is_anothers else _what_pays(held.order, begun.subscription, told)
    outcome = decide(held.order, success, _policy(begun, book)) if success else None
    first = FirstPayment(held.id, _standing(outcome, held)) if success and success.payment_id and outcome else None
    if isinstance(outcome, Move):
        begun = replace(begun, subscription=replace(begun.subscription, order_is_settled=True))
    written = await follow_telling(tx, begun, told, line, book.dunning, first=first, is_read=is_read)
    if is_anothers:
        await _note_anothers_money(tx, held, told, line)
    if success is None or outcome is None:
        return Applied(held.id, written.followed, written.effects)
    owed = await _write(tx, held, success, outcome, line)
    is_for_a_person = isinstance(outcome, Surplus | Mismatch | Held)
    return Applied(held.id, outcome if is_for_a_person else written.followed, (*written.effects, *owed))


async def _note_anothers_money(tx: Tx, held: Locked, told: SubscriptionTold, line: Line) -> None:
    """An invoice of a subscription that is not ours took this: it pays for nothing here, whatever is owed."""
    seen = payment_told(told)
    if seen is None or await payments.find_taken(tx, line.gateway, seen.gateway_payment_id) is not None:
        return
    row = await payments.record(
        tx, line.gateway, held.id, seen, status=seen.status, standing=Standing.SURPLUS, failure=None
    )
    if row is None:
        raise RuntimeError("a payment of another subscription's invoice belongs to another order")
    success = PaymentSucceeded(seen.gateway_payment_id, seen.amount)
    await _open_discrepancy(tx, held, line.gateway, success, Surplus(seen.amount), row)


def _policy(begun: subscriptions.Locked | None, book: Book) -> LateSuccess:
    """Late money for what has ended can give nothing, since nothing leads out of an end: a person looks at it."""
    has_ended = begun is not None and begun.subscription.status in ENDED
    return LateSuccess.HOLD if has_ended else book.late_success


def _what_pays(order: Order, begun: Subscription, told: SubscriptionTold) -> PaymentSucceeded | None:
    """The first invoice's money pays the order that began the subscription; a trial is begun where nothing was due."""
    invoice, snapshot = told.invoice, told.snapshot
    if invoice is not None and _is_a_paid_first(invoice, begun):
        paid = invoice.payment
        return PaymentSucceeded(paid.gateway_payment_id, paid.paid) if paid else PaymentSucceeded(None, invoice.paid)
    if order.expected.minor == 0 and snapshot is not None and snapshot.status in LIVING:
        return PaymentSucceeded(None, order.expected)
    return None


def _is_a_paid_first(invoice: InvoiceSighting, begun: Subscription) -> bool:
    """One that contradicts itself pays nothing: what it differs in, the subscription's own rules raise."""
    is_first = invoice.reason is InvoiceReason.FIRST and invoice.status is InvoiceStatus.PAID
    return is_first and not contradicts(begun.invoice(invoice.gateway_invoice_id), invoice)


async def _tell_subscription(
    tx: Tx, begun: subscriptions.Locked, event: OrderEvent, move: Move, line: Line, book: Book
) -> tuple[UUID, ...]:
    """What the order's move means for what it began. Its gateway may still revive one whose payment has failed; of one
    whose page has ended unpaid it will never speak."""
    if move.to is OrderStatus.PAID:
        settled = replace(begun, subscription=replace(begun.subscription, order_is_settled=True))
        return (await keep_its_time(tx, settled, line, book.dunning)).effects
    if isinstance(event, CheckoutEnded):
        return (await give_up_unbegun(tx, begun, line, book.dunning)).effects
    return ()


# --- orders ---


async def _write(tx: Tx, held: Locked, event: OrderEvent, outcome: Outcome, line: Line) -> tuple[UUID, ...]:
    payment_row = await _write_payment(tx, held, line.gateway, event, outcome)
    match outcome:
        case Move():
            return await _write_move(tx, held, event, outcome, line)
        case Capture():
            return await _owe_capture(tx, held, line.gateway, outcome)
        case Record(failure=Failure() as failure):
            await orders.note_failure(tx, held.id, failure.code.value)
        case Surplus() | Mismatch() | Held():
            await _open_discrepancy(tx, held, line.gateway, event, outcome, payment_row)
        case Record() | Early() | Stale():
            pass
    return ()


async def _write_payment(tx: Tx, held: Locked, gateway: str, event: OrderEvent, outcome: Outcome) -> UUID | None:
    seen = sighted(event)
    if seen is None or isinstance(outcome, Early):
        return None
    known = held.order.payment(seen.gateway_payment_id)
    if known is not None and known.status is PaymentStatus.SUCCEEDED:
        # Taken money is never rewritten; what contradicts it is a discrepancy about this row.
        return await payments.find(tx, gateway, seen.gateway_payment_id)
    status = advance(known.status, seen.status) if known else seen.status
    row = await payments.record(
        tx,
        gateway,
        held.id,
        seen,
        status=status,
        standing=_standing(outcome, held) if status is PaymentStatus.SUCCEEDED else None,
        failure=event.failure if isinstance(event, PaymentFailed) else None,
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


async def _write_move(tx: Tx, held: Locked, event: OrderEvent, move: Move, line: Line) -> tuple[UUID, ...]:
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
    return await _owe_effects(tx, held, line.gateway, move.to, line.at)


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


async def _open_discrepancy(
    tx: Tx,
    held: Locked,
    gateway: str,
    event: OrderEvent,
    outcome: Surplus | Mismatch | Held,
    payment_row: UUID | None,
) -> None:
    kind, proposed = _raised_as(outcome)
    expected = outcome.expected if isinstance(outcome, Mismatch) else held.order.expected
    seen = sighted(event)
    payment_id = seen.gateway_payment_id if seen else None
    # A first invoice is told by its page, by itself and when it is read, and not each of these names its payment.
    about = "first" if held.order.begins_subscription and isinstance(outcome, Mismatch) else payment_id
    await discrepancies.open_discrepancy(
        tx,
        kind=kind,
        gateway=gateway,
        order_id=held.id,
        payment_id=payment_row,
        amount_at_risk=outcome.paid.minor,
        currency=outcome.paid.currency,
        evidence={
            "ours": {"status": held.order.status.value, "amount": expected.minor, "currency": expected.currency},
            "theirs": {"payment": payment_id, "amount": outcome.paid.minor, "currency": outcome.paid.currency},
        },
        proposed_action=proposed,
        fingerprint=f"{kind}:{held.id}:{gateway}:{about}:{outcome.paid}",
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
    seen = payment_told(observed.event)
    taken = seen.amount if seen else _invoiced(observed.event)
    payment_row = await _record_without_order(tx, observed.gateway, seen) if seen else None
    named = sorted(str(order_id) for order_id in found)
    told = f"{seen.gateway_payment_id}:{seen.status}:{seen.amount}" if seen else _unnamed(observed.event)
    await discrepancies.open_discrepancy(
        tx,
        kind="reference_conflict",
        gateway=observed.gateway,
        payment_id=payment_row,
        amount_at_risk=taken.minor if taken else 0,
        currency=taken.currency if taken else None,
        evidence={"orders": named, "objects": list(observed.references.objects), "told": told},
        proposed_action="match_by_hand",
        fingerprint=f"reference_conflict:{observed.gateway}:{','.join(named)}:{told}",
    )


def _unnamed(event: Event) -> str:
    """What was told without a payment: each invoice's money is raised by itself."""
    if isinstance(event, SubscriptionTold) and event.invoice and (taken := _invoiced(event)):
        return f"{event.invoice.gateway_invoice_id}:{event.invoice.status}:{taken}"
    return type(event).__name__


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


def _ends_its_page(event: Event) -> bool:
    """Whether nobody can pay through the page any more that this event names."""
    return isinstance(event, CheckoutEnded | PaymentSucceeded) or (isinstance(event, PaymentFailed) and event.final)
