"""The post: signs events, sends them, tries again as the gateway would, and keeps every attempt with its answer.

To one endpoint, deliveries leave in order, as long as it answers within a second; a slow one no longer holds up the
line. Faults take deliveries out of the line (``reorder``), double them (``duplicate``), hold all of them back
(``delay``), withhold them (``drop``) or sign them badly (``oldSecret``, ``wrongSignature``).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

import httpx

from sandbox.clock import BEFORE_ALL, Clock
from sandbox.deliveries import Deliveries, Delivery
from sandbox.faults import Faults
from sandbox.store import Json, Store

log = logging.getLogger(__name__)

#: For how long an unanswered delivery holds up the next one to the same endpoint.
PATIENCE_SECONDS = 1.0
#: How much later a reordered delivery leaves, while what comes after it goes ahead.
OVERTAKEN_SECONDS = 0.3
#: How much of an answer is kept.
ANSWER_BYTES = 1024


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
class Secrets:
    """What signs an endpoint's deliveries now, and what did before the last rotation, where that is known."""

    current: str = field(repr=False)
    old: str | None = field(default=None, repr=False)


class Signature(StrEnum):
    """Whose signature an attempt carries."""

    CURRENT = "current"
    OLD = "old"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Plan:
    """How one try of a delivery will go: when it leaves, out of turn or not, and how each of its copies is signed."""

    number: int
    later: float = 0
    copies: tuple[Signature, ...] = (Signature.CURRENT,)
    faults: tuple[str, ...] = ()
    is_resent: bool = False


@cache
def _authorities() -> ssl.SSLContext:
    """Whom receivers' certificates come from: read once, as that takes longer than all else that a start does."""
    return httpx.create_ssl_context(trust_env=False)


class Post:
    """All webhooks of both gateways."""

    def __init__(self, store: Store, clock: Clock, faults: Faults, wake: Callable[[], None]) -> None:
        self.book = Deliveries(store, clock)
        self._clock, self._faults, self._wake = clock, faults, wake
        self._manners: dict[str, Manner] = {}
        self._secrets: dict[str, Callable[[str], Secrets | None]] = {}
        self._places: dict[int, int] = {}
        self._lines: dict[str, asyncio.Event] = {}
        self._on_the_way: dict[int, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None

    def serve(self, gateway: str, manner: Manner, secrets_of: Callable[[str], Secrets | None]) -> None:
        """Takes a gateway's deliveries from now on; ``secrets_of`` an endpoint are None once it is gone."""
        self._manners[gateway], self._secrets[gateway] = manner, secrets_of

    def open(self) -> None:
        # Neither proxies nor .netrc of whoever runs this: deliveries go where they are addressed.
        headers = {"Accept-Encoding": "identity"}
        # Each attempt has a deadline of its own, the gateway's; this one only bounds what that forgets.
        self._client = httpx.AsyncClient(
            headers=headers, trust_env=False, verify=_authorities(), follow_redirects=False, timeout=60
        )
        self.book.take_up()

    async def close(self) -> None:
        """Leaves what is on its way as pending: the next start sends it again, as a gateway would."""
        self.call_back()
        await asyncio.gather(*self._on_the_way.values(), return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def call_back(self) -> None:
        """Stops whatever is on its way; nothing of it will be written down."""
        for task in self._on_the_way.values():
            task.cancel()
        self._lines.clear()
        self._places.clear()

    def hand_in(self, gateway: str, *, event_id: str, event_type: str, endpoint: str, url: str, body: bytes) -> None:
        """One event for one endpoint, to be sent as soon as the change that caused it is written."""
        delivery_id = self.book.enter(
            gateway, event_id=event_id, event_type=event_type, endpoint=endpoint, url=url, body=body
        )
        # Its place among its gateway's decides what befalls it, however late its retries come.
        self._places[delivery_id] = self._faults.place("deliveries", gateway)
        self._wake()

    def undelivered(self, event_id: str) -> int:
        """How many endpoints have not taken this event yet."""
        return self.book.undelivered(event_id)

    def next_at(self, after: float = BEFORE_ALL) -> float | None:
        """When the next delivery that is not on its way already is to be sent, of those that are after a moment."""
        return self.book.next_at(after)

    def send_due(self) -> None:
        """Sets off everything that is to be sent by now."""
        for delivery in self.book.due():
            if delivery.tries == 0 and self._strikes("drop", delivery):
                self.book.mark(delivery.id, "withheld")
            else:
                self.book.mark(delivery.id, "sending")
                self._set_off(delivery)

    async def settle(self) -> None:
        """Waits until everything on its way has its answer."""
        while self._on_the_way:
            await asyncio.wait(self._on_the_way.values())

    async def resend(self, delivery: Delivery) -> Json | None:
        """Sends it again, whatever became of it, and gives the attempt; None where its endpoint is gone.

        Somebody's own order, so no fault touches it. Only its success changes what is said of the delivery.
        """
        signing = self._secrets[delivery.gateway](delivery.endpoint)
        if signing is None:
            return None
        plan = Plan(delivery.next_number, is_resent=True)
        attempt = await self._attempt(delivery, plan, Signature.CURRENT, signing)
        self._record(delivery.id, [attempt])
        return attempt

    def _strikes(self, name: str, delivery: Delivery, *place: int) -> bool:
        at = self._places.setdefault(delivery.id, delivery.id)
        return self._faults.strikes_at(name, delivery.gateway, at, *place)

    def _plan(self, delivery: Delivery) -> Plan:
        """What goes wrong on purpose with the next try."""
        number = delivery.tries + 1
        is_late, is_double = (self._strikes(name, delivery, number) for name in ("reorder", "duplicate"))
        return Plan(
            delivery.next_number,
            OVERTAKEN_SECONDS if is_late else 0,
            tuple(self._signature(delivery, number, copy) for copy in range(2 if is_double else 1)),
            (("reorder",) if is_late else ()) + (("duplicate",) if is_double else ()),
        )

    def _signature(self, delivery: Delivery, number: int, copy: int) -> Signature:
        if self._strikes("wrongSignature", delivery, number, copy):
            return Signature.WRONG
        signing = self._secrets[delivery.gateway](delivery.endpoint)
        if signing is not None and signing.old is not None and self._strikes("oldSecret", delivery, number, copy):
            return Signature.OLD
        return Signature.CURRENT

    def _set_off(self, delivery: Delivery) -> None:
        plan = self._plan(delivery)
        ahead, gone = self._lines.get(delivery.endpoint), asyncio.Event()
        if plan.later:
            ahead = None
        else:
            self._lines[delivery.endpoint] = gone
        task = asyncio.create_task(self._send(delivery, plan, ahead, gone))
        self._on_the_way[delivery.id] = task
        task.add_done_callback(lambda _: self._arrived(delivery))

    def _arrived(self, delivery: Delivery) -> None:
        done = self._on_the_way.pop(delivery.id)
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("post: delivery %s ended in a fault of ours", delivery.id, exc_info=error)
            self.book.mark(delivery.id, "failed")
        self._wake()

    async def _send(self, delivery: Delivery, plan: Plan, ahead: asyncio.Event | None, gone: asyncio.Event) -> None:
        """Leaves when the one ahead is gone, and lets the next one leave when it is answered, or slow to be."""
        try:
            await asyncio.sleep(self._faults.delay_seconds() + plan.later)
            if ahead is not None:
                await ahead.wait()
            signing = self._secrets[delivery.gateway](delivery.endpoint)
            if signing is None:
                self.book.mark(delivery.id, "failed")
                return
            async with asyncio.TaskGroup() as group:
                copies = [group.create_task(self._attempt(delivery, plan, copy, signing)) for copy in plan.copies]
                await asyncio.wait(copies, timeout=PATIENCE_SECONDS)
                gone.set()
            self._record(delivery.id, [copy.result() for copy in copies])
        finally:
            gone.set()

    async def _attempt(self, delivery: Delivery, plan: Plan, signature: Signature, signing: Secrets) -> Json:
        manner, began = self._manners[delivery.gateway], time.monotonic()
        headers = manner.headers(delivery.body, _secret(signature, signing), delivery.event_id, int(time.time()))
        status: int | None = None
        try:
            async with asyncio.timeout(manner.answer_seconds):
                status, text = await self._exchange(delivery.url, headers, delivery.body)
        except TimeoutError:
            text = f"no answer within {manner.answer_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            text = f"{type(error).__name__}: {error}"[:ANSWER_BYTES]
        faults = {Signature.OLD: ["oldSecret"], Signature.WRONG: ["wrongSignature"], Signature.CURRENT: []}[signature]
        return {
            "number": plan.number,
            "at": self._clock.now(),
            "status": status,
            "answer": text,
            "milliseconds": int((time.monotonic() - began) * 1000),
            "signature": signature.value,
            "faults": [*plan.faults, *faults],
            "resent": plan.is_resent,
        }

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        assert self._client is not None, "the post is closed"
        async with self._client.stream("POST", url, headers=dict(headers), content=body) as answer:
            kept = b""
            async for part in answer.aiter_bytes():
                kept += part
                if len(kept) >= ANSWER_BYTES:
                    break
            return answer.status_code, kept[:ANSWER_BYTES].decode("utf-8", "replace")

    def _record(self, delivery_id: int, attempts: list[Json]) -> None:
        """Writes attempts down and says what is next. Others may have been made meanwhile, or all been forgotten."""
        delivery = self.book.find(delivery_id)
        if delivery is None:
            return
        is_resent = any(attempt["resent"] for attempt in attempts)
        tries = delivery.tries + (0 if is_resent else 1)
        pauses = self._manners[delivery.gateway].retries
        state, next_at = delivery.state, delivery.next_at
        if any(_is_success(attempt) for attempt in attempts):
            state = "delivered"
        elif state != "delivered" and not is_resent:
            state = "pending" if tries <= len(pauses) else "failed"
            next_at = self._clock.exact() + pauses[tries - 1] if state == "pending" else next_at
        self.book.conclude(delivery, attempts, state, next_at)


def _secret(signature: Signature, signing: Secrets) -> str:
    match signature:
        case Signature.OLD if signing.old is not None:
            return signing.old
        case Signature.WRONG:
            return secrets.token_urlsafe(32)
        case _:
            return signing.current


def _is_success(attempt: Json) -> bool:
    return attempt["status"] is not None and httpx.codes.is_success(attempt["status"])
