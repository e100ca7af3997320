"""Payments: what a customer's attempt does to an order and its link, what capture does, and what time does.

created     -> authorized | failed          the bank's answer; a customer who never gives theirs fails after ten minutes
authorized  -> captured                     at once where the account captures by itself, else by the merchant's call
            -> refunded                     by itself, three days after an authorisation that nobody captured
failed      -> authorized                   the bank changes its mind, up to days later: ``failed`` is not the end
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.cards import Authenticate, Card, Decline
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.razorpay import events, invoices, ledger, orders, payment_links, shapes
from sandbox.razorpay.calls import GATEWAY, Call, collection, keep
from sandbox.razorpay.errors import invalid
from sandbox.razorpay.shapes import TIMED_OUT, Failure
from sandbox.store import Json
from sandbox.world import World

TIMES_OUT = "razorpay.payment.times_out"
AUTHORISES_LATE = "razorpay.payment.authorises_late"
LAPSES = "razorpay.payment.lapses"

TIMES_OUT_AFTER_SECONDS = 10 * 60
LAPSES_AFTER_SECONDS = 3 * 24 * 3600
#: How late an authorisation is that the fault ``lateAuthorisation`` made late, by the development clock.
LATE_SECONDS = 3600

UPI_SUCCESS, UPI_FAILURE = "success@razorpay", "failure@razorpay"

FAILURES = {
    Decline.GENERIC: shapes.DECLINED,
    Decline.INSUFFICIENT_FUNDS: shapes.INSUFFICIENT_FUNDS,
    Decline.EXPIRED: shapes.CARD_EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Means:
    """What the customer pays with: a card, or a UPI address."""

    card: Card | None = None
    vpa: str | None = None

    @property
    def pays(self) -> bool:
        """Whether the bank says yes, and asks nobody first."""
        return self.failure is None and not (self.card is not None and self.card.asks_for_authentication)

    @property
    def failure(self) -> Failure | None:
        """Why the bank says no, if it does."""
        if self.card is not None:
            return FAILURES[self.card.decline] if self.card.decline is not None else None
        return shapes.DECLINED if self.vpa == UPI_FAILURE else None


def attempt(world: World, subject_id: str, means: Means, *, late: int | None = None) -> Paid:
    """The customer presses the button on a link's page, or in an embedded checkout for an order.

    ``late``: the payment fails now, and the bank authorises it so many seconds later.
    """
    order = _open_order(world, subject_id)
    payment = shapes.payment(
        order, payment_links.of_order(world, order["id"]), means.card, means.vpa, world.clock.now()
    )
    begin(world, payment, order)
    if means.card is not None and means.card.asks_for_authentication:
        world.agenda.enter(world.clock.exact() + TIMES_OUT_AFTER_SECONDS, TIMES_OUT, payment["id"])
        return Paid(Outcome.REQUIRES_ACTION, payment["id"])
    if means.failure is not None:
        return fail(world, payment, means.failure)
    return _succeed_or_later(world, payment, late)


def begin(world: World, payment: Json, order: Json | None) -> Json:
    """Writes an attempt down; what is taken may be less than what was asked, by the fault ``amountMismatch``."""
    if world.faults.strikes("amountMismatch", GATEWAY):
        payment |= {"amount": payment["amount"] - 1, "base_amount": payment["base_amount"] - 1}
    if order is not None:
        keep(world, orders.KIND, order | {"status": "attempted", "attempts": order["attempts"] + 1})
    return keep(world, "payment", payment)


def authenticate(world: World, payment_id: str, answer: Authenticate) -> Paid:
    """The customer answers the bank: the one-time password is right, wrong, or never typed."""
    payment = world.store.find(GATEWAY, "payment", payment_id)
    if payment is None or payment["status"] != "created":
        raise NotPayable("Nothing waits for authentication here.")
    if answer is Authenticate.LEAVE:
        return Paid(Outcome.REQUIRES_ACTION, payment_id)
    world.agenda.strike(TIMES_OUT, payment_id)
    if answer is Authenticate.FAIL:
        return fail(world, payment, shapes.NOT_AUTHENTICATED)
    return _succeed_or_later(world, payment, None)


def waiting(world: World, link: Json) -> Json | None:
    """The link's attempt that waits for the customer's one-time password."""
    if "order_id" not in link:
        return None
    matching = {"order_id": link["order_id"], "status": "created"}
    found = world.store.newest(GATEWAY, "payment", limit=1, matching=matching)
    return found[0] if found else None


def time_out(world: World, payment_id: str) -> None:
    """Ten minutes have passed, and the customer has not answered the bank."""
    payment = find(world, payment_id)
    if payment["status"] == "created":
        fail(world, payment, TIMED_OUT)


def authorise_late(world: World, payment_id: str) -> None:
    """The bank says yes after all."""
    payment = find(world, payment_id)
    if payment["status"] == "failed":
        _authorise(world, payment)


def lapse(world: World, payment_id: str) -> None:
    """Nobody captured it: the money goes back to the customer."""
    payment = find(world, payment_id)
    if payment["status"] == "authorized":
        give_back(world, payment)


def give_back(world: World, payment: Json) -> None:
    """An authorisation ends uncaptured: all of it goes back to the customer."""
    refund = shapes.refund(payment, world.clock.now())
    payment |= {"status": "refunded", "amount_refunded": payment["amount"], "refund_status": "full"}
    keep(world, "payment", payment)
    keep(world, "refund", refund)
    events.record(world, "refund.processed", refund=refund, payment=payment)


def fetch(call: Call) -> Json:
    return call.find("payment", call.ids["id"])


def list_payments(call: Call) -> Json:
    return collection(call, "payment")


def capture(call: Call) -> Json:
    """The exact amount and currency that were authorised, once, and only while the order is unpaid."""
    payment = call.find("payment", call.ids["id"])
    amount = call.fields.integer("amount", lowest=1)
    currency = call.fields.text("currency") or "INR"
    if amount is None:
        raise invalid("The amount field is required.", "amount")
    if payment["invoice_id"] is not None:
        raise invalid("A subscription's payments are captured by themselves.")
    if payment["status"] == "captured":
        raise invalid("This payment has already been captured")
    if payment["status"] != "authorized":
        raise invalid("Only payments which have been authorized and not yet captured can be captured")
    if amount != payment["amount"] or currency != payment["currency"]:
        raise invalid("Capture amount must be equal to the amount authorized.", "amount")
    if is_order_paid(call.world, payment):
        raise invalid("Your payment has been declined as the order is already paid.")
    return take(call.world, payment)


def _open_order(world: World, subject_id: str) -> Json:
    """The order to pay: the link's own, opened at its first attempt, or the one that was named."""
    link = world.store.find(GATEWAY, payment_links.KIND, subject_id)
    if link is not None:
        if link["status"] != "created":
            raise NotPayable(f"This payment link is {link['status']}.")
        if link["expire_by"] and link["expire_by"] <= world.clock.now():
            raise NotPayable("This payment link is expired.")
        if "order_id" not in link:
            receipt = link["reference_id"] or None
            opened = orders.open_order(world, link["amount"], link["currency"], receipt, link["notes"] or {})
            link["order_id"] = opened["id"]
            keep(world, payment_links.KIND, link)
        subject_id = link["order_id"]
    order = world.store.find(GATEWAY, orders.KIND, subject_id)
    if order is None:
        raise NotPayable("There is no such payment link or order.")
    if order["status"] == "paid":
        raise NotPayable("This order is paid.")
    if (invoice := invoices.of_order(world, order["id"])) is not None:
        raise NotPayable(f"This order is part of {invoice['subscription_id']}, which is what a customer pays.")
    return order


def _succeed_or_later(world: World, payment: Json, late: int | None) -> Paid:
    late = lateness(world, late)
    if late is not None:
        world.agenda.enter(world.clock.exact() + late, AUTHORISES_LATE, payment["id"])
        return fail(world, payment, TIMED_OUT)
    return _authorise(world, payment)


def lateness(world: World, ordered: int | None) -> int | None:
    """How many seconds late the bank says yes: as ordered, else by the fault ``lateAuthorisation``, else at once."""
    if ordered is None and world.faults.strikes("lateAuthorisation", GATEWAY):
        return LATE_SECONDS
    return ordered


def _authorise(world: World, payment: Json) -> Paid:
    authorise(world, payment)
    if captures_by_itself(world) and not is_order_paid(world, payment):
        take(world, payment)
        return Paid(Outcome.PAID, payment["id"])
    return leave_to_lapse(world, payment)


def authorise(world: World, payment: Json) -> None:
    """The bank says yes."""
    payment |= shapes.NO_FAILURE | {"status": "authorized"}
    keep(world, "payment", payment)
    events.record(world, "payment.authorized", payment=payment)


def leave_to_lapse(world: World, payment: Json) -> Paid:
    """Authorised, and not captured by itself: after three days it goes back."""
    world.agenda.enter(world.clock.exact() + LAPSES_AFTER_SECONDS, LAPSES, payment["id"])
    return Paid(Outcome.AUTHORIZED, payment["id"])


def take(world: World, payment: Json) -> Json:
    """The money is the merchant's. A link that has ended meanwhile stays ended; its order is paid all the same."""
    world.agenda.strike(LAPSES, payment["id"])
    payment |= {"status": "captured", "captured": True, **shapes.fee(payment["amount"])}
    keep(world, "payment", payment)
    ledger.credit_payment(world, payment)
    order = world.store.find(GATEWAY, orders.KIND, payment["order_id"])
    assert order is not None, "a payment is made for an order"
    order |= {"status": "paid", "amount_paid": payment["amount"], "amount_due": order["amount"] - payment["amount"]}
    keep(world, orders.KIND, order)
    events.record(world, "payment.captured", payment=payment)
    events.record(world, "order.paid", payment=payment, order=order)
    link = payment_links.of_order(world, order["id"])
    if link is not None and link["status"] == "created":
        link = payment_links.mark_paid(world, link, payment)
        events.record(world, "payment_link.paid", payment_link=link, order=order, payment=payment)
    return payment


def fail(world: World, payment: Json, failure: Failure) -> Paid:
    """The bank says no, for now."""
    payment |= {"status": "failed", **failure.fields()}
    keep(world, "payment", payment)
    events.record(world, "payment.failed", payment=payment)
    return Paid(Outcome.DECLINED, payment["id"], failure.description)


def captures_by_itself(world: World) -> bool:
    """The account's setting, as in Razorpay's dashboard; on unless it was switched off."""
    return world.store.setting("razorpay_auto_capture") is not False


def is_order_paid(world: World, payment: Json) -> bool:
    order = world.store.find(GATEWAY, orders.KIND, payment["order_id"])
    return order is not None and order["status"] == "paid"


def find(world: World, payment_id: str) -> Json:
    """A payment that is known to exist, since the agenda names it, or what was just attempted."""
    payment = world.store.find(GATEWAY, "payment", payment_id)
    assert payment is not None, f"there is no payment {payment_id}"
    return payment
