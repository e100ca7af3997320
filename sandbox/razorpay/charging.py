"""Taking a subscription's money: what the customer does on its page, and what its mandate is charged without them.

On the page, the first payment is the price of the first cycle; where the subscription starts later it is what is asked
for upfront, else a token that goes back at once, and is nobody's sale.
"""

from __future__ import annotations

from sandbox.cards import Authenticate
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.razorpay import customers, invoices, lifecycle, mandates, orders, payments, plans, shapes
from sandbox.razorpay.calls import GATEWAY
from sandbox.razorpay.money import places
from sandbox.razorpay.payments import Means
from sandbox.razorpay.shapes import TIMED_OUT
from sandbox.store import Json
from sandbox.world import World

AUTHORISES_LATE = "razorpay.subscription_payment.authorises_late"

#: In whole units of the currency (razorpay.com/docs/payments/subscriptions/faqs).
TOKEN_UNITS = 5

STARTED, RENEWED = "Start Subscription", "Recurring Payment via Subscription"

#: The states in which a customer has something to pay on the page.
PAYABLE = frozenset({"created", "pending", "halted"})


def attempt(world: World, subscription_id: str, means: Means, *, late: int | None = None) -> Paid:
    """The customer presses the button: to start the subscription, or to go on with another card."""
    subscription = _payable(world, subscription_id)
    mandate = mandates.of(world, subscription_id)
    if means.vpa is not None and mandate["vpa"] is not None:
        raise NotPayable("A subscription that was paid by UPI goes on with a card only.")
    payment = _begin(world, subscription, mandate, means, STARTED)
    mandates.note_attempt(world, payment, subscription_id, means)
    if means.card is not None and means.card.asks_for_authentication:
        world.agenda.enter(world.clock.exact() + payments.TIMES_OUT_AFTER_SECONDS, payments.TIMES_OUT, payment["id"])
        return Paid(Outcome.REQUIRES_ACTION, payment["id"])
    is_token, fails_later = payment["invoice_id"] is None, means.card is not None and means.card.fails_later
    if means.failure is not None and not (is_token and fails_later):
        return payments.fail(world, payment, means.failure)
    return _succeed_or_later(world, payment, late)


def authenticate(world: World, payment_id: str, answer: Authenticate) -> Paid:
    """The customer answers the bank, or leaves it without an answer."""
    payment = payments.find(world, payment_id)
    if payment["status"] != "created":
        raise NotPayable("Nothing waits for authentication here.")
    if answer is Authenticate.LEAVE:
        return Paid(Outcome.REQUIRES_ACTION, payment_id)
    world.agenda.strike(payments.TIMES_OUT, payment_id)
    if answer is Authenticate.FAIL:
        return payments.fail(world, payment, shapes.NOT_AUTHENTICATED)
    return _succeed_or_later(world, payment, None)


def authorise_late(world: World, payment_id: str) -> None:
    """The bank says yes after all, to the customer's attempt or to a charge."""
    payment = payments.find(world, payment_id)
    if payment["status"] == "failed":
        _succeed(world, payment)


def charge(world: World, subscription: Json) -> None:
    """Charges the mandate for what is due, without the customer."""
    mandate = mandates.of(world, subscription["id"])
    failure = mandates.next_failure(mandate)
    payment = _begin(world, subscription, mandate, mandates.means_of(mandate), RENEWED)
    mandates.note_attempt(world, payment, subscription["id"], None)
    mandates.keep(world, mandate | {"next_payment": None})
    paid = _succeed_or_later(world, payment, None) if failure is None else payments.fail(world, payment, failure)
    if paid.outcome is Outcome.DECLINED:
        lifecycle.miss(world, subscription)


def charge_extra(world: World, subscription: Json, invoice: Json) -> bool:
    """Charges the mandate for something beside its cycles; False, and nothing done, where the bank says no."""
    mandate = mandates.of(world, subscription["id"])
    if mandates.next_failure(mandate) is not None:
        return False
    mandates.keep(world, mandate | {"next_payment": None})
    payment = _begin(world, subscription, mandate | {"due": invoice["id"]}, mandates.means_of(mandate), RENEWED)
    payments.authorise(world, payment)
    payments.take(world, payment)
    invoices.settle(world, invoice, payment)
    lifecycle.tell_extra_charge(world, subscription, payment)
    return True


def is_token_due(world: World, subscription: Json) -> bool:
    """Whether the next payment on the page is for nothing but the mandate."""
    return mandates.of(world, subscription["id"])["due"] is None


def amount_due(world: World, subscription: Json) -> tuple[int, str]:
    """What the customer is asked for on the page now: amount and currency."""
    invoice = invoices.find(world, mandates.of(world, subscription["id"])["due"])
    if invoice is not None:
        return invoice["amount"], invoice["currency"]
    currency = plans.of(world, subscription)["item"]["currency"]
    return TOKEN_UNITS * 10 ** places(currency), currency


def waiting(world: World, subscription_id: str) -> Json | None:
    """The attempt that waits for the customer's one-time password."""
    last = mandates.last_attempt(world, subscription_id)
    return last if last is not None and last["status"] == "created" else None


def _payable(world: World, subscription_id: str) -> Json:
    subscription = world.store.find(GATEWAY, lifecycle.KIND, subscription_id)
    if subscription is None:
        raise NotPayable("There is no such subscription.")
    ends = lifecycle.expires_at(subscription)
    if subscription["status"] == "created" and ends is not None and ends <= world.clock.now():
        raise NotPayable("This subscription is expired.")
    if subscription["status"] not in PAYABLE:
        raise NotPayable(f"This subscription is {subscription['status']}: there is nothing to pay.")
    return subscription


def _begin(world: World, subscription: Json, mandate: Json, means: Means, description: str) -> Json:
    """A payment of which nothing is known yet, for what is due, or for the token."""
    invoice = invoices.find(world, mandate["due"])
    order = None if invoice is None else world.store.find(GATEWAY, orders.KIND, invoice["order_id"])
    amount, currency = amount_due(world, subscription) if invoice is None else (invoice["amount"], invoice["currency"])
    asked = order or {"id": None, "amount": amount, "currency": currency, "notes": []}
    payment = shapes.payment(asked, None, means.card, means.vpa, world.clock.now())
    customer = world.store.find(GATEWAY, customers.KIND, subscription["customer_id"] or "") or {}
    payment |= {name: customer[name] for name in ("email", "contact") if customer.get(name)}
    payment |= {
        "invoice_id": None if invoice is None else invoice["id"],
        "description": description,
        "customer_id": subscription["customer_id"],
        "token_id": mandate["token_id"],
    }
    return payments.begin(world, payment, order)


def _succeed_or_later(world: World, payment: Json, late: int | None) -> Paid:
    late = payments.lateness(world, late)
    if late is None:
        return _succeed(world, payment)
    world.agenda.enter(world.clock.exact() + late, AUTHORISES_LATE, payment["id"])
    return payments.fail(world, payment, TIMED_OUT)


def _succeed(world: World, payment: Json) -> Paid:
    """The bank has said yes. What nobody waits for any more is not captured."""
    subscription_id, given = mandates.attempt_of(world, payment["id"])
    subscription, invoice = lifecycle.find(world, subscription_id), invoices.find(world, payment["invoice_id"])
    if not _is_waited_for(subscription, invoice):
        payments.authorise(world, payment)
        return payments.leave_to_lapse(world, payment)
    if given is not None:
        payment["customer_id"] = _customer_id(world, subscription)
        payment["token_id"] = mandates.give(world, subscription_id, given)["token_id"]
        subscription["payment_method"] = payment["method"]
    payments.authorise(world, payment)
    if subscription["status"] == "created":
        lifecycle.authenticate(world, subscription, payment)
    if invoice is None:
        payments.give_back(world, payment)
    else:
        _take(world, subscription, invoice, payment)
    return Paid(Outcome.PAID, payment["id"])


def _is_waited_for(subscription: Json, invoice: Json | None) -> bool:
    """A token authenticates once, and an invoice is paid once; neither brings a subscription back that has ended."""
    if invoice is None:
        return bool(subscription["status"] == "created")
    return invoice["status"] != "paid" and subscription["status"] not in lifecycle.ENDED


def _take(world: World, subscription: Json, invoice: Json, payment: Json) -> None:
    payments.take(world, payment)
    if subscription["start_at"] is None:
        invoice = lifecycle.start(world, subscription, invoice)
    invoice = invoices.settle(world, invoice, payment)
    if invoice["billing_end"] is None:
        # What was asked for upfront; the first cycle is still to come.
        mandates.keep(world, mandates.of(world, subscription["id"]) | {"due": None})
        return
    lifecycle.receive(world, subscription, invoice, payment)


def _customer_id(world: World, subscription: Json) -> str:
    """The customer that the subscription was made for; else Razorpay makes one with the first payment."""
    if subscription["customer_id"] is not None:
        return str(subscription["customer_id"])
    notify = mandates.of(world, subscription["id"])["notify"]
    return str(customers.make(world, notify["email"], notify["contact"])["id"])
