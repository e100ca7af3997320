"""What a customer does to a Checkout Session, and what that makes of the session; ``charging`` does the rest.

attempt    -> paid       the session is complete and paid
           -> declined   the session is still open, for another card
           -> requires_action   the bank asks for 3-D Secure; ``authenticate`` is the customer's answer
           -> pending    a delayed method: session complete and unpaid, settled days later by the clock
"""

from __future__ import annotations

from sandbox.cards import Authenticate, Card
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.store import Json
from sandbox.stripe import charging, collecting, events, records, shapes, shortfall, subscription_checkout
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.stripe.charging import PLAIN, Terms
from sandbox.stripe.means import Behaviour, behaviour_of, fails_later
from sandbox.stripe.refusals import REFUSALS, Refusal
from sandbox.world import World

#: How long a delayed method takes, by the development clock, unless the customer's order says otherwise.
SETTLES_AFTER_SECONDS = 3 * 24 * 3600

#: What was attempted for a session that will make a subscription, by the session's id.
_ATTEMPT = "session_attempt"

_OUTCOMES = {
    "succeeded": Outcome.PAID,
    "processing": Outcome.PENDING,
    "requires_action": Outcome.REQUIRES_ACTION,
    "requires_payment_method": Outcome.DECLINED,
}


def attempt(world: World, session_id: str, card: Card, *, email: str | None = None) -> Paid:
    """The customer presses the button. Raises ``NotPayable`` where there is nothing to pay, or nothing to pay with."""
    session = find_open(world, session_id)
    if session["amount_total"] == 0 and session["mode"] == "payment":
        _complete(world, session, "no_payment_required", email, NOBODY)
        return Paid(Outcome.PAID, None)
    return pay_with(world, session, _typed_in(world, session, card, email), NOBODY)


def attempt_delayed(world: World, session_id: str, card: Card, *, after: int = SETTLES_AFTER_SECONDS) -> Paid:
    """A bank debit or its like: accepted now, and the card says how it ends when it settles."""
    session = find_open(world, session_id)
    if session["mode"] == "subscription":
        raise NotPayable("The sandbox pays a subscription by card alone.")
    terms = Terms(behaviour=Behaviour(card.decline, settles_after=after))
    return pay_with(world, session, _typed_in(world, session, card, None), NOBODY, terms)


def pay_with(world: World, session: Json, method: Json, cause: Cause, terms: Terms = PLAIN) -> Paid:
    """Confirms the session's intent, which the first attempt makes, with this method."""
    if session["mode"] == "subscription" and method["type"] != "card":
        raise NotPayable("The sandbox pays a subscription by card alone.")
    if session["amount_total"] == 0 and session["mode"] == "payment":
        raise NotPayable("Nothing is due.")
    if session["amount_total"] == 0:
        return _agree_on_nothing(world, session, method, cause)
    intent = _ready_intent(world, session, cause)
    refusal = charging.confirm(world, intent, method, cause, terms)
    return _follow(world, session, intent, refusal, cause, method["billing_details"]["email"])


def authenticate(world: World, session_id: str, answer: Authenticate) -> Paid:
    """The customer answers the bank: 3-D Secure is passed, failed, or left alone."""
    session = find_open(world, session_id)
    intent = intent_of(world, session)
    if intent is None or intent["status"] != "requires_action":
        raise NotPayable("Nothing waits for authentication here.")
    refusal = charging.authenticate(world, intent, answer)
    return _follow(world, session, intent, refusal, NOBODY, None)


def settle(world: World, subject: str) -> None:
    """A delayed method has come to its end; if it paid a session, that changes too."""
    intent = charging.settle(world, subject)
    collecting.follow(world, intent)
    session = session_of(world, intent)
    if session is None:
        return
    if intent["status"] == "succeeded":
        session["payment_status"] = "paid"
        records.keep(world, session)
        events.record(world, "checkout.session.async_payment_succeeded", session, NOBODY)
    else:
        events.record(world, "checkout.session.async_payment_failed", session, NOBODY)


def give_up(world: World, session: Json, cause: Cause) -> None:
    """The session is over: an intent that still waits for a card, or for the customer, is cancelled with it."""
    intent = intent_of(world, session)
    if intent is not None:
        charging.cancel(world, intent, "expired", cause)


def find_open(world: World, session_id: str) -> Json:
    """A session that can be paid now."""
    session = world.store.find(GATEWAY, "checkout.session", session_id)
    if session is None:
        raise NotPayable("There is no such checkout session.")
    if session["status"] != "open" or session["expires_at"] <= world.clock.now():
        status = session["status"] if session["status"] != "open" else "expired"
        raise NotPayable(f"This checkout session is {status}.")
    return session


def session_of(world: World, intent: Json) -> Json | None:
    """The Checkout Session that the intent belongs to; None where a call made it."""
    for kind in ("checkout.session", _ATTEMPT):
        for found in world.store.newest(GATEWAY, kind, limit=1, matching={"payment_intent": intent["id"]}):
            return world.store.find(GATEWAY, "checkout.session", found["id"])
    return None


def intent_of(world: World, session: Json) -> Json | None:
    """What the session is being paid through; one that makes a subscription does not name it."""
    attempt = world.store.find(GATEWAY, _ATTEMPT, session["id"]) or {}
    return world.store.find(GATEWAY, "payment_intent", session["payment_intent"] or attempt.get("payment_intent") or "")


def declined(world: World, session: Json) -> str | None:
    """Why the last attempt failed, in words for the customer."""
    intent, attempt = intent_of(world, session), world.store.find(GATEWAY, _ATTEMPT, session["id"])
    told = (intent or {}).get("last_payment_error") or attempt or {}
    message: str | None = told.get("message")
    return message


def _ready_intent(world: World, session: Json, cause: Cause) -> Json:
    intent = intent_of(world, session)
    if intent is not None:
        return intent
    said = {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": session["customer"],
        "payment_method_types": session["payment_method_types"],
        **records.kept_lines(world, session)["payment_intent_data"],
    }
    if session["mode"] == "subscription":
        said |= {"description": "Subscription creation", "setup_future_usage": "off_session"}
    intent = shapes.payment_intent(said, world.clock.now())
    if session["mode"] == "subscription":
        _note(world, session, payment_intent=intent["id"])
    else:
        session["payment_intent"] = intent["id"]
        records.keep(world, session)
    return charging.open_intent(world, intent, cause)


def _agree_on_nothing(world: World, session: Json, method: Json, cause: Cause) -> Paid:
    """Nothing is due now; what will be due later is charged to this card, if its bank lets the shop keep it."""
    decline = behaviour_of(method).decline
    if decline is not None and not fails_later(method):
        message = REFUSALS[decline].message
        _note(world, session, message=message)
        return Paid(Outcome.DECLINED, None, message)
    email = method["billing_details"]["email"] or _email_of(world, session)
    subscription_checkout.begin(world, session, method, email, cause, intent=None)
    _complete(world, session, "no_payment_required", email, cause)
    return Paid(Outcome.PAID, None)


def _note(world: World, session: Json, **told: str) -> None:
    """What became of an attempt that the session itself tells nothing about."""
    kept = world.store.find(GATEWAY, _ATTEMPT, session["id"]) or {"id": session["id"], "payment_intent": None}
    world.store.put(GATEWAY, _ATTEMPT, {**kept, **told}, created=session["created"])


def _typed_in(world: World, session: Json, card: Card, email: str | None) -> Json:
    """The card that a customer typed in, as a method of its own."""
    method = shapes.card_method(card, world.clock.now())
    method["allow_redisplay"] = "limited"
    method["billing_details"]["email"] = email or _email_of(world, session)
    method["billing_details"]["address"]["country"] = "US"
    records.keep(world, method)
    return method


def _follow(
    world: World, session: Json, intent: Json, refusal: Refusal | None, cause: Cause, email: str | None
) -> Paid:
    """The session goes where its intent went."""
    outcome = _OUTCOMES[intent["status"]]
    if outcome in {Outcome.PAID, Outcome.PENDING}:
        shortfall.agree(world, session, intent)
        if session["mode"] == "subscription":
            method = records.find(world, "payment_method", intent["payment_method"])
            told = email or method["billing_details"]["email"] or _email_of(world, session)
            subscription_checkout.begin(world, session, method, told, cause, intent=intent)
        _complete(world, session, "paid" if outcome is Outcome.PAID else "unpaid", email, cause)
    return Paid(outcome, intent["id"], None if refusal is None else refusal.message)


def _complete(world: World, session: Json, payment_status: str, email: str | None, cause: Cause) -> None:
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
    records.keep(world, session)
    events.record(world, "checkout.session.completed", session, cause)


def _email_of(world: World, session: Json) -> str:
    customer = world.store.find(GATEWAY, "customer", session["customer"] or "") or {}
    return session["customer_email"] or customer.get("email") or "customer@example.com"
