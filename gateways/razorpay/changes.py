"""What has to be asked of Razorpay so that a subscription becomes what somebody wants: pure, from how it is now.

No step means that it is so already. Razorpay forbids much, and does some of it silently otherwise (a pause before the
first charge cancels), so that what it is asked is looked at here first.
Source: razorpay.com/docs/payments/subscriptions/states and .../update.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateways.client import PlanChange, Refusal, Refused
from gateways.gateway import Json
from gateways.razorpay.freezing import CYCLES
from gateways.reading import as_text
from gateways.translating import needed

ENDED = frozenset({"cancelled", "completed", "expired"})

#: In these, a renewal waits for its money.
FAILING = frozenset({"pending", "halted"})


class Verb(StrEnum):
    """How the SDK calls it."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    EDIT = "edit"
    FORGET = "cancel_scheduled_changes"


@dataclass(frozen=True, slots=True)
class Step:
    verb: Verb
    body: Json


def to_cancel(subscription: Json, *, at_period_end: bool) -> tuple[Step, ...] | Refused:
    """An end that is set for later is not shown by Razorpay, and may be set again (razorpay-node, issue 330)."""
    status = _status(subscription)
    if status in ENDED:
        return ()
    if at_period_end and status != "active":
        return _refuse("no paid period of it is running, at whose end it could end")
    return (Step(Verb.CANCEL, {"cancel_at_cycle_end": int(at_period_end)}),)


def to_pause(subscription: Json) -> tuple[Step, ...] | Refused:
    if _status(subscription) == "paused":
        return ()
    if _status(subscription) != "active":
        # Before the first charge, Razorpay would cancel it instead (F79).
        return _refuse("only an active one can be paused")
    return (Step(Verb.PAUSE, {"pause_at": "now"}),)


def to_resume(subscription: Json, *, is_set_to_end: bool) -> tuple[Step, ...] | Refused:
    match _status(subscription):
        case "paused":
            return (Step(Verb.RESUME, {"resume_at": "now"}),)
        case status if status in ENDED:
            return _refuse("it has ended")
        case _ if is_set_to_end:
            return _refuse("an end that was set for later cannot be taken back")
        case _:
            return ()


def to_change_plan(subscription: Json, change: PlanChange) -> tuple[Step, ...] | Refused:
    if _status(subscription) not in {"authenticated", "active"} | FAILING:
        return _refuse("only an active one, or one in its trial, can change its plan")
    # Before anything is refused: what was done while its answer was lost stays done, whatever fails since.
    if subscription.get("plan_id") == change.price_id:
        return (Step(Verb.FORGET, {}),) if subscription.get("has_scheduled_changes") else ()
    if _status(subscription) in FAILING:
        return _refuse("a renewal of it has not been paid")
    if subscription.get("payment_method") not in {None, "card"}:
        return _refuse("only what is paid by card can change its plan")
    # In a trial no cycle is running, and nothing is paid that could be used up first.
    is_immediate = change.is_immediate or _status(subscription) == "authenticated"
    asked = {
        "plan_id": change.price_id,
        "remaining_count": CYCLES[change.interval],
        "schedule_change_at": "now" if is_immediate else "cycle_end",
        "customer_notify": 0,
    }
    return (Step(Verb.EDIT, asked),)


def _status(subscription: Json) -> str:
    return needed(as_text(subscription.get("status")), "subscription.status")


def _refuse(reason: str) -> Refused:
    return Refused(Refusal.STATE, f"Razorpay cannot do this to the subscription now: {reason}")
