"""The desk as an operator uses it: commands as processes of their own, with what they said and how they ended.

Each is forked from a process that has imported the desk already: that takes several times as long as most commands. On
a terminal a command starts from nothing, as everywhere outside these tests.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pkgutil
import pty
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.processes import ROOT

SECONDS = 60

#: Its modules, and what its commands import only once they need it.
PRELOADED = (
    *(f"console.{each.name}" for each in pkgutil.iter_modules([str(ROOT / "console")]) if each.name != "__main__"),
    *("settings", "gateways.registry", "schedules.means", "schedules.timetable", "workers.webhook_events"),
)
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(list(PRELOADED))


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """Speaks to one database and one Redis, as ``ada`` unless a command says otherwise."""

    database_url: str
    redis_url: str = "redis://127.0.0.1:1/0"

    def __call__(self, *words: object, **environment: str | None) -> Said:
        """``None`` takes a variable away."""
        with TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            told = ([str(word) for word in words], self._told(environment), out, err)
            process = FORKING.Process(target=_run, args=told)
            process.start()
            process.join(SECONDS)
            code = process.exitcode
            if code is None:
                process.kill()
                process.join()
            process.close()
            said = Said(-1 if code is None else code, out.read_text("utf-8"), err.read_text("utf-8"))
        assert code is not None, f"it has not ended. It said: {said}"
        assert "Traceback" not in said.err, said.err
        return said

    def on_a_terminal(self, *words: object) -> str:
        """What a person sees, on a wide screen."""
        master, slave = pty.openpty()
        process = subprocess.Popen(
            _command(words), cwd="/", env=self._told({"TERM": "xterm"}), stdout=slave, stderr=slave
        )
        os.close(slave)
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:
            pass  # How the other end of a terminal says that it is gone.
        process.wait(SECONDS)
        os.close(master)
        return seen.decode()

    def _told(self, environment: dict[str, str | None]) -> dict[str, str]:
        told = {
            "PATH": os.defpath,
            "PYTHONPATH": str(ROOT),
            "PYTHONSAFEPATH": "1",
            "COUNTERFOIL_DATA_DIR": "/nowhere",
            "COUNTERFOIL_OPERATOR": "ada",
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "COLUMNS": "250",
            **environment,
        }
        return {name: value for name, value in told.items() if value is not None}


def _command(words: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "console", *(str(word) for word in words)]


def _run(words: Sequence[str], environment: Mapping[str, str], out: Path, err: Path) -> None:
    """``python -m console`` in the process that this is."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir("/")
    sys.argv = ["console", *words]
    runpy.run_module("console", run_name="__main__", alter_sys=True)


def data_dir_of(folder: Path, **settings: str) -> Path:
    """A development stack's own file, as ``up`` writes it."""
    (folder / "settings.env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    return folder
