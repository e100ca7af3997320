"""What becomes of a PaymentIntent, whoever moves it: a customer on a hosted page, a call, or the clock.

confirm -> succeeded                 the charge succeeded
        -> requires_capture          the charge is authorised: ``capture`` takes it, ``cancel`` and time let it go
        -> requires_payment_method   the charge failed, or there was none; another method may do better
        -> requires_action           3-D Secure; ``authenticate`` is the customer's answer
        -> processing                a delayed method: ``settle`` comes later, by the clock

Every step writes the objects and records Stripe's events in Stripe's order.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.cards import Authenticate, Decline
from sandbox.ids import new_id
from sandbox.store import Json
from sandbox.stripe import balance, disputing, events, shapes, shortfall
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.stripe.means import Behaviour, behaviour_of
from sandbox.stripe.refusals import NOT_AUTHENTICATED, REFUSALS, Refusal
from sandbox.world import World

KIND = "payment_intent"
SETTLES = "stripe.delayed.settles"
LAPSES = "stripe.authorisation.lapses"
#: Stripe holds the money of most cards for so long (docs.stripe.com/payments/place-a-hold-on-a-payment-method).
HELD_SECONDS = 7 * 24 * 3600

#: Methods that may not be charged again: used by a guest, or detached from their customer.
_SPENT = "spent_payment_method"
#: 3-D Secure that was passed, where the seller's server has to confirm once more (``confirmation_method=manual``).
_PASSED = "passed_authentication"


@dataclass(frozen=True, slots=True)
class Terms:
    """How one confirmation is made.

    ``behaviour`` is the method's own unless it is given; ``unasked`` is what a question of the bank comes to where
    nobody can answer it; ``return_url`` is where the customer goes after the bank's page.
    """

    behaviour: Behaviour | None = None
    unasked: Refusal | None = None
    return_url: str | None = None


PLAIN = Terms()


def open_intent(world: World, intent: Json, cause: Cause) -> Json:
    """A new intent is written down."""
    _keep(world, intent)
    events.record(world, "payment_intent.created", intent, cause)
    return intent


def confirm(world: World, intent: Json, method: Json, cause: Cause, terms: Terms = PLAIN) -> Refusal | None:
    """Charges the method, or asks the customer first. Says how it was refused, if it was."""
    behaviour = terms.behaviour or behaviour_of(method)
    intent |= {"payment_method": method["id"], "next_action": None, "last_payment_error": None}
    if not behaviour.asks_for_authentication or _has_passed(world, intent):
        return _charge(world, intent, behaviour, cause)
    if terms.unasked is not None:
        return _decline(world, intent, terms.unasked, cause)
    intent |= {"status": "requires_action", "next_action": _question(world, intent, terms.return_url)}
    _keep(world, intent)
    events.record(world, "payment_intent.requires_action", intent, cause)
    return None


def authenticate(world: World, intent: Json, answer: Authenticate) -> Refusal | None:
    """The customer answers the bank: 3-D Secure is passed, failed, or left alone."""
    if answer is Authenticate.LEAVE:
        return None
    intent["next_action"] = None
    if answer is Authenticate.FAIL:
        return _decline(world, intent, NOT_AUTHENTICATED, NOBODY)
    if intent["confirmation_method"] == "manual":
        intent["status"] = "requires_confirmation"
        _keep(world, intent)
        passed = {"id": intent["id"], "payment_method": intent["payment_method"]}
        world.store.put(GATEWAY, _PASSED, passed, created=world.clock.now())
        return None
    return _charge(world, intent, behaviour_of(_method_of(world, intent)), NOBODY)


def settle(world: World, subject: str) -> Json:
    """A delayed method comes to its end: the money is here, or it never will be. Gives the intent back."""
    intent_id, _, ending = subject.partition(" ")
    intent = _find(world, KIND, intent_id)
    charge = _charge_of(world, intent)
    if ending:
        _fail(world, intent, charge, REFUSALS[Decline(ending)], NOBODY)
    else:
        _take(world, intent, charge, NOBODY)
    return intent


def capture(world: World, intent: Json, amount: int, cause: Cause) -> Json:
    """Takes what was authorised, or less; what is left over goes back to the customer."""
    charge = _charge_of(world, intent)
    charge |= {"captured": True, "amount_captured": amount, "amount_refunded": charge["amount"] - amount}
    charge["balance_transaction"] = balance.charge(world, charge, amount)["id"]
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    _keep(world, charge, intent)
    world.agenda.strike(LAPSES, intent["id"])
    events.record(world, "charge.captured", charge, cause)
    events.record(world, "payment_intent.succeeded", intent, cause)
    disputing.follow(world, charge)
    return intent


def cancel(world: World, intent: Json, reason: str | None, cause: Cause) -> Json:
    """The end of an intent that has not succeeded; money that was held goes back."""
    if intent["status"] == "requires_capture":
        _let_go(world, intent, "charge.refunded", cause)
    return _end(world, intent, reason, cause)


def lapse(world: World, intent_id: str) -> None:
    """Nobody captured in time."""
    intent = _find(world, KIND, intent_id)
    _let_go(world, intent, "charge.expired", NOBODY)
    _end(world, intent, "automatic", NOBODY)


def spend(world: World, method: Json) -> None:
    """From now on this method is refused."""
    world.store.put(GATEWAY, _SPENT, {"id": method["id"]}, created=world.clock.now())


def is_spent(world: World, method: Json) -> bool:
    return world.store.find(GATEWAY, _SPENT, method["id"]) is not None


def _charge(world: World, intent: Json, behaviour: Behaviour, cause: Cause) -> Refusal | None:
    if behaviour.settles_after is not None:
        _put_off(world, intent, behaviour, behaviour.settles_after, cause)
        return None
    if behaviour.decline is not None:
        return _decline(world, intent, REFUSALS[behaviour.decline], cause)
    shortfall.ask_for_less(world, intent)
    charge = _new_charge(world, intent)
    if intent["capture_method"] == "manual":
        _hold(world, intent, charge, cause)
    else:
        _take(world, intent, charge, cause)
    return None


def _put_off(world: World, intent: Json, behaviour: Behaviour, seconds: int, cause: Cause) -> None:
    if behaviour.decline is None:
        shortfall.ask_for_less(world, intent)
    charge = _new_charge(world, intent)
    intent |= {"status": "processing", "latest_charge": charge["id"]}
    _keep(world, charge, intent)
    events.record(world, "charge.pending", charge, cause)
    events.record(world, "payment_intent.processing", intent, cause)
    ending = behaviour.decline.value if behaviour.decline is not None else ""
    world.agenda.enter(world.clock.exact() + seconds, SETTLES, f"{intent['id']} {ending}")


def _hold(world: World, intent: Json, charge: Json, cause: Cause) -> None:
    """The bank sets the money aside; the seller has yet to take it."""
    charge |= {"status": "succeeded", "paid": True, "outcome": shapes.outcome(None)}
    intent |= {"status": "requires_capture", "amount_capturable": intent["amount"], "latest_charge": charge["id"]}
    _keep(world, charge, intent)
    _use(world, intent, cause)
    world.agenda.enter(world.clock.exact() + HELD_SECONDS, LAPSES, intent["id"])
    events.record(world, "charge.succeeded", charge, cause)
    events.record(world, "payment_intent.amount_capturable_updated", intent, cause)


def _take(world: World, intent: Json, charge: Json, cause: Cause) -> None:
    """The money is taken."""
    charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
    charge |= {
        "outcome": shapes.outcome(None),
        "balance_transaction": balance.charge(world, charge, charge["amount"])["id"],
    }
    intent |= {"status": "succeeded", "amount_received": intent["amount"], "latest_charge": charge["id"]}
    _keep(world, charge, intent)
    _use(world, intent, cause)
    events.record(world, "charge.succeeded", charge, cause)
    events.record(world, "payment_intent.succeeded", intent, cause)
    disputing.follow(world, charge)


def _let_go(world: World, intent: Json, kind: str, cause: Cause) -> None:
    charge = _charge_of(world, intent)
    charge |= {"refunded": True, "amount_refunded": charge["amount"]}
    _keep(world, charge)
    world.agenda.strike(LAPSES, intent["id"])
    events.record(world, kind, charge, cause)


def _end(world: World, intent: Json, reason: str | None, cause: Cause) -> Json:
    intent |= {"status": "canceled", "canceled_at": world.clock.now(), "cancellation_reason": reason}
    intent |= {"next_action": None, "amount_capturable": 0}
    _keep(world, intent)
    events.record(world, "payment_intent.canceled", intent, cause)
    return intent


def _decline(world: World, intent: Json, refusal: Refusal, cause: Cause) -> Refusal:
    _fail(world, intent, _new_charge(world, intent) if refusal.asks_bank else None, refusal, cause)
    return refusal


def _fail(world: World, intent: Json, charge: Json | None, refusal: Refusal, cause: Cause) -> None:
    """Not the end: the intent waits for another method."""
    method = _method_of(world, intent)
    if charge is not None:
        charge |= {"status": "failed", "paid": False, "captured": False, "outcome": shapes.outcome(refusal)}
        charge |= {"failure_code": refusal.code, "failure_message": refusal.message}
        intent["latest_charge"] = charge["id"]
        _keep(world, charge)
        events.record(world, "charge.failed", charge, cause)
    intent |= {
        "status": "requires_payment_method",
        "last_payment_error": shapes.payment_error(refusal, method, None if charge is None else charge["id"]),
        "payment_method": None,
    }
    _keep(world, intent)
    events.record(world, "payment_intent.payment_failed", intent, cause)


def _use(world: World, intent: Json, cause: Cause) -> None:
    """A method that paid is its customer's from now on, if that was asked for; a guest's is spent, or still free."""
    method = _method_of(world, intent)
    if method["customer"] is not None:
        return
    if intent["setup_future_usage"] is None:
        spend(world, method)
        return
    if intent["customer"] is None:
        return
    method["customer"] = intent["customer"]
    _keep(world, method)
    events.record(world, "payment_method.attached", method, cause)


def _has_passed(world: World, intent: Json) -> bool:
    passed = world.store.find(GATEWAY, _PASSED, intent["id"])
    return passed is not None and passed["payment_method"] == intent["payment_method"]


def _question(world: World, intent: Json, return_url: str | None) -> Json:
    """Where the customer answers the bank: by a redirect where there is a way back, else inside the shop's page."""
    address = f"{world.options.url}/stripe/intents/{intent['id']}"
    if return_url is not None:
        return {"redirect_to_url": {"return_url": return_url, "url": address}, "type": "redirect_to_url"}
    sdk = {"source": new_id("src_1", 23), "stripe_js": address, "type": "three_d_secure_redirect"}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}


def _method_of(world: World, intent: Json) -> Json:
    return _find(world, "payment_method", intent["payment_method"])


def _charge_of(world: World, intent: Json) -> Json:
    return _find(world, "charge", intent["latest_charge"])


def _new_charge(world: World, intent: Json) -> Json:
    return shapes.charge(intent, _method_of(world, intent), world.clock.now())


def _find(world: World, kind: str, object_id: str) -> Json:
    found = world.store.find(GATEWAY, kind, object_id)
    assert found is not None, f"{kind} {object_id} is named by another object"
    return found


def _keep(world: World, *bodies: Json) -> None:
    for body in bodies:
        world.store.put(GATEWAY, body["object"], body, created=body["created"])
