"""What becomes of a dispute, whoever moves it: the customer's bank by order, a test card, or a call.

inquiry  warning_needs_response -> warning_under_review -> warning_closed      no money moves
         -> needs_response      the bank takes it further
dispute  needs_response -> under_review -> won | lost                          the money is withdrawn, and may come back
"""

from __future__ import annotations

from sandbox.stages import Stage, Unreachable, Wish
from sandbox.store import Json
from sandbox.stripe import balance, dispute_shapes, events, fraud_warnings, records, refunding
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.world import World

KIND = "dispute"

INQUIRIES = ("warning_needs_response", "warning_under_review")
OPEN = ("needs_response", "under_review")
_HOLDING = (*OPEN, "lost")
_DISPUTES_MAX = 100

#: What follows a payment with these test cards (docs.stripe.com/testing#disputes): the stage, and the reason.
_AFTER_CARD = {
    "0259": (Stage.FUNDS_WITHDRAWN, "fraudulent"),
    "2685": (Stage.FUNDS_WITHDRAWN, "product_not_received"),
    "1976": (Stage.INQUIRY, "fraudulent"),
    "5423": (Stage.FRAUD_WARNING, "fraudulent"),
}


def follow(world: World, charge: Json) -> None:
    """Money has been taken: a card that is made for it is disputed at once."""
    card = charge["payment_method_details"].get("card") or {}
    if card.get("last4") in _AFTER_CARD:
        stage, reason = _AFTER_CARD[card["last4"]]
        reach(world, charge, stage, Wish(reason=reason))


def reach(world: World, charge: Json, stage: Stage, wish: Wish) -> Json:
    """The dispute at this stage; of a warning, the warning. Raises ``Unreachable``."""
    match stage:
        case Stage.FRAUD_WARNING:
            return fraud_warnings.warn(world, charge)
        case Stage.INQUIRY:
            return _open(world, charge, wish, "warning_needs_response")
        case Stage.OPENED:
            inquiry = _newest(world, charge, wish, INQUIRIES)
            return _open(world, charge, wish) if inquiry is None else _escalate(world, inquiry)
        case Stage.FUNDS_WITHDRAWN:
            return _withdraw(world, _holding(world, charge, wish))
        case Stage.FUNDS_REINSTATED:
            return _reinstate(world, _with_money(world, charge, wish), wish.amount)
        case Stage.WON:
            return _win(world, charge, wish)
        case Stage.LOST:
            return _lose(world, charge, wish)


def holds(world: World, charge: Json) -> bool:
    """Whether a dispute stands in the way of a refund. An inquiry does not, nor one that was won."""
    return any(each["status"] in _HOLDING for each in of_charge(world, charge["id"]))


def of_charge(world: World, charge_id: str) -> list[Json]:
    """The charge's disputes, newest first."""
    return world.store.newest(GATEWAY, KIND, limit=_DISPUTES_MAX, matching={"charge": charge_id})


def close(world: World, dispute: Json, status: str, cause: Cause) -> Json:
    """The end: ``won``, ``lost`` or ``warning_closed``."""
    return _change(world, dispute, cause, "charge.dispute.closed", status=status, is_charge_refundable=status != "lost")


def update(world: World, dispute: Json, cause: Cause, **changes: object) -> Json:
    return _change(world, dispute, cause, "charge.dispute.updated", **changes)


def concede(world: World, dispute: Json, cause: Cause) -> Json:
    """The seller gives up, or has nothing to say that convinces."""
    if dispute["status"] in INQUIRIES:
        return close(world, dispute, "warning_closed", cause)
    return close(world, _withdraw(world, dispute, cause), "lost", cause)


def convince(world: World, dispute: Json, cause: Cause, *, moves_money: bool = True) -> Json:
    """The bank believes the seller. What was withdrawn comes back."""
    if dispute["status"] in INQUIRIES:
        return close(world, dispute, "warning_closed", cause)
    dispute = close(world, dispute, "won", cause)
    is_all_gone = len(dispute["balance_transactions"]) == 1
    return _reinstate(world, dispute, cause=cause) if moves_money and is_all_gone else dispute


def escalate(world: World, dispute: Json, cause: Cause) -> Json:
    """An inquiry becomes a dispute, and the money is withdrawn."""
    return _withdraw(world, _escalate(world, dispute, cause), cause)


def is_withdrawn(dispute: Json) -> bool:
    """Whether its money is gone, and has not come back."""
    return sum(int(each["amount"]) for each in dispute["balance_transactions"]) < 0


def _win(world: World, charge: Json, wish: Wish) -> Json:
    won = _newest(world, charge, wish, (*OPEN, *INQUIRIES))
    if won is not None:
        return convince(world, won, NOBODY, moves_money=wish.moves_money)
    ended = _newest(world, charge, wish, None)
    if ended is None:
        return convince(world, _open(world, charge, wish), NOBODY, moves_money=wish.moves_money)
    return _as_it_is(ended, ("won", "warning_closed"))


def _lose(world: World, charge: Json, wish: Wish) -> Json:
    ended = _newest(world, charge, wish, None)
    lost = _newest(world, charge, wish, (*OPEN, *INQUIRIES))
    if lost is None and ended is not None:
        return _as_it_is(ended, ("lost",))
    lost = lost or _open(world, charge, wish)
    if lost["status"] in INQUIRIES:
        lost = _escalate(world, lost)
    if lost["balance_transactions"] and not is_withdrawn(lost):
        raise Unreachable("The money of this dispute has come back: it can only be won.")
    if wish.moves_money:
        lost = _withdraw(world, lost)
    return close(world, lost, "lost", NOBODY)


def _as_it_is(ended: Json, statuses: tuple[str, ...]) -> Json:
    if ended["status"] not in statuses:
        raise Unreachable(f"This dispute is {ended['status']}, and stays so.")
    return ended


def _holding(world: World, charge: Json, wish: Wish) -> Json:
    """The dispute whose money is to be withdrawn: one that is open, or was lost before its money went."""
    found = _newest(world, charge, wish, (*OPEN, *INQUIRIES, "lost"))
    if found is None:
        return _open(world, charge, wish)
    return _escalate(world, found) if found["status"] in INQUIRIES else found


def _with_money(world: World, charge: Json, wish: Wish) -> Json:
    """The dispute whose money is to come back, or has."""
    moved = [each for each in _named(world, charge, wish) if each["balance_transactions"]]
    if not moved:
        raise Unreachable("No money of this payment has been withdrawn.")
    gone = [each for each in moved if is_withdrawn(each)]
    chosen = gone[0] if gone else moved[0]
    if chosen["status"] == "lost":
        raise Unreachable("This dispute is lost, and its money with it.")
    return chosen


def _open(world: World, charge: Json, wish: Wish, status: str = "needs_response") -> Json:
    amount = _amount(world, charge, wish)
    now = world.clock.now()
    dispute = dispute_shapes.dispute(charge, amount, wish.reason or "fraudulent", status, now)
    charge["disputed"] = True
    records.keep(world, dispute, charge)
    fraud_warnings.reconsider(world, charge)
    events.record(world, "charge.dispute.created", dispute, NOBODY)
    return dispute


def _amount(world: World, charge: Json, wish: Wish) -> int:
    """All that is neither refunded nor disputed yet; of what was refunded altogether, all of it."""
    if wish.amount is not None:
        if wish.amount > charge["amount_captured"]:
            raise Unreachable(f"No more than {charge['amount_captured']} was taken.")
        return wish.amount
    disputed = sum(each["amount"] for each in of_charge(world, charge["id"]) if each["status"] in _HOLDING)
    left = refunding.refundable(charge) - disputed
    if left < 1 and disputed:
        raise Unreachable("All of this payment is disputed already: name an amount to dispute it again.")
    return left if left > 0 else int(charge["amount_captured"])


def _escalate(world: World, inquiry: Json, cause: Cause = NOBODY) -> Json:
    return update(world, inquiry, cause, status="needs_response", is_charge_refundable=False)


def _withdraw(world: World, dispute: Json, cause: Cause = NOBODY) -> Json:
    if dispute["balance_transactions"]:
        return dispute
    return _move(world, dispute, balance.withdraw(world, dispute), "charge.dispute.funds_withdrawn", cause)


def _reinstate(world: World, dispute: Json, amount: int | None = None, cause: Cause = NOBODY) -> Json:
    """What is gone comes back, or so much of it."""
    gone = -sum(int(each["amount"]) for each in dispute["balance_transactions"])
    if gone <= 0:
        return dispute
    if amount is not None and amount > gone:
        raise Unreachable(f"No more than {gone} is gone.")
    transaction = balance.reinstate(world, dispute, gone if amount is None else amount)
    return _move(world, dispute, transaction, "charge.dispute.funds_reinstated", cause)


def _move(world: World, dispute: Json, transaction: Json, event: str, cause: Cause) -> Json:
    moved = {**dispute, "balance_transactions": [*dispute["balance_transactions"], transaction]}
    records.keep(world, moved)
    events.record(world, event, moved, cause)
    return moved


def _change(world: World, dispute: Json, cause: Cause, event: str, **changes: object) -> Json:
    after = {**dispute, **changes}
    records.change(world, dispute, after, cause, event)
    return after


def _newest(world: World, charge: Json, wish: Wish, statuses: tuple[str, ...] | None) -> Json | None:
    found = _named(world, charge, wish)
    return next((each for each in found if statuses is None or each["status"] in statuses), None)


def _named(world: World, charge: Json, wish: Wish) -> list[Json]:
    """The charge's disputes, or the one of them that is meant."""
    found = of_charge(world, charge["id"])
    if wish.dispute is None:
        return found
    meant = [each for each in found if each["id"] == wish.dispute]
    if not meant:
        raise Unreachable("This payment has no such dispute.")
    return meant
