"""``counterfoil jobs``: the clock's timetable with how each job went last, and one of them run now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console import development, tables
from console.options import As, AsJson, DataDir, PerhapsReason, refuse
from console.showing import ShowsByItself

if TYPE_CHECKING:
    from console.values import DeskValues
    from db.operator_actions import Operator
    from db.pool import Pool
    from schedules.clock import Busy, Ended
    from schedules.job import Job
    from schedules.listing import Line

jobs_app = typer.Typer(cls=ShowsByItself, help="What happens without being asked; alone, it lists.")

HEAD = ("job", "schedule", "last run", "outcome", "last success", "next run", "")


@jobs_app.command("list")
def list_jobs(*, as_json: AsJson = False, data_dir: DataDir = development.DATA_DIR) -> None:
    """Every periodic job: its schedule, its last run and how that ended, its next run."""
    from console.record import at_the_record
    from schedules.listing import listing

    found = at_the_record(data_dir, listing)
    if as_json:
        tables.show_json([as_told(line) for line in found])
    else:
        tables.show(HEAD, map(_row, found), nothing="no jobs")


def as_told(line: Line) -> dict[str, Any]:
    """One job, for programs."""
    last = line.last
    return {
        "name": line.name,
        "says": line.says,
        "schedule": line.schedule,
        "last_started_at": last.last_started_at if last else None,
        "last_finished_at": last.last_finished_at if last else None,
        "outcome": _outcome(line) or None,
        "detail": dict(last.last_detail) if last else {},
        "asked_by": last.last_asked_by if last else None,
        "last_success_seconds": line.success_age.total_seconds() if line.success_age else None,
        "next_run_at": line.next_slot,
        "overdue": line.is_overdue,
    }


def _outcome(line: Line) -> str:
    if line.last is None:
        return ""
    return line.last.last_outcome or "under way"


def _row(line: Line) -> tuple[object, ...]:
    age = f"{tables.span(line.success_age.total_seconds())} ago" if line.success_age else "never"
    started = line.last.last_started_at if line.last else None
    return line.name, line.schedule, started, _outcome(line), age, line.next_slot, "overdue" if line.is_overdue else ""


@jobs_app.command("run")
def run_job(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `counterfoil jobs` lists it.")],
    reason: PerhapsReason = None,
    by: As = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Run one of them now, unless it is under way. Ends 0 once it is done, 1 if it failed or was cut short."""
    from console.actor import operator
    from console.record import at_the_record
    from console.values import values_of
    from schedules.clock import Busy
    from schedules.job import Outcome
    from schedules.timetable import BY_NAME

    if name not in BY_NAME:
        raise typer.BadParameter(f"there is none of that name; there are {', '.join(BY_NAME)}", param_hint="NAME")
    values, who, why = values_of(context, data_dir), operator(by), reason or "asked for by hand"
    ended = at_the_record(data_dir, lambda pool: _run(pool, values, BY_NAME[name], who, why))
    if isinstance(ended, Busy):
        raise refuse(f"{name} is under way already, by {ended.claimed_by}.")
    typer.echo(" ".join((name, ended.outcome.value, *(f"{what}={value}" for what, value in ended.detail.items()))))
    if ended.outcome is not Outcome.DONE:
        raise typer.Exit(1)


async def _run(pool: Pool, values: DeskValues, job: Job, who: Operator, reason: str) -> Ended | Busy:
    from db import operator_actions
    from schedules.clock import Clock
    from schedules.means import MeansValues, open_means

    means = MeansValues(values.database_url, values.redis_url, values.gateways, values.desk.book)
    # Written first: a run that ends this process was asked for all the same.
    async with pool.acquire() as connection:
        await operator_actions.record(connection, by=who, action="jobs.run", target={"job": job.name}, reason=reason)
    async with open_means(means) as opened:
        return await Clock(pool, opened).run_now(job, by=who.name)
