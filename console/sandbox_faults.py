"""``counterfoil sandbox faults`` and its shortcuts: what goes wrong on purpose, changed one thing at a time."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from console import development, sandbox_client
from console import sandbox_tables as tables
from console.options import AsJson, DataDir
from console.sandbox_client import Json, Sandbox
from console.sandbox_words import Url, read_change
from console.tables import show


class _ShowsByItself(TyperGroup):
    """Without one of its commands it is ``show``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


faults_app = typer.Typer(cls=_ShowsByItself, help="What goes wrong on purpose; alone, it shows.")
shortcuts_app = typer.Typer()

Changes = Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Such as drop=0.2 apiErrors.429=0.1")]
Rate = Annotated[float, typer.Argument(min=0, max=1, help="From 0, never, to 1, always.")]


@faults_app.command("show")
def show_faults(*, as_json: AsJson = False, url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Every fault there is, and the value of each that is in force."""
    sandbox = sandbox_client.find(url, data_dir)
    in_force = sandbox.ask("faults")
    if as_json:
        tables.show_json(in_force)
    else:
        show(tables.FAULT_HEAD, tables.fault_rows(sandbox.ask("faults/known"), in_force), nothing="")


@faults_app.command("set")
def set_faults(changes: Changes, url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Change these and leave the others as they are; 0 takes one out, or its part."""
    _change(sandbox_client.find(url, data_dir), dict(map(read_change, changes)))


@faults_app.command("clear")
def clear_faults(url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Nothing goes wrong any more."""
    sandbox_client.find(url, data_dir).order("faults", {})
    typer.echo("no faults")


@shortcuts_app.command()
def drop(rate: Rate, url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Withhold so many of the webhooks."""
    _change(sandbox_client.find(url, data_dir), {"drop": rate})


@shortcuts_app.command()
def duplicate(rate: Rate, url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Send so many of the webhooks twice at once."""
    _change(sandbox_client.find(url, data_dir), {"duplicate": rate})


@shortcuts_app.command()
def reorder(rate: Rate, url: Url = None, data_dir: DataDir = development.DATA_DIR) -> None:
    """Let so many of the webhooks be overtaken by what comes after them."""
    _change(sandbox_client.find(url, data_dir), {"reorder": rate})


@shortcuts_app.command()
def delay(
    seconds: Annotated[float, typer.Argument(min=0, help="Of real time.")],
    url: Url = None,
    data_dir: DataDir = development.DATA_DIR,
) -> None:
    """Let every webhook wait before it leaves."""
    _change(sandbox_client.find(url, data_dir), {"delay": seconds})


def _change(sandbox: Sandbox, changes: Json) -> None:
    """Over what is in force. ``apiErrors.429`` is one part of a fault that has several."""
    order = sandbox.ask("faults")
    for name, value in changes.items():
        fault, _, part = name.partition(".")
        parts = order.get(fault)
        order[fault] = {**(parts if isinstance(parts, dict) else {}), part: value} if part else value
    order = {fault: left for fault, value in order.items() if (left := _left_of(fault, value)) is not None}
    if "seed" not in changes and order.keys() == {"seed"}:
        # It was drawn for faults, or named for them, and there are none.
        order = {}
    in_force = sandbox.order("faults", order)
    typer.echo(tables.faults_told(in_force))


def _left_of(fault: str, value: Any) -> Any:
    """What of a fault ever happens; None where nothing does."""
    if fault == "seed":
        return value
    if not isinstance(value, dict):
        return None if value == 0 else value
    left = {part: rate for part, rate in value.items() if rate != 0}
    # A time that is never waited, or that nobody waits, is none; each error of an API is one by itself.
    return None if not left or (fault == "timeout" and left != value) else left
