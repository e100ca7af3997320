"""The desk as an operator uses it: commands as processes of their own, with what they said and how they ended."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import ROOT


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
        done = subprocess.run(
            _command(words), cwd="/", env=self._told(environment), capture_output=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr.decode(), done.stderr.decode()
        return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

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
        process.wait(60)
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


def data_dir_of(folder: Path, **settings: str) -> Path:
    """A development stack's own file, as ``up`` writes it."""
    (folder / "settings.env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    return folder
