"""``python -m workers`` as a test starts it: with what it is to reach, and nothing else of the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from local.server import Server
from tests.front_door import NO_REDIS
from tests.processes import ROOT, until

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@contextmanager
def worker(*words: str, log: Path, module: str = "workers", **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Ready; what it says is in ``log``."""
    usual = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            env={**usual, "DATABASE_URL": NOWHERE, "REDIS_URL": NO_REDIS, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        assert until(lambda: has_said(log, "ready"), seconds=60), log.read_text(encoding="utf-8")
        yield process
    finally:
        process.kill()
        process.wait()


def has_said(log: Path, words: str) -> bool:
    return words in log.read_text(encoding="utf-8")


def freeze(server: Server, how: signal.Signals) -> None:
    """Stop or continue every process of the server; each leads a group of its own."""
    first = psutil.Process(server.pid)
    for process in (first, *first.children(recursive=True)):
        process.send_signal(how)
