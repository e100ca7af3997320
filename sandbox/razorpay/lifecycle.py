"""What a subscription can be, and the moves between: who moves it is in charging.py, billing.py and subscriptions.py.

created       -> authenticated          the customer's mandate; a trial is a ``start_at`` to come
              -> expired                nobody gave one in time; no webhook says so
authenticated -> active                 its first cycle begins
active        -> pending                a charge has failed; retried a day later, three times
              -> paused -> active       by the merchant's call
pending       -> active | halted        a charge succeeds; or the last retry has failed
halted        -> active                 the customer pays with another card; invoices of halted cycles stay unpaid
active, pending, halted -> completed    the last invoice is paid, or its cycle ends
any but the ended ones  -> cancelled    at once, or at the end of the cycle

Source: razorpay.com/docs/payments/subscriptions/states and /payment-retries.
"""

from __future__ import annotations

from sandbox.razorpay import events, invoices, mandates
from sandbox.razorpay.calls import GATEWAY, keep
from sandbox.store import Json
from sandbox.world import World

KIND = "subscription"
EXPIRES = "razorpay.subscription.expires"
FALLS_DUE = "razorpay.subscription.falls_due"
RETRIES = "razorpay.subscription.retries"

DAY = 24 * 3600
RETRIES_MAX = 3

ENDED = frozenset({"cancelled", "completed", "expired"})


def find(world: World, subscription_id: str) -> Json:
    """A subscription that is known to exist."""
    subscription = world.store.find(GATEWAY, KIND, subscription_id)
    assert subscription is not None, f"there is no subscription {subscription_id}"
    return subscription


def expires_at(subscription: Json) -> int | None:
    """Until when the customer may give a mandate: never after the start."""
    return min((at for at in (subscription["start_at"], subscription["expire_by"]) if at is not None), default=None)


def authenticate(world: World, subscription: Json, payment: Json) -> None:
    """The customer has given a mandate; the first cycle begins when the subscription starts."""
    subscription |= {"status": "authenticated", "customer_id": payment["customer_id"]}
    keep(world, KIND, subscription)
    world.agenda.strike(EXPIRES, subscription["id"])
    if subscription["start_at"] is not None:
        world.agenda.enter(subscription["start_at"], FALLS_DUE, subscription["id"])
    _tell(world, "authenticated", subscription)


def begin_cycle(world: World, subscription: Json, invoice: Json) -> Json:
    """The next cycle runs from now on; its invoice, which nobody has paid yet, says from when to when."""
    mandate = mandates.of(world, subscription["id"])
    mandate |= {"cycle": 0 if mandate["cycle"] is None else mandate["cycle"] + 1, "due": invoice["id"]}
    mandates.keep(world, mandate)
    begins, ends = (mandates.begin_of_cycle(world, subscription, mandate, after) for after in (0, 1))
    remaining = subscription["remaining_count"] - 1
    subscription |= {
        "current_start": begins,
        "current_end": ends,
        "charge_at": begins,
        "remaining_count": remaining,
        "end_at": mandates.begin_of_cycle(world, subscription, mandate, remaining),
        "auth_attempts": 0,
    }
    keep(world, KIND, subscription)
    world.agenda.enter(ends, FALLS_DUE, subscription["id"])
    return keep(world, invoices.KIND, invoice | {"billing_start": begins, "billing_end": ends})


def start(world: World, subscription: Json, invoice: Json) -> Json:
    """A subscription without a trial is being paid for: its first cycle begins at this moment."""
    subscription["start_at"] = world.clock.now()
    mandates.keep(world, mandates.of(world, subscription["id"]) | {"anchor": subscription["start_at"]})
    return begin_cycle(world, subscription, invoice)


def activate(world: World, subscription: Json, payment: Json | None = None) -> None:
    """Billing runs, for the first time or again."""
    subscription["status"] = "active"
    keep(world, KIND, subscription)
    _tell(world, "activated", subscription, payment)


def receive(world: World, subscription: Json, invoice: Json, payment: Json) -> None:
    """A cycle is paid for: on the page, by a charge, or by a retry. What is older and unpaid stays so."""
    was = subscription["status"]
    subscription["status"] = "active"
    world.agenda.strike(RETRIES, subscription["id"])
    _count_paid(world, subscription, invoice)
    if was == "authenticated":
        activate(world, subscription, payment)
    _tell(world, "charged", subscription, payment)
    if was in {"pending", "halted"}:
        activate(world, subscription, payment)
    _complete_if_last(world, subscription, payment)


def miss(world: World, subscription: Json) -> None:
    """A charge without the customer has failed: tomorrow again, but not for ever."""
    now, attempts = world.clock.now(), subscription["auth_attempts"] + 1
    subscription |= {"status": "pending", "auth_attempts": attempts, "charge_at": now + DAY}
    if attempts > RETRIES_MAX:
        subscription |= {"status": "halted", "charge_at": subscription["current_end"], "halted_at": now}
    else:
        world.agenda.enter(now + DAY, RETRIES, subscription["id"])
    keep(world, KIND, subscription)
    _tell(world, subscription["status"], subscription)


def complete(world: World, subscription: Json, payment: Json | None = None) -> None:
    """All invoices are issued. One that was paid at once completes it while its last cycle has only begun."""
    _end(world, subscription, "completed")
    _tell(world, "completed", subscription, payment)


def cancel(world: World, subscription: Json) -> None:
    _end(world, subscription, "cancelled")
    _tell(world, "cancelled", subscription)


def expire(world: World, subscription: Json) -> None:
    """No webhook tells it."""
    _end(world, subscription, "expired")


def pause(world: World, subscription: Json) -> None:
    """Nothing is invoiced or charged; the cycle that is paid for stays as it is."""
    now = world.clock.now()
    subscription |= {"status": "paused", "charge_at": None, "paused_at": now, "pause_initiated_by": "self"}
    keep(world, KIND, subscription)
    world.agenda.strike(FALLS_DUE, subscription["id"])
    _tell(world, "paused", subscription)


def resume(world: World, subscription: Json) -> None:
    """Goes on at the next of its dates; cycles that began in between are skipped, and come at the end instead."""
    now, mandate = world.clock.now(), mandates.of(world, subscription["id"])
    while (charge_at := mandates.begin_of_cycle(world, subscription, mandate, 1)) <= now:
        mandate["cycle"] += 1
    mandates.keep(world, mandate)
    end_at = mandates.begin_of_cycle(world, subscription, mandate, subscription["remaining_count"])
    subscription |= {"status": "active", "charge_at": charge_at, "end_at": end_at, "pause_initiated_by": None}
    keep(world, KIND, subscription)
    world.agenda.enter(charge_at, FALLS_DUE, subscription["id"])
    _tell(world, "resumed", subscription)


def update(world: World, subscription: Json, changes: Json) -> None:
    """Other terms, in force from now on."""
    subscription |= {**changes, "has_scheduled_changes": False, "change_scheduled_at": None}
    keep(world, KIND, subscription)
    _tell(world, "updated", subscription)


def tell_extra_charge(world: World, subscription: Json, payment: Json) -> None:
    """Money that was taken in the middle of a cycle."""
    _tell(world, "charged", subscription, payment)


def _count_paid(world: World, subscription: Json, invoice: Json) -> None:
    mandate = mandates.of(world, subscription["id"])
    if mandate["due"] == invoice["id"]:
        mandates.keep(world, mandate | {"due": None})
    is_last = subscription["remaining_count"] == 0
    subscription |= {
        "paid_count": subscription["paid_count"] + 1,
        "auth_attempts": 0,
        "halted_at": None,
        "charge_at": None if is_last else subscription["current_end"],
    }
    keep(world, KIND, subscription)


def _complete_if_last(world: World, subscription: Json, payment: Json) -> None:
    if subscription["remaining_count"] == 0 and mandates.of(world, subscription["id"])["due"] is None:
        complete(world, subscription, payment)


def _end(world: World, subscription: Json, status: str) -> None:
    subscription |= {"status": status, "ended_at": world.clock.now(), "charge_at": None}
    keep(world, KIND, subscription)
    for what in (EXPIRES, FALLS_DUE, RETRIES):
        world.agenda.strike(what, subscription["id"])


def _tell(world: World, what: str, subscription: Json, payment: Json | None = None) -> None:
    """``subscription.*`` as Razorpay writes it: no ``short_url``, and a payment whose ``captured`` is a text."""
    subjects = {KIND: subscription | {"short_url": None}}
    if payment is not None:
        shown = {name: value for name, value in payment.items() if name != "base_amount"}
        subjects["payment"] = shown | {"captured": "1"}
    events.record(world, f"subscription.{what}", **subjects)
