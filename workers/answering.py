"""Which gateways still answer: one that is away is left alone until the next run, and holds up no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateways.client import Client, Doubt

#: A gateway that gave no answer so often in a row, for one of these reasons, is left alone. Others are about single
#: objects, of which even many must keep no other from its turn.
AWAY_AFTER = 3
OUTAGE = frozenset({Doubt.TIMED_OUT, Doubt.CONNECTION_LOST, Doubt.SERVER_ERROR, Doubt.RATE_LIMITED, Doubt.BUSY})


@dataclass(frozen=True, slots=True)
class Answering:
    """What one run has found out about its gateways."""

    clients: Mapping[str, Client]
    in_vain: Counter[str] = field(default_factory=Counter)

    def askable(self) -> dict[str, Client]:
        return {name: client for name, client in self.clients.items() if self.in_vain[name] < AWAY_AFTER}

    def hear(self, gateway: str, doubt: Doubt | None) -> None:
        """What came of one question; None: an answer, or an error of ours."""
        self.in_vain[gateway] = self.in_vain[gateway] + 1 if doubt in OUTAGE else 0
