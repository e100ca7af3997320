"""One dispute: how far it has come, and whether it holds the money of its payment.

A gateway tells it in any order, twice, and both ends within one second. So a row is never a copy of the last telling:
what the money did adds up by what was ever told of it, and the status is that of the latest second, by rank in a tie.
A read counts as of the second at which it was asked.
"""

from __future__ import annotations

from enum import StrEnum


class DisputeStatus(StrEnum):
    INQUIRY = "inquiry"  # the bank asks; no money has moved
    NEEDS_RESPONSE = "needs_response"  # evidence is wanted, by a day
    UNDER_REVIEW = "under_review"  # evidence was given; the bank decides
    WON = "won"  # decided for us
    LOST = "lost"  # decided against us, or accepted by us
    CLOSED = "closed"  # over without a verdict


#: In a tie of seconds the later stage is believed.
RANK: dict[DisputeStatus, int] = {
    DisputeStatus.INQUIRY: 0,
    DisputeStatus.NEEDS_RESPONSE: 1,
    DisputeStatus.UNDER_REVIEW: 2,
    DisputeStatus.CLOSED: 3,
    DisputeStatus.LOST: 4,
    DisputeStatus.WON: 5,
}

#: Nothing more is expected of it; an appeal may still open it again.
OVER = frozenset({DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED})
