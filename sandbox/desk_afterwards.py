"""What can be done with a payment that was taken, as buttons of the desk: refunds, and the stages of its disputes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sandbox.razorpay import dashboard as razorpay
from sandbox.razorpay import disputing as razorpay_disputing
from sandbox.razorpay import refunding as razorpay_refunding
from sandbox.razorpay.money import show as show_at_razorpay
from sandbox.stages import Stage
from sandbox.store import Json
from sandbox.stripe import dashboard as stripe
from sandbox.stripe import disputing as stripe_disputing
from sandbox.stripe import refunding as stripe_refunding
from sandbox.stripe.calls import GATEWAY as STRIPE
from sandbox.stripe.money import show as show_at_stripe
from sandbox.world import World


@dataclass(frozen=True, slots=True)
class Afterwards:
    """``said`` is what has become of the payment so far; ``orders`` are what ``/_control`` takes."""

    said: str | None
    orders: list[Json]


NOTHING = Afterwards(None, [])


@dataclass(frozen=True, slots=True)
class _Taken:
    """A payment of either gateway, its refunds and disputes, newest first."""

    refunded: int
    left: int
    is_held: bool
    is_money_gone: bool
    refunds: list[Json]
    disputes: list[Json]
    open_statuses: tuple[str, ...]
    pending: tuple[str, ...]
    currency: str
    show: Callable[[int, str], str]


def of(world: World, gateway: str, named: str) -> Afterwards:
    """Of the payment that a session, a link, a subscription or an order was paid by, if it was."""
    taken = _at_stripe(world, named) if gateway == STRIPE else _at_razorpay(world, named)
    if taken is None:
        return NOTHING
    return Afterwards(", ".join(_said(taken)) or None, [*_refunds(taken, named), *_ends(taken), *_stages(taken, named)])


def _at_stripe(world: World, named: str) -> _Taken | None:
    charge = stripe.find_charge(world, named)
    if charge is None or not charge["captured"]:
        return None
    left, disputes = stripe_refunding.refundable(charge), stripe_disputing.of_charge(world, charge["id"])
    return _Taken(
        refunded=charge["amount_captured"] - left,
        left=left,
        is_held=stripe_disputing.holds(world, charge),
        is_money_gone=any(stripe_disputing.is_withdrawn(each) for each in disputes),
        refunds=stripe_refunding.of_charge(world, charge["id"]),
        disputes=disputes,
        open_statuses=(*stripe_disputing.OPEN, *stripe_disputing.INQUIRIES),
        pending=("pending", "requires_action"),
        currency=charge["currency"],
        show=show_at_stripe,
    )


def _at_razorpay(world: World, named: str) -> _Taken | None:
    payment = razorpay.find_payment(world, named)
    if payment is None or not payment["captured"]:
        return None
    disputes = razorpay_disputing.of_payment(world, payment["id"])
    return _Taken(
        refunded=payment["amount_refunded"],
        left=razorpay_refunding.refundable(payment),
        is_held=razorpay_disputing.holds(world, payment),
        is_money_gone=any(each["amount_deducted"] for each in disputes),
        refunds=razorpay_refunding.of_payment(world, payment["id"]),
        disputes=disputes,
        open_statuses=razorpay_disputing.OPEN,
        pending=("pending",),
        currency=payment["currency"],
        show=show_at_razorpay,
    )


def _said(taken: _Taken) -> Iterator[str]:
    if taken.refunded:
        yield f"{taken.show(taken.refunded, taken.currency)} refunded"
    for refund in taken.refunds:
        if refund["status"] not in {"succeeded", "processed"}:
            yield f"a refund {refund['status']}"
    for dispute in taken.disputes:
        yield f"a dispute {dispute['status']}".replace("_", " ")


def _refunds(taken: _Taken, named: str) -> Iterator[Json]:
    if taken.left < 1 or taken.is_held:
        return
    yield _order("Refund", "refund", {"payment": named})
    if taken.left > 1:
        yield _order("Refund half", "refund", {"payment": named, "amount": taken.left // 2})
    yield _order("Refund, pending", "refund", {"payment": named, "ending": "stays_pending"})
    yield _order("Refund, fails later", "refund", {"payment": named, "ending": "fails_after_success"})


def _ends(taken: _Taken) -> Iterator[Json]:
    """Of the newest refund that has not ended."""
    for refund in [each for each in taken.refunds if each["status"] in taken.pending][:1]:
        yield _order("Refund succeeds", "refund", {"refund": refund["id"], "ending": "succeeds"})
        yield _order("Refund fails", "refund", {"refund": refund["id"], "ending": "fails"})


def _stages(taken: _Taken, named: str) -> Iterator[Json]:
    """The first stages while no dispute is open, else those that come after."""
    is_open = any(each["status"] in taken.open_statuses for each in taken.disputes)
    stages = [Stage.FRAUD_WARNING, Stage.INQUIRY, Stage.OPENED, Stage.FUNDS_WITHDRAWN]
    if is_open:
        stages = [] if taken.is_held else [Stage.OPENED]
        stages += [Stage.FUNDS_REINSTATED if taken.is_money_gone else Stage.FUNDS_WITHDRAWN, Stage.WON, Stage.LOST]
    for stage in stages:
        yield _order(_STAGES[stage], "dispute", {"payment": named, "stage": stage})


_STAGES = {
    Stage.FRAUD_WARNING: "Fraud warning",
    Stage.INQUIRY: "Inquiry",
    Stage.OPENED: "Dispute",
    Stage.FUNDS_WITHDRAWN: "Dispute, money withdrawn",
    Stage.FUNDS_REINSTATED: "Money back",
    Stage.WON: "Dispute won",
    Stage.LOST: "Dispute lost",
}


def _order(says: str, path: str, order: Json) -> Json:
    return {"says": says, "path": path, "order": order}
