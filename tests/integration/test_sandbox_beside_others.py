"""The example of docs/sandbox.md, word for word: its backend, its fixtures, its tests, as its pipeline runs them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import yaml

from tests.house.pages import DOCS, FENCE, ROOT, text

#: Blocks of code in docs/sandbox.md that are files of the example open with the file's name.
NAMED = re.compile(r'"""(\w+\.py): ')


def test_the_example_passes_as_its_pipeline_runs_it(tmp_path: Path) -> None:
    named = {found[1]: block for language, block in _blocks() if language == "python" and (found := NAMED.match(block))}
    [pipeline] = [yaml.safe_load(block) for language, block in _blocks() if language == "yaml"]
    for name, block in named.items():
        (tmp_path / name).write_text(block, encoding="utf-8")
    (tmp_path / "counterfoil").symlink_to(ROOT)
    [step] = [step for step in pipeline["jobs"]["payments"]["steps"] if step.get("run", "").startswith("pytest")]

    ran = subprocess.run(
        [sys.executable, "-m", *step["run"].split(), "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "SANDBOX_PYTHON": sys.executable, "SHOP_PORT": str(_free_port()), **step["env"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert named.keys() == {"shop.py", "conftest.py", "test_payments.py"}
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\b8 passed", ran.stdout)


def _blocks() -> list[tuple[str, str]]:
    return FENCE.findall(text(DOCS / "sandbox.md"))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
