"""What a seller sets about subscriptions in Stripe's dashboard, as ``/_control/settings`` takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.stripe import versions
from sandbox.world import World

RETRIES_MAX = 8
DAYS_MAX = 60

#: What becomes of a subscription when the last retry has failed.
AFTER_RETRIES = ("cancel", "unpaid", "past_due")

#: What the endpoint of the start is sent: the object as it was, where to read it, or each in an event of its own.
EVENT_PAYLOADS = ("snapshot", "thin", "both")


@dataclass(frozen=True, slots=True)
class Setting:
    """``stored`` is its name in the store; ``wants`` says what it takes, where ``accepts`` does not."""

    stored: str
    default: Any
    accepts: Callable[[Any], bool]
    wants: str


def _is_version(value: Any) -> bool:
    return isinstance(value, str) and versions.is_version(value)


def _are_days(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= RETRIES_MAX and all(_is_day(day) for day in value)


def _is_day(day: Any) -> bool:
    return isinstance(day, int) and not isinstance(day, bool) and 1 <= day <= DAYS_MAX


SETTINGS = {
    "stripeWebhookVersion": Setting(
        "stripe_webhook_version", versions.DEFAULT_VERSION, _is_version, "a version such as 2024-09-30.acacia"
    ),
    "stripeEventPayload": Setting(
        "stripe_event_payload", "snapshot", EVENT_PAYLOADS.__contains__, f"one of: {', '.join(EVENT_PAYLOADS)}"
    ),
    "stripeRetryDays": Setting(
        "stripe_retry_days",
        [3, 5, 7],
        _are_days,
        f"a list of at most {RETRIES_MAX} whole numbers from 1 to {DAYS_MAX}",
    ),
    "stripeAfterRetries": Setting(
        "stripe_after_retries", "cancel", AFTER_RETRIES.__contains__, f"one of: {', '.join(AFTER_RETRIES)}"
    ),
}


def read(world: World, name: str) -> Any:
    """How it stands: as it was set, or as it is from the start."""
    setting = SETTINGS[name]
    kept = world.store.setting(setting.stored)
    return setting.default if kept is None else kept
