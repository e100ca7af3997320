"""``counterfoil status``: is all well? One screen, and an exit code: 0 healthy, 1 degraded, 2 down."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import typer

from console import development
from console.options import AsJson, DataDir, setting

if TYPE_CHECKING:
    from console.health import Health
    from console.verdict import Problem, Verdict

status_app = typer.Typer()

COLOURS = {"healthy": typer.colors.GREEN, "degraded": typer.colors.YELLOW, "down": typer.colors.RED}


@status_app.command()
def status(*, as_json: AsJson = False, data_dir: DataDir = development.DATA_DIR) -> None:
    """Is all well? Ends 0 when healthy, 1 when degraded, 2 when down."""
    from console import status_page, tables
    from console.health import examine
    from console.verdict import judge

    health = asyncio.run(examine(setting("DATABASE_URL", data_dir), setting("REDIS_URL", data_dir)))
    verdict, problems = judge(health)
    if as_json:
        tables.show_json(status_page.as_told(health, verdict, problems))
    else:
        _show(health, verdict, problems)
    raise typer.Exit(verdict.exit_code)


def _show(health: Health, verdict: Verdict, problems: list[Problem]) -> None:
    from console import queues, status_page, tables

    told = ((problem.severity, problem.what, problem.todo) for problem in problems)
    if sys.stdout.isatty():
        typer.secho(verdict.value, bold=True, fg=COLOURS[verdict.value])
    else:
        typer.echo(f"verdict\t{verdict}")
    tables.show(("", "what is wrong", "what to do"), told, nothing="", title="problems")
    tables.show(("", ""), status_page.facts(health), nothing="", title="facts")
    tables.show(queues.HEAD, map(queues.row, health.queues), nothing="", title="queues")
