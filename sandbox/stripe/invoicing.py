"""Invoices, from their drafts (``drafts``) to their ends, whoever moves them: a renewal, a call, or a customer.

draft -> open -> paid             nothing was due, or the money came (``collecting``)
              -> uncollectible    given up; may still be paid
              -> void             as if it had never been
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import charging, consequences, drafts, events, invoice_shapes, records, shapes
from sandbox.stripe.calls import GATEWAY, Cause
from sandbox.stripe.invoice_shapes import subscription_of
from sandbox.world import World

KIND = "invoice"
RETRIES = "stripe.invoice.retries"

#: Which PaymentIntent and which payment belong to an invoice, by the invoice's id.
_MEANS = "invoice_means"

_WORDS = {
    "subscription_create": "Subscription creation",
    "subscription_update": "Subscription update",
    "subscription_cycle": "Subscription update",
}


def finalise(world: World, invoice: Json, cause: Cause) -> Json:
    """From here on it asks for its money; where none is due it is paid at once."""
    now, before = world.clock.now(), dict(invoice)
    customer = records.find(world, "customer", invoice["customer"])
    number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
    left = min(0, invoice["total"] + customer["balance"])
    _settle_balance(world, customer, left, cause)
    invoice |= {
        "automatically_finalizes_at": None,
        "effective_at": now,
        "ending_balance": left,
        "hosted_invoice_url": f"{world.options.url}/stripe/i/{invoice['id']}",
        "invoice_pdf": f"{world.options.url}/stripe/i/{invoice['id']}/pdf",
        "next_payment_attempt": None,
        "number": number,
        "status": "open",
        "status_transitions": {**invoice["status_transitions"], "finalized_at": now},
    }
    world.agenda.strike(drafts.FINALISES, invoice["id"])
    if invoice["amount_due"] == 0:
        return _settle_nothing(world, before, invoice, cause)
    records.change(world, before, invoice, cause, "invoice.updated")
    _ask_for_money(world, invoice, cause)
    events.record(world, "invoice.finalized", invoice, cause)
    return invoice


def void(world: World, invoice: Json, cause: Cause) -> Json:
    invoice = _close(world, invoice, "void", "voided_at", cause)
    events.record(world, "invoice.voided", invoice, cause)
    consequences.of_voiding(world, invoice, cause)
    return invoice


def forgive(world: World, invoice: Json, reason: str, cause: Cause) -> Json:
    """Nobody expects this money any more; it may still come."""
    before = dict(invoice)
    invoice |= {
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "uncollectible",
        "status_details": {"uncollectible": {"reason": reason}},
        "status_transitions": {**invoice["status_transitions"], "marked_uncollectible_at": world.clock.now()},
    }
    records.change(world, before, invoice, cause, "invoice.updated")
    events.record(world, "invoice.marked_uncollectible", invoice, cause)
    consequences.of_forgiving(world, invoice, cause)
    return invoice


def settle(world: World, invoice: Json, cause: Cause, *, is_off_stripe: bool = False) -> Json:
    """The invoice is paid: by its intent, or in some way that Stripe has not seen."""
    now, before = world.clock.now(), dict(invoice)
    due = invoice["amount_due"]
    invoice |= {
        "amount_paid": due,
        "amount_paid_off_stripe": due if is_off_stripe else 0,
        "amount_remaining": 0,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "paid",
        "status_details": None,
        "status_transitions": {**invoice["status_transitions"], "paid_at": now},
    }
    world.agenda.strike(RETRIES, invoice["id"])
    payment = payment_of(world, invoice)
    if payment is not None and not is_off_stripe:
        payment |= {"amount_paid": due, "status": "paid"}
        payment["status_transitions"] = {"canceled_at": None, "paid_at": now}
        records.keep(world, payment)
        events.record(world, "invoice_payment.paid", payment, cause)
    elif payment is not None:
        _drop_payment(world, invoice, cause)
    records.change(world, before, invoice, cause, "invoice.updated")
    events.record(world, "invoice.paid", invoice, cause)
    if not is_off_stripe:
        events.record(world, "invoice.payment_succeeded", invoice, cause)
    consequences.of_payment(world, invoice, cause)
    return invoice


def intent_of(world: World, invoice: Json) -> Json | None:
    """What the invoice is to be paid through; None where nothing is due."""
    kept = world.store.find(GATEWAY, _MEANS, invoice["id"])
    return None if kept is None else records.find(world, "payment_intent", kept["intent"])


def payment_of(world: World, invoice: Json) -> Json | None:
    kept = world.store.find(GATEWAY, _MEANS, invoice["id"])
    return None if kept is None else records.find(world, "invoice_payment", kept["payment"])


def of_intent(world: World, intent: Json) -> Json | None:
    """The invoice that an intent is to pay; None where it pays something else."""
    name = (intent.get("payment_details") or {}).get("order_reference") or ""
    return world.store.find(GATEWAY, KIND, name)


def tie(world: World, invoice: Json, intent: Json) -> None:
    """This intent pays this invoice."""
    payment = invoice_shapes.payment(invoice, intent["id"], world.clock.now())
    records.keep(world, payment)
    kept = {"id": invoice["id"], "intent": intent["id"], "payment": payment["id"]}
    world.store.put(GATEWAY, _MEANS, kept, created=invoice["created"])


def name_payee(invoice_id: str) -> Json:
    """What an intent says of the invoice that it pays."""
    return {"customer_reference": None, "order_reference": invoice_id}


def _settle_balance(world: World, customer: Json, left: int, cause: Cause) -> None:
    before = dict(customer)
    customer |= {"balance": left, "next_invoice_sequence": customer["next_invoice_sequence"] + 1}
    if customer["balance"] == before["balance"]:
        records.keep(world, customer)
    else:
        before["next_invoice_sequence"] = customer["next_invoice_sequence"]
        records.change(world, before, customer, cause, "customer.updated")


def _settle_nothing(world: World, before: Json, invoice: Json, cause: Cause) -> Json:
    now = world.clock.now()
    invoice |= {"attempted": True, "auto_advance": False, "status": "paid"}
    invoice["status_transitions"] = {**invoice["status_transitions"], "paid_at": now}
    records.change(world, before, invoice, cause, "invoice.updated")
    for event in ("invoice.finalized", "invoice.paid", "invoice.payment_succeeded"):
        events.record(world, event, invoice, cause)
    consequences.of_payment(world, invoice, cause)
    return invoice


def _ask_for_money(world: World, invoice: Json, cause: Cause) -> None:
    """An intent over what is due, unless one has paid already, as in Checkout."""
    if intent_of(world, invoice) is not None:
        return
    said = {
        "amount": invoice["amount_due"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": _WORDS.get(invoice["billing_reason"], "Payment for Invoice"),
        "payment_details": name_payee(invoice["id"]),
        "payment_method_types": ["card", "sepa_debit"] if invoice["currency"] == "eur" else ["card"],
        "setup_future_usage": None if subscription_of(invoice) is None else "off_session",
    }
    intent = shapes.payment_intent(said, world.clock.now())
    charging.open_intent(world, intent, cause)
    tie(world, invoice, intent)


def _close(world: World, invoice: Json, status: str, moment: str, cause: Cause) -> Json:
    before = dict(invoice)
    invoice |= {"amount_remaining": 0, "auto_advance": False, "next_payment_attempt": None, "status": status}
    invoice["status_transitions"] = {**invoice["status_transitions"], moment: world.clock.now()}
    world.agenda.strike(RETRIES, invoice["id"])
    _drop_payment(world, invoice, cause)
    records.change(world, before, invoice, cause, "invoice.updated")
    return invoice


def _drop_payment(world: World, invoice: Json, cause: Cause) -> None:
    """Nothing is to be paid through the intent any more."""
    intent, payment = intent_of(world, invoice), payment_of(world, invoice)
    if intent is not None and intent["status"] not in {"succeeded", "canceled"}:
        charging.cancel(world, intent, "void_invoice", cause)
    if payment is not None:
        payment |= {"status": "canceled"}
        payment["status_transitions"] = {"canceled_at": world.clock.now(), "paid_at": None}
        records.keep(world, payment)
