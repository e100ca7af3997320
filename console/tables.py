"""What the desk tells, written down: tables for a person, lines with tabs for a pipe, JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import typer

from payments.secrecy import conceal, mask


class Revealed(str):
    """What a person has asked to see, and said why: only secrets and card numbers are taken out."""

    __slots__ = ()


def show_json(told: object) -> None:
    """Integers as long as they are, times in ISO 8601, spans in seconds; texts without what must not be shown."""
    typer.echo(json.dumps(_masked(told), indent=2))


def json_line(told: object) -> str:
    """As ``show_json``, in one line: for lists that are too long to be held."""
    return json.dumps(_masked(told))


def _masked(told: object) -> object:
    match told:
        case Revealed():
            return conceal(told)
        case str():
            return mask(told)
        case UUID():
            return str(told)
        case datetime():
            return told.isoformat()
        case timedelta():
            return told.total_seconds()
        case dict():
            return {str(name): _masked(value) for name, value in told.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked(each) for each in told]
        case _ if is_dataclass(told) and not isinstance(told, type):
            return _masked(asdict(told))
        case _:
            return told


def show(head: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str, title: str = "") -> None:
    """On a terminal a table; elsewhere one line a row, with tabs between, and the title before each if there is one."""
    written = [[plain(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in written:
            typer.echo("\t".join([title, *row] if title else row))
        return
    if title and written:
        typer.secho(f"\n{title}", bold=True)
    if not written:
        typer.echo(nothing, nl=bool(nothing))
        return
    _draw(head, written)


def _draw(head: Sequence[str], written: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=None, header_style="bold", pad_edge=False, show_header=any(head))
    for row in written:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(table)


def plain(value: object) -> str:
    """One line without control characters, which would move the cursor of who reads it, and without what must not be
    shown."""
    match value:
        case None:
            return ""
        case datetime():
            return moment(value)
        case timedelta():
            return span(value.total_seconds())
    line = "".join(character if character.isprintable() else " " for character in str(value))
    return conceal(line) if isinstance(value, Revealed) else mask(line)


def moment(at: datetime) -> str:
    """In UTC, whole seconds."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def span(seconds: float) -> str:
    """Its two largest units: ``2d 3h``."""
    rest, parts = round(seconds), []
    for unit, length in {"d": 86400, "h": 3600, "m": 60, "s": 1}.items():
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
