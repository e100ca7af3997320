"""``counterfoil events``: what the gateways told us, found, studied, and worked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from console import development, tables
from console.options import (
    As,
    AsJson,
    DataDir,
    DryRun,
    Limit,
    PerhapsReason,
    need_reason,
    plain_names,
    plain_words,
    read_moment,
    refuse,
)

if TYPE_CHECKING:
    from console.event_file import EventFile
    from db.event_search import EventFilter, Listed
    from db.operator_actions import Operator
    from db.pool import Pool
    from workers.replays import Rehearsal, Replayed
    from workers.webhook_events import Desk

events_app = typer.Typer(help="What the gateways told us.", no_args_is_help=True)

STATUSES = ("received", "retry", "done", "ignored", "dead")

Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", callback=plain_names, help="Ours, or the gateway's.", show_default=False)
]

HEAD = ("id", "received", "gateway", "type", "status", "reason", "deliveries", "gateway's id")


@events_app.command("list")
def list_events(
    gateway: Annotated[str | None, typer.Option(callback=plain_words, help="stripe or razorpay.")] = None,
    type_: Annotated[str | None, typer.Option("--type", callback=plain_words, help="As the gateway names it.")] = None,
    status: Annotated[str | None, typer.Option(help=f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}.")] = None,
    since: Annotated[str | None, typer.Option(metavar="24h|DAY", help="Received so long ago at most.")] = None,
    order: Annotated[str | None, typer.Option(metavar="ID", help="Those that moved this order.")] = None,
    limit: Limit = 50,
    before: Annotated[str | None, typer.Option(metavar="ID", help="Older than this one: the next page.")] = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Those that fit everything that is said, the newest first."""
    from console.record import at_the_record
    from db.event_search import EventFilter

    if status not in {None, *STATUSES}:
        raise typer.BadParameter(f"must be one of: {', '.join(STATUSES)}", param_hint="--status")
    wanted = EventFilter(
        gateway=gateway,
        event_type=type_,
        status=status,
        order_id=_read_id(order, "--order"),
        since=read_moment(since, "--since") if since else None,
    )
    last = _read_id(before, "--before")
    found = at_the_record(data_dir, lambda pool: _newest(pool, wanted, limit, last))
    if as_json:
        tables.show_json(found)
    else:
        tables.show(HEAD, map(_row, found), nothing="no events")
    if len(found) == limit:
        typer.echo(f"there may be more: --before {found[-1].id}", err=True)


def _read_id(text: str | None, hint: str) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise typer.BadParameter("takes an id of ours, such as a UUID", param_hint=hint) from None


async def _newest(pool: Pool, wanted: EventFilter, limit: int, before: UUID | None) -> list[Listed]:
    from db import event_search

    async with pool.acquire() as connection:
        return await event_search.newest(connection, wanted, limit=limit, before=before)


def _row(event: Listed) -> tuple[object, ...]:
    return (
        *(event.id, event.created_at, event.gateway, event.event_type),
        *(event.status, event.reason or event.error_class, event.deliveries, event.event_id),
    )


@events_app.command("show")
def show_event(
    name: Annotated[str, typer.Argument(metavar="ID", callback=plain_words, help="Ours, or the gateway's.")],
    reveal: Annotated[bool, typer.Option("--reveal", help="Its payload too; recorded, with the reason.")] = False,  # noqa: FBT002
    reason: PerhapsReason = None,
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """All about one: deliveries, attempts with their errors, what it moved, its orders. E-mail addresses are masked."""
    from console import event_pages
    from console.actor import operator
    from console.event_file import as_told
    from console.record import at_the_record

    why = need_reason(reason, unless="--reveal is left out") if reveal else None
    who = operator(by)
    files = at_the_record(data_dir, lambda pool: _open_files(pool, name, who, why))
    if not files:
        raise refuse(f"There is no event {name}.")
    if as_json:
        tables.show_json([as_told(file) for file in files])
        return
    for file in files:
        event_pages.show(file)


async def _open_files(pool: Pool, name: str, who: Operator, reveal_because: str | None) -> list[EventFile]:
    from console import event_file
    from db import event_search

    async with pool.acquire() as connection, connection.transaction():
        files = []
        for event in (await event_search.find(connection, [name]))[:MOST_FILES]:
            if reveal_because is not None:
                await event_file.record_reveal(connection, event.id, by=who, reason=reveal_because)
            files.append(await event_file.gather(connection, event, reveal=reveal_because is not None))
        return files


#: One gateway's id names several rows where modes, accounts or contents differ; more than a few are an attack.
MOST_FILES = 20


@events_app.command("replay")
def replay_events(
    context: typer.Context,
    ids: Ids,
    reason: PerhapsReason = None,
    dry_run: DryRun = False,  # noqa: FBT002
    force: Annotated[bool, typer.Option("--force", help="Those that are done too.")] = False,  # noqa: FBT002
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Work them once more, through the same rules; what is done stays as it is unless forced. Ends 1 if one was not."""
    from console.actor import operator
    from console.record import at_the_record
    from console.values import values_of

    if dry_run:
        desk = values_of(context, data_dir).desk
        rehearsed = at_the_record(data_dir, lambda pool: _rehearse(pool, desk, ids))
        _tell_rehearsed(rehearsed, as_json=as_json)
        _refuse_missing(ids, [event for event, _ in rehearsed])
        return
    why, who = need_reason(reason, unless="it is a --dry-run"), operator(by)
    found, told = at_the_record(data_dir, lambda pool: _replay(pool, ids, who, why, force=force))
    if as_json:
        tables.show_json(told)
    else:
        tables.show(("id", "gateway's id", "was", "now"), map(_replayed_row, told), nothing="no events")
    _refuse_missing(ids, found)
    if any(each.refused for each in told):
        raise refuse("Some were left as they were." + ("" if force else " What is done is worked again with --force."))


async def _replay(
    pool: Pool, names: Sequence[str], who: Operator, reason: str, *, force: bool
) -> tuple[list[Listed], list[Replayed]]:
    from db import event_search
    from workers import replays

    async with pool.acquire() as connection, connection.transaction():
        told = await replays.replay(connection, names, by=who, reason=reason, force=force)
        return await event_search.find(connection, names), told


def _replayed_row(replayed: Replayed) -> tuple[object, ...]:
    now = f"left as it is: {replayed.refused}" if replayed.refused else "owed again"
    return replayed.id, replayed.event_id, replayed.was, now


async def _rehearse(pool: Pool, desk: Desk, names: Sequence[str]) -> list[tuple[Listed, Rehearsal | None]]:
    from db import event_search
    from workers import replays

    async with pool.acquire() as connection:
        found = await event_search.find(connection, names)
    return [(event, await replays.rehearse(pool, desk, event.id)) for event in found]


def _tell_rehearsed(rehearsed: Sequence[tuple[Listed, Rehearsal | None]], *, as_json: bool) -> None:
    from console.rehearsals import as_told, rows

    if as_json:
        tables.show_json([as_told(event, rehearsal) for event, rehearsal in rehearsed])
        return
    head = ("id", "gateway's id", "is", "would be", "what would change")
    tables.show(head, (row for each in rehearsed for row in rows(*each)), nothing="no events")


def _refuse_missing(names: Sequence[str], found: Sequence[Listed]) -> None:
    known = {name for event in found for name in (str(event.id), event.event_id)}
    missing = [name for name in names if name not in known and name.lower() not in known]
    if missing:
        raise refuse(f"There is no event {', '.join(missing)}.")
