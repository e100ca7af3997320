"""What the desk's commands have in common: their options, how words are read, and how a command says no."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from console import development

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="COUNTERFOIL_DATA_DIR",
        help="The development stack that is meant, by the directory of its data.",
        show_default=".counterfoil in the project",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def plain_words(given: str | None) -> str | None:
    """What a person types: some characters of one line, and no half ones, which no record could hold."""
    if given is None or (given.isprintable() and given.strip() and len(given) <= LONGEST_WORDS):
        return given
    raise typer.BadParameter(f"takes 1 to {LONGEST_WORDS} characters of one line")


def plain_names(given: list[str] | None) -> list[str]:
    """As ``plain_words``, for each, and not more of them than a person names."""
    if len(given or ()) > MOST_NAMES:
        raise typer.BadParameter(f"takes at most {MOST_NAMES}; use a filter for more")
    return [name for name in given or () if plain_words(name)]


LONGEST_WORDS = 500
MOST_NAMES = 500

As = Annotated[
    str | None,
    typer.Option(
        "--as",
        envvar="COUNTERFOIL_OPERATOR",
        metavar="NAME",
        callback=plain_words,
        help="Who acts, for the record.",
        show_default="the user of this machine",
    ),
]
Reason = Annotated[str, typer.Option(callback=plain_words, help="Why, for the record.")]
PerhapsReason = Annotated[str | None, typer.Option(callback=plain_words, help="Why, for the record.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="So many at most.")]

#: How long each unit of a span is, in seconds.
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def read_span(text: str, hint: str) -> timedelta:
    """``1h30m``."""
    if not re.fullmatch(r"([0-9]{1,6}[smhdw])+", text):
        raise typer.BadParameter(f"{text!r} must look like 31m, 2h, 3d or 1h30m", param_hint=hint)
    return timedelta(seconds=sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdw])", text)))


def read_moment(text: str, hint: str) -> datetime:
    """``24h``, which is so long ago; or a day, or a day and a time, in UTC unless it says otherwise."""
    try:
        if re.fullmatch(r"([0-9]{1,6}[smhdw])+", text):
            return datetime.now(UTC) - read_span(text, hint)
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} must look like 24h, 2026-11-22 or 2026-11-22T10:30", param_hint=hint
        ) from None


def setting(name: str, data_dir: Path) -> str:
    """From the environment, else from the development stack's own file."""
    development.adopt(data_dir, os.environ)
    value = os.environ.get(name)
    if not value:
        raise refuse(f"{name} is not set, and no development stack was ever started in {data_dir}.", 2)
    return value


def need_reason(reason: str | None, *, unless: str) -> str:
    """For what may be tried without one."""
    if reason is None:
        raise typer.BadParameter(f"is needed, unless {unless}", param_hint="--reason")
    return reason


def refuse(sentence: str, code: int = 1) -> typer.Exit:
    """Say on stderr why the command ends without its work; to be raised."""
    typer.echo(f"counterfoil: {sentence}", err=True)
    return typer.Exit(code)
