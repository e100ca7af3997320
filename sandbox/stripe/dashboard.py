"""What somebody does with a payment in Stripe's dashboard: which one is meant, and its refunds."""

from __future__ import annotations

from sandbox.refund_endings import Course
from sandbox.store import Json
from sandbox.stripe import invoicing, payments, records, refunding, refunds
from sandbox.stripe.calls import GATEWAY, NOBODY
from sandbox.world import World


def find_charge(world: World, named: str) -> Json | None:
    """The charge that took the money: of a charge's, an intent's, a session's, an invoice's or a subscription's id."""
    charge = world.store.find(GATEWAY, "charge", named)
    if charge is not None:
        return charge
    intent = world.store.find(GATEWAY, "payment_intent", named) or _intent_of_page(world, named)
    if intent is None or intent["latest_charge"] is None:
        return None
    return records.find(world, "charge", intent["latest_charge"])


def refund(world: World, charge: Json, amount: int | None, course: Course | None) -> Json:
    """Raises ``StripeError`` where a call would be refused, too."""
    refunds.refuse(world, charge, amount)
    left = refunding.refundable(charge)
    said = {"reason": "requested_by_customer"}
    return refunding.make(world, charge, left if amount is None else amount, said, NOBODY, course)


def find_refund(world: World, refund_id: str) -> Json | None:
    return world.store.find(GATEWAY, refunding.KIND, refund_id)


def _intent_of_page(world: World, named: str) -> Json | None:
    session = world.store.find(GATEWAY, "checkout.session", named)
    if session is not None:
        return payments.intent_of(world, session)
    subscription = world.store.find(GATEWAY, "subscription", named) or {}
    invoice = world.store.find(GATEWAY, invoicing.KIND, subscription.get("latest_invoice") or named)
    return None if invoice is None else invoicing.intent_of(world, invoice)
