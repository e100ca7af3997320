"""Changes that wait for their invoice to be paid (``payment_behavior=pending_if_incomplete``).

What the subscription is to become lies beside it until then. The money makes it true; after 23 hours without, it is
forgotten and its invoice is void (docs.stripe.com/billing/subscriptions/pending-updates).
"""

from __future__ import annotations

from sandbox.store import Json
from sandbox.stripe import diary, events, standing
from sandbox.stripe.calls import GATEWAY, NOBODY, Cause
from sandbox.world import World

_KIND = "pending_update"

#: What of a subscription can wait.
_WAITING = ("items", "billing_cycle_anchor", "trial_end", "trial_start", "status", "metadata")


def lay_by(world: World, after: Json, invoice_id: str) -> None:
    """What the subscription becomes once this invoice is paid."""
    kept = {"id": after["id"], "invoice": invoice_id, "changes": {name: after[name] for name in _WAITING}}
    world.store.put(GATEWAY, _KIND, kept, created=world.clock.now())


def announce(world: World, subscription: Json, cause: Cause) -> None:
    """The payment failed, so the change waits; the subscription says for what, and for how long."""
    kept = world.store.find(GATEWAY, _KIND, subscription["id"])
    assert kept is not None, "a change is laid by before its invoice is charged"
    changes = kept["changes"]
    moved = changes["billing_cycle_anchor"] != subscription["billing_cycle_anchor"]
    subscription["pending_update"] = {
        "billing_cycle_anchor": changes["billing_cycle_anchor"] if moved else None,
        "cancel_at_period_end": None,
        "discount": None,
        "discounts": None,
        "expires_at": world.clock.now() + diary.PATIENCE_SECONDS,
        "metadata": None,
        "subscription_items": changes["items"]["data"],
        "trial_end": changes["trial_end"],
        "trial_from_plan": None,
    }
    standing.change(world, subscription, cause)


def waits_for(world: World, invoice: Json, subscription_id: str) -> bool:
    """Whether it is this invoice whose payment would make a change true."""
    kept = world.store.find(GATEWAY, _KIND, subscription_id)
    return kept is not None and kept["invoice"] == invoice["id"]


def apply(world: World, subscription: Json, cause: Cause) -> None:
    kept = world.store.find(GATEWAY, _KIND, subscription["id"])
    assert kept is not None, "only what was laid by can be applied"
    world.store.remove(GATEWAY, _KIND, subscription["id"])
    had_waited = subscription["pending_update"] is not None
    subscription = standing.change(world, {**subscription, **kept["changes"], "pending_update": None}, cause)
    if had_waited:
        events.record(world, "customer.subscription.pending_update_applied", subscription, cause)


def forget(world: World, subscription: Json) -> str | None:
    """It will not be; gives the invoice that nobody has to pay now."""
    kept = world.store.find(GATEWAY, _KIND, subscription["id"])
    if kept is None:
        return None
    world.store.remove(GATEWAY, _KIND, subscription["id"])
    if subscription["pending_update"] is not None:
        subscription = standing.change(world, {**subscription, "pending_update": None}, NOBODY)
        events.record(world, "customer.subscription.pending_update_expired", subscription, NOBODY)
    return str(kept["invoice"])
