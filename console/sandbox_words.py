"""What the sandbox's commands have in common beside the desk's: how it is named, and how a change is written."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from console.options import read_span

Url = Annotated[
    str | None, typer.Option(envvar="SANDBOX_URL", help="The sandbox, if it is not that of a stack of ours.")
]


def read_change(change: str) -> tuple[str, Any]:
    """``drop=0.2``: a name, and a value as JSON writes it."""
    name, equals, value = change.partition("=")
    try:
        if name and equals:
            return name, json.loads(value)
    except (ValueError, RecursionError):
        pass
    raise typer.BadParameter(f"{change!r} must look like drop=0.2", param_hint="NAME=VALUE")


def read_seconds(span: str, hint: str) -> int:
    """``1h30m`` in seconds, as the sandbox counts time."""
    return int(read_span(span, hint).total_seconds())
