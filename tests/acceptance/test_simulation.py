"""A short run of the simulation: fewer payments than ``make simulate`` makes, and every promise checked all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]

#: Half a minute under fire. How long an event may take after a blow is judged on a machine of its own, not here.
WORDS = ("--seed", "5", "--payments", "100", "--minutes", "0.4", "--gap", "1")


@pytest.mark.timeout(400)
def test_every_promise_holds_while_everything_breaks() -> None:
    words = [sys.executable, "-m", "tests.simulation", *WORDS]

    ended = subprocess.run(words, check=False, cwd=ROOT, capture_output=True, text=True, timeout=380)

    assert ended.returncode == 0, f"{ended.stderr}\n{ended.stdout}"
    assert "seed 5: every promise was kept" in ended.stdout
