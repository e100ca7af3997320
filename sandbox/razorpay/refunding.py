"""What becomes of a refund, whoever moves it: a call, somebody in the dashboard, a bank, or the clock.

make -> processed              at once
     -> pending                -> processed | failed
processed -> failed            the bank sends the money back

A payment counts what was asked back from the first moment on, and what failed is taken out again.
"""

from __future__ import annotations

from sandbox.razorpay import events, ledger, shapes
from sandbox.razorpay.calls import GATEWAY, keep
from sandbox.refund_endings import Course, Ending, usual
from sandbox.store import Json
from sandbox.world import World

KIND = "refund"
ENDS = "razorpay.refund.ends"
#: To which end the clock will bring a refund.
_PLANNED = "planned_refund"
_REFUNDS_MAX = 1000


def refundable(payment: Json) -> int:
    """What can still be given back of it."""
    return int(payment["amount"] - payment["amount_refunded"])


def make(world: World, payment: Json, amount: int, said: Json, course: Course | None = None) -> Json:
    """A new refund; who asks has made sure that the payment still has so much."""
    course = course or Course(usual(world))
    refund = shapes.refund(payment, world.clock.now(), amount=amount) | said
    is_instant = refund["speed_requested"] == "optimum"
    refund["status"] = "processed" if course.ending.succeeds_at_once else "pending"
    refund["speed_processed"] = "instant" if is_instant else "normal"
    keep(world, KIND, refund)
    _count(world, payment, amount)
    ledger.debit_refund(world, refund, payment)
    events.record(world, "refund.created", refund=refund, payment=payment)
    if refund["status"] == "processed":
        events.record(world, "refund.processed", refund=refund, payment=payment)
    if course.ends_later:
        planned = {"id": refund["id"], "ending": course.ending}
        world.store.put(GATEWAY, _PLANNED, planned, created=refund["created_at"])
        world.agenda.enter(world.clock.exact() + course.after, ENDS, refund["id"])
    return refund


def end(world: World, refund: Json, status: str) -> Json:
    """It comes to its end: ``processed`` or ``failed``. One that has ended otherwise stays as it is."""
    is_late_failure = status == "failed" and refund["status"] == "processed"
    if refund["status"] != "pending" and not is_late_failure:
        return refund
    world.agenda.strike(ENDS, refund["id"])
    payment = _payment_of(world, refund)
    refund["status"] = status
    if status == "failed":
        _count(world, payment, -refund["amount"])
        ledger.return_refund(world, refund, payment)
    else:
        _slow_down(world, refund, payment)
        refund["acquirer_data"] = {"arn": f"{int(refund['created_at']):014d}"}
    keep(world, KIND, refund)
    events.record(world, f"refund.{status}", refund=refund, payment=payment)
    return refund


def of_payment(world: World, payment_id: str) -> list[Json]:
    """The payment's refunds, newest first."""
    return world.store.newest(GATEWAY, KIND, limit=_REFUNDS_MAX, matching={"payment_id": payment_id})


def end_when_due(world: World, refund_id: str) -> None:
    """Its time has come: a refund that was to be processed or to fail is."""
    refund, planned = world.store.find(GATEWAY, KIND, refund_id), world.store.find(GATEWAY, _PLANNED, refund_id)
    assert refund is not None, "the agenda names it"
    assert planned is not None, "it is planned when it is entered"
    end(world, refund, "processed" if planned["ending"] == Ending.SUCCEEDS_LATER else "failed")


def _slow_down(world: World, refund: Json, payment: Json) -> None:
    """What was to be instant and had to wait goes the normal way."""
    if refund["speed_processed"] == "instant":
        refund["speed_processed"] = "normal"
        events.record(world, "refund.speed_changed", refund=refund, payment=payment)


def _payment_of(world: World, refund: Json) -> Json:
    payment = world.store.find(GATEWAY, "payment", refund["payment_id"])
    assert payment is not None, "a refund is made of a payment"
    return payment


def _count(world: World, payment: Json, amount: int) -> None:
    """The payment's sum of what was refunded, more or less. Its order stays paid, whatever is given back."""
    payment["amount_refunded"] += amount
    refunded = payment["amount_refunded"]
    payment["refund_status"] = None if refunded == 0 else "full" if refunded == payment["amount"] else "partial"
    payment["status"] = "refunded" if payment["refund_status"] == "full" else "captured"
    keep(world, "payment", payment)
