"""``counterfoil dead``: what nobody tries again until a person says so; looked at by cause, retried or put away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any
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
    setting,
)

if TYPE_CHECKING:
    from console.dead_batches import Done
    from db.dead_letters import Group, Letter, Selection
    from db.pool import Pool
    from db.work_attempts import WorkAttempt

dead_app = typer.Typer(help="What nobody tries again until a person says so.", no_args_is_help=True)

#: What a filter may name, and the field of a letter that it means.
FILTERS = {
    "source": "source",
    "gateway": "gateway",
    "type": "what",
    "class": "trouble_class",
    "cause": "fingerprint",
    "queue": "queue",
    "since": "since",
    "until": "until",
}
STATES = ("open", "retried", "discarded", "all")

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...]", callback=plain_names, help="Of the letter, of its row, or the gateway's."),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", metavar="NAME=VALUE", callback=plain_names, help=f"Of those that fit: {', '.join(FILTERS)}."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every open one.")]
Most = Annotated[int, typer.Option("--max", min=1, max=10_000, help="So many at most, the oldest first.")]

HEAD = ("id", "died", "source", "what", "class", "error", "attempts", "cause", "state")
GROUP_HEAD = ("cause", "count", "source", "what", "class", "error", "first", "last", "sample")


@dead_app.command("list")
def list_letters(
    group: Annotated[bool, typer.Option("--group", help="By cause, the most frequent first.")] = False,  # noqa: FBT002
    filters: Filters = None,
    state: Annotated[str, typer.Option(help="open, retried, discarded or all.")] = "open",
    limit: Limit = 50,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Younger than this one: the next page.")] = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Those that are open, the oldest first; or, by cause, how many of each."""
    from console.record import at_the_record

    if group:
        if filters or after or state != "open":
            raise typer.BadParameter("counts every open one, and takes no filter", param_hint="--group")
        groups = at_the_record(data_dir, lambda pool: _group(pool, limit))
        _show_groups(groups, as_json=as_json)
        if len(groups) == limit:
            typer.echo("there may be more: --limit", err=True)
        return
    if state not in STATES:
        raise typer.BadParameter(f"must be one of: {', '.join(STATES)}", param_hint="--state")
    selection, last = select([], filters), _read_id(after)
    found = at_the_record(data_dir, lambda pool: _find(pool, selection, limit, state, last))
    _show_letters(found, as_json=as_json)
    if len(found) == limit:
        typer.echo(f"there may be more: --after {found[-1].id}", err=True)


def _read_id(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text is not None else None
    except ValueError:
        raise typer.BadParameter("takes the id of a letter", param_hint="--after") from None


async def _group(pool: Pool, limit: int) -> list[Group]:
    from db import dead_letters

    async with pool.acquire() as connection:
        return await dead_letters.group(connection, limit=limit)


async def _find(pool: Pool, selection: Selection, limit: int, state: Any, after: UUID | None) -> list[Letter]:
    from db import dead_letters

    async with pool.acquire() as connection:
        return await dead_letters.find(
            connection, selection, limit=limit, state=None if state == "all" else state, after=after
        )


def _show_groups(groups: list[Group], *, as_json: bool) -> None:
    if as_json:
        tables.show_json(groups)
        return
    rows = (
        (
            *(each.fingerprint, each.count, each.source, each.what, each.trouble_class),
            *(f"{each.error_class}: {each.error}", each.first_at, each.last_at, each.sample),
        )
        for each in groups
    )
    tables.show(GROUP_HEAD, rows, nothing="no dead letters")


def _show_letters(letters: list[Letter], *, as_json: bool) -> None:
    from console.event_file import letter_told

    if as_json:
        tables.show_json([letter_told(letter) for letter in letters])
    else:
        tables.show(HEAD, map(_row, letters), nothing="no dead letters")


def _row(letter: Letter) -> tuple[object, ...]:
    return (
        *(letter.id, letter.created_at, letter.source, letter.what, letter.trouble_class),
        *(f"{letter.error_class}: {letter.error}", letter.attempts, letter.fingerprint, letter.state),
    )


@dead_app.command("show")
def show_letter(
    name: Annotated[str, typer.Argument(metavar="ID", callback=plain_words, help="Of the letter, or of its row.")],
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """One, with every attempt at its work."""
    from console.event_file import letter_told
    from console.record import at_the_record

    letter, attempts = at_the_record(data_dir, lambda pool: _open(pool, name))
    if letter is None:
        raise refuse(f"There is no dead letter {name}.")
    if as_json:
        tables.show_json({**letter_told(letter), "message": _message(letter), "tried": attempts})
    else:
        _show_page(letter, attempts)


async def _open(pool: Pool, name: str) -> tuple[Letter | None, list[WorkAttempt]]:
    from db import dead_letters, work_attempts

    async with pool.acquire() as connection:
        letter = await dead_letters.show(connection, name)
        match letter:
            case None:
                return None, []
            case _ if letter.source == "webhook_event":
                return letter, await work_attempts.of(connection, "webhook_event", UUID(letter.source_id))
            case _ if letter.source == "effect":
                return letter, await work_attempts.of(connection, "effect", UUID(letter.source_id))
            case _:
                return letter, []


def _message(letter: Letter) -> dict[str, Any] | None:
    """What it takes to send it again: ids, as we write them. What nobody can read stays where it is."""
    if letter.message is None:
        return None
    return {name: letter.message[name] for name in ("actor", "args", "kwargs", "bytes") if name in letter.message}


def _show_page(letter: Letter, attempts: list[WorkAttempt]) -> None:
    from console.event_file import letter_told
    from console.event_pages import ATTEMPT_HEAD, attempt_row, show_last_traceback

    facts = [(name.replace("_", " "), value) for name, value in letter_told(letter).items() if value is not None]
    if message := _message(letter):
        facts.append(("message", message))
    if letter.source == "webhook_event":
        facts.append(("its event", f"counterfoil events show {letter.source_id}"))
    tables.show(("", ""), facts, nothing="", title="dead letter")
    tables.show(ATTEMPT_HEAD, map(attempt_row, attempts), nothing="", title="attempts")
    show_last_traceback(attempts)


@dead_app.command("retry")
def retry_letters(
    ids: Ids = None,
    filters: Filters = None,
    everything: All = False,  # noqa: FBT002
    reason: PerhapsReason = None,
    most: Most = 500,
    rate: Annotated[float, typer.Option(min=0.1, max=1000, help="So many a second; live work goes first.")] = 50.0,
    dry_run: DryRun = False,  # noqa: FBT002
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Give them another life, through the same path. Try one of a cause first, then the rest of it."""
    from console import dead_batches
    from console.actor import operator
    from console.record import at_the_record

    selection = select(ids, filters, everything=everything)
    why, who = _why(reason, dry_run=dry_run), operator(by)
    redis_url = setting("REDIS_URL", data_dir)
    order = dead_batches.Order(selection, who, why, most, dry_run=dry_run)
    _tell(at_the_record(data_dir, lambda pool: dead_batches.retry(pool, redis_url, order, rate)), as_json=as_json)


@dead_app.command("discard")
def discard_letters(
    ids: Ids = None,
    filters: Filters = None,
    everything: All = False,  # noqa: FBT002
    reason: PerhapsReason = None,
    most: Most = 500,
    dry_run: DryRun = False,  # noqa: FBT002
    by: As = None,
    *,
    as_json: AsJson = False,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Put them away for good: what they were to do is not done."""
    from console import dead_batches
    from console.actor import operator
    from console.record import at_the_record

    selection = select(ids, filters, everything=everything)
    why, who = _why(reason, dry_run=dry_run), operator(by)
    order = dead_batches.Order(selection, who, why, most, dry_run=dry_run)
    _tell(at_the_record(data_dir, lambda pool: dead_batches.discard(pool, order)), as_json=as_json)


def _why(reason: str | None, *, dry_run: bool) -> str:
    return (reason or "a dry run") if dry_run else need_reason(reason, unless="it is a --dry-run")


def _tell(done: Done, *, as_json: bool) -> None:
    if as_json:
        tables.show_json(done.told())
    else:
        tables.show(HEAD, map(_row, done.sample), nothing="")
        typer.echo(done.sentence())
    if done.trouble:
        raise refuse(done.trouble)


def select(ids: list[str] | None, filters: list[str] | None, *, everything: bool | None = None) -> Selection:
    """The letters that are meant. Nothing named means all of them, and that has to be said (``everything``)."""
    from db.dead_letters import Selection

    selection = replace(Selection(ids=tuple(ids or ())), **dict(map(_read_filter, filters or ())))
    if everything is not None and everything is not selection.is_everything:
        raise typer.BadParameter("name some by ID or --filter, or say --all", param_hint="ID...")
    return selection


def _read_filter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if name not in FILTERS or not equals or not value:
        raise typer.BadParameter(f"{text!r} must be NAME=VALUE, of {', '.join(FILTERS)}", param_hint="--filter")
    return FILTERS[name], read_moment(value, "--filter") if name in {"since", "until"} else value
