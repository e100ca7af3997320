"""What becomes of a refund, whoever moves it: a call, somebody in the dashboard, a bank, or the clock.

make -> succeeded              at once
     -> pending                -> succeeded | failed | canceled
     -> requires_action        the customer has to name an account first; only this one can be cancelled by a call
succeeded -> failed            the bank sends the money back, and the charge counts as less refunded

A charge counts what was asked back from the first moment on; what failed or was cancelled is taken out again.
"""

from __future__ import annotations

from sandbox.refund_endings import Course, Ending, usual
from sandbox.store import Json
from sandbox.stripe import balance, events, fraud_warnings, records, refund_shapes
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.world import World

KIND = "refund"
ENDS = "stripe.refund.ends"
#: To which end the clock will bring a refund.
_PLANNED = "planned_refund"

#: The test cards whose refunds do not simply succeed (docs.stripe.com/testing#refunds).
_ENDING_OF_CARD = {"7726": Ending.SUCCEEDS_LATER, "5126": Ending.FAILS_AFTER_SUCCESS}
_OPEN = ("pending", "requires_action")


def refundable(charge: Json) -> int:
    """What can still be given back of it; what a partial capture left over never was taken."""
    left_over = charge["amount"] - charge["amount_captured"]
    return int(charge["amount_captured"] - (charge["amount_refunded"] - left_over))


def make(world: World, charge: Json, amount: int, said: Json, cause: Cause, course: Course | None = None) -> Json:
    """A new refund; who asks has made sure that the charge still has so much."""
    course = course or Course(_usual_ending(world, charge))
    refund = refund_shapes.refund(charge, amount, said, world.clock.now())
    refund |= _begin(course.ending)
    refund["balance_transaction"] = balance.refund(world, refund)["id"]
    records.keep(world, refund)
    before = _count(world, charge, amount)
    events.record(world, "refund.created", refund, cause)
    events.record(world, "charge.refunded", charge, cause, previous=before)
    fraud_warnings.reconsider(world, charge)
    _plan(world, refund, course)
    return refund


def change(world: World, before: Json, after: Json, cause: Cause) -> Json:
    """Whatever is said of a refund is told twice: the older event is for some methods, cards among them."""
    if records.change(world, before, after, cause, "refund.updated"):
        previous = {name: value for name, value in before.items() if after.get(name) != value}
        events.record(world, "charge.refund.updated", after, cause, previous=previous)
    return after


def end(world: World, refund: Json, status: str, cause: Cause = NOBODY) -> Json:
    """It comes to its end: ``succeeded``, ``failed`` or ``canceled``. One that has ended otherwise stays as it is."""
    is_late_failure = status == "failed" and refund["status"] == "succeeded"
    if refund["status"] not in _OPEN and not is_late_failure:
        return refund
    world.agenda.strike(ENDS, refund["id"])
    after = {name: value for name, value in refund.items() if name not in {"next_action", "pending_reason"}}
    after["status"] = status
    if status == "succeeded":
        return change(world, refund, refund_shapes.arrived(after), cause)
    after["failure_balance_transaction"] = balance.refund_failure(world, refund)["id"]
    if status == "failed":
        after["failure_reason"] = "lost_or_stolen_card" if is_late_failure else "unknown"
    _count(world, records.find(world, "charge", refund["charge"]), -refund["amount"])
    change(world, refund, after, cause)
    if status == "failed":
        events.record(world, "refund.failed", after, cause)
    return after


def end_when_due(world: World, refund_id: str) -> None:
    """Its time has come: a refund that was to succeed or to fail does."""
    refund = records.find(world, KIND, refund_id)
    ending = records.find(world, _PLANNED, refund_id)["ending"]
    end(world, refund, "succeeded" if ending == Ending.SUCCEEDS_LATER else "failed")


def of_charge(world: World, charge_id: str) -> list[Json]:
    """The charge's refunds, newest first."""
    return world.store.newest(GATEWAY, KIND, limit=1000, matching={"charge": charge_id})


def _usual_ending(world: World, charge: Json) -> Ending:
    card = charge["payment_method_details"].get("card") or {}
    return _ENDING_OF_CARD.get(card.get("last4", ""), usual(world))


def _begin(ending: Ending) -> Json:
    if ending.succeeds_at_once:
        return {"status": "succeeded"}
    if ending is not Ending.ASKS_CUSTOMER:
        return {"status": "pending", "pending_reason": "processing"}
    asked = {"email_sent": {"email_sent_at": None, "email_sent_to": "customer@example.com"}, "expires_at": None}
    return {"status": "requires_action", "next_action": {"display_details": asked, "type": "display_details"}}


def _plan(world: World, refund: Json, course: Course) -> None:
    if course.ends_later:
        planned = {"id": refund["id"], "ending": course.ending}
        world.store.put(GATEWAY, _PLANNED, planned, created=refund["created"])
        world.agenda.enter(world.clock.exact() + course.after, ENDS, refund["id"])


def _count(world: World, charge: Json, amount: int) -> Json:
    """The charge's sum of what was refunded, more or less; gives what it was before, where that was otherwise."""
    before = {name: charge[name] for name in ("amount_refunded", "refunded")}
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    records.keep(world, charge)
    return {name: value for name, value in before.items() if charge[name] != value}
