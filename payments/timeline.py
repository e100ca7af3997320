"""One line after the other of what became of an order, a subscription or a user: what a line is, and how lines are
ordered and read in pages. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID


class Kind(StrEnum):
    """What sort of thing happened. Of what one moment holds, the cause stands before what it caused: in this order."""

    PLACED = "placed"  # the request that placed the order: who asked, under which key
    CUSTOMER = "customer"  # the gateway's own customer was made
    ATTEMPT = "attempt"  # a hosted page was asked for
    ASKED = "asked"  # a change of a subscription was asked of its gateway
    REFUND = "refund"  # money was asked back, here or there
    CALL = "call"  # a gateway was called
    DELIVERY = "delivery"  # a gateway told us something
    WORK = "work"  # an attempt at working or sending that did not simply succeed
    DISPUTE = "dispute"
    INVOICE = "invoice"
    PAYMENT = "payment"
    MOVE = "move"  # a line of history
    ACCESS = "access"  # given, suspended, restored
    MOVEMENT = "movement"  # money that moved, as the gateway confirmed it
    EFFECT = "effect"  # what must follow, and what became of it
    DISCREPANCY = "discrepancy"
    DEAD_LETTER = "dead_letter"
    ACT = "act"  # of an operator

    @property
    def rank(self) -> int:
        return RANK[self]


RANK = {kind: place for place, kind in enumerate(Kind)}

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: One word that begins with a letter: digits that stand alone may look like a card's, and be redacted.
MARK = re.compile(r"t([0-9a-f]{1,13})r([0-9]{1,2})n([0-9a-f]{32})")


class NoMark(ValueError):
    """A text that no page of a timeline has ended with."""


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a timeline: the next page begins after it."""

    recorded_at: datetime
    rank: int
    id: UUID

    def __str__(self) -> str:
        return f"t{(self.recorded_at - EPOCH) // timedelta(microseconds=1):x}r{self.rank}n{self.id.hex}"

    @classmethod
    def read(cls, text: str) -> Mark:
        """Raises ``NoMark``."""
        found = MARK.fullmatch(text)
        if found is None:
            raise NoMark("it is none that a page has ended with")
        try:
            return cls(EPOCH + timedelta(microseconds=int(found[1], 16)), int(found[2]), UUID(hex=found[3]))
        except OverflowError:
            raise NoMark("it is none that a page has ended with") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    ``recorded_at`` is the real time of the transaction that wrote it, by which lines are ordered. ``at`` is the time
    that it tells: business time, which a development clock may have moved. ``hidden`` is what is shown only to who says
    why; None where it was not asked for.
    """

    recorded_at: datetime
    at: datetime
    kind: Kind
    id: UUID
    subject: str
    subject_id: str | None
    detail: Mapping[str, Any]
    hidden: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def mark(self) -> Mark:
        return Mark(self.recorded_at, self.kind.rank, self.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, the oldest first, and where the next page begins; None: this is the end."""

    entries: tuple[Entry, ...]
    next: Mark | None


def assemble(entries: Iterable[Entry], *, limit: int) -> Page:
    """The first lines of all that were found; more than ``limit`` say that there is more."""
    ordered = sorted(entries, key=lambda entry: entry.mark)
    page = tuple(ordered[:limit])
    return Page(page, page[-1].mark if len(ordered) > limit else None)
