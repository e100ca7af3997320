"""How a refund ends, in the words of ``/_control/refund`` and ``/_control/settings``, which both gateways share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sandbox.world import World

#: How long a refund is pending, or counts as done before it fails, by the clock and unless an order says otherwise.
AFTER_SECONDS = 3600

SETTING = "refund_ending"


class Ending(StrEnum):
    SUCCEEDS = "succeeds"
    SUCCEEDS_LATER = "succeeds_later"
    FAILS = "fails"  # pending at first
    FAILS_AFTER_SUCCESS = "fails_after_success"  # the bank sends the money back
    STAYS_PENDING = "stays_pending"  # until somebody orders its end
    ASKS_CUSTOMER = "asks_customer"  # Stripe alone: no bank account is known yet, and it can be cancelled

    @property
    def succeeds_at_once(self) -> bool:
        return self in {Ending.SUCCEEDS, Ending.FAILS_AFTER_SUCCESS}


@dataclass(frozen=True, slots=True)
class Course:
    """How a refund will go: to which end, and so many seconds from now."""

    ending: Ending
    after: int = AFTER_SECONDS

    @property
    def ends_later(self) -> bool:
        """Whether the clock will end it."""
        return self.ending in {Ending.SUCCEEDS_LATER, Ending.FAILS, Ending.FAILS_AFTER_SUCCESS}


def usual(world: World) -> Ending:
    """How refunds end of which nobody said how."""
    return Ending(world.store.setting(SETTING) or Ending.SUCCEEDS)
