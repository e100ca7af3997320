"""The clock: for each job of the timetable, claim the slot that is due, run it, say how it ended. Any number may run.

The life of a run:
1. Under the job's turn, which one clock has at a time, a slot is claimed: a row, with a lease.
2. It runs beside the other jobs; while it does, the lease is renewed. A long run is an honest run, up to its limit.
3. Its end is written down by the claim that it belongs to. A database that is away by then is waited for.
4. A clock that dies leaves its lease to run out; what becomes of its run is the job's policy (``schedules.slots``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from db import job_runs
from db.pool import UNAVAILABLE, Pool
from schedules.job import Job, Outcome, Run
from schedules.means import Means
from schedules.slots import Fire, GiveUp, Skip, TakeOver, Wait, decide
from workers.whoami import this_process

log = structlog.get_logger(__name__)

#: How long a clock that died keeps others from its run. Renewed at a third of it.
LEASE = timedelta(seconds=30)

#: However far the next slot is: a clock that dies meanwhile leaves a run to be taken over.
LOOK_AGAIN_SECONDS = 15.0

#: After a look that failed; the database is away, most likely.
AFTER_FAILURE_SECONDS = 1.0

#: What runs when we are told to end may end within this, and then has a moment to let go.
GRACE_SECONDS = 8.0
UNWIND_SECONDS = 2.0

#: For claims alone: each is a few milliseconds.
CONNECTIONS = 3


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended, as its row says it."""

    outcome: Outcome
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Busy:
    """The job is under way elsewhere; it does not overlap itself."""

    claimed_by: str


@dataclass(frozen=True, slots=True)
class Clock:
    """One process's clock. ``pool`` serves claims alone; jobs have their own, in ``means``."""

    pool: Pool
    means: Means
    who: str = field(default_factory=this_process)
    lease: timedelta = LEASE

    async def run(self, jobs: Sequence[Job], stopping: asyncio.Event) -> None:
        """Keep the timetable until told to stop; then let what runs end, in bounded time."""
        keeping = [asyncio.create_task(self._keep(job, stopping), name=job.name) for job in jobs]
        await stopping.wait()
        _, late = await asyncio.wait(keeping, timeout=GRACE_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=2 * UNWIND_SECONDS)

    async def _keep(self, job: Job, stopping: asyncio.Event) -> None:
        """One job, for ever: whatever goes wrong in one round, the next round comes (F144)."""
        while not stopping.is_set():
            try:
                seconds = await self.run_once(job)
            except Exception as error:  # noqa: BLE001 - the database is away, say; it will be back
                log.warning("schedules.round_failed", job=job.name, error_class=type(error).__name__)
                seconds = AFTER_FAILURE_SECONDS
            try:
                await asyncio.wait_for(stopping.wait(), min(seconds, LOOK_AGAIN_SECONDS))
            except TimeoutError:
                continue

    async def run_once(self, job: Job) -> float:
        """Run the job if it is due; returns for how many seconds nothing is."""
        match await self._claim(job):
            case Run() as run:
                await self._see_through(job, run)
                return 0.0
            case float() as seconds:
                return seconds

    async def run_now(self, job: Job, *, by: str) -> Ended | Busy:
        """Run the job because a person asks for it: in a slot of its own, and not beside itself."""
        async with self.pool.acquire() as connection, connection.transaction():
            await job_runs.take_turns(connection, job.name)
            past = await job_runs.look(connection, job.name)
            if past.under_way is not None and past.under_way.lease_until > past.now:
                return Busy(past.under_way.claimed_by)
            slot = await job_runs.begin_by_hand(connection, job.name, by=self.who, asked_by=by, lease=self.lease)
        if slot is None:
            return Busy(self.who)
        return await self._see_through(job, Run(job.name, slot))

    async def _claim(self, job: Job) -> Run | float:
        async with self.pool.acquire() as connection, connection.transaction():
            await job_runs.take_turns(connection, job.name)
            while True:
                past = await job_runs.look(connection, job.name)
                match decide(job.every, job.catch_up, past):
                    case Wait(until=until):
                        return max(0.0, (until - past.now).total_seconds())
                    case Skip(slot=slot, slots=slots):
                        await job_runs.skip(connection, job.name, slot, by=self.who, slots=slots)
                    case GiveUp(slot=slot, claims=claims):
                        log.warning("schedules.run_lost", job=job.name, slot=str(slot))
                        died = {"error": "its clock died, or was cut off"}
                        await job_runs.finish(
                            connection, job.name, slot, claims=claims, outcome=Outcome.FAILED, detail=died
                        )
                    case TakeOver(slot=slot):
                        taken = await job_runs.take_over(connection, job.name, slot, by=self.who, lease=self.lease)
                        if taken is not None:
                            return Run(job.name, slot, taken)
                    case Fire(slot=slot, makes_up_for=missed):
                        told = {"makes_up_for": missed} if missed else {}
                        if await job_runs.begin(connection, job.name, slot, by=self.who, lease=self.lease, detail=told):
                            return Run(job.name, slot)
                        return AFTER_FAILURE_SECONDS

    async def _see_through(self, job: Job, run: Run) -> Ended:
        working = asyncio.create_task(_work(job, self.means, run))
        holding = asyncio.create_task(self._hold(run, job.limit))
        try:
            await asyncio.wait(
                {working, holding}, timeout=job.limit.total_seconds(), return_when=asyncio.FIRST_COMPLETED
            )
            if not working.done():
                why = "it lost its lease" if holding.done() else f"it took longer than {job.limit}"
                ended = await _break_off(working, why)
            elif working.cancelled():
                ended = Ended(Outcome.FAILED, {"error": "it cancelled itself"})
            else:
                ended = working.result()
        except asyncio.CancelledError:
            # We are told to end: whoever is next need not wait for the lease.
            holding.cancel()
            await _break_off(working, "its clock was stopped")
            await self._hand_back(run)
            raise
        finally:
            holding.cancel()
        await self._finish(run, ended)
        return ended

    async def _hold(self, run: Run, limit: timedelta) -> None:
        """Renew the lease as long as the run may last; returns once it is lost, or may be another's for all we know."""
        loop = asyncio.get_running_loop()
        end, ours_until = loop.time() + limit.total_seconds(), loop.time() + self.lease.total_seconds()
        while loop.time() < end:
            await asyncio.sleep(self.lease.total_seconds() / 3)
            asked_at = loop.time()
            try:
                async with asyncio.timeout_at(ours_until), self.pool.acquire() as connection:
                    if not await job_runs.extend(connection, run.job, run.slot, claims=run.claims, lease=self.lease):
                        return
            except UNAVAILABLE:
                if loop.time() >= ours_until:
                    return
            else:
                ours_until = asked_at + self.lease.total_seconds()

    async def _finish(self, run: Run, ended: Ended) -> None:
        """Written down however long it takes: while the database is away, there is nothing else to do for this job."""
        while True:
            try:
                async with self.pool.acquire() as connection:
                    await job_runs.finish(
                        connection,
                        run.job,
                        run.slot,
                        claims=run.claims,
                        outcome=ended.outcome,
                        detail=ended.detail,
                    )
            except UNAVAILABLE as error:
                log.warning("schedules.end_unwritten", job=run.job, error_class=type(error).__name__)
                await asyncio.sleep(AFTER_FAILURE_SECONDS)
            else:
                return

    async def _hand_back(self, run: Run) -> None:
        try:
            async with asyncio.timeout(UNWIND_SECONDS), self.pool.acquire() as connection:
                await job_runs.hand_back(connection, run.job, run.slot, claims=run.claims)
        except UNAVAILABLE:
            log.warning("schedules.not_handed_back", job=run.job)


async def _work(job: Job, means: Means, run: Run) -> Ended:
    try:
        report = await job.run(means, run)
    except Exception as error:  # noqa: BLE001 - one bad run must not end the clock (F144)
        log.warning("schedules.run_failed", job=job.name, error_class=type(error).__name__, at=_where(error))
        return Ended(Outcome.FAILED, {"error": type(error).__name__, "at": _where(error)})
    return Ended(Outcome.DONE if report.complete else Outcome.INCOMPLETE, report.counts)


async def _break_off(working: asyncio.Task[Ended], why: str) -> Ended:
    """Cancelled, and not waited for without end: what does not let go is left behind."""
    working.cancel()
    await asyncio.wait({working}, timeout=UNWIND_SECONDS)
    log.warning("schedules.broken_off", error=why, let_go=working.done())
    return Ended(Outcome.FAILED, {"error": why})


def _where(error: BaseException) -> str:
    """The place, not the text, which may quote a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
