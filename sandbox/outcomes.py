"""How an attempt to pay ends, in the words of ``/_control/pay``, which are the same for both gateways."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    PAID = "paid"
    DECLINED = "declined"
    REQUIRES_ACTION = "requires_action"
    PENDING = "pending"  # Stripe: a delayed method, settled later by the clock
    AUTHORIZED = "authorized"  # Razorpay with automatic capture off: the merchant has to capture


@dataclass(frozen=True, slots=True)
class Paid:
    """What the customer sees; ``payment`` is the gateway's own id, None where nothing was due."""

    outcome: Outcome
    payment: str | None
    message: str | None = None


class NotPayable(Exception):
    """There is nothing to pay here, or not any more; the message says why."""
