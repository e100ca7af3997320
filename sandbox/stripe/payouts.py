"""Payouts and the balance by calls: read, made by hand, noted. What becomes of one is told in ``paying_out``."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import lists, paying_out, records
from sandbox.stripe.calls import Call
from sandbox.stripe.errors import StripeError, missing
from sandbox.stripe.money import check_currency
from sandbox.stripe.paying_out import KIND

_STATUSES = {"canceled", "failed", "in_transit", "paid", "pending"}


def create(call: Call) -> Json:
    """A part of the balance, by hand: what it is made of is not told then, as at Stripe."""
    parameters = call.parameters
    amount, currency = parameters.integer("amount"), parameters.required_text("currency")
    said = {
        "description": parameters.text("description"),
        "metadata": parameters.metadata(),
        "statement_descriptor": parameters.text("statement_descriptor", limit=22),
    }
    if parameters.choice("method", {"standard", "instant"}) == "instant":
        raise StripeError("The sandbox does not simulate `instant` payouts.", param="method")
    parameters.accept(["destination", "payout_method", "source_type"])
    parameters.refuse_rest()
    if amount is None:
        raise missing("amount")
    currency = check_currency(currency, "currency")
    if not 1 <= amount <= paying_out.available(call.world).get(currency, 0):
        message = "You have insufficient funds in your Stripe account for this payout."
        raise StripeError(message, code="balance_insufficient", param="amount", executed=True)
    after = paying_out.ARRIVES_AFTER_SECONDS
    return paying_out.make(call.world, amount, currency, said, call.cause, after=after)


def retrieve(call: Call) -> Json:
    call.parameters.refuse_rest()
    return call.find(KIND, call.ids["id"])


def update(call: Call) -> Json:
    before = call.find(KIND, call.ids["id"])
    after = {**before, "metadata": call.parameters.metadata(before["metadata"])}
    call.parameters.refuse_rest()
    records.change(call.world, before, after, call.cause, "payout.updated")
    return after


def list_payouts(call: Call) -> Json:
    status = call.parameters.choice("status", _STATUSES)
    arrival = call.parameters.span("arrival_date")

    def arrives_then(payout: Json) -> bool:
        return bool(arrival.since <= payout["arrival_date"] <= arrival.until)

    matching = {} if status is None else {"status": status}
    return lists.page(call, KIND, "/v1/payouts", matching=matching, keep=arrives_then)


def retrieve_balance(call: Call) -> Json:
    call.parameters.refuse_rest()
    held = paying_out.available(call.world)
    told = [{"amount": held[each], "currency": each, "source_types": {"card": held[each]}} for each in sorted(held)]
    return {
        "object": "balance",
        "available": told,
        "livemode": False,
        "pending": [{**each, "amount": 0, "source_types": {"card": 0}} for each in told],
        "refund_and_dispute_prefunding": {"available": [], "pending": []},
    }
