"""The post: signs events, sends them, tries again as the gateway would, and keeps every attempt with its answer.

To one endpoint, deliveries leave in order, as long as it answers within a second; a slow one no longer holds up the
line. Faults take deliveries out of the line (``reorder``), double them (``duplicate``), hold all of them back
(``delay``) or lose them for good (``drop``).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.store import Json, Store

log = logging.getLogger(__name__)

#: For how long an unanswered delivery holds up the next one to the same endpoint.
PATIENCE_SECONDS = 1.0
#: How much later a reordered delivery leaves, while what comes after it goes ahead.
OVERTAKEN_SECONDS = 0.3
#: How much of an answer is kept.
ANSWER_BYTES = 500


@dataclass(frozen=True, slots=True)
class Manner:
    """How a gateway sends.

    ``headers(body, secret, event_id, now)`` sign one attempt, at real time. ``retries`` are the pauses between
    attempts, by the development clock: a few quick ones first, which no gateway promises, then the gateway's own.
    """

    headers: Callable[[bytes, str, str, int], dict[str, str]]
    answer_seconds: float
    retries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """How one attempt ended: a status, or the reason why there is none."""

    status: int | None
    text: str
    milliseconds: int

    @property
    def is_success(self) -> bool:
        return self.status is not None and httpx.codes.is_success(self.status)


class Post:
    """All webhooks of both gateways. ``secrets`` gives an endpoint's secret, or None once the endpoint is gone."""

    def __init__(self, store: Store, clock: Clock, faults: Faults, wake: Callable[[], None]) -> None:
        self._store, self._clock, self._faults, self._wake = store, clock, faults, wake
        self._manners: dict[str, Manner] = {}
        self._secrets: dict[str, Callable[[str], str | None]] = {}
        self._lines: dict[str, asyncio.Event] = {}
        self._on_the_way: dict[int, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None

    def serve(self, gateway: str, manner: Manner, secrets: Callable[[str], str | None]) -> None:
        """Takes a gateway's deliveries from now on."""
        self._manners[gateway], self._secrets[gateway] = manner, secrets

    def open(self) -> None:
        # Neither proxies nor .netrc of whoever runs this: deliveries go where they are addressed.
        headers = {"Accept-Encoding": "identity"}
        # Each attempt has a deadline of its own, the gateway's; this one only bounds what that forgets.
        self._client = httpx.AsyncClient(headers=headers, trust_env=False, follow_redirects=False, timeout=60)
        # What was on its way when the last run ended got no answer that we know of.
        self._store.run("UPDATE deliveries SET state = 'pending' WHERE state = 'sending'")

    async def close(self) -> None:
        """Leaves what is on its way as pending: the next start sends it again, as a gateway would."""
        for task in self._on_the_way.values():
            task.cancel()
        await asyncio.gather(*self._on_the_way.values(), return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def hand_in(self, gateway: str, *, event_id: str, event_type: str, endpoint: str, url: str, body: bytes) -> None:
        """One event for one endpoint, to be sent as soon as the change that caused it is written."""
        self._store.run(
            "INSERT INTO deliveries (gateway, event_id, event_type, endpoint, url, body, state, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?)",
            *(gateway, event_id, event_type, endpoint, url, body, self._clock.exact()),
        )
        self._wake()

    def undelivered(self, event_id: str) -> int:
        """How many endpoints have not taken this event yet."""
        sql = "SELECT count(*) AS n FROM deliveries WHERE event_id = ? AND state <> 'delivered'"
        return int(self._store.run(sql, event_id)[0]["n"])

    def log(self) -> list[Json]:
        """Every delivery, oldest first, with its attempts and their answers."""
        rows = self._store.run("SELECT * FROM deliveries ORDER BY id")
        return [_entry(row) for row in rows]

    def next_at(self) -> float | None:
        """When the next delivery that is not on its way already is to be sent."""
        sql = "SELECT min(next_at) AS at FROM deliveries WHERE state = 'pending'"
        first: float | None = self._store.run(sql)[0]["at"]
        return first

    def send_due(self) -> None:
        """Sets off everything that is to be sent by now. What goes wrong on purpose is drawn here, in order."""
        sql = "SELECT * FROM deliveries WHERE state = 'pending' AND next_at <= ? ORDER BY next_at, id"
        for row in self._store.run(sql, self._clock.exact()):
            if row["attempts"] == "[]" and self._faults.strikes("drop"):
                self._mark(row, "withheld")
            else:
                self._mark(row, "sending")
                self._set_off(row)

    async def settle(self) -> None:
        """Waits until everything on its way has its answer."""
        while self._on_the_way:
            await asyncio.wait(self._on_the_way.values())

    def _mark(self, row: sqlite3.Row, state: str) -> None:
        self._store.run("UPDATE deliveries SET state = ? WHERE id = ?", state, row["id"])

    def _set_off(self, row: sqlite3.Row) -> None:
        overtaken = self._faults.strikes("reorder")
        copies = 2 if self._faults.strikes("duplicate") else 1
        ahead, gone = self._lines.get(row["endpoint"]), asyncio.Event()
        if overtaken:
            sending = self._send(row, None, gone, copies, OVERTAKEN_SECONDS)
        else:
            sending = self._send(row, ahead, gone, copies, 0)
            self._lines[row["endpoint"]] = gone
        task = asyncio.create_task(sending)
        self._on_the_way[row["id"]] = task
        task.add_done_callback(lambda _: self._arrived(row))

    def _arrived(self, row: sqlite3.Row) -> None:
        done = self._on_the_way.pop(row["id"])
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("post: delivery %s ended in a fault of ours", row["id"], exc_info=error)
            self._mark(row, "failed")
        self._wake()

    async def _send(
        self, row: sqlite3.Row, ahead: asyncio.Event | None, gone: asyncio.Event, copies: int, later: float
    ) -> None:
        """Leaves when the one ahead is gone, and lets the next one leave when it is answered, or slow to be."""
        try:
            await asyncio.sleep(self._faults.delay_seconds() + later)
            if ahead is not None:
                await ahead.wait()
            secret = self._secrets[row["gateway"]](row["endpoint"])
            if secret is None:
                self._mark(row, "failed")
                return
            async with asyncio.TaskGroup() as group:
                attempts = [group.create_task(self._attempt(row, secret)) for _ in range(copies)]
                await asyncio.wait(attempts, timeout=PATIENCE_SECONDS)
                gone.set()
            self._record(row, [attempt.result() for attempt in attempts])
        finally:
            gone.set()

    async def _attempt(self, row: sqlite3.Row, secret: str) -> Answer:
        manner, body, began = self._manners[row["gateway"]], bytes(row["body"]), time.monotonic()
        headers = manner.headers(body, secret, row["event_id"], int(time.time()))
        try:
            async with asyncio.timeout(manner.answer_seconds):
                status, text = await self._exchange(row["url"], headers, body)
        except TimeoutError:
            status, text = None, f"no answer within {manner.answer_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            status, text = None, f"{type(error).__name__}: {error}"
        return Answer(status, text, int((time.monotonic() - began) * 1000))

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        assert self._client is not None, "the post is closed"
        async with self._client.stream("POST", url, headers=dict(headers), content=body) as answer:
            kept = b""
            async for part in answer.aiter_bytes():
                kept += part
                if len(kept) >= ANSWER_BYTES:
                    break
            return answer.status_code, kept[:ANSWER_BYTES].decode("utf-8", "replace")

    def _record(self, row: sqlite3.Row, answers: list[Answer]) -> None:
        attempts = json.loads(row["attempts"])
        number = 1 + max((attempt["number"] for attempt in attempts), default=0)
        attempts += [self._as_attempt(answer, number) for answer in answers]
        pauses = self._manners[row["gateway"]].retries
        next_at = row["next_at"]
        if any(answer.is_success for answer in answers):
            state = "delivered"
        elif number <= len(pauses):
            state, next_at = "pending", self._clock.exact() + pauses[number - 1]
        else:
            state = "failed"
        self._store.run(
            "UPDATE deliveries SET state = ?, next_at = ?, attempts = ? WHERE id = ?",
            *(state, next_at, json.dumps(attempts), row["id"]),
        )

    def _as_attempt(self, answer: Answer, number: int) -> Json:
        return {
            "number": number,
            "at": self._clock.now(),
            "status": answer.status,
            "answer": answer.text,
            "milliseconds": answer.milliseconds,
        }


def _entry(row: sqlite3.Row) -> Json:
    return {
        "id": row["id"],
        "gateway": row["gateway"],
        "event": row["event_id"],
        "type": row["event_type"],
        "endpoint": row["endpoint"],
        "url": row["url"],
        "state": row["state"],
        "nextAttempt": int(row["next_at"]) if row["state"] in {"pending", "sending"} else None,
        "attempts": json.loads(row["attempts"]),
        "body": bytes(row["body"]).decode("utf-8"),
    }
