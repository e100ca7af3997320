"""Paying a Checkout Session by calls: the two that Stripe's command-line tool makes for ``stripe trigger``.

Stripe does not document them; what they take is read from the tool's own scripts (stripe/stripe-cli, pkg/fixtures).
"""

from __future__ import annotations

from sandbox.outcomes import NotPayable
from sandbox.store import Json
from sandbox.stripe import payment_methods, payments, versions
from sandbox.stripe.calls import Call
from sandbox.stripe.checkout import KIND as SESSION
from sandbox.stripe.errors import Declined, StripeError, missing

KIND = "payment_page"


def retrieve(call: Call) -> Json:
    call.parameters.accept(["key", "eid"])
    call.parameters.refuse_rest()
    return _page_of(call.find(SESSION, call.ids["id"], "session"))


def confirm(call: Call) -> Json:
    """What the page's button does, with a method that has been made beforehand."""
    session = call.find(SESSION, call.ids["id"], "session")
    name, expected = call.parameters.text("payment_method"), call.parameters.integer("expected_amount")
    call.parameters.accept(["key", "eid", "expected_payment_method_type", "return_url"])
    call.parameters.refuse_rest()
    if name is None:
        raise missing("payment_method")
    if expected is not None and expected != session["amount_total"]:
        message = "The amount on this Checkout Session has changed; the payment was not attempted."
        raise StripeError(message, code="checkout_amount_mismatch", param="expected_amount", executed=True)
    method = payment_methods.find(call, name, "payment_method")
    payment_methods.refuse_spent(call, method)
    if method["type"] not in session["payment_method_types"]:
        message = f"This Checkout Session does not take payment methods of the type `{method['type']}`."
        raise StripeError(message, param="payment_method", executed=True)
    try:
        paid = payments.pay_with(call.world, payments.find_open(call.world, session["id"]), method, call.cause)
    except NotPayable as reason:
        raise StripeError(str(reason), executed=True) from None
    page = _page_of(call.find(SESSION, session["id"], "session"))
    if paid.payment is None:
        return page
    intent = call.find("payment_intent", paid.payment)
    if paid.message is not None:
        shown = versions.render(call.world.store, {"payment_intent": intent}, call.version)
        raise Declined(intent["last_payment_error"], shown)
    return {**page, "payment_intent": intent}


def _page_of(session: Json) -> Json:
    return {
        "id": session["id"].replace("cs_test_", "ppage_"),
        "object": KIND,
        "amount_total": session["amount_total"],
        "created": session["created"],
        "currency": session["currency"],
        "livemode": False,
        "mode": session["mode"],
        "payment_method_types": session["payment_method_types"],
        "payment_status": session["payment_status"],
        "session_id": session["id"],
        "state": {"open": "active", "complete": "succeeded"}.get(session["status"], session["status"]),
    }
