"""What becomes of a dispute, whoever moves it: the customer's bank by order, or a call.

open -> under_review -> won | lost | closed

There are no events of money: it is withdrawn where ``amount_deducted`` says so, or the dispute is lost, and is back
where the dispute is won, or closed without a deduction. A retrieval and a fraud alert are questions: no money moves.
"""

from __future__ import annotations

from sandbox.ids import new_id
from sandbox.razorpay import events, ledger, refunding
from sandbox.razorpay.calls import GATEWAY, keep
from sandbox.stages import Stage, Unreachable, Wish
from sandbox.store import Json
from sandbox.world import World

KIND = "dispute"
OPEN = ("open", "under_review")
#: In these phases the bank only asks.
_QUESTIONS = ("retrieval", "fraud")
_DISPUTES_MAX = 100

_DAY = 24 * 3600
RESPONSE_DAYS = 7
_EVIDENCE = (
    "summary", "shipping_proof", "billing_proof", "cancellation_proof", "customer_communication", "proof_of_service",
    "explanation_letter", "refund_confirmation", "access_activity_log", "refund_cancellation_policy",
    "term_and_conditions", "others", "submitted_at",
)  # fmt: skip
_REASON = "goods_or_services_not_received_or_partially_received"


def reach(world: World, payment: Json, stage: Stage, wish: Wish) -> Json:
    """The dispute at this stage. Raises ``Unreachable``."""
    match stage:
        case Stage.FRAUD_WARNING:
            return _open(world, payment, wish, "fraud")
        case Stage.INQUIRY:
            return _open(world, payment, wish, "retrieval")
        case Stage.OPENED:
            question = next((each for each in _open_ones(world, payment, wish) if _is_question(each)), None)
            return _open(world, payment, wish) if question is None else _escalate(world, question)
        case Stage.FUNDS_WITHDRAWN:
            return _withdraw(world, payment, wish)
        case Stage.FUNDS_REINSTATED:
            return _reinstate(world, payment, wish)
        case Stage.WON:
            return _win(world, payment, wish)
        case Stage.LOST:
            return _lose(world, payment, wish)


def holds(world: World, payment: Json) -> bool:
    """Whether a dispute stands in the way of a refund. A question does not, nor what ended well."""
    return any(_is_holding(each) for each in of_payment(world, payment["id"]))


def of_payment(world: World, payment_id: str) -> list[Json]:
    """The payment's disputes, newest first."""
    return world.store.newest(GATEWAY, KIND, limit=_DISPUTES_MAX, matching={"payment_id": payment_id})


def move(world: World, dispute: Json, event: str, **changes: object) -> Json:
    """Writes what became of it, and of its money, and tells it with its payment."""
    before, dispute = dispute["amount_deducted"], keep(world, KIND, {**dispute, **changes})
    _book(world, dispute, before)
    _tell(world, event, dispute)
    return dispute


def lose(world: World, dispute: Json) -> Json:
    """The whole of it is the customer's."""
    return move(world, dispute, "lost", status="lost", amount_deducted=dispute["amount"])


def _open(world: World, payment: Json, wish: Wish, phase: str = "chargeback", *, deducts: bool = False) -> Json:
    now, amount = world.clock.now(), _amount(world, payment, wish)
    dispute: Json = {
        "id": new_id("disp_", 14),
        "entity": KIND,
        "payment_id": payment["id"],
        "amount": amount,
        "currency": payment["currency"],
        "amount_deducted": amount if deducts else 0,
        "reason_code": wish.reason or _REASON,
        "respond_by": now + RESPONSE_DAYS * _DAY,
        "status": "open",
        "phase": phase,
        "created_at": now,
        "evidence": {"amount": amount, **dict.fromkeys(_EVIDENCE)},
    }
    keep(world, KIND, dispute)
    _book(world, dispute, 0)
    _tell(world, "created", dispute)
    return dispute


def _escalate(world: World, question: Json) -> Json:
    return move(world, question, "action_required", phase="chargeback", status="open")


def _withdraw(world: World, payment: Json, wish: Wish) -> Json:
    """Without a dispute, one is made that is deducted from the first; else the deduction is told with the review."""
    found = _open_ones(world, payment, wish)
    if not found:
        lost = [each for each in _named(world, payment, wish) if each["status"] == "lost"]
        return lost[0] if lost else _open(world, payment, wish, deducts=True)
    if found[0]["amount_deducted"]:
        return found[0]
    changes = {"phase": "chargeback", "status": "under_review", "amount_deducted": found[0]["amount"]}
    return move(world, found[0], "under_review", **changes)


def _reinstate(world: World, payment: Json, wish: Wish) -> Json:
    named = _named(world, payment, wish)
    gone = [each for each in named if each["amount_deducted"] and each["status"] != "lost"]
    if gone:
        return move(world, gone[0], "closed", status="closed", amount_deducted=0)
    back = [each for each in named if each["status"] in {"won", "closed"} and not _is_question(each)]
    if not back:
        raise Unreachable("No money of this payment has been deducted that could come back.")
    return back[0]


def _win(world: World, payment: Json, wish: Wish) -> Json:
    found, named = _open_ones(world, payment, wish), _named(world, payment, wish)
    if not found and not named:
        found = [_open(world, payment, wish)]
    if found and _is_question(found[0]):
        return move(world, found[0], "closed", status="closed")
    if found:
        return move(world, found[0], "won", status="won", amount_deducted=0)
    if named[0]["status"] == "closed" and not _is_question(named[0]):
        return move(world, named[0], "won", status="won")
    return _as_it_is(named[0], ("won", "closed"))


def _lose(world: World, payment: Json, wish: Wish) -> Json:
    found, named = _open_ones(world, payment, wish), _named(world, payment, wish)
    if not found and named:
        return _as_it_is(named[0], ("lost",))
    lost = found[0] if found else _open(world, payment, wish)
    return lose(world, _escalate(world, lost) if _is_question(lost) else lost)


def _as_it_is(ended: Json, statuses: tuple[str, ...]) -> Json:
    if ended["status"] not in statuses:
        raise Unreachable(f"This dispute is {ended['status']}, and stays so.")
    return ended


def _amount(world: World, payment: Json, wish: Wish) -> int:
    """All that is neither refunded nor disputed yet; of what was refunded altogether, all of it."""
    if wish.amount is not None:
        if wish.amount > payment["amount"]:
            raise Unreachable(f"No more than {payment['amount']} was taken.")
        return wish.amount
    disputed = sum(each["amount"] for each in of_payment(world, payment["id"]) if _is_holding(each))
    left = refunding.refundable(payment) - disputed
    if left < 1 and disputed:
        raise Unreachable("All of this payment is disputed already: name an amount to dispute it again.")
    return left if left > 0 else int(payment["amount"])


def _is_question(dispute: Json) -> bool:
    return dispute["phase"] in _QUESTIONS


def _is_holding(dispute: Json) -> bool:
    return dispute["status"] in {*OPEN, "lost"} and not _is_question(dispute)


def _open_ones(world: World, payment: Json, wish: Wish) -> list[Json]:
    return [each for each in _named(world, payment, wish) if each["status"] in OPEN]


def _named(world: World, payment: Json, wish: Wish) -> list[Json]:
    """The payment's disputes, newest first, or the one of them that is meant."""
    found = of_payment(world, payment["id"])
    if wish.dispute is None:
        return found
    meant = [each for each in found if each["id"] == wish.dispute]
    if not meant:
        raise Unreachable("This payment has no such dispute.")
    return meant


def _book(world: World, dispute: Json, before: int) -> None:
    """What was deducted, or is not any more."""
    if dispute["amount_deducted"] > before:
        ledger.debit_dispute(world, dispute, _payment_of(world, dispute))
    elif dispute["amount_deducted"] < before:
        ledger.return_dispute(world, dispute, _payment_of(world, dispute))


def _tell(world: World, event: str, dispute: Json) -> None:
    payment = _payment_of(world, dispute)
    events.record(world, f"payment.dispute.{event}", payment=payment, dispute=dispute)


def _payment_of(world: World, dispute: Json) -> Json:
    payment = world.store.find(GATEWAY, "payment", dispute["payment_id"])
    assert payment is not None, "a dispute is made of a payment"
    return payment
