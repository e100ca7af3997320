"""``counterfoil queues``: how deep each is and who works it; one put to rest, and set to work again."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console import development, tables
from console.options import As, AsJson, DataDir, PerhapsReason, Reason, read_span, refuse
from console.showing import ShowsByItself

if TYPE_CHECKING:
    from console.queue_lines import QueueLine
    from db.operator_actions import Operator
    from db.pool import Pool
    from db.queue_controls import Paused

queues_app = typer.Typer(cls=ShowsByItself, help="What is owed, where, and for how long; alone, it lists.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="webhooks, effects, reconcile or bulk.")]

HEAD = ("queue", "owed", "delayed", "oldest", "dead", "hints", "in flight", "workers", "paused")


@queues_app.command("list")
def list_queues(*, as_json: AsJson = False, data_dir: DataDir = development.DATA_DIR) -> None:
    """Every queue: rows owed and delayed, the age of the oldest, hints in Redis, dead letters, workers."""
    from console.queue_lines import look
    from console.record import at_the_record

    development.adopt(data_dir, os.environ)
    found = at_the_record(data_dir, lambda pool: look(pool, os.environ.get("REDIS_URL")))
    if as_json:
        tables.show_json(found)
    else:
        tables.show(HEAD, map(row, found), nothing="no queues")


def row(line: QueueLine) -> tuple[object, ...]:
    """As ``HEAD`` names it."""
    hints, in_flight = ("?" if n is None else n for n in (line.hints, line.in_flight))
    oldest = tables.span(line.oldest_seconds) if line.owed else ""
    return (line.name, line.owed, line.delayed, oldest, line.dead, hints, in_flight, line.workers, _rest(line))


def _rest(line: QueueLine) -> str:
    if line.paused is None:
        return ""
    until = f"until {tables.moment(line.paused.until)}" if line.paused.until else "until resumed"
    return f"by {line.paused.by}, {until}: {line.paused.reason}"


@queues_app.command()
def pause(
    name: Name,
    reason: Reason,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="SPAN", help="It runs again by itself after 30m, 1h, 2d.")
    ] = None,
    by: As = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Let nobody take work from this queue. What is owed there stays owed; nothing is lost."""
    from console.actor import operator
    from console.record import at_the_record

    _must_be_a_queue(name)
    span = read_span(for_, "--for") if for_ else None
    if span is not None and not span:
        raise typer.BadParameter("must be longer than nothing", param_hint="--for")
    who = operator(by)
    paused = at_the_record(data_dir, lambda pool: _pause(pool, name, who, reason, span))
    until = f"until {tables.moment(paused.until)} UTC" if paused.until else "until it is resumed"
    typer.echo(f"{name} is paused {until}")


async def _pause(pool: Pool, name: str, who: Operator, reason: str, span: timedelta | None) -> Paused:
    from db import operator_actions, queue_controls

    async with pool.acquire() as connection, connection.transaction():
        before = {each.queue: each for each in await queue_controls.list_paused(connection)}
        paused = await queue_controls.pause(connection, name, by=who.name, reason=reason, for_=span)
        await operator_actions.record(
            connection,
            by=who,
            action="queues.pause",
            target={"queue": name},
            reason=reason,
            before=_told(before.get(name)),
            after=_told(paused),
        )
    return paused


@queues_app.command()
def resume(name: Name, reason: PerhapsReason = None, by: As = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Let it run again; what was owed meanwhile is worked at once."""
    from console.actor import operator
    from console.record import at_the_record

    _must_be_a_queue(name)
    who = operator(by)
    was = at_the_record(data_dir, lambda pool: _resume(pool, name, who, reason or "it may run again"))
    if was is None:
        raise refuse(f"{name} is not paused.")
    typer.echo(f"{name} runs again; {was.paused_by} had paused it at {tables.moment(was.paused_at)} UTC")


async def _resume(pool: Pool, name: str, who: Operator, reason: str) -> Paused | None:
    from db import operator_actions, queue_controls

    async with pool.acquire() as connection, connection.transaction():
        was = await queue_controls.resume(connection, name)
        if was is not None:
            await operator_actions.record(
                connection,
                by=who,
                action="queues.resume",
                target={"queue": name},
                reason=reason,
                before=_told(was),
                after=_told(None),
            )
    return was


def _told(paused: Paused | None) -> dict[str, Any]:
    if paused is None:
        return {"paused": False}
    until = paused.until.isoformat() if paused.until else None
    return {"paused": True, "by": paused.paused_by, "reason": paused.reason, "until": until}


def _must_be_a_queue(name: str) -> None:
    from workers.queues import QUEUES

    if name not in QUEUES:
        raise typer.BadParameter(f"there is none of that name; there are {', '.join(QUEUES)}", param_hint="NAME")
