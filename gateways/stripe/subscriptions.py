"""Stripe's subscriptions in our words, in every API shape: one table of statuses, and where each field has been kept.

Since 2025-03-31 (Basil) each item has a period of its own. Where they differ, the subscription's is from the latest
start to the earliest end: so Stripe means it itself, when subscriptions are listed by their period
(docs.stripe.com/api/subscriptions/list), and nobody is promised more than every item has been billed for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateways.gateway import Json
from gateways.reading import as_id, as_object, as_text, as_time, texts
from gateways.translating import Unreadable, confirm, needed
from payments.events import References, SubscriptionTold
from payments.snapshot import ENDED, Snapshot, SubscriptionStatus

#: Stripe's statuses in our words (docs.stripe.com/api/subscriptions/object, ``status``).
WORDS: dict[str, SubscriptionStatus] = {
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.EXPIRED,
    "trialing": SubscriptionStatus.TRIALING,
    "active": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "paused": SubscriptionStatus.PAUSED,
    "unpaid": SubscriptionStatus.UNPAID,
    "canceled": SubscriptionStatus.CANCELLED,
}

#: In these, ``pause_collection`` pauses what we call the subscription. Stripe leaves its status as it is, and sends no
#: event of its own for it (F79).
PAUSABLE = frozenset({SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})


def read_references(subscription: Json) -> References:
    metadata = as_object(subscription.get("metadata"))
    return References(
        order_ids=texts(metadata.get("order_id")),
        objects=texts(subscription.get("id"), as_id(subscription.get("latest_invoice"))),
        instance=as_text(metadata.get("counterfoil")),
    )


def subscription_told(subscription: Json) -> SubscriptionTold:
    """How it is now, whatever has happened to it: created, updated, a change of plan paid for or given up."""
    return SubscriptionTold(None, snapshot=read_snapshot(subscription))


def subscription_deleted(subscription: Json) -> SubscriptionTold:
    confirm(subscription, "status", "canceled", "incomplete_expired")
    return SubscriptionTold(None, snapshot=read_snapshot(subscription))


def subscription_paused(subscription: Json) -> SubscriptionTold:
    confirm(subscription, "status", "paused")
    return SubscriptionTold(None, snapshot=read_snapshot(subscription))


def subscription_resumed(subscription: Json) -> SubscriptionTold:
    if subscription.get("status") == "paused":
        raise Unreadable("status contradicts the event's type")
    return SubscriptionTold(None, snapshot=read_snapshot(subscription))


def trial_will_end(subscription: Json) -> SubscriptionTold:
    """Three days before; at once where a trial is shorter, or is cut short, and then the status may say so already."""
    return SubscriptionTold(None, snapshot=read_snapshot(subscription), trial_ends=True)


def read_snapshot(subscription: Json) -> Snapshot:
    """Raises ``Unreadable``."""
    confirm(subscription, "object", "subscription")
    status = _status(subscription)
    start, end = _period(subscription)
    price_id = _price_id(subscription)
    if status not in ENDED:
        needed(end, "current_period_end")
        needed(price_id, "items.data.price")
    ends_at = _ends_at(subscription, end)
    return Snapshot(
        gateway_subscription_id=needed(as_text(subscription.get("id")), "id"),
        status=status,
        customer_id=as_id(subscription.get("customer")),
        price_id=price_id,
        period_start=start,
        period_end=end,
        trial_end=as_time(subscription.get("trial_end")),
        cancel_at_period_end=ends_at is not None and ends_at == end,
        ends_at=ends_at,
        ended_at=read_end(subscription),
        has_pending_change=_has_pending_change(subscription),
    )


def read_end(subscription: Json) -> datetime | None:
    """When it ended; None while it has not."""
    has_ended = WORDS.get(as_text(subscription.get("status")) or "") in ENDED
    return _ended_at(subscription) if has_ended else None


def _status(subscription: Json) -> SubscriptionStatus:
    word = as_text(subscription.get("status")) or ""
    status = needed(WORDS.get(word), "status")
    is_paused = status in PAUSABLE and bool(as_object(subscription.get("pause_collection")))
    return SubscriptionStatus.PAUSED if is_paused else status


def _period(subscription: Json) -> tuple[datetime | None, datetime | None]:
    own = tuple(as_time(subscription.get(f"current_period_{which}")) for which in ("start", "end"))
    if own[1] is not None:
        return own[0], own[1]
    items = _items(subscription)
    starts = [start for item in items if (start := as_time(item.get("current_period_start")))]
    ends = [end for item in items if (end := as_time(item.get("current_period_end")))]
    return max(starts, default=None), min(ends, default=None)


def _items(subscription: Json) -> Sequence[Json]:
    data = as_object(subscription.get("items")).get("data")
    return [as_object(item) for item in data] if isinstance(data, list) else []


def _price_id(subscription: Json) -> str | None:
    """Of what we sell, a subscription has one item. Prices were plans until 2020, and subscriptions had one plan."""
    for holder in (*_items(subscription)[:1], subscription):
        if price_id := as_id(holder.get("price")) or as_id(holder.get("plan")):
            return price_id
    return None


def _ends_at(subscription: Json, period_end: datetime | None) -> datetime | None:
    """``cancel_at`` is set beside ``cancel_at_period_end``, or alone, to whatever second."""
    set_for = as_time(subscription.get("cancel_at"))
    return set_for or (period_end if subscription.get("cancel_at_period_end") is True else None)


def _ended_at(subscription: Json) -> datetime | None:
    """``canceled_at`` is when somebody said that it is to end, which for one that never began is its end."""
    return as_time(subscription.get("ended_at")) or as_time(subscription.get("canceled_at"))


def _has_pending_change(subscription: Json) -> bool:
    """A change that waits for its payment, or a schedule, which Stripe releases when its last phase begins."""
    return bool(as_object(subscription.get("pending_update"))) or as_id(subscription.get("schedule")) is not None
