"""What commands need of the settings beyond an address, handed down by the root of the process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from console import development
from console.options import refuse

if TYPE_CHECKING:
    from workers.webhook_events import Desk


class WrongSettings(Exception):
    """A setting is missing or wrong. The message names it and shows no value."""


@dataclass(frozen=True, slots=True)
class DeskValues:
    """What working an event, or running a job, takes."""

    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    #: Each gateway's own settings, from which its client is made.
    gateways: Mapping[str, object] = field(repr=False)
    desk: Desk


#: How the root reads them; raises ``WrongSettings``.
Load = Callable[[], DeskValues]


def values_of(context: typer.Context, data_dir: Path) -> DeskValues:
    """From the environment, else from the development stack's own file."""
    development.adopt(data_dir, os.environ)
    load: Load = context.obj
    try:
        return load()
    except WrongSettings as error:
        raise refuse(str(error), 2) from error
