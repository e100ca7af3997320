"""The desk's commands, each a few lines over what the rest of the house can do."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from console import development

app = typer.Typer(
    help="A self-hosted payments backend: the desk.",
    no_args_is_help=True,
    add_completion=False,
    # A traceback that shows its locals shows secrets.
    pretty_exceptions_enable=False,
)

DataDir = Annotated[
    Path,
    typer.Option(
        envvar="COUNTERFOIL_DATA_DIR",
        help="Where the development stack keeps its data and its settings.",
        show_default=".counterfoil in the project",
    ),
]


@app.callback()
def desk() -> None:
    """A self-hosted payments backend: the desk."""


@app.command()
def migrate(data_dir: DataDir = development.DATA_DIR) -> None:
    """Apply what the database is missing, in order, under a lock."""
    from console.database import NotUpToDate, bring_up_to_date

    url = setting("DATABASE_URL", data_dir)
    try:
        names = asyncio.run(bring_up_to_date(url))
    except NotUpToDate as error:
        raise refuse(str(error)) from error
    typer.echo("\n".join(names) or "nothing is missing")


def setting(name: str, data_dir: Path) -> str:
    """From the environment, else from the development stack's own file."""
    development.adopt(data_dir, os.environ)
    value = os.environ.get(name)
    if not value:
        raise refuse(f"{name} is not set, and no development stack was ever started in {data_dir}.", 2)
    return value


def refuse(sentence: str, code: int = 1) -> typer.Exit:
    """Say on stderr why the command ends without its work; to be raised."""
    typer.echo(f"counterfoil: {sentence}", err=True)
    return typer.Exit(code)
