"""Apply one fact about money that an order has taken and that goes back: find its payment, lock, decide, write.

Whose it is, the payment says and nothing else: a refund or a dispute belongs to what was taken. The caller holds the
transaction; nothing here talks to a network.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from db import money_back, orders, references, subscriptions
from db.money_back import Taken, Whose
from db.pool import Tx
from payments.dunning import Policy
from payments.events import DisputeTold, FraudWarned, MoneyBack, Observed, PaymentNamed, RefundsTotalled, RefundTold
from payments.order import Early, Stale
from payments.payment import PaymentStatus
from payments.refunding import Advance, Begin, Differs, Exceeds
from workers.disputes_told import note_warning, write_dispute
from workers.money_back_effects import Owner
from workers.refunds_told import check_total, write_refund
from workers.settling import settle_invoice, settle_order
from workers.subscription_effects import Line


@dataclass(frozen=True, slots=True)
class Booked:
    """It is in the book: ``what`` it was, in one word."""

    what: str


#: It was refused, and raised: nothing has moved.
MISMATCH = Booked("refund_mismatch")

#: What a fact about money that goes back may come to.
Outcome = Booked | Early | Stale


def payment_names(named: PaymentNamed) -> tuple[str, ...]:
    """What the fact may be parked under besides its references: whoever records the payment wakes it."""
    return tuple(name for name in (named.gateway_payment_id, named.charge_id) if name is not None)


async def find_whose(tx: Tx, gateway: str, named: PaymentNamed, order_ids: Collection[UUID]) -> Whose | Early | None:
    """The payment that is meant; ``order_ids`` are those that its other names lead to. None: nothing is known."""
    if named.gateway_payment_id is not None:
        found = await money_back.find_payment(tx, gateway, named.gateway_payment_id)
        if found is not None:
            return found
    elif len(order_ids) == 1:
        # Only the charge is named. Of several payments it could be any, and money is never booked by a guess.
        taken = await money_back.find_taken_of(tx, gateway, next(iter(order_ids)))
        if len(taken) == 1:
            return taken[0]
    return Early("its payment is not recorded yet") if order_ids else None


async def apply_to_payment(
    tx: Tx,
    whose: Whose,
    event: MoneyBack,
    observed: Observed,
    line: Line,
    names: tuple[str, ...],
    policy: Policy,
    *,
    is_read: bool,
) -> tuple[Outcome, tuple[UUID, ...]]:
    """The order first, then its subscription, then the names, then the payment: everybody takes them so."""
    owner = await lock_owner(tx, whose.order_id) if whose.order_id else None
    await references.lock(tx, names)
    taken = await money_back.lock_payment(tx, whose.payment_id)
    if await money_back.find_payment(tx, taken.gateway, taken.gateway_payment_id) != whose:
        return Early("its payment has just found its order"), ()
    if taken.status is not PaymentStatus.SUCCEEDED:
        return Early("its payment has not succeeded yet"), ()
    if owner is not None and observed.references.objects:
        await references.store(tx, observed.gateway, owner.held.id, observed.references.objects)
    outcome, owed = await _write(tx, owner, taken, event, line, is_read=is_read)
    if isinstance(outcome, Booked) and owner is not None:
        if taken.order_id is not None:
            owed += await settle_order(tx, owner.held, line)
        if taken.invoice_id is not None:
            owed += await settle_invoice(tx, owner.held, taken.invoice_id, line, policy)
    return outcome, owed


async def lock_owner(tx: Tx, order_id: UUID) -> Owner:
    """Whose money it is, locked before the payment."""
    held = await orders.lock(tx, order_id)
    begun = await subscriptions.lock_begun_by(tx, held.id) if held.order.begins_subscription else None
    return Owner(held, begun)


async def _write(
    tx: Tx, owner: Owner | None, taken: Taken, event: MoneyBack, line: Line, *, is_read: bool
) -> tuple[Outcome, tuple[UUID, ...]]:
    match event:
        case RefundTold():
            return await _write_refund(tx, owner, taken, event, line, is_read=is_read)
        case RefundsTotalled(refunded_in_all=in_all):
            agrees, owed = await check_total(tx, owner, taken.id, in_all, is_read=is_read)
            return Booked("refunds_agree") if agrees else Booked("refunds_differ"), owed
        case DisputeTold():
            dispute, owed = await write_dispute(tx, owner, taken, event, line, is_read=is_read)
            return Booked(f"dispute_{dispute.status}") if dispute else Stale("the dispute is known to stand so"), owed
        case FraudWarned():
            await note_warning(tx, taken, event)
            return Booked("fraud_warned"), ()


async def _write_refund(
    tx: Tx, owner: Owner | None, taken: Taken, told: RefundTold, line: Line, *, is_read: bool
) -> tuple[Outcome, tuple[UUID, ...]]:
    outcome, owed = await write_refund(tx, owner, taken, told, line)
    if told.refunded_in_all is not None and not is_read and not isinstance(outcome, Early):
        # A read brings each refund, and the total last: only then the two can be compared.
        owed += (await check_total(tx, owner, taken.id, told.refunded_in_all, is_read=False))[1]
    match outcome:
        case Begin(status=status) | Advance(status=status):
            return Booked(f"refund_{status}"), owed
        case Differs() | Exceeds():
            return MISMATCH, owed
        case Early() | Stale():
            return outcome, owed
