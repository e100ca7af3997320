"""What `make setup` makes: the launcher, the list of what to install; and the targets that people are promised."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local import setup
from tests.processes import ROOT

pytestmark = pytest.mark.acceptance

NEEDS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")

#: What a shell has, and nothing of ours.
SHELL = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/nonexistent"}


def _run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**SHELL, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_launcher_runs_our_code_from_a_directory_with_folders_of_the_same_names(tmp_path: Path) -> None:
    for name in ("local", "console", "db", "typer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")
    setup.write_launcher(tmp_path / "counterfoil", Path(sys.executable))

    said = _run(tmp_path / "counterfoil", "migrate", "--help", cwd=tmp_path)

    assert said.returncode == 0
    assert "Apply what the database is missing" in said.stdout


def test_everything_that_is_declared_is_installed_and_pinned() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    said = _run(sys.executable, ROOT / "local" / "setup.py", "requirements", cwd=ROOT)

    assert said.stdout.split("\n")[:-1] == [*declared["dependencies"], *declared["optional-dependencies"]["dev"]]


@NEEDS_MAKE
def test_make_lists_what_people_are_promised() -> None:
    said = _run("make", cwd=ROOT)

    assert re.findall(r"^make (\w+)", said.stdout, re.MULTILINE) == [
        *("help", "setup", "up", "test", "demo", "lint", "check", "bench", "simulate")
    ]


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """What `make setup` needs of a fresh clone."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "local/setup.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@NEEDS_MAKE
def test_a_python_that_is_too_old_is_named(fresh: Path) -> None:
    old = fresh / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    said = _run("make", "setup", f"PYTHON={old}", cwd=fresh)

    assert said.returncode != 0
    assert f"{old} is older than Python 3.11; choose a newer one with PYTHON=..." in said.stderr
    assert not (fresh / ".venv").exists()


@NEEDS_MAKE
def test_where_no_python_is_new_enough_it_says_so(fresh: Path) -> None:
    said = _run("make", "setup", "PYTHON=", cwd=fresh)

    assert said.returncode != 0
    assert "Python 3.11 or newer is needed; say where with PYTHON=..." in said.stderr
    assert not (fresh / ".venv").exists()
