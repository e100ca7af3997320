"""What a customer does on the page of an invoice: pays it with a card, and answers the bank."""

from __future__ import annotations

from sandbox.cards import Authenticate, Card
from sandbox.outcomes import NotPayable, Outcome, Paid
from sandbox.store import Json
from sandbox.stripe import charging, collecting, invoicing, records, shapes
from sandbox.stripe.calls import GATEWAY, NOBODY
from sandbox.world import World

#: The invoices that still ask for their money.
PAYABLE = ("open", "uncollectible")

_OUTCOMES = {"succeeded": Outcome.PAID, "requires_action": Outcome.REQUIRES_ACTION}


def find_payable(world: World, invoice_id: str) -> Json:
    """Raises ``NotPayable``."""
    invoice = world.store.find(GATEWAY, invoicing.KIND, invoice_id)
    if invoice is None:
        raise NotPayable("There is no such invoice.")
    if invoice["status"] not in PAYABLE:
        raise NotPayable(f"This invoice is {invoice['status']}.")
    return invoice


def attempt(world: World, invoice_id: str, card: Card) -> Paid:
    """The customer presses the button. The card is kept with the customer if it pays, and changes no default."""
    invoice = find_payable(world, invoice_id)
    method = shapes.card_method(card, world.clock.now())
    method["billing_details"]["email"] = invoice["customer_email"]
    records.keep(world, method)
    refusal = collecting.attempt(world, invoice, method, NOBODY, is_present=True)
    return _told(world, invoice, None if refusal is None else refusal.message)


def authenticate(world: World, invoice_id: str, answer: Authenticate) -> Paid:
    """3-D Secure is passed, failed, or left alone."""
    invoice = find_payable(world, invoice_id)
    intent = invoicing.intent_of(world, invoice)
    if intent is None or intent["status"] != "requires_action":
        raise NotPayable("Nothing waits for authentication here.")
    refusal = charging.authenticate(world, intent, answer)
    if answer is not Authenticate.LEAVE:
        collecting.follow(world, intent)
    return _told(world, invoice, None if refusal is None else refusal.message)


def _told(world: World, invoice: Json, message: str | None) -> Paid:
    intent = invoicing.intent_of(world, invoice)
    assert intent is not None, "an invoice that was open has an intent"
    return Paid(_OUTCOMES.get(intent["status"], Outcome.DECLINED), intent["id"], message)
