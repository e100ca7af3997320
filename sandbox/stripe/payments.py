"""What a customer's card does to a Checkout Session: PaymentIntents, Charges and PaymentMethods, with their events.

attempt    -> paid       charge succeeded, intent succeeded, session complete and paid
           -> declined   charge failed, intent waits for another card, session still open
           -> requires_action   the bank asks for 3-D Secure; ``authenticate`` is the customer's answer
           -> pending    a delayed method: session complete and unpaid, settled days later by the clock
"""

from __future__ import annotations

from sandbox.cards import Authenticate, Card, Decline
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.store import Json
from sandbox.stripe import events, shapes
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.stripe.shapes import Refusal
from sandbox.world import World

SETTLES = "stripe.delayed.settles"
#: How long a delayed method takes, by the development clock, unless the customer's order says otherwise.
SETTLES_AFTER_SECONDS = 3 * 24 * 3600


REFUSALS = {
    Decline.GENERIC: Refusal("card_declined", "generic_decline", "Your card was declined."),
    Decline.INSUFFICIENT_FUNDS: Refusal("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    Decline.EXPIRED: Refusal("expired_card", "expired_card", "Your card has expired.", "confirm_card_data"),
}
NOT_AUTHENTICATED = Refusal(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
    None,
)


def attempt(world: World, session_id: str, card: Card, *, email: str | None = None) -> Paid:
    """The customer presses the button. Raises ``NotPayable`` where there is nothing to pay, or nothing to pay with."""
    session = find_open(world, session_id)
    if session["amount_total"] == 0:
        _complete(world, session, "no_payment_required", email)
        return Paid(Outcome.PAID, None)
    intent = _intent_with(world, session, card, email)
    if card.asks_for_authentication:
        intent |= {"status": "requires_action", "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}}}
        _keep(world, intent)
        events.record(world, "payment_intent.requires_action", intent, NOBODY)
        return Paid(Outcome.REQUIRES_ACTION, intent["id"])
    if card.decline is not None:
        return _decline(world, intent, REFUSALS[card.decline])
    return _succeed(world, session, intent, email)


def authenticate(world: World, session_id: str, answer: Authenticate) -> Paid:
    """The customer answers the bank: 3-D Secure is passed, failed, or left alone."""
    session = find_open(world, session_id)
    intent = world.store.find(GATEWAY, "payment_intent", session["payment_intent"] or "")
    if intent is None or intent["status"] != "requires_action":
        raise NotPayable("Nothing waits for authentication here.")
    if answer is Authenticate.LEAVE:
        return Paid(Outcome.REQUIRES_ACTION, intent["id"])
    intent["next_action"] = None
    if answer is Authenticate.FAIL:
        return _decline(world, intent, NOT_AUTHENTICATED)
    return _succeed(world, session, intent, None)


def attempt_delayed(world: World, session_id: str, card: Card, *, after: int = SETTLES_AFTER_SECONDS) -> Paid:
    """A bank debit or its like: accepted now, and the card says how it ends when it settles."""
    session = find_open(world, session_id)
    if session["amount_total"] == 0:
        raise NotPayable("Nothing is due.")
    intent = _intent_with(world, session, card, None)
    charge = _charge(world, intent)
    intent |= {"status": "processing", "latest_charge": charge["id"]}
    _keep(world, charge, intent)
    events.record(world, "charge.pending", charge, NOBODY)
    events.record(world, "payment_intent.processing", intent, NOBODY)
    _complete(world, session, "unpaid", None)
    ending = card.decline.value if card.decline is not None else ""
    world.agenda.enter(world.clock.exact() + after, SETTLES, f"{session_id} {ending}")
    return Paid(Outcome.PENDING, intent["id"])


def settle(world: World, subject: str) -> None:
    """A delayed method comes to its end: the money is here, or it never will be."""
    session_id, _, ending = subject.partition(" ")
    session = _find(world, "checkout.session", session_id)
    intent = _find(world, "payment_intent", session["payment_intent"])
    charge = _find(world, "charge", intent["latest_charge"])
    if ending:
        _fail(world, intent, charge, REFUSALS[Decline(ending)])
        events.record(world, "checkout.session.async_payment_failed", session, NOBODY)
        return
    session["payment_status"] = "paid"
    _keep(world, session)
    _take(world, intent, charge)
    events.record(world, "checkout.session.async_payment_succeeded", session, NOBODY)


def give_up(world: World, session: Json, cause: Cause) -> None:
    """The session is over: an intent that still waits for a card, or for the customer, is cancelled with it."""
    intent = world.store.find(GATEWAY, "payment_intent", session["payment_intent"] or "")
    if intent is None:
        return
    intent |= {"status": "canceled", "canceled_at": world.clock.now(), "cancellation_reason": "expired"}
    intent["next_action"] = None
    _keep(world, intent)
    events.record(world, "payment_intent.canceled", intent, cause)


def find_open(world: World, session_id: str) -> Json:
    """A session that can be paid now."""
    session = world.store.find(GATEWAY, "checkout.session", session_id)
    if session is None:
        raise NotPayable("There is no such checkout session.")
    if session["status"] != "open" or session["expires_at"] <= world.clock.now():
        status = session["status"] if session["status"] != "open" else "expired"
        raise NotPayable(f"This checkout session is {status}.")
    if session["mode"] != "payment":
        raise NotPayable(f"The sandbox cannot pay a checkout session in `{session['mode']}` mode.")
    return session


def _intent_with(world: World, session: Json, card: Card, email: str | None) -> Json:
    """The session's intent, made at the first attempt, with this card."""
    if session["payment_intent"] is None:
        data = _find(world, "line_items", session["id"])["payment_intent_data"]
        intent = shapes.payment_intent(session, data, world.clock.now())
        session["payment_intent"] = intent["id"]
        _keep(world, session, intent)
        events.record(world, "payment_intent.created", intent, NOBODY)
    else:
        intent = _find(world, "payment_intent", session["payment_intent"])
    method = shapes.payment_method(card, email or _email_of(world, session), world.clock.now())
    _keep(world, method)
    return {**intent, "payment_method": method["id"], "next_action": None}


def _succeed(world: World, session: Json, intent: Json, email: str | None) -> Paid:
    _take(world, intent, _charge(world, intent))
    _complete(world, session, "paid", email)
    return Paid(Outcome.PAID, intent["id"])


def _take(world: World, intent: Json, charge: Json) -> None:
    """The money is taken."""
    charge |= {"status": "succeeded", "paid": True, "captured": True, "amount_captured": charge["amount"]}
    charge["outcome"] = shapes.outcome(None)
    intent |= {
        "status": "succeeded",
        "amount_received": intent["amount"],
        "latest_charge": charge["id"],
        "last_payment_error": None,
        "next_action": None,
    }
    _keep(world, charge, intent)
    events.record(world, "charge.succeeded", charge, NOBODY)
    events.record(world, "payment_intent.succeeded", intent, NOBODY)


def _decline(world: World, intent: Json, refusal: Refusal) -> Paid:
    """Not the end: the session stays open for another card. Without authentication the bank was never asked."""
    charge = None if refusal is NOT_AUTHENTICATED else _charge(world, intent)
    _fail(world, intent, charge, refusal)
    return Paid(Outcome.DECLINED, intent["id"], refusal.message)


def _fail(world: World, intent: Json, charge: Json | None, refusal: Refusal) -> None:
    if charge is not None:
        charge |= {"status": "failed", "paid": False, "captured": False, "outcome": shapes.outcome(refusal)}
        charge |= {"failure_code": refusal.code, "failure_message": refusal.message}
        intent["latest_charge"] = charge["id"]
        _keep(world, charge)
        events.record(world, "charge.failed", charge, NOBODY)
    method = _find(world, "payment_method", intent["payment_method"])
    intent |= {
        "status": "requires_payment_method",
        "last_payment_error": shapes.payment_error(refusal, method, None if charge is None else charge["id"]),
        "payment_method": None,
    }
    _keep(world, intent)
    events.record(world, "payment_intent.payment_failed", intent, NOBODY)


def _complete(world: World, session: Json, payment_status: str, email: str | None) -> None:
    details: Json = {
        "address": None,
        "business_name": None,
        "email": email or _email_of(world, session),
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    session |= {"status": "complete", "payment_status": payment_status, "url": None, "customer_details": details}
    _keep(world, session)
    events.record(world, "checkout.session.completed", session, NOBODY)


def _email_of(world: World, session: Json) -> str:
    customer = world.store.find(GATEWAY, "customer", session["customer"] or "") or {}
    return session["customer_email"] or customer.get("email") or "customer@example.com"


def _find(world: World, kind: str, object_id: str) -> Json:
    found = world.store.find(GATEWAY, kind, object_id)
    assert found is not None, f"{kind} {object_id} is named by another object"
    return found


def _keep(world: World, *bodies: Json) -> None:
    for body in bodies:
        world.store.put(GATEWAY, body["object"], body, created=body["created"])


def _charge(world: World, intent: Json) -> Json:
    method = _find(world, "payment_method", intent["payment_method"])
    return shapes.charge(intent, method, world.clock.now())
