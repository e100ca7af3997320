"""Our own processes: which there are, on which port, and how each says that it is ready."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from local.command import CannotStart, Command
from local.ports import LOOPBACK

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Row:
    """One process of the stack. ``offset`` is its port's distance from the base, or None: it listens nowhere."""

    name: str
    module: str
    offset: int | None = None


#: The distances that others must know, to be told where these are.
CHECKOUT_OFFSET = 1
SANDBOX_OFFSET = 3
STOREFRONT_OFFSET = 4

#: One line, one process. The offsets are a promise to whoever uses the stack.
TABLE = (
    Row("ingress", "ingress", offset=0),
    Row("checkout", "checkout", offset=CHECKOUT_OFFSET),
    Row("sandbox", "sandbox", offset=SANDBOX_OFFSET),
    Row("storefront", "examples.storefront", offset=STOREFRONT_OFFSET),
    Row("worker-1", "workers"),
    Row("worker-2", "workers"),
    Row("schedules", "schedules"),
)


@dataclass(frozen=True, slots=True)
class Program:
    """A module of ours, run. With a ``port`` it is ready when ``/readyz`` says so, else when it prints ``ready``."""

    name: str
    module: str
    port: int | None
    environment: Mapping[str, str] = field(repr=False)
    first_signal: signal.Signals = signal.SIGTERM
    last_signal: signal.Signals = signal.SIGKILL

    @property
    def url(self) -> str | None:
        return f"http://{LOOPBACK}:{self.port}" if self.port else None

    def spawn(self, output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        return Command((sys.executable, "-m", self.module), self._told(), cwd=Path.cwd()).spawn(output)

    def _told(self) -> dict[str, str]:
        """Wherever it is started, it finds our folders before any other of the same name."""
        own = {"HOST": LOOPBACK, "PYTHONPATH": str(PROJECT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        own["NO_PROXY"] = f"{LOOPBACK},localhost,{self.environment.get('NO_PROXY', '')}".rstrip(",")
        # A PORT of the developer's shell is nobody's here: several would fight over it.
        given = {name: value for name, value in self.environment.items() if name != "PORT"}
        return {**given, **own, **({"PORT": str(self.port)} if self.port else {})}

    def is_ready(self, pid: int, *, announced: bool) -> bool:
        del pid
        return _is_well(self.port) if self.port else announced

    def explain(self, said: str) -> CannotStart:
        return CannotStart(f"{self.name} ended during its start. It said: {said or 'nothing'}")


def programs(table: Sequence[Row], port_base: int, environment: Mapping[str, str]) -> list[Program]:
    """The table's processes, each knowing its port and what it is told."""
    return [
        Program(row.name, row.module, None if row.offset is None else port_base + row.offset, environment)
        for row in table
    ]


def _is_well(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
