"""What has to be asked of Stripe so that a subscription becomes what somebody wants: pure, from how it is now.

No step means that it is so already: whoever asks again after a lost answer finds out so. What a schedule governs,
Stripe lets nobody change directly, so that it goes first; its next phase was a change that is overtaken.
Source: docs.stripe.com/billing/subscriptions/subscription-schedules and .../pending-updates.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateways.client import PlanChange, Refusal, Refused
from gateways.gateway import Json
from gateways.reading import as_id, as_object, as_text
from gateways.translating import Unreadable, needed

ENDED = frozenset({"canceled", "incomplete_expired"})

#: In these, something is billed or will be.
RUNNING = frozenset({"trialing", "active", "past_due"})

#: In these, a renewal waits for its money. A change would be billed less a credit for the period that nobody has paid.
FAILING = frozenset({"past_due", "unpaid"})


@dataclass(frozen=True, slots=True)
class Release:
    """Let the subscription go on as it is, without its schedule."""

    schedule_id: str


@dataclass(frozen=True, slots=True)
class Update:
    parameters: Json


@dataclass(frozen=True, slots=True)
class Cancel:
    """End it now. What is paid for is not paid back: that is a refund, and somebody's decision."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Bill nothing from now on."""


@dataclass(frozen=True, slots=True)
class Resume:
    parameters: Json


@dataclass(frozen=True, slots=True)
class Schedule:
    """Go on as it is to the period's end, and by another price from there. ``instead_of``: the schedule that goes."""

    price_id: str
    instead_of: str | None = None


#: No credit for the time that is paid for and not used: by policy it is used while the pause lasts, or goes on after
#: it. With both, whoever pauses on the first day of each period would have all of them for the price of one.
PAUSED: Json = {
    "bill_for": {"unused_time_from": {"type": "none"}, "outstanding_usage_through": {"type": "none"}},
}

#: The old period goes on, as it is paid for; or a new one begins, and is billed whole.
OLD_PERIOD: Json = {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "none"}
NEW_PERIOD: Json = {"billing_cycle_anchor": {"type": "now"}, "proration_behavior": "none"}

Step = Release | Update | Cancel | Pause | Resume | Schedule


def to_cancel(subscription: Json, *, at_period_end: bool) -> tuple[Step, ...] | Refused:
    if _status(subscription) in ENDED or (at_period_end and _is_set_to_end(subscription)):
        return ()
    if not at_period_end:
        return (Cancel(),)
    if _status(subscription) not in RUNNING:
        return _refuse("no period of it is running, at whose end it could end")
    return (*_release(subscription), Update({"cancel_at_period_end": True}))


def to_pause(subscription: Json) -> tuple[Step, ...] | Refused:
    if _status(subscription) == "paused" or as_object(subscription.get("pause_collection")):
        return ()
    if _status(subscription) not in RUNNING:
        return _refuse("only what is running can be paused")
    return (*_release(subscription), Pause())


def to_resume(subscription: Json, *, keeps_period: bool) -> tuple[Step, ...] | Refused:
    if _status(subscription) in ENDED:
        return _refuse("it has ended")
    undone: dict[str, object] = {}
    if subscription.get("cancel_at_period_end"):
        undone["cancel_at_period_end"] = False
    elif subscription.get("cancel_at") is not None:
        undone["cancel_at"] = ""
    if as_object(subscription.get("pause_collection")):
        undone["pause_collection"] = ""
    is_paused = _status(subscription) == "paused"
    resumed = (Resume(OLD_PERIOD if keeps_period else NEW_PERIOD),) if is_paused else ()
    return (*((Update(undone),) if undone else ()), *resumed)


def to_change_plan(subscription: Json, change: PlanChange) -> tuple[Step, ...] | Refused:
    """Raises ``Unreadable``."""
    if _status(subscription) not in RUNNING | FAILING:
        return _refuse("only a running subscription can change its plan")
    item = _only_item(subscription)
    if isinstance(item, Refused):
        return item
    # Before anything is refused: what was done while its answer was lost stays done, whatever fails since.
    if as_id(item.get("price")) == change.price_id:
        return _release(subscription)
    if change.is_immediate and change.price_id in _waiting_prices(subscription):
        return ()
    if _status(subscription) in FAILING:
        return _refuse("a renewal of it has not been paid")
    if change.is_immediate:
        return _change_now(subscription, item, change)
    if _is_set_to_end(subscription):
        return _refuse("it is set to end with this period")
    # A schedule that is there was made for an earlier wish.
    return (*_release(subscription), Schedule(change.price_id, as_id(subscription.get("schedule"))))


def _change_now(subscription: Json, item: Json, change: PlanChange) -> tuple[Step, ...]:
    """Invoiced at once, and in force only when that is paid."""
    update = Update(
        {
            "items": [{"id": needed(as_text(item.get("id")), "items.data.id"), "price": change.price_id}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "pending_if_incomplete",
        }
    )
    return (*_release(subscription), update)


#: How long a schedule governs the price that it has brought: a phase has to have a length.
NEXT_PHASE = {"interval": "day", "interval_count": 1}


def next_phase(schedule: Json, price_id: str) -> Json:
    """The schedule's phases: what runs, to its end, and the new price; then it lets go of the subscription.

    Raises ``Unreadable``.
    """
    phases = schedule.get("phases")
    runs = as_object(phases[0]) if isinstance(phases, list) and phases else {}
    items = runs.get("items")
    if not isinstance(items, list) or not items:
        raise Unreadable("phases.items is missing")
    kept = [{"price": as_id(item.get("price")), "quantity": item.get("quantity", 1)} for item in items]
    return {
        "end_behavior": "release",
        "proration_behavior": "none",
        "phases": [
            {"items": kept, "start_date": runs.get("start_date"), "end_date": runs.get("end_date")},
            {"items": [{"price": price_id, "quantity": kept[0]["quantity"]}], "duration": NEXT_PHASE},
        ],
    }


def _status(subscription: Json) -> str:
    return needed(as_text(subscription.get("status")), "status")


def _is_set_to_end(subscription: Json) -> bool:
    return bool(subscription.get("cancel_at_period_end")) or subscription.get("cancel_at") is not None


def _release(subscription: Json) -> tuple[Step, ...]:
    schedule = as_id(subscription.get("schedule"))
    return (Release(schedule),) if schedule else ()


def _only_item(subscription: Json) -> Json | Refused:
    items = as_object(subscription.get("items")).get("data")
    if not isinstance(items, list) or not items:
        raise Unreadable("items.data is missing")
    return as_object(items[0]) if len(items) == 1 else _refuse("it bills several prices, of which we sold one")


def _waiting_prices(subscription: Json) -> set[str | None]:
    waiting = as_object(subscription.get("pending_update")).get("subscription_items")
    return {as_id(as_object(item).get("price")) for item in waiting} if isinstance(waiting, list) else set()


def _refuse(reason: str) -> Refused:
    return Refused(Refusal.STATE, f"Stripe cannot do this to the subscription now: {reason}")
