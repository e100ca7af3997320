"""Groups of commands that list what there is when none of them is named."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class ShowsByItself(TyperGroup):
    """``counterfoil queues --json`` is ``counterfoil queues list --json``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)
