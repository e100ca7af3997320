"""Everything that breaks, on a plan of its own: processes and servers struck, gateways at fault, time skipped."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import httpx
import redis.exceptions

from db.pool import UNAVAILABLE
from tests.simulation.customers import DAY, MINUTE, Street
from tests.simulation.stack import Stack
from tests.simulation.streams import stream

#: What a gateway may do wrong: the value that is ordered, drawn anew for each spell. Rates low enough to get through.
FAULTS: dict[str, Callable[[Random], Any]] = {
    "drop": lambda draw: draw.uniform(0.02, 0.15),
    "duplicate": lambda draw: draw.uniform(0.1, 0.6),
    "reorder": lambda draw: draw.uniform(0.1, 0.5),
    "delay": lambda draw: round(draw.uniform(0.1, 1.5), 2),
    "sameSecond": lambda draw: draw.uniform(0.2, 0.8),
    "twoEvents": lambda draw: draw.uniform(0.05, 0.3),
    "oldSecret": lambda draw: draw.uniform(0.1, 0.5),
    "wrongSignature": lambda draw: draw.uniform(0.02, 0.15),
    "apiErrors": lambda draw: {kind: draw.uniform(0.01, 0.05) for kind in ("429", "500", "502")},
    "timeout": lambda draw: {"seconds": draw.choice((2, 6, 23)), "rate": 0.02},
    "cutAfterCommit": lambda draw: draw.uniform(0.02, 0.12),
    "lateAuthorisation": lambda draw: draw.uniform(0.02, 0.1),
    "amountMismatch": lambda draw: draw.uniform(0.02, 0.1),
}

#: How refunds end that are asked for by call, one spell after the other: mostly well.
REFUND_ENDINGS = {"succeeds": 6, "succeeds_later": 2, "fails": 1, "fails_after_success": 1, "stays_pending": 1}

#: How many payouts the bank sends back.
PAYOUTS_FAIL = 0.2

#: At first, a gateway that can do no more than this is taken to know these.
LEAST_KNOWN = frozenset(
    "drop duplicate reorder delay sameSecond apiErrors timeout cutAfterCommit lateAuthorisation".split()
)

#: How many faults make a spell, and how long it lasts.
FAULTS_AT_ONCE = (2, 6)
SPELL_SECONDS = (2.0, 7.0)

#: More than there are calls of the gateways' APIs in one spell.
CALLS_IN_A_SPELL = 500

#: How long something hangs, and by how much the clock is moved at once.
FREEZE_SECONDS = (1.0, 6.0)
SKIP_SECONDS = (5 * MINUTE, 50 * MINUTE)

#: Every second time the clock is moved by days: trials end, subscriptions renew, fail, and are tried again.
LEAP_EVERY = 2
LEAP_SECONDS = (5 * DAY, 20 * DAY)

AWAY = (*UNAVAILABLE, redis.exceptions.RedisError, httpx.HTTPError)


#: What it is called, whom it strikes, and how.
Blow = tuple[str, str, Callable[[str, Random], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Struck:
    """Something was broken at this moment (real time), and served again so many seconds later."""

    kind: str
    at: datetime
    whom: str
    seconds: float


@dataclass(slots=True)
class Chaos:
    """Breaks things until told to stop, and leaves nothing broken behind."""

    stack: Stack
    street: Street
    #: Between one blow, and the next.
    gap_seconds: float
    run_job: Callable[[str], Awaitable[str]]
    struck: list[Struck] = field(default_factory=list)
    ordered: Counter[str] = field(default_factory=Counter)
    skipped_seconds: float = 0.0
    runs: Counter[str] = field(default_factory=Counter)
    called: Counter[str] = field(default_factory=Counter)
    _calls_seen: int = 0

    async def rage(self, stopping: asyncio.Event) -> None:
        """Blows, faults and skipped time, each by a stream of its own, until told to stop; then quiet."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._deal_blows(stopping))
                group.create_task(self._spoil(stopping))
                group.create_task(self._skip_time(stopping))
        finally:
            (await self.stack.order("faults")).raise_for_status()

    async def _deal_blows(self, stopping: asyncio.Event) -> None:
        """Every kind as often as every other, in an order of its own each round."""
        draw = stream(self.street.seed, "blows")
        deck: list[Blow] = []
        while not await _over(stopping, draw.uniform(0.7, 1.3) * self.gap_seconds):
            if not deck:
                # The first of each kind before the second of any: a short run sees as many as it can.
                often, rare = self._blows()
                deck = [*draw.sample(often, k=len(often)), *draw.sample(rare, k=len(rare))]
            kind, whom, blow = deck.pop()
            await self._deal(kind, whom, blow, draw)

    async def _deal(self, kind: str, whom: str, blow: Callable[[str, Random], Awaitable[None]], draw: Random) -> None:
        at = datetime.now(UTC)
        with suppress(*AWAY):
            await blow(whom, draw)
        self.struck.append(Struck(kind, at, whom, (datetime.now(UTC) - at).total_seconds()))

    def _blows(self) -> tuple[list[Blow], list[Blow]]:
        """Those that a round deals once more, and one of each kind."""
        bounded: list[Blow] = [
            ("a worker's kill -9", "worker-1", self._kill),
            ("a FLUSHALL", "valkey", self._flush),
            ("a Redis restart", "valkey", self._restart),
            ("a Postgres restart", "postgres", self._restart),
        ]
        once: list[Blow] = [
            *((f"kill -9 of {name}", name, self._kill) for name in ("ingress", "checkout", "schedules")),
            *(
                (f"{name} hangs", name, self._freeze)
                for name in ("ingress", "checkout", "valkey", "postgres", "worker-1")
            ),
            ("everything's kill -9", "workers, ingress, checkout, schedules", self._kill_all),
        ]
        return [*bounded, ("a worker's kill -9", "worker-2", self._kill)], [*bounded, *once]

    async def _kill(self, whom: str, draw: Random) -> None:
        del draw
        await self.stack.until_replaced(whom, self.stack.strike(whom, signal.SIGKILL))

    async def _kill_all(self, whom: str, draw: Random) -> None:
        del whom, draw
        names = [name for name in self.stack.names if name not in ("postgres", "valkey", "sandbox")]
        dead = {name: self.stack.strike(name, signal.SIGKILL) for name in names}
        await asyncio.gather(*(self.stack.until_replaced(name, pid) for name, pid in dead.items()))

    async def _restart(self, whom: str, draw: Random) -> None:
        """In order, at once, or as a crash."""
        numbers = (signal.SIGKILL, signal.SIGQUIT if whom == "postgres" else signal.SIGTERM, signal.SIGINT)
        await self.stack.until_replaced(whom, self.stack.strike(whom, draw.choice(numbers)))

    async def _freeze(self, whom: str, draw: Random) -> None:
        async with self.stack.frozen(whom):
            await asyncio.sleep(draw.uniform(*FREEZE_SECONDS))

    async def _flush(self, whom: str, draw: Random) -> None:
        del whom, draw
        await self.stack.forget_all_hints()

    async def _spoil(self, stopping: asyncio.Event) -> None:
        """Spells of bad weather at the gateways, and now and then a fair one."""
        draw = stream(self.street.seed, "faults")
        known = LEAST_KNOWN | set(await self.stack.ask("faults/known") or ())
        names = [name for name in FAULTS if name in known]
        seconds = 0.0
        while not await _over(stopping, seconds):
            chosen = draw.sample(names, k=draw.randint(*FAULTS_AT_ONCE)) if draw.random() < 0.9 else []
            faults = {name: FAULTS[name](draw) for name in chosen}
            seconds, seed = draw.uniform(*SPELL_SECONDS), draw.randrange(2**31)
            [ending] = draw.choices(list(REFUND_ENDINGS), list(REFUND_ENDINGS.values()))
            with suppress(*AWAY):
                (await self.stack.order("settings", refundEnding=ending)).raise_for_status()
                (await self.stack.order("faults", seed=seed, **faults)).raise_for_status()
                self.ordered.update(chosen)
                await self._count_calls()
        await self.stack.order("faults")

    async def _count_calls(self) -> None:
        """Which faults befell the calls of the last spell: the sandbox keeps the newest only."""
        told = await self.stack.ask("calls", limit=CALLS_IN_A_SPELL) or {"data": []}
        for call in told["data"]:
            if call["id"] > self._calls_seen:
                self._calls_seen = call["id"]
                self.called.update(call["faults"])

    async def _skip_time(self, stopping: asyncio.Event) -> None:
        """Pages expire, debits settle, banks change their minds, months are over; and recovery asks about what is overdue
        by then. After days, our own clock would long have run."""
        draw = stream(self.street.seed, "time")
        number = 0
        while not await _over(stopping, draw.uniform(1.0, 2.0) * self.gap_seconds):
            number += 1
            is_leap = number % LEAP_EVERY == 0
            seconds = draw.uniform(*(LEAP_SECONDS if is_leap else SKIP_SECONDS))
            with suppress(*AWAY):
                made = await self._pay_out() if is_leap else []
                await skip(self.stack, self.street, seconds)
                self.skipped_seconds += seconds
                for payout in made:
                    if payout.startswith("po_") and draw.random() < PAYOUTS_FAIL:
                        await self.stack.order("payout", payout=payout, ending="fails")
            for job in (draw.choice(("recover_orphans", "backfill_events")), *(("dunning",) if is_leap else ())):
                with suppress(*AWAY):
                    self.runs[f"{job} {await self.run_job(job)}"] += 1

    async def _pay_out(self) -> list[str]:
        """All that both gateways hold; it is at our bank a day later."""
        made = [await self.stack.order("payout", gateway=gateway) for gateway in ("stripe", "razorpay")]
        return [payout["payout"] for answer in made for payout in answer.raise_for_status().json()["data"]]


async def skip(stack: Stack, street: Street, seconds: float) -> None:
    """Move the one clock. Returns once what fell due has happened, and its webhooks were answered."""
    street.tills.clear()
    try:
        answer = await stack.sandbox.post("/_control/clock", json={"advance": seconds}, timeout=600)
        answer.raise_for_status()
    finally:
        street.tills.set()
    await street.moved(seconds)


async def _over(stopping: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until told to stop; says whether it is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
    return stopping.is_set()
