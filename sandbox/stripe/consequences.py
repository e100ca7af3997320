"""What becomes of a subscription when one of its invoices is paid, is not, or ends in some other way."""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import billing_settings, diary, pending_updates, standing
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.stripe.invoice_shapes import subscription_of
from sandbox.world import World

_OWING = ("past_due", "unpaid")


def of_payment(world: World, invoice: Json, cause: Cause) -> None:
    subscription = _living(world, invoice)
    if subscription is None:
        return
    if pending_updates.waits_for(world, invoice, subscription["id"]):
        pending_updates.apply(world, subscription, cause)
    elif _is_awaited(subscription, invoice):
        standing.change(world, {**subscription, "status": "active"}, cause)
    elif _resumes(subscription, invoice):
        standing.resume(world, subscription, "active", cause)


def of_failure(world: World, invoice: Json, cause: Cause) -> None:
    """An attempt failed. A subscription that waits for its first payment goes on waiting, and so does a change."""
    subscription = _living(world, invoice)
    if subscription is None or pending_updates.waits_for(world, invoice, subscription["id"]):
        return
    if subscription["status"] in {"trialing", "active"} and _is_latest(subscription, invoice):
        standing.change(world, {**subscription, "status": "past_due"}, cause)


def of_last_failure(world: World, invoice: Json) -> None:
    """No retry is left: the seller's settings say what comes now."""
    subscription = _living(world, invoice)
    if subscription is None or subscription["status"] not in _OWING:
        return
    match billing_settings.read(world, "stripeAfterRetries"):
        case "cancel":
            standing.end(world, subscription, NOBODY, "payment_failed")
        case "unpaid":
            standing.change(world, {**subscription, "status": "unpaid"}, NOBODY)


def of_voiding(world: World, invoice: Json, cause: Cause) -> None:
    subscription = _living(world, invoice)
    if subscription is None:
        return
    if subscription["status"] == "incomplete" and _is_first(invoice):
        standing.expire(world, subscription, cause)
    else:
        _is_nothing_owed(world, subscription, invoice, cause)


def of_forgiving(world: World, invoice: Json, cause: Cause) -> None:
    subscription = _living(world, invoice)
    if subscription is None:
        return
    if _resumes(subscription, invoice):
        standing.resume(world, subscription, "active", cause)
    else:
        _is_nothing_owed(world, subscription, invoice, cause)


def _is_nothing_owed(world: World, subscription: Json, invoice: Json, cause: Cause) -> None:
    if subscription["status"] in _OWING and _is_latest(subscription, invoice):
        standing.change(world, {**subscription, "status": "active"}, cause)


def _living(world: World, invoice: Json) -> Json | None:
    """The invoice's subscription, unless that has ended or it has none."""
    subscription = world.store.find(GATEWAY, standing.KIND, subscription_of(invoice) or "")
    return None if subscription is None or diary.is_ended(subscription) else subscription


def _is_awaited(subscription: Json, invoice: Json) -> bool:
    """Whether this is the invoice without which the subscription is not active."""
    status = subscription["status"]
    return (status == "incomplete" and _is_first(invoice)) or (status in _OWING and _is_latest(subscription, invoice))


def _is_first(invoice: Json) -> bool:
    return bool(invoice["billing_reason"] == "subscription_create")


def _is_latest(subscription: Json, invoice: Json) -> bool:
    return bool(subscription["latest_invoice"] == invoice["id"])


def _resumes(subscription: Json, invoice: Json) -> bool:
    """Whether it was to be paid before a paused subscription runs on."""
    return subscription["status"] == "paused" and _is_latest(subscription, invoice)
