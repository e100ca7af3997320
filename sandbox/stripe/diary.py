"""What a subscription has before it, and when: written anew into the clock's agenda whenever the subscription changes.

Whoever acts on an entry looks first whether it still holds, since what falls due in the same moment may undo it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.store import Json
from sandbox.world import World

TRIAL_ENDS_SOON = "stripe.subscription.trial_ends_soon"
RENEWS_SOON = "stripe.subscription.renews_soon"
PERIOD_ENDS = "stripe.subscription.period_ends"
CANCELS = "stripe.subscription.cancels"
FIRST_PAYMENT_EXPIRES = "stripe.subscription.first_payment_expires"
COLLECTION_RESUMES = "stripe.subscription.collection_resumes"
UPDATE_EXPIRES = "stripe.subscription.update_expires"
_ALL = (
    TRIAL_ENDS_SOON, RENEWS_SOON, PERIOD_ENDS, CANCELS, FIRST_PAYMENT_EXPIRES, COLLECTION_RESUMES, UPDATE_EXPIRES,
)  # fmt: skip

_DAY = 24 * 3600
#: Stripe says so long before a trial ends that it will (docs.stripe.com/billing/subscriptions/trials).
TRIAL_NOTICE_SECONDS = 3 * _DAY
#: How long before a renewal Stripe announces its invoice, unless the dashboard says otherwise.
RENEWAL_NOTICE_SECONDS = 7 * _DAY
#: How long a first invoice, a resumption or a pending update waits for its money.
PATIENCE_SECONDS = 23 * 3600

#: Nothing comes after these.
ENDED = ("canceled", "incomplete_expired")
_RENEWED = ("trialing", "active", "past_due", "unpaid")


def period_of(subscription: Json) -> tuple[int, int]:
    """Start and end of what is being paid for; every item here has the same."""
    first = subscription["items"]["data"][0]
    return int(first["current_period_start"]), int(first["current_period_end"])


def write(world: World, subscription: Json) -> None:
    """Replaces whatever was entered for this subscription."""
    for what in _ALL:
        world.agenda.strike(what, subscription["id"])
    for what, at in _moments(subscription, world.clock.now()):
        world.agenda.enter(at, what, subscription["id"])


def is_ended(subscription: Json) -> bool:
    return subscription["status"] in ENDED


def is_renewed(subscription: Json) -> bool:
    """Whether one period follows another: not before the first payment, not while paused, not after the end."""
    return subscription["status"] in _RENEWED


def _moments(subscription: Json, now: int) -> Iterator[tuple[str, int]]:
    if is_ended(subscription):
        return
    if subscription["status"] == "incomplete":
        yield FIRST_PAYMENT_EXPIRES, subscription["created"] + PATIENCE_SECONDS
    if subscription["cancel_at"] is not None:
        yield CANCELS, subscription["cancel_at"]
    if is_renewed(subscription):
        yield from _of_period(subscription, now)
    if (subscription["pause_collection"] or {}).get("resumes_at") is not None:
        yield COLLECTION_RESUMES, subscription["pause_collection"]["resumes_at"]
    if subscription["pending_update"] is not None:
        yield UPDATE_EXPIRES, subscription["pending_update"]["expires_at"]


def _of_period(subscription: Json, now: int) -> Iterator[tuple[str, int]]:
    start, end = period_of(subscription)
    yield PERIOD_ENDS, end
    is_last = subscription["cancel_at"] is not None and subscription["cancel_at"] <= end
    if not is_last and max(start, now) < end - RENEWAL_NOTICE_SECONDS:
        yield RENEWS_SOON, end - RENEWAL_NOTICE_SECONDS
    if subscription["status"] == "trialing" and now < subscription["trial_end"] - TRIAL_NOTICE_SECONDS:
        yield TRIAL_ENDS_SOON, subscription["trial_end"] - TRIAL_NOTICE_SECONDS
