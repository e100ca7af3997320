"""Movements of money added up: by kind, gateway and currency, and what stays. No two currencies are mixed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

#: Money on its way between the gateway and our bank: nothing that was earned or lost.
BETWEEN_US = frozenset({"payout", "payout_reversal"})

#: All that was taken, less all that went back and what it cost.
NET = "net"
#: What the gateway holds for us has changed by so much: the net, less what was paid out.
BALANCE = "balance"


@dataclass(frozen=True, slots=True)
class Total:
    """``what`` is a movement's kind, or one of the two sums; ``minor`` is signed."""

    gateway: str
    currency: str
    what: str
    count: int
    minor: int


@dataclass(slots=True)
class Totals:
    """Fed with one movement after the other. A gateway's minor units are its own, so that each adds up by itself."""

    _sums: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, gateway: str, currency: str, kind: str, minor: int) -> None:
        whats = (kind, BALANCE) if kind in BETWEEN_US else (kind, NET, BALANCE)
        for what in whats:
            self._sums[gateway, currency, what] += minor
            self._counts[gateway, currency, what] += 1

    def __iter__(self) -> Iterator[Total]:
        """Of each gateway and currency the kinds, then the net, then the balance."""
        for gateway, currency, what in sorted(self._counts, key=_place):
            name = (gateway, currency, what)
            yield Total(gateway, currency, what, self._counts[name], self._sums[name])


def _place(name: tuple[str, str, str]) -> tuple[str, str, int, str]:
    gateway, currency, what = name
    return gateway, currency, {NET: 1, BALANCE: 2}.get(what, 0), what
