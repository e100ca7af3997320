"""Getting an invoice paid: by itself with the customer's method, and again days later; by a call; by the customer.

Any attempt is the first; after it only those that Stripe makes by itself count as attempts and use up a retry
(``attempt_count`` in docs.stripe.com/api/invoices/object).
"""

from __future__ import annotations

from sandbox.cards import Decline
from sandbox.store import Json
from sandbox.stripe import billing_settings, charging, consequences, events, invoicing, records, shortfall
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.stripe.charging import Terms
from sandbox.stripe.invoice_shapes import subscription_of
from sandbox.stripe.means import Behaviour, behaviour_unattended
from sandbox.stripe.refusals import Refusal
from sandbox.world import World

_DAY = 24 * 3600

#: What the next payments of a subscription come to, by order of whoever uses the sandbox.
_ORDERED = "ordered_payments"
#: Reasons whose invoices are tried again: a first payment waits for the customer instead.
_RETRIED = ("subscription_cycle", "subscription_update")


def order_payments(world: World, subscription_id: str, decline: Decline | None, *, asks: bool, times: int) -> None:
    """Decides how the next attempts with whatever method end, instead of the method itself."""
    kept = {"id": subscription_id, "decline": decline, "asks": asks, "times": times}
    world.store.put(GATEWAY, _ORDERED, kept, created=world.clock.now())


def method_for(world: World, invoice: Json) -> Json | None:
    """With what the invoice is paid by itself: its own method, its subscription's, or its customer's."""
    subscription = world.store.find(GATEWAY, "subscription", subscription_of(invoice) or "") or {}
    customer = world.store.find(GATEWAY, "customer", invoice["customer"]) or {}
    named = (
        invoice["default_payment_method"]
        or subscription.get("default_payment_method")
        or customer.get("invoice_settings", {}).get("default_payment_method")
    )
    return None if named is None else world.store.find(GATEWAY, "payment_method", named)


def collect(world: World, invoice: Json, cause: Cause) -> Refusal | None:
    """An attempt that nobody makes by hand, with nobody there to be asked."""
    method = method_for(world, invoice)
    if method is None:
        _fail(world, invoice, None, cause, is_automatic=True)
        return None
    return attempt(world, invoice, method, cause, is_automatic=True)


def attempt(
    world: World, invoice: Json, method: Json, cause: Cause, *, is_automatic: bool = False, is_present: bool = False
) -> Refusal | None:
    """Charges this method; ``is_present`` where the customer is there to answer the bank."""
    intent = invoicing.intent_of(world, invoice)
    assert intent is not None, "an invoice that is open has an intent"
    behaviour = _ordered(world, invoice) if not is_present else None
    if behaviour is None and not is_present:
        behaviour = behaviour_unattended(method)
    refusal = charging.confirm(world, intent, method, cause, Terms(behaviour=behaviour))
    follow(world, intent, cause, is_automatic=is_automatic, is_present=is_present)
    return refusal


def follow(
    world: World, intent: Json, cause: Cause = NOBODY, *, is_automatic: bool = False, is_present: bool = True
) -> None:
    """The invoice goes where its intent went; an intent of something else is none of its business.

    A question of the bank that stands before the customer is no failure yet.
    """
    invoice = invoicing.of_intent(world, intent)
    if invoice is None or invoice["status"] not in {"open", "uncollectible"}:
        return
    _count(invoice, is_automatic=is_automatic)
    match intent["status"]:
        case "succeeded":
            shortfall.agree_on_invoice(invoice, intent)
            invoicing.settle(world, invoice, cause)
            _adopt(world, invoice, intent, cause)
        case "processing":
            records.keep(world, {**invoice, "attempted": True})
            consequences.of_payment(world, invoice, cause)
        case "requires_action" if is_present and not is_automatic:
            records.keep(world, {**invoice, "attempted": True})
        case _:
            _fail(world, invoice, intent, cause, is_automatic=is_automatic, is_counted=True)


def _count(invoice: Json, *, is_automatic: bool) -> None:
    if is_automatic or invoice["attempt_count"] == 0:
        invoice["attempt_count"] += 1


def _fail(
    world: World, invoice: Json, intent: Json | None, cause: Cause, *, is_automatic: bool, is_counted: bool = False
) -> None:
    """The invoice stays open. An attempt made by hand changes nothing about the next one that is not."""
    before = records.find(world, invoicing.KIND, invoice["id"])
    if not is_counted:
        _count(invoice, is_automatic=is_automatic)
    invoice["attempted"] = True
    is_last = False
    if is_automatic:
        is_last = not _plan_retry(world, invoice)
    records.change(world, before, invoice, cause, "invoice.updated")
    if intent is not None and intent["status"] == "requires_action":
        events.record(world, "invoice.payment_action_required", invoice, cause)
    events.record(world, "invoice.payment_failed", invoice, cause)
    consequences.of_failure(world, invoice, cause)
    if is_last:
        consequences.of_last_failure(world, invoice)


def _plan_retry(world: World, invoice: Json) -> bool:
    """Enters the next attempt; says whether there is to be one, or was never to be."""
    invoice["next_payment_attempt"] = None
    if invoice["billing_reason"] not in _RETRIED or not invoice["auto_advance"]:
        return True
    days = billing_settings.read(world, "stripeRetryDays")
    if invoice["attempt_count"] > len(days):
        return False
    at = world.clock.now() + days[invoice["attempt_count"] - 1] * _DAY
    invoice["next_payment_attempt"] = at
    world.agenda.enter(at, invoicing.RETRIES, invoice["id"])
    return True


def _ordered(world: World, invoice: Json) -> Behaviour | None:
    """What was ordered for this attempt, if anything was."""
    kept = world.store.find(GATEWAY, _ORDERED, subscription_of(invoice) or "")
    if kept is None:
        return None
    if kept["times"] == 1:
        world.store.remove(GATEWAY, _ORDERED, kept["id"])
    else:
        world.store.put(GATEWAY, _ORDERED, {**kept, "times": kept["times"] - 1}, created=world.clock.now())
    return Behaviour(None if kept["decline"] is None else Decline(kept["decline"]), kept["asks"])


def _adopt(world: World, invoice: Json, intent: Json, cause: Cause) -> None:
    """What paid becomes the subscription's own method, where it says that it keeps what pays."""
    subscription = world.store.find(GATEWAY, "subscription", subscription_of(invoice) or "")
    if subscription is None or subscription["payment_settings"]["save_default_payment_method"] != "on_subscription":
        return
    before = dict(subscription)
    subscription["default_payment_method"] = intent["payment_method"]
    records.change(world, before, subscription, cause, "customer.subscription.updated")
