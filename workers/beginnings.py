"""What a fact means for an order and the subscription that it began, where it means something for both.

The caller holds both locks, the order's first, and the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from db import payments
from db.orders import Locked
from db.pool import Tx
from db.subscriptions import Locked as Begun
from payments.dunning import Policy
from payments.events import CheckoutEnded, OrderEvent, PaymentSucceeded, SubscriptionTold
from payments.invoice import InvoiceReason, InvoiceSighting, InvoiceStatus, contradicts
from payments.order import Held, LateSuccess, Mismatch, Move, Order, OrderStatus, Outcome, Surplus, decide
from payments.payment import Standing, payment_told, sighted
from payments.subscription import ENDED, LIVING, Followed, Subscription, another
from workers.booking import book_payment
from workers.orders import standing_of, write_outcome
from workers.raising import raise_money
from workers.settling import settle_invoice
from workers.subscription_effects import Line
from workers.subscriptions import FirstPayment, follow_telling, give_up_unbegun, keep_its_time


async def is_of_a_renewal(tx: Tx, gateway: str, event: OrderEvent) -> bool:
    """The payment's own event finds the order by what the invoice has called it, and is no money of the order's."""
    seen = sighted(event)
    return seen is not None and await payments.is_a_renewals(tx, gateway, seen.gateway_payment_id)


async def apply_telling(
    tx: Tx,
    held: Locked,
    begun: Begun,
    told: SubscriptionTold,
    line: Line,
    policy: Policy,
    late_success: LateSuccess,
    *,
    is_read: bool,
) -> tuple[Outcome | Followed, tuple[UUID, ...]]:
    """What is told of the subscription; and of its order, where that is what the telling pays."""
    is_anothers = another(begun.subscription, told, line.subscription_id) is not None
    success = None if is_anothers else _what_pays(held.order, begun.subscription, told)
    outcome = decide(held.order, success, late_policy(begun, late_success)) if success else None
    first = FirstPayment(held.id, standing_of(outcome, held)) if success and success.payment_id and outcome else None
    if isinstance(outcome, Move):
        begun = replace(begun, subscription=replace(begun.subscription, order_is_settled=True))
    written = await follow_telling(tx, begun, told, line, policy, first=first, is_read=is_read)
    if is_anothers:
        await _note_anothers_money(tx, held, told, line)
    owed = written.effects
    if success is not None and outcome is not None:
        owed += await write_outcome(tx, held, success, outcome, line)
    if told.invoice is not None and (invoice_id := begun.invoices.get(told.invoice.gateway_invoice_id)) is not None:
        # Its payment may have been known before, by another name's telling, and may have gone back already.
        owed += await settle_invoice(tx, held, invoice_id, line, policy)
    is_for_a_person = isinstance(outcome, Surplus | Mismatch | Held)
    return outcome if outcome is not None and is_for_a_person else written.followed, owed


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
    await book_payment(tx, line, row, held.id, seen.amount)
    success = PaymentSucceeded(seen.gateway_payment_id, seen.amount)
    await raise_money(tx, held, line.gateway, success, Surplus(seen.amount), row)


def late_policy(begun: Begun | None, late_success: LateSuccess) -> LateSuccess:
    """Late money for what has ended can give nothing, since nothing leads out of an end: a person looks at it."""
    has_ended = begun is not None and begun.subscription.status in ENDED
    return LateSuccess.HOLD if has_ended else late_success


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


async def tell_subscription(
    tx: Tx, begun: Begun, event: OrderEvent, move: Move, line: Line, policy: Policy
) -> tuple[UUID, ...]:
    """What the order's move means for what it began. Its gateway may still revive one whose payment has failed; of one
    whose page has ended unpaid it will never speak."""
    if move.to is OrderStatus.PAID:
        settled = replace(begun, subscription=replace(begun.subscription, order_is_settled=True))
        return (await keep_its_time(tx, settled, line, policy)).effects
    if isinstance(event, CheckoutEnded):
        return (await give_up_unbegun(tx, begun, line, policy)).effects
    return ()
