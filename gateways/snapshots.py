"""Events that say only that something happened, and where what happened can be read: their gateway is asked for it.

Stripe calls them thin, and makes a snapshot event beside each that is about an object of its first API
(docs.stripe.com/event-destinations). Both are kept for thirty days.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from gateways.client import BACKGROUND, Gone, Patience, Refused, Unknown
from gateways.gateway import Json


@runtime_checkable
class Snapshots(Protocol):
    """The part of a gateway that keeps what its events leave out."""

    async def fetch_snapshot(self, event_id: str, patience: Patience = BACKGROUND) -> Json | Gone | Refused | Unknown:
        """The whole event that was made beside this one, as its webhook would have brought it."""
        ...
