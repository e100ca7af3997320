"""Business time that a test moves on, and what a job of the clock is handed besides: a book, and hints that go nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from payments.order import LateSuccess
from tests.builders import NOON
from workers.apply import Book
from workers.hints import Hints


def _nowhere() -> Hints:
    """Never opened, so that what is offered stays in memory."""
    return Hints("redis://127.0.0.1:1/0")


@dataclass
class Calendar:
    """Begins at noon."""

    now: datetime = NOON
    late_success: LateSuccess = LateSuccess.FULFIL
    hints: Hints = field(default_factory=_nowhere)

    @property
    def book(self) -> Book:
        return Book("counterfoil", self.late_success, lambda: self.now)

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)

    def offered(self) -> list[tuple[str, UUID]]:
        """By actor, each row that was hinted since this was asked last."""
        waiting = self.hints._waiting
        return [(route.actor, row) for route, row in (waiting.get_nowait() for _ in range(waiting.qsize()))]
