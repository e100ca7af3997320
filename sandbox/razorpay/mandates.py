"""What stands behind a subscription and no answer shows: what pays for it, its calendar, what is arranged for later."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sandbox.cards import Card, Decline
from sandbox.ids import new_id
from sandbox.outcomes import NotPayable
from sandbox.razorpay import cycles, plans, shapes
from sandbox.razorpay.calls import GATEWAY
from sandbox.razorpay.payments import Means
from sandbox.razorpay.shapes import Failure
from sandbox.store import Json
from sandbox.world import World

KIND = "mandate"
#: An attempt to pay, by the id of its payment: what the customer paid with, until the bank has answered.
ATTEMPT = "subscription_attempt"

FAIL, SUCCEED = "fail", "succeed"
NEXT_PAYMENTS = (FAIL, SUCCEED)


def open_for(world: World, subscription: Json, due: Json | None, notify: Json) -> Json:
    """The mandate of a new subscription, which nobody has given yet.

    ``due`` is the invoice that it begins with; ``notify`` says what is known of a customer who is none yet.
    """
    mandate: Json = {
        "id": subscription["id"],
        "created_at": subscription["created_at"],
        "token_id": None,
        "card": None,
        "vpa": None,
        "next_payment": None,
        # Cycle 0 begins at the anchor; ``cycle`` is the one that runs, or None before the first.
        "anchor": subscription["start_at"],
        "cycle": None,
        # The invoice that the next attempt is for.
        "due": None if due is None else due["id"],
        "cancels_at_end": False,
        "changes": None,
        "notify": notify,
    }
    return keep(world, mandate)


def of(world: World, subscription_id: str) -> Json:
    mandate = world.store.find(GATEWAY, KIND, subscription_id)
    assert mandate is not None, "a subscription is made with its mandate"
    return mandate


def keep(world: World, mandate: Json) -> Json:
    world.store.put(GATEWAY, KIND, mandate, created=mandate["created_at"])
    return mandate


def give(world: World, subscription_id: str, means: Means) -> Json:
    """The customer lets this card, or this UPI address, be charged from now on."""
    paying = {**_written(means), "token_id": new_id("token_", 14)}
    return keep(world, of(world, subscription_id) | paying)


def means_of(mandate: Json) -> Means:
    return _read(mandate)


def next_failure(mandate: Json) -> Failure | None:
    """Why a charge without the customer fails, if it does. Nobody is asked for 3-D Secure again."""
    match mandate["next_payment"]:
        case "fail":
            return shapes.DECLINED
        case "succeed":
            return None
    return means_of(mandate).failure


def arrange(world: World, subscription_id: str, card: Card | None, next_payment: str | None) -> Json:
    """Puts another card behind a subscription, or decides how its next payment ends, without the customer."""
    mandate = world.store.find(GATEWAY, KIND, subscription_id)
    if mandate is None or mandate["token_id"] is None:
        raise NotPayable("There is no such subscription, or nobody has paid for it yet.")
    if card is not None:
        mandate |= _written(Means(card=card))
    if next_payment is not None:
        mandate["next_payment"] = next_payment
    keep(world, mandate)
    last4 = None if mandate["card"] is None else mandate["card"]["last4"]
    return {"subscription": subscription_id, "last4": last4, "nextPayment": mandate["next_payment"]}


def begin_of_cycle(world: World, subscription: Json, mandate: Json, after: int) -> int:
    """When the cycle begins that comes so many after the one that runs, or that will be the first."""
    return cycles.begin_of((mandate["cycle"] or 0) + after, mandate["anchor"], plans.of(world, subscription))


def note_attempt(world: World, payment: Json, subscription_id: str, means: Means | None) -> None:
    """Remembers what an attempt is for; ``means`` is None where nobody gave new ones."""
    written = None if means is None else _written(means)
    attempt = {"id": payment["id"], "subscription": subscription_id, "means": written}
    world.store.put(GATEWAY, ATTEMPT, attempt, created=payment["created_at"])


def attempt_of(world: World, payment_id: str) -> tuple[str, Means | None]:
    """Which subscription the payment is for, and what the customer gave for it."""
    attempt = world.store.find(GATEWAY, ATTEMPT, payment_id)
    assert attempt is not None, "an attempt is noted with its payment"
    return attempt["subscription"], None if attempt["means"] is None else _read(attempt["means"])


def last_attempt(world: World, subscription_id: str) -> Json | None:
    """The payment that was attempted last."""
    attempts = world.store.newest(GATEWAY, ATTEMPT, limit=1, matching={"subscription": subscription_id})
    return world.store.find(GATEWAY, "payment", attempts[0]["id"]) if attempts else None


def _written(means: Means) -> Json:
    return {"card": None if means.card is None else asdict(means.card), "vpa": means.vpa}


def _read(written: Json) -> Means:
    raw: dict[str, Any] | None = written["card"]
    if raw is None:
        return Means(vpa=written["vpa"])
    decline = None if raw["decline"] is None else Decline(raw["decline"])
    month, year = raw["expires"]
    return Means(card=Card(**{**raw, "decline": decline, "expires": (month, year)}))
