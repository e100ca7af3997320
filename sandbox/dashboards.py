"""``/_control/refund`` and its like: what somebody does in a gateway's dashboard, or a bank, after a payment."""

from __future__ import annotations

from sandbox.orders import Refused, one_of, only, seconds, text, whole
from sandbox.razorpay import dashboard as razorpay
from sandbox.razorpay import disputing as razorpay_disputing
from sandbox.razorpay import refunding as razorpay_refunding
from sandbox.razorpay import settling
from sandbox.razorpay.errors import RazorpayError
from sandbox.refund_endings import AFTER_SECONDS, Course, Ending, usual
from sandbox.stages import Stage, Unreachable, Wish
from sandbox.store import Json
from sandbox.stripe import dashboard as stripe
from sandbox.stripe import disputing as stripe_disputing
from sandbox.stripe import paying_out
from sandbox.stripe import refunding as stripe_refunding
from sandbox.stripe.dispute_shapes import REASONS
from sandbox.stripe.errors import StripeError
from sandbox.world import World

PAYOUT_ENDINGS = ("paid", "fails")
AMOUNT_MAX = 50_000_000_000
#: How far from now a refund may end.
AFTER_SECONDS_MAX = 366 * 24 * 3600

#: To which ends somebody may bring a refund that has been made, and what each gateway calls them.
ENDS = {"succeeds": ("succeeded", "processed"), "fails": ("failed", "failed"), "cancelled": ("canceled", None)}


def refund(world: World, order: Json) -> Json:
    """A new refund of a payment; or the end of a refund that has been made, by whomever."""
    if "refund" in order:
        only(order, {"refund", "ending"})
        return _end(world, text(order, "refund"), one_of(order, "ending", ENDS))
    only(order, {"payment", "amount", "ending", "after"})
    payment = text(order, "payment")
    amount = whole(order, "amount", AMOUNT_MAX) if "amount" in order else None
    ending, after = _ending(world, order), int(seconds(order, "after", AFTER_SECONDS_MAX, AFTER_SECONDS))
    course = Course(ending, after) if "ending" in order or "after" in order else None
    try:
        if (charge := stripe.find_charge(world, payment)) is not None:
            return _told_by_stripe(stripe.refund(world, charge, amount, course))
        if (paid := razorpay.find_payment(world, payment)) is not None:
            if ending is Ending.ASKS_CUSTOMER:
                raise Refused("invalid_ending", "Razorpay asks no customer where a refund goes")
            return _told_by_razorpay(razorpay.refund(world, paid, amount, course))
    except StripeError as refused:
        raise Refused("not_refundable", refused.message, 409) from None
    except RazorpayError as refused:
        raise Refused("not_refundable", refused.description, 409) from None
    raise _unknown_payment()


def dispute(world: World, order: Json) -> Json:
    """What the customer's bank does: a payment's dispute comes to a stage."""
    only(order, {"payment", "stage", "dispute", "amount", "reason", "money"})
    payment, stage = text(order, "payment"), Stage(one_of(order, "stage", list(Stage)))
    wish = _wish(order)
    try:
        if (charge := stripe.find_charge(world, payment)) is not None:
            _refuse_untaken(charge)
            if wish.reason is not None:
                one_of(order, "reason", REASONS)
            return _dispute_told(stripe_disputing.reach(world, charge, stage, wish), charge["payment_intent"])
        if (paid := razorpay.find_payment(world, payment)) is not None:
            _refuse_untaken(paid)
            if "money" in order or ("amount" in order and stage is Stage.FUNDS_REINSTATED):
                raise Refused("meaningless_fields", "Razorpay has no events of money, and gives all of it back at once")
            return _dispute_told(razorpay_disputing.reach(world, paid, stage, wish), paid["id"])
    except Unreachable as reason:
        raise Refused("unreachable_stage", str(reason), 409) from None
    raise _unknown_payment()


def pay_out(world: World, order: Json) -> Json:
    """A payout or a settlement of all that is there; or what the bank does with one that has been made."""
    if "payout" in order:
        only(order, {"payout", "ending"})
        return _end_payout(world, text(order, "payout"), one_of(order, "ending", PAYOUT_ENDINGS))
    only(order, {"gateway", "after"})
    gateway = one_of(order, "gateway", ("stripe", "razorpay"))
    after = int(seconds(order, "after", AFTER_SECONDS_MAX, paying_out.ARRIVES_AFTER_SECONDS))
    made = paying_out.pay_out(world, after=after) if gateway == "stripe" else settling.settle(world, after=after)
    return {"data": [_payout_told(each) for each in made]}


def _unknown_payment() -> Refused:
    known = "a payment, or what one paid: a session, a link, an order, an invoice or a subscription"
    return Refused("unknown_payment", f"payment must be {known}, through which money was taken", 404)


def _wish(order: Json) -> Wish:
    moves_money = order.get("money", True)
    if not isinstance(moves_money, bool):
        raise Refused("invalid_money", "money must be true or false")
    return Wish(
        dispute=text(order, "dispute") if "dispute" in order else None,
        amount=whole(order, "amount", AMOUNT_MAX) if "amount" in order else None,
        reason=text(order, "reason") if "reason" in order else None,
        moves_money=moves_money,
    )


def _refuse_untaken(payment: Json) -> None:
    """Both gateways say of a payment whether it was captured."""
    if not payment["captured"]:
        raise Refused("not_disputable", "no money was taken by this payment", 409)


def _dispute_told(made: Json, payment_id: str) -> Json:
    """A warning has neither amount nor status."""
    return {
        "dispute": made["id"],
        "payment": payment_id,
        "amount": made.get("amount"),
        "status": made.get("status"),
    }


def _ending(world: World, order: Json) -> Ending:
    return Ending(one_of(order, "ending", list(Ending))) if "ending" in order else usual(world)


def _end(world: World, refund_id: str, ending: str) -> Json:
    for_stripe, for_razorpay = ENDS[ending]
    if (found := stripe.find_refund(world, refund_id)) is not None:
        ended = _told_by_stripe(stripe_refunding.end(world, found, for_stripe))
    elif (found := razorpay.find_refund(world, refund_id)) is None:
        raise Refused("unknown_refund", "there is no such refund", 404)
    elif for_razorpay is None:
        raise Refused("invalid_ending", "Razorpay cancels no refund")
    else:
        ended = _told_by_razorpay(razorpay_refunding.end(world, found, for_razorpay))
    if ended["status"] not in ENDS[ending]:
        raise Refused("refund_ended", f"this refund is {ended['status']}, and stays so", 409)
    return ended


def _told_by_stripe(made: Json) -> Json:
    return {
        "refund": made["id"],
        "payment": made["payment_intent"],
        "amount": made["amount"],
        "status": made["status"],
    }


def _told_by_razorpay(made: Json) -> Json:
    return {"refund": made["id"], "payment": made["payment_id"], "amount": made["amount"], "status": made["status"]}


def _end_payout(world: World, payout_id: str, ending: str) -> Json:
    payout = world.store.find("stripe", paying_out.KIND, payout_id)
    if payout is not None:
        return _payout_told((paying_out.arrive if ending == "paid" else paying_out.fail)(world, payout))
    settlement = world.store.find("razorpay", settling.KIND, payout_id)
    if settlement is not None:
        return _payout_told((settling.arrive if ending == "paid" else settling.fail)(world, settlement))
    raise Refused("unknown_payout", "there is no such payout or settlement", 404)


def _payout_told(made: Json) -> Json:
    return {
        "payout": made["id"],
        "amount": made["amount"],
        "currency": made.get("currency", "INR"),
        "status": made["status"],
    }
