"""The stages of a dispute, in the words of ``/_control/dispute``, which both gateways share.

A stage brings about whatever has to come before it: money that is withdrawn makes a dispute where there is none. One
that has been reached already changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    INQUIRY = "inquiry"
    FRAUD_WARNING = "fraud_warning"
    OPENED = "opened"
    FUNDS_WITHDRAWN = "funds_withdrawn"
    FUNDS_REINSTATED = "funds_reinstated"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Wish:
    """What an order says beside the stage.

    ``dispute`` is the one that is meant where a payment has several; ``amount`` and ``reason`` are of a new one.
    ``moves_money`` is False where the end of a dispute is told and its money has yet to follow.
    """

    dispute: str | None = None
    amount: int | None = None
    reason: str | None = None
    moves_money: bool = True


class Unreachable(Exception):
    """This stage does not follow from where the dispute stands; the message says why."""
