"""What the sandbox's commands have in common: how it is named, and how changes and spans of time are written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

Url = Annotated[
    str | None, typer.Option(envvar="SANDBOX_URL", help="The sandbox, if it is not that of a stack of ours.")
]
DataDir = Annotated[
    Path,
    typer.Option(
        envvar="COUNTERFOIL_DATA_DIR",
        help="The development stack whose sandbox is meant.",
        show_default=".counterfoil in the project",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]

#: How long each unit of a span is.
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def read_change(change: str) -> tuple[str, Any]:
    """``drop=0.2``: a name, and a value as JSON writes it."""
    name, equals, value = change.partition("=")
    try:
        if name and equals:
            return name, json.loads(value)
    except (ValueError, RecursionError):
        pass
    raise typer.BadParameter(f"{change!r} must look like drop=0.2", param_hint="NAME=VALUE")


def read_span(span: str, hint: str) -> int:
    """``1h30m`` in seconds."""
    if not re.fullmatch(r"(\d{1,9}[smhdw])+", span, re.ASCII):
        raise typer.BadParameter(f"{span!r} must look like 31m, 2h, 3d or 1h30m", param_hint=hint)
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([smhdw])", span))
