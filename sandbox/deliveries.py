"""The book of webhooks: each event for each endpoint as the exact bytes to send, and every attempt with its answer.

withheld    it was dropped on purpose, and waits for somebody to order it sent
pending     it is to be sent, for the first time or again
sending     it is on its way
delivered   an attempt was answered with a 2xx; nothing undoes that
failed      the gateway has given up, or the endpoint is gone
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass, field

from sandbox.clock import Clock
from sandbox.store import Json, Store

STATES = ("withheld", "pending", "sending", "delivered", "failed")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint."""

    id: int
    gateway: str
    event_id: str
    event_type: str
    endpoint: str
    url: str
    body: bytes = field(repr=False)
    state: str
    next_at: float
    attempts: list[Json]

    @property
    def tries(self) -> int:
        """How often the gateway has tried by itself: two copies are one try, and a resend is none."""
        return len({attempt["number"] for attempt in self.attempts if not attempt["resent"]})

    @property
    def next_number(self) -> int:
        """The number of the next attempt, whoever makes it."""
        return 1 + max((attempt["number"] for attempt in self.attempts), default=0)

    def shown(self) -> Json:
        """As the control surface tells it."""
        return {
            "id": self.id,
            "gateway": self.gateway,
            "event": self.event_id,
            "type": self.event_type,
            "endpoint": self.endpoint,
            "url": self.url,
            "state": self.state,
            "nextAttempt": int(self.next_at) if self.state in {"pending", "sending"} else None,
            "attempts": self.attempts,
            "body": self.body.decode("utf-8"),
        }


class Deliveries:
    """The rows."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def enter(self, gateway: str, *, event_id: str, event_type: str, endpoint: str, url: str, body: bytes) -> int:
        """A new one, to be sent at once; gives its id."""
        rows = self._store.run(
            "INSERT INTO deliveries (gateway, event_id, event_type, endpoint, url, body, state, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?) RETURNING id",
            *(gateway, event_id, event_type, endpoint, url, body, self._clock.exact()),
        )
        return int(rows[0]["id"])

    def take_up(self) -> None:
        """What was on its way when the last run ended got no answer that we know of."""
        self._store.run("UPDATE deliveries SET state = 'pending' WHERE state = 'sending'")

    def due(self) -> list[Delivery]:
        """What is to be sent by now, in the order in which it fell due."""
        sql = "SELECT * FROM deliveries WHERE state = 'pending' AND next_at <= ? ORDER BY next_at, id"
        return [_read(row) for row in self._store.run(sql, self._clock.exact())]

    def next_at(self, after: float) -> float | None:
        """When the next one that is not on its way already is to be sent, of those that are after a moment."""
        sql = "SELECT min(next_at) AS at FROM deliveries WHERE state = 'pending' AND next_at > ?"
        first: float | None = self._store.run(sql, after)[0]["at"]
        return first

    def find(self, delivery_id: int) -> Delivery | None:
        rows = self._store.run("SELECT * FROM deliveries WHERE id = ?", delivery_id)
        return _read(rows[0]) if rows else None

    def of_event(self, event_id: str) -> list[Delivery]:
        """One for each endpoint that the event is for."""
        rows = self._store.run("SELECT * FROM deliveries WHERE event_id = ? ORDER BY id", event_id)
        return [_read(row) for row in rows]

    def undelivered(self, event_id: str) -> int:
        """How many endpoints have not taken this event yet."""
        sql = "SELECT count(*) AS n FROM deliveries WHERE event_id = ? AND state <> 'delivered'"
        return int(self._store.run(sql, event_id)[0]["n"])

    def mark(self, delivery_id: int, state: str) -> None:
        self._store.run("UPDATE deliveries SET state = ? WHERE id = ?", state, delivery_id)

    def conclude(self, delivery: Delivery, attempts: list[Json], state: str, next_at: float) -> None:
        """What became of it, with the attempts that show it."""
        self._store.run(
            "UPDATE deliveries SET state = ?, next_at = ?, attempts = ? WHERE id = ?",
            *(state, next_at, json.dumps([*delivery.attempts, *attempts]), delivery.id),
        )

    def listed(self, *, state: str | None = None, event_id: str | None = None, limit: int | None = None) -> list[Json]:
        """The newest of those in this state, of this event, oldest first. What is on its way is pending, too."""
        states = STATES if state is None else ("pending", "sending") if state == "pending" else (state,)
        rows = self._store.run(
            f"SELECT * FROM deliveries WHERE state IN ({', '.join('?' * len(states))})"  # noqa: S608 - question marks alone
            " AND event_id = coalesce(?, event_id) ORDER BY id DESC LIMIT ?",
            *(*states, event_id, -1 if limit is None else limit),
        )
        return [_read(row).shown() for row in reversed(rows)]

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        rows = self._store.run("SELECT state, count(*) AS n FROM deliveries GROUP BY state")
        return dict.fromkeys(STATES, 0) | {row["state"]: int(row["n"]) for row in rows}


def _read(row: sqlite3.Row) -> Delivery:
    attempts = json.loads(row["attempts"])
    for attempt in attempts:
        # Written before attempts could be ordered, or told what befell them.
        attempt.update({"signature": "current", "faults": [], "resent": False, **attempt})
    return Delivery(**{**dict(row), "body": bytes(row["body"]), "attempts": attempts})
