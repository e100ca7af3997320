"""What has happened to a subscription that somebody must be told of, or that somebody must do: each once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from payments.money import Money


class Occurrence(StrEnum):
    STARTED = "started"
    TRIAL_ENDING = "trial_ending"
    UPCOMING_INVOICE = "upcoming_invoice"
    RENEWED = "renewed"
    RENEWAL_FAILED = "renewal_failed"
    CARD_UPDATE_NEEDED = "card_update_needed"
    PAYMENT_REMINDER = "payment_reminder"
    GIVEN_UP = "given_up"  # the policy waits no longer: the gateway is asked to cancel
    PLAN_CHANGED = "plan_changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCEL_SCHEDULED = "cancel_scheduled"
    CANCELLED = "cancelled"
    ACCESS_SUSPENDED = "access_suspended"
    ACCESS_RESTORED = "access_restored"


@dataclass(frozen=True, slots=True)
class Owed:
    """Something to tell or to do. ``what`` tells it from another of its kind: the same however often it is found owed.

    ``at`` is the moment that it speaks of, ``due`` the money; None where it speaks of none, or they are not known.
    """

    kind: Occurrence
    what: str
    invoice_id: str | None = None
    at: datetime | None = None
    due: Money | None = None
