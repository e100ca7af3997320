"""The timetable: everything that happens without being asked, one line each, and the work behind it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta

from db import job_runs, partitions
from schedules import broker_maintenance, deadlines, dunning, invariants, pruning
from schedules.job import CatchUp, Job, Report, Run
from schedules.means import Means
from schedules.sweep import sweep_once
from workers import dead_messages
from workers.backfill import backfill_events
from workers.endpoints import watch_gateways
from workers.listed import Backfilled
from workers.recovery import Recovered, recover_orphans

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


async def _sweep(means: Means, _: Run) -> Report:
    return Report({"hinted": await sweep_once(means.pool, means.hints)})


async def _keep_broker(means: Means, _: Run) -> Report:
    return await broker_maintenance.keep_house(means.redis_url)


async def _drain_dead_messages(means: Means, _: Run) -> Report:
    drained = await dead_messages.drain(means.pool, means.redis_url)
    away = {"redis": drained.away} if drained.away else {}
    return Report({"kept": drained.kept, **away}, drained.complete)


async def _recover_orphans(means: Means, run: Run) -> Report:
    return _reported(await recover_orphans(means.pool, means.clients, means.hints, means.book, run.name))


async def _backfill_events(means: Means, run: Run) -> Report:
    return _reported(await backfill_events(means.pool, means.clients, means.hints, means.book, run.name))


def _reported(did: Recovered | Backfilled) -> Report:
    figures = asdict(did)
    return Report({name: told for name, told in figures.items() if name != "complete" and told != ""}, did.complete)


async def _dun(means: Means, run: Run) -> Report:
    return await dunning.keep_time(means.pool, means.hints, means.book, run.name)


async def _watch_gateways(means: Means, _: Run) -> Report:
    watched = await watch_gateways(means.pool, means.clients)
    told = {"disabled": ", ".join(watched.disabled), "silent": ", ".join(watched.silent)}
    return Report({what: gateways for what, gateways in told.items() if gateways}, watched.complete)


async def _alarm_deadlines(means: Means, _: Run) -> Report:
    return await deadlines.alarm(means.pool, means.book.clock())


async def _prune(means: Means, _: Run) -> Report:
    return await pruning.prune(means.pool, frequent=[job.name for job in TIMETABLE if job.every < MINUTE])


async def _prepare_partitions(means: Means, _: Run) -> Report:
    async with means.pool.acquire() as connection, connection.transaction():
        made = await partitions.prepare(connection, await job_runs.now(connection))
    return Report({"made": ", ".join(made)} if made else {})


async def _check_invariants(means: Means, _: Run) -> Report:
    return await invariants.check(means.pool)


TIMETABLE: tuple[Job, ...] = (
    Job(
        "sweep",
        every=SECOND,
        catch_up=CatchUp.SKIP,
        limit=MINUTE,
        says="Hint again what is owed and late.",
        run=_sweep,
    ),
    Job(
        "broker_maintenance",
        every=15 * SECOND,
        catch_up=CatchUp.SKIP,
        limit=MINUTE,
        says="Give back what dead workers had fetched from Redis.",
        run=_keep_broker,
    ),
    Job(
        "drain_dead_messages",
        every=30 * SECOND,
        catch_up=CatchUp.SKIP,
        limit=5 * MINUTE,
        says="Keep as dead letters what Dramatiq gave up.",
        run=_drain_dead_messages,
    ),
    Job(
        "dunning",
        every=MINUTE,
        catch_up=CatchUp.LATEST,
        limit=10 * MINUTE,
        says="Remind, suspend and cancel subscriptions as the policy says.",
        run=_dun,
    ),
    Job(
        "backfill_events",
        every=5 * MINUTE,
        catch_up=CatchUp.LATEST,
        limit=30 * MINUTE,
        says="Fetch from the gateways what no webhook has told us.",
        run=_backfill_events,
    ),
    Job(
        "watch_gateways",
        every=15 * MINUTE,
        catch_up=CatchUp.LATEST,
        limit=5 * MINUTE,
        says="See that each gateway still tells us.",
        run=_watch_gateways,
    ),
    Job(
        "recover_orphans",
        every=30 * MINUTE,
        catch_up=CatchUp.LATEST,
        limit=40 * MINUTE,
        says="Ask the gateways about orders, subscriptions and money of whose end we have not heard.",
        run=_recover_orphans,
    ),
    Job(
        "invariants",
        every=5 * MINUTE,
        catch_up=CatchUp.LATEST,
        limit=20 * MINUTE,
        says="Ask our own data for what must never be.",
        run=_check_invariants,
    ),
    Job(
        "dispute_deadlines",
        every=HOUR,
        catch_up=CatchUp.LATEST,
        limit=5 * MINUTE,
        says="Alarm a person before a bank's deadline for evidence.",
        run=_alarm_deadlines,
    ),
    Job(
        "prune",
        every=HOUR,
        catch_up=CatchUp.LATEST,
        limit=30 * MINUTE,
        says="Forget what is finished and old.",
        run=_prune,
    ),
    Job(
        "partitions",
        every=6 * HOUR,
        catch_up=CatchUp.LATEST,
        limit=5 * MINUTE,
        says="Make the months ahead for events and history.",
        run=_prepare_partitions,
    ),
)

BY_NAME: Mapping[str, Job] = {job.name: job for job in TIMETABLE}
