"""One line to build a subscription, an invoice, or what a gateway tells of either; a month of theirs is 30 days."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from payments.dunning import DEFAULT, Policy
from payments.events import SubscriptionTold
from payments.failure import Failure, FailureCode
from payments.invoice import InvoicePayment, InvoiceReason, InvoiceSighting, InvoiceStatus
from payments.money import Money
from payments.occurrence import Occurrence
from payments.snapshot import Snapshot, SubscriptionStatus
from payments.subscription import Followed, Subscription, follow

TEN, NOTHING = Money(1000, "usd"), Money(0, "usd")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY, MONTH = timedelta(days=1), timedelta(days=30)
DECLINED = Failure(FailureCode.CARD_DECLINED, "generic_decline")


def subscription(*, has_trial: bool = False, **more: Any) -> Subscription:
    """As it stands once its order is paid, and before anything is told of it."""
    fields: dict[str, Any] = {"first_due": NOTHING if has_trial else TEN, "order_is_settled": True, **more}
    return Subscription("sub-1", SubscriptionStatus.INCOMPLETE, "stripe", "plan-1", TEN, has_trial=has_trial, **fields)


def snapshot(status: SubscriptionStatus = SubscriptionStatus.ACTIVE, **more: Any) -> Snapshot:
    fields: dict[str, Any] = {"price_id": "price_1", "period_start": NOON, "period_end": NOON + MONTH, **more}
    return Snapshot("sub_gw", status, **fields)


def told(status: SubscriptionStatus | Snapshot, at: datetime | None = NOON, **more: Any) -> SubscriptionTold:
    return SubscriptionTold(at, snapshot=status if isinstance(status, Snapshot) else snapshot(status, **more))


def invoice(name: str = "in_1", status: InvoiceStatus = InvoiceStatus.PAID, **more: Any) -> InvoiceSighting:
    """The first one, paid in full for a month, unless said otherwise; ``month`` is the month that it is for."""
    month: int = more.pop("month", 0)
    due: Money = more.pop("due", TEN)
    fields: dict[str, Any] = {
        "reason": InvoiceReason.RENEWAL if month else InvoiceReason.FIRST,
        "paid": due if status is InvoiceStatus.PAID else replace(due, minor=0),
        "period_start": NOON + month * MONTH,
        "period_end": NOON + (month + 1) * MONTH,
        **more,
    }
    return InvoiceSighting(name, status, due=due, **fields)


def billed(sighting: InvoiceSighting, at: datetime | None = NOON) -> SubscriptionTold:
    return SubscriptionTold(at, invoice=sighting)


def paid(name: str = "in_1", at: datetime | None = NOON, **more: Any) -> SubscriptionTold:
    payment = InvoicePayment(f"pi_{name}", more.get("due", TEN))
    return billed(invoice(name, InvoiceStatus.PAID, **{"payment": payment, "attempts": 1, **more}), at)


def failed(name: str, at: datetime | None, **more: Any) -> SubscriptionTold:
    fields: dict[str, Any] = {"attempts": 1, "failure": DECLINED, **more}
    return billed(invoice(name, InvoiceStatus.OPEN, **fields), at)


def after(
    held: Subscription, *tellings: SubscriptionTold, now: datetime = NOON, policy: Policy = DEFAULT
) -> Subscription:
    """What all of them, in this order, make of it at one moment."""
    for telling in tellings:
        held = follow(held, telling, policy, now).after
    return held


def running(**more: Any) -> Subscription:
    """It is active, and its first month is paid."""
    return after(subscription(**more), told(SubscriptionStatus.ACTIVE), paid())


def kinds(followed: Followed) -> list[Occurrence]:
    return [owed.kind for owed in followed.owed]
