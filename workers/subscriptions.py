"""Write what the rules make of a subscription: its row, its invoices, their money, access, and what follows.

The caller holds the locks, the order's first, and the transaction; nothing here talks to a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from db import discrepancies, entitlements, history, invoices, payments, subscriptions
from db.entitlements import Given
from db.pool import Tx
from db.subscriptions import Locked, Sold
from payments.access import decide_access, turning_points
from payments.dunning import Policy
from payments.events import SubscriptionTold
from payments.invoice import InvoiceReason
from payments.money import Money
from payments.payment import PaymentStatus, Sighting, Standing
from payments.subscription import (
    Followed,
    Raised,
    Snapshot,
    Subscription,
    abandon,
    follow,
    keep_time,
)
from workers.booking import book_payment
from workers.subscription_effects import Line, owe_effects


@dataclass(frozen=True, slots=True)
class Written:
    """What the rules said, and the effects that want a hint once the transaction has committed."""

    followed: Followed
    effects: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class FirstPayment:
    """The order that the first invoice's money has paid, and whether it counts there."""

    order_id: UUID
    standing: Standing


async def follow_telling(
    tx: Tx,
    held: Locked,
    told: SubscriptionTold,
    line: Line,
    policy: Policy,
    *,
    first: FirstPayment | None = None,
    is_read: bool = False,
) -> Written:
    """What a gateway tells of it. ``is_read``: it was asked, and answered after all that is written here."""
    followed = follow(held.subscription, told, policy, line.at, is_read=is_read, named=line.subscription_id)
    return await _write(tx, held, followed, line, policy, first, told.snapshot)


async def keep_its_time(tx: Tx, held: Locked, line: Line, policy: Policy) -> Written:
    """What has become due by our clock, or since its order was paid."""
    return await _write(tx, held, keep_time(held.subscription, policy, line.at), line, policy)


async def give_up_unbegun(tx: Tx, held: Locked, line: Line, policy: Policy) -> Written:
    """Its order came to its end unpaid."""
    return await _write(tx, held, abandon(held.subscription, policy, line.at), line, policy)


async def _write(
    tx: Tx,
    held: Locked,
    followed: Followed,
    line: Line,
    policy: Policy,
    first: FirstPayment | None = None,
    told: Snapshot | None = None,
) -> Written:
    before, after = held.subscription, followed.after
    sold = await _sold(tx, held, after, line.gateway)
    has_other_plan = sold.plan_id != held.sold.plan_id
    if (after, followed.next_step_at) != (before, held.next_step_at) or has_other_plan:
        await subscriptions.write(
            tx, held, after, gateway=line.gateway, plan_id=sold.plan_id, next_step_at=followed.next_step_at, at=line.at
        )
    for invoice in followed.changed:
        held.invoices[invoice.gateway_invoice_id] = await invoices.write(tx, held.id, line.gateway, invoice, at=line.at)
    given = Given(after.access, _lapses_at(after, policy, line.at))
    if given != held.given or has_other_plan:
        await entitlements.set_for_subscription(
            tx, subscription_id=held.id, user_id=held.user_id, plan_id=sold.plan_id, given=given
        )
    await _tell_history(tx, held, after, sold, line)
    payment = await _write_payment(tx, held, followed, line, first)
    for raised in followed.raised:
        await _open_discrepancy(tx, held, raised, _fingerprint(raised, held, followed, line), payment, line)
    return Written(followed, await owe_effects(tx, held, followed, sold, line, told))


def _lapses_at(after: Subscription, policy: Policy, now: datetime) -> datetime | None:
    """When access is over if nothing more is told and our clock stands still."""
    ends = (at for at in turning_points(after.claim, policy) if at > now)
    return min((at for at in ends if not decide_access(after.claim, policy, at).active), default=None)


async def _sold(tx: Tx, held: Locked, after: Subscription, gateway: str) -> Sold:
    """The plan by whose price it is billed now; as before where that price is none of ours."""
    before, now = held.subscription.snapshot, after.snapshot
    if now is None or now.price_id is None or (before is not None and before.price_id == now.price_id):
        return held.sold
    return await subscriptions.sold_under(tx, gateway, now.price_id) or held.sold


async def _tell_history(tx: Tx, held: Locked, after: Subscription, sold: Sold, line: Line) -> None:
    """One line for a move, or for any other change of what somebody can see; an invoice's row tells of itself."""
    before = held.subscription
    has_moved = after.status is not before.status
    changed = dict(_changes(before, after)) | ({"plan": sold.plan_id} if sold.plan_id != held.sold.plan_id else {})
    if has_moved or changed:
        await history.write(
            tx,
            subject="subscription",
            subject_id=held.id,
            from_status=before.status.value if has_moved else None,
            to_status=after.status.value,
            cause=line.cause,
            at=line.at,
            detail=changed,
        )


def _changes(before: Subscription, after: Subscription) -> Iterator[tuple[str, object]]:
    was, now = before.snapshot or Snapshot("", before.status), after.snapshot or Snapshot("", after.status)
    if now.period_end != was.period_end:
        yield "periodEnd", _iso(now.period_end)
    if now.trial_end != was.trial_end:
        yield "trialEnd", _iso(now.trial_end)
    if now.set_to_end != was.set_to_end:
        yield "setToEnd", _iso(now.set_to_end)
    if now.has_pending_change != was.has_pending_change:
        yield "hasPendingChange", now.has_pending_change
    if now.price_id != was.price_id:
        yield "price", now.price_id
    if after.access != before.access:
        access = after.access
        yield "access", {"active": access.active, "until": _iso(access.until), "reason": access.reason.value}


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


async def _write_payment(
    tx: Tx, held: Locked, followed: Followed, line: Line, first: FirstPayment | None
) -> UUID | None:
    """The row of an invoice's money. Of the first invoice's, the order's rules have said whether it counts."""
    if followed.payment is None:
        return None
    paid, standing, gateway_invoice_id = followed.payment
    invoice_id = held.invoices[gateway_invoice_id]
    known = await payments.find_taken(tx, line.gateway, paid.gateway_payment_id)
    if known is not None:
        await payments.tie_to_invoice(tx, known, invoice_id)
        if standing is Standing.HELD:
            await payments.hold(tx, known, invoice_id)
        return known
    row = await payments.record(
        tx,
        line.gateway,
        first.order_id if first else None,
        Sighting(paid.gateway_payment_id, paid.paid, PaymentStatus.SUCCEEDED),
        status=PaymentStatus.SUCCEEDED,
        standing=first.standing if first else standing,
        failure=None,
        invoice_id=invoice_id,
    )
    if row is None:
        raise RuntimeError("a payment of this invoice belongs to another order or invoice")
    await book_payment(tx, line, row, first.order_id if first else None, paid.paid)
    return row


def _fingerprint(raised: Raised, held: Locked, followed: Followed, line: Line) -> str:
    """Of a first invoice that pays its order, the order's own rules raise the same under this name: it is told once."""
    invoice = followed.after.invoice(raised.about)
    is_the_orders = held.order_id is not None and invoice is not None and invoice.reason is InvoiceReason.FIRST
    what = f"first:{raised.paid}" if is_the_orders else raised.what
    return f"{raised.kind}:{held.order_id or held.id}:{line.gateway}:{what}"


async def _open_discrepancy(
    tx: Tx, held: Locked, raised: Raised, fingerprint: str, payment: UUID | None, line: Line
) -> None:
    await discrepancies.open_discrepancy(
        tx,
        kind=raised.kind.value,
        gateway=line.gateway,
        order_id=held.order_id,
        subscription_id=held.id,
        payment_id=payment,
        amount_at_risk=raised.paid.minor if raised.paid else 0,
        currency=raised.paid.currency if raised.paid else None,
        evidence={
            "ours": {"status": held.subscription.status.value, **_figures(raised.expected)},
            "theirs": {"about": raised.about, **_figures(raised.paid)},
        },
        proposed_action=raised.proposed,
        fingerprint=fingerprint,
    )


def _figures(money: Money | None) -> dict[str, object]:
    return {"amount": money.minor, "currency": money.currency} if money else {}
