"""The desk's commands and ``up``: what the launcher ``counterfoil`` runs."""

from __future__ import annotations

from typing import Annotated

import typer

from console import development
from console.__main__ import load
from console.cli import app
from console.options import DataDir, refuse


@app.command()
def up(
    data_dir: DataDir = development.DATA_DIR,
    port_base: Annotated[int, typer.Option(min=1, max=65_000, help="The first port; the services' follow it.")] = 8000,
    without_sandbox: Annotated[bool, typer.Option(help="Leave the stand-in gateways out.")] = False,  # noqa: FBT002
) -> None:
    """Everything on loopback, until Ctrl-C: database, Redis, and every process of ours."""
    from local.command import CannotStart
    from local.up import up as run

    try:
        run(data_dir, port_base=port_base, without_sandbox=without_sandbox)
    except CannotStart as error:
        raise refuse(str(error)) from error


if __name__ == "__main__":
    app(prog_name="counterfoil", obj=load)
